import { describe, expect, it } from 'vitest';
import { report } from '../../src/cli/status-report.js';
import type { EngineStatus } from '../../src/engine/status.js';

const MiB = 1024 * 1024;

const follower = (id: number, catchUpBytesPerSecond: number) => ({
  ...{ id, state: 'replicate', match: 90, next: 91, applied: 80, connected: true },
  pipeline: {
    ...{ depth: 'auto', depthNow: 8, inflightBytesMax: 4 * MiB, catchUpBytesPerSecond },
    ...{ roundTripMs: 0.5, syncMs: 2 },
  },
});

function leader(followers: readonly object[], changes: object = {}): EngineStatus {
  const positions = { lastIndex: 100, durableIndex: 100, commitIndex: 90, appliedIndex: 90 };
  const sizes = { batchBytesMax: 262_144, batchEntriesMax: 16_384, lingerUs: 0 };
  const pipeline = { depth: 4, depthNow: 4, uncommittedBatches: 1, commitMs: 2, ...sizes };
  const group = { group: 1, role: 'leader', membership: 'voter', term: 3, leader: 1 };
  const status: unknown = {
    lz4: { compressor: 'lz4-napi', decompressor: 'webassembly' },
    threads: { main: ['turn'], 'worker-1': ['wal-writer'], 'worker-2': ['encoder', 'network'] },
    compression: 'auto',
    memory: { usedBytes: 356 * MiB, budgetBytes: 512 * MiB },
    disk: { durability: 'sync', flush: { msMean: 1.25, msMax: 31.5 } },
    health: { loop: { delayMsP99: 3.1, delayMsMax: 27.9 }, diskStalledMs: 0 },
    rings: { proposal: { usedBytes: 2, capacityBytes: 1000 } },
    groups: [{ ...group, ...positions, pipeline, followers }],
    ...changes,
  };
  return status as EngineStatus;
}

const answer = (status: EngineStatus) => ({ id: 1, address: 'host:1', status, error: undefined });

describe('the status in text', () => {
  it('says what may be in flight to followers, those alike in one line, and how fast they may catch up', () => {
    const text = report([
      answer(leader([follower(2, 64 * MiB), follower(3, MiB / 2), follower(4, 64 * MiB)])),
    ]);
    expect(text).toContain(
      [
        'pipeline of group 1',
        '  depth 4 (1 under way), batches up to 256 KiB or 16384 entries, linger 0 µs',
        '  to followers 2, 4: in flight up to 4096 KiB, catch-up at most 64.0 MiB/s',
        '  to follower 3: in flight up to 4096 KiB, catch-up at most 0.5 MiB/s',
        '',
      ].join('\n'),
    );
  });

  it('says whether loop and disk keep up, since when, and which rings fill up, the fullest first', () => {
    const ring = (usedBytes: number) => ({ usedBytes, capacityBytes: 1000 });
    const rings = {
      proposal: ring(20),
      batch: ring(300),
      receive: ring(4),
      apply: ring(1000),
      inbox: ring(10),
    };
    const health = { loop: { delayMsP99: 3.1, delayMsMax: 27.9 }, diskStalledMs: 1200 };
    const text = report([answer(leader([])), { ...answer(leader([], { rings, health })), id: 2 }]);
    expect(text.split('\n').slice(-5)).toEqual([
      'node  loop late p99, max  flush mean, max  disk silent  fullest rings',
      '   1  3.1, 27.9 ms        1.3, 31.5 ms     0 ms         all below 1 %',
      '   2  3.1, 27.9 ms        1.3, 31.5 ms     1200 ms      apply 100 %, batch 30 %, proposal 2 %',
      'loop and flush: since the start of each node; everything else: now',
      '',
    ]);
  });

  it('keeps within 100 columns for a cluster of three', () => {
    const text = report([answer(leader([follower(2, 64 * MiB), follower(3, MiB)]))]);
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('says of how many groups an answer says nothing', () => {
    const notes = report([answer(leader([])), { ...answer(leader([], { groupsLeftOut: 35 })), id: 2 }])
      .split('\n')
      .filter((line) => line.includes('no room'));
    expect(notes).toEqual(['node 2: its answer had no room for 35 more groups']);
  });

  it('of a member that does not answer is one line', () => {
    const error = new Error('no') as never;
    expect(report([{ id: 3, address: 'host:3', status: undefined, error }]).split('\n').length).toBe(3);
  });
});
