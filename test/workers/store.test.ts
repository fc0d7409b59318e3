import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import type { Configuration } from '../../src/base/messages.js';
import { BATCH_PAYLOAD_OFFSET } from '../../src/codec/batch.js';
import { openIdentity } from '../../src/wal/identity.js';
import { createEngineMemory } from '../../src/workers/memory.js';
import type { WorkerSettings } from '../../src/workers/settings.js';
import { type OpenedStore, openStore } from '../../src/workers/store.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { flushAll, makeBatch, openLog } from '../wal/log-tools.js';

const KIB = 1024;
const SIZES = {
  ...{ ringBytes: 64 * KIB, clientRingBytes: 64 * KIB, messageRingBytes: 64 * KIB },
  batchRawBytesMax: 4 * KIB,
};

const foundedBy = (...voters: number[]): Configuration => ({
  ...{ voters, votersOutgoing: [], learners: [], learnersNext: [], incarnations: [], compressionLevel: 1 },
});

/** Opens node 2's directory, and says what it finds in the log of each group. */
function logsOf(disk: FaultyDisk, changes: Partial<WorkerSettings> = {}): OpenedStore['recovered'] {
  const settings = {
    ...{ dataDirectory: 'd', cluster: 'c', id: 2, groups: [3, 1], segmentBytes: 4096, durability: 'sync' },
    ...{ join: false, bootstrap: foundedBy(1, 2, 3) },
    ...changes,
  } as WorkerSettings;
  const { wal, recovered } = openStore(disk, settings, createEngineMemory(SIZES, settings.groups));
  wal.close();
  return recovered;
}

/** With whom its cluster began as far as node 2 knows, once its directory has been opened. */
function opened(disk: FaultyDisk, changes: Partial<WorkerSettings> = {}): number {
  logsOf(disk, changes);
  return identityOf(disk).bootstrapChecksum;
}

/** The disk after a first start that the power failed in at step `crashAt`, unless it was over by then. */
function cutShort(seed: number, crashAt: number): FaultyDisk {
  const disk = new FaultyDisk(seed);
  disk.faults = { crashAt };
  try {
    logsOf(disk);
  } catch {
    disk.crash();
  }
  disk.faults = {};
  return disk;
}

const identityOf = (disk: FaultyDisk) =>
  openIdentity(disk, 'd', { clusterId: 'c', nodeId: 2, newIncarnation: () => 1 });

describe('with whom a cluster began', () => {
  it('S2 is the same on all founders, whatever groups they have, and another with other founders', () => {
    const one = opened(new FaultyDisk(1));
    expect(one).toBeGreaterThan(0);
    expect(opened(new FaultyDisk(2), { groups: [1] })).toBe(one);
    expect(opened(new FaultyDisk(3), { bootstrap: foundedBy(1, 2, 4) })).not.toBe(one);
  });

  it('is known for good at the first start: later options do not change it', () => {
    const disk = new FaultyDisk(1);
    const one = opened(disk);
    expect(opened(disk, { bootstrap: foundedBy(2, 7) })).toBe(one);
  });

  it('H83 stands in the log of every group, wherever the power fails at the first start and whatever was torn', () => {
    for (let seed = 1; seed <= 40; seed++) {
      for (let crashAt = 1; crashAt <= 30; crashAt++) {
        const disk = cutShort(seed, crashAt);
        for (const [group, { lastIndex, configurations }] of logsOf(disk)) {
          const where = `group ${group}, seed ${seed}, power cut at ${crashAt}`;
          expect([lastIndex, configurations.length], where).toEqual([1, 1]);
        }
      }
    }
  });

  it('H61 is never said by who came later, though it is started again without saying so', () => {
    const disk = new FaultyDisk(1);
    logsOf(disk, { join: true });
    identityOf(disk).rememberBootstrap(77);
    for (const { lastIndex } of logsOf(disk).values()) expect(lastIndex).toBe(0);
    expect(identityOf(disk).bootstrapChecksum).toBe(77);
  });

  it('is not for a newcomer to say, which keeps what it was told', () => {
    const disk = new FaultyDisk(1);
    expect(opened(disk, { join: true })).toBe(0);
    identityOf(disk).rememberBootstrap(77);
    disk.crash();
    expect(opened(disk, { join: true })).toBe(77);
    expect(identityOf(disk).joined, 'H61').toBe(true);
  });

  it('no log is without it, wherever the power fails at the first start', () => {
    for (let crashAt = 1; crashAt <= 60; crashAt += 1) {
      const disk = cutShort(crashAt, crashAt);
      expect(opened(disk), `power cut at ${crashAt}`).toBe(opened(new FaultyDisk(1)));
    }
  });
});

describe('a log that was written under larger options', () => {
  /** Opens the directory once more, with one batch of so many bytes of payload in its log; what refuses it, if anything does. */
  function refusalOf(rawBytes: number): RaftlineError | undefined {
    const disk = new FaultyDisk(1);
    logsOf(disk);
    const { wal } = openLog(disk, 'd', { segmentBytes: 256 * KIB, groups: [3, 1] });
    wal.stageBatch(1, makeBatch({ firstIndex: 2, entryBytes: rawBytes - 4 }));
    flushAll(wal);
    wal.close();
    try {
      logsOf(disk, { entryBytesMax: 4 * KIB });
      return undefined;
    } catch (thrown) {
      return thrown as RaftlineError;
    }
  }

  it('is opened as long as its batches pass through the rings, and else refused with what suffices', () => {
    // Half of a ring, but for the head of a record and that of a batch.
    const most = SIZES.ringBytes / 2 - 8 - BATCH_PAYLOAD_OFFSET;
    expect(refusalOf(most)).toBeUndefined();
    const refused = refusalOf(most + 4);
    expect(refused).toMatchObject({
      code: ErrorCode.OptionInvalid,
      details: { path: 'entryBytesMax', least: most + 4, received: 4 * KIB },
    });
    expect(refused?.message).toMatch(/^option entryBytesMax: expected at least \d+, since the log in d has /);
    const sizes = { ...SIZES, batchRawBytesMax: refused?.details.least as number };
    const { capacity } = createEngineMemory(sizes, [1]).rings.apply;
    expect(capacity / 2, 'what is named suffices').toBeGreaterThan(most + 4 + BATCH_PAYLOAD_OFFSET);
  });
});
