import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../src/base/messages.js';
import { openIdentity } from '../../src/wal/identity.js';
import { createEngineMemory } from '../../src/workers/memory.js';
import type { WorkerSettings } from '../../src/workers/settings.js';
import { openStore } from '../../src/workers/store.js';
import { FaultyDisk } from '../wal/faulty-disk.js';

const KIB = 1024;
const SIZES = {
  ...{ ringBytes: 64 * KIB, clientRingBytes: 64 * KIB, messageRingBytes: 64 * KIB },
  batchRawBytesMax: 4 * KIB,
};

const foundedBy = (...voters: number[]): Configuration => ({
  ...{ voters, votersOutgoing: [], learners: [], learnersNext: [], incarnations: [], compressionLevel: 1 },
});

/** Opens node 2's directory, and says with whom its cluster began as far as it knows. */
function opened(disk: FaultyDisk, changes: Partial<WorkerSettings> = {}): number {
  const settings = {
    ...{ dataDirectory: 'd', cluster: 'c', id: 2, groups: [3, 1], segmentBytes: 4096, durability: 'sync' },
    ...{ join: false, bootstrap: foundedBy(1, 2, 3) },
    ...changes,
  } as WorkerSettings;
  openStore(disk, settings, createEngineMemory(SIZES, settings.groups)).wal.close();
  return identityOf(disk).bootstrapChecksum;
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
      const disk = new FaultyDisk(crashAt);
      disk.faults = { crashAt };
      try {
        opened(disk);
      } catch {
        disk.crash();
      }
      disk.faults = {};
      expect(opened(disk), `power cut at ${crashAt}`).toBe(opened(new FaultyDisk(1)));
    }
  });
});
