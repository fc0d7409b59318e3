import { describe, expect, it } from 'vitest';
import type { RaftlineError } from '../../src/base/errors.js';
import { encodeConfiguration } from '../../src/codec/configuration.js';
import { segmentNumber } from '../../src/wal/format.js';
import type { SnapshotMark } from '../../src/wal/group-log.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { FaultyDisk } from './faulty-disk.js';
import { expectPrefix, History, openHistory, readAll } from './history.js';
import { configurationOf, flushAll, makeBatch, openLog, span, stageRun } from './log-tools.js';

const SMALL = { segmentBytes: 4096 };

function mark(index: number, term: number, keepsSuffix = true, voters = [1, 2, 3]): SnapshotMark {
  const configuration = configurationOf(...voters);
  const bytes = encodeConfiguration(configuration);
  return { index, term, keepsSuffix, configuration: { index: 1, term: 1, configuration, bytes } };
}

function segments(disk: FaultyDisk): number[] {
  return disk.list('d').flatMap((name) => segmentNumber(name) ?? []);
}

/** A log of `batches` batches of one entry of 400 bytes, nine to a segment. */
function filled(disk: FaultyDisk, batches: number) {
  const log = openLog(disk, 'd', SMALL);
  const staged = stageRun(log.wal, { term: 1, after: 0, prevTerm: 0, batches, entryBytes: 300 });
  flushAll(log.wal);
  return { ...log, staged };
}

/** Goes on until another segment begins. */
function fillOne(log: ReturnType<typeof filled>, term = 1): void {
  const last = log.index.writtenLast(1);
  stageRun(log.wal, { term, after: last, prevTerm: term, batches: 10, entryBytes: 300 });
  flushAll(log.wal);
}

describe('compaction', () => {
  it('H49 deletes whole segments, in order, and only once a synced checkpoint says that nobody needs them', () => {
    const disk = new FaultyDisk(1);
    const log = filled(disk, 40);
    expect(segments(disk)).toEqual([1, 2, 3, 4, 5]);
    log.wal.stageSnapshotMark(1, mark(25, 1));
    flushAll(log.wal);
    expect(segments(disk)).toEqual([1, 2, 3, 4, 5]);
    disk.journal.length = 0;
    fillOne(log);
    const begun = disk.journal.indexOf('create d/0000000006.segment.tmp');
    expect(disk.journal.slice(begun, begun + 8)).toEqual([
      'create d/0000000006.segment.tmp',
      'write',
      'sync',
      'rename d/0000000006.segment',
      'sync directory d',
      'unlink d/0000000001.segment',
      'unlink d/0000000002.segment',
      'unlink d/0000000003.segment',
    ]);
    expect(segments(disk)).toEqual([4, 5, 6, 7]);
  });

  it('H49 segments that a crash kept from being deleted go at the next start', () => {
    const disk = new FaultyDisk(9);
    const log = filled(disk, 40);
    log.wal.stageSnapshotMark(1, mark(25, 1));
    flushAll(log.wal);
    const { unlink } = disk;
    disk.unlink = () => {
      disk.faults.crashAt = disk.operations + 1;
      disk.syncDirectory('d');
    };
    expect(() => fillOne(log)).toThrow();
    disk.unlink = unlink;
    disk.crash();
    expect(segments(disk)).toEqual([1, 2, 3, 4, 5, 6]);
    openLog(disk, 'd', SMALL);
    expect(segments(disk)).toEqual([4, 5, 6]);
  });

  it('what stays is read back, also after a restart; what is gone is said to be gone', () => {
    const disk = new FaultyDisk(2);
    const log = filled(disk, 40);
    log.wal.stageSnapshotMark(1, mark(25, 1));
    flushAll(log.wal);
    fillOne(log);
    for (const index of [log.index, openLog(disk, 'd', SMALL).index]) {
      const reader = new LogReader(disk, 'd', index);
      expect([reader.read(1, 25, 50, 1000), reader.isGone(1, 25)]).toEqual([undefined, true]);
      expect(reader.isGone(1, 26)).toBe(false);
      expect(readAll(reader, 1, 40, 3000, 26)).toEqual(log.staged.slice(25));
    }
    const { recovered } = openLog(disk, 'd', SMALL);
    expect(recovered.get(1)).toMatchObject({
      base: { index: 25, term: 1 },
      lastIndex: 50,
      termRuns: [{ term: 1, firstIndex: 26 }],
      configurations: [{ index: 1 }],
    });
  });

  it('a log that is compacted to its end, and then again and again, keeps hardly anything', () => {
    const disk = new FaultyDisk(3);
    const log = filled(disk, 40);
    for (let round = 0; round < 20; round += 1) {
      log.wal.stageSnapshotMark(1, mark(log.index.writtenLast(1), 1));
      fillOne(log);
      expect(segments(disk).length).toBeLessThanOrEqual(3);
    }
    disk.crash();
    const { recovered, index } = openLog(disk, 'd', SMALL);
    expect(recovered.get(1)).toMatchObject({ base: { index: 230 }, lastIndex: 240 });
    expect(index.base(1)).toBe(230);
  });

  it('a group that needs an old segment keeps it for all', () => {
    const disk = new FaultyDisk(4);
    const options = { ...SMALL, groups: [1, 2] };
    const log = openLog(disk, 'd', options);
    stageRun(log.wal, { group: 2, term: 1, after: 0, prevTerm: 0, batches: 1 });
    stageRun(log.wal, { term: 1, after: 0, prevTerm: 0, batches: 40, entryBytes: 300 });
    log.wal.stageSnapshotMark(1, mark(40, 1));
    flushAll(log.wal);
    stageRun(log.wal, { term: 1, after: 40, prevTerm: 1, batches: 10, entryBytes: 300 });
    flushAll(log.wal);
    expect(segments(disk)[0]).toBe(1);
    // An engine that does not host group 2 keeps what it finds of it, too.
    const later = openLog(disk, 'd', SMALL);
    stageRun(later.wal, { term: 1, after: 50, prevTerm: 1, batches: 20, entryBytes: 300 });
    flushAll(later.wal);
    expect(segments(disk)[0]).toBe(1);
  });

  it('H59 what is truncated after a compaction may reach back into segments that are gone', () => {
    const disk = new FaultyDisk(5);
    const log = openLog(disk, 'd', SMALL);
    const { wal } = log;
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 12, entryBytes: 300 });
    // An uncommitted configuration in a segment that will go, overwritten from a later one.
    wal.stageBatch(1, makeBatch({ term: 1, firstIndex: 13, configuration: configurationOf(1, 2) }));
    stageRun(wal, { term: 1, after: 13, prevTerm: 1, batches: 8, entryBytes: 300 });
    wal.stageTruncate(1, 13);
    stageRun(wal, { term: 2, after: 12, prevTerm: 1, batches: 12, entryBytes: 300 });
    flushAll(wal);
    wal.stageSnapshotMark(1, mark(20, 2));
    flushAll(wal);
    stageRun(wal, { term: 2, after: 24, prevTerm: 2, batches: 20, entryBytes: 300 });
    flushAll(wal);
    expect(segments(disk)[0]).toBeGreaterThan(2);
    disk.crash();
    const found = openLog(disk, 'd', SMALL).recovered.get(1)!;
    expect(found).toMatchObject({
      base: { index: 20, term: 2 },
      termRuns: [{ term: 2, firstIndex: 21 }],
      lastIndex: 44,
    });
    expect(found.configurations.map((at) => at.configuration.voters)).toEqual([[1, 2, 3]]);
  });

  it('H48 deletes nothing from under a reader: what it was reading is either read or gone', () => {
    const disk = new FaultyDisk(6);
    const log = filled(disk, 60);
    const behind = new LogReader(disk, 'd', log.index);
    const ahead = new LogReader(disk, 'd', log.index);
    expect(behind.read(1, 3, 60, 1)!.batches.map(span)).toEqual(['3-3@1']);
    expect(ahead.read(1, 30, 60, 1)!.batches.map(span)).toEqual(['30-30@1']);
    // The writer gets on exactly between the reader's look at the index and the opening of a file.
    const { locate } = log.index;
    log.index.locate = (group, index) => {
      const seen = locate.call(log.index, group, index);
      log.index.locate = locate;
      log.wal.stageSnapshotMark(1, mark(50, 1));
      flushAll(log.wal);
      fillOne(log);
      return seen;
    };
    const fresh = new LogReader(disk, 'd', log.index);
    expect(fresh.read(1, 12, 60, 1)).toBeUndefined();
    expect(segments(disk)[0]).toBeGreaterThan(4);
    expect(fresh.isGone(1, 12)).toBe(true);
    expect(behind.read(1, 4, 60, 1)).toBeUndefined();
    expect(ahead.read(1, 31, 60, 1)).toBeUndefined();
    for (const reader of [behind, ahead, fresh]) {
      expect(reader.read(1, 51, 60, 1)!.batches.map(span)).toEqual(['51-51@1']);
    }
  });
});

describe('an installed snapshot', () => {
  it('H47 rule 7: takes the place of the whole log, and what comes next follows it', () => {
    const disk = new FaultyDisk(7);
    const log = filled(disk, 20);
    log.wal.stageHardState(1, { term: 5, vote: 0 });
    log.wal.stageSnapshotMark(1, mark(15, 4, false, [2, 3, 4]));
    flushAll(log.wal);
    const reader = new LogReader(disk, 'd', log.index);
    expect([reader.isGone(1, 15), reader.read(1, 16, 100, 1000)]).toEqual([true, undefined]);
    const staged = stageRun(log.wal, { term: 5, after: 15, prevTerm: 4, batches: 30, entryBytes: 300 });
    flushAll(log.wal);
    expect(segments(disk)[0]).toBeGreaterThan(2);
    expect(readAll(reader, 1, 45, 3000, 16)).toEqual(staged);
    disk.crash();
    const { recovered, index } = openLog(disk, 'd', SMALL);
    expect(recovered.get(1)).toMatchObject({
      base: { index: 15, term: 4 },
      termRuns: [{ term: 5, firstIndex: 16 }],
      configurations: [{ index: 1, configuration: { voters: [2, 3, 4] } }],
    });
    expect(readAll(new LogReader(disk, 'd', index), 1, 45, 3000, 16)).toEqual(staged);
  });

  for (const [what, wrong, why] of [
    ['keeping another entry', mark(12, 3), /keeps what follows 12@3, where the log has term 1/],
    ['keeping what is not there', mark(21, 1), /where the log has term undefined/],
    ['going back', mark(0, 0), /a snapshot mark at index 0/],
  ] as const) {
    it(`H47 a mark that does not fit the log is refused: ${what}`, () => {
      const { wal } = filled(new FaultyDisk(8), 20);
      wal.stageSnapshotMark(1, wrong);
      expect(() => wal.flush()).toThrow(why);
    });
  }
});

describe('losing power while the log is compacted', () => {
  it('H31 H49 at every operation, with segments being deleted, whatever unsynced names survive', () => {
    let deleted = 0;
    for (const seed of [21, 22, 23]) {
      for (let crashAt = 40, finished = false; !finished; crashAt += 1) {
        const disk = new FaultyDisk(seed * 1000 + crashAt);
        const history = new History(seed);
        try {
          disk.faults = { crashAt };
          history.run(disk, 'd', openHistory(disk, 'd'), 40);
          finished = true;
        } catch (thrown) {
          expect((thrown as RaftlineError).code).toMatch(/^RAFTLINE_DISK_/);
        }
        deleted += disk.journal.filter((step) => /^unlink .*\d\.segment$/.test(step)).length;
        disk.crash();
        const story = `history ${seed}, power cut at operation ${crashAt}`;
        const second = openHistory(disk, 'd');
        history.continueFrom(expectPrefix(history, disk, 'd', second, story));
        history.run(disk, 'd', second, 2);
        disk.crash();
        const third = openHistory(disk, 'd');
        expect(expectPrefix(history, disk, 'd', third, `${story}, then again`)).toBe(history.staged);
      }
    }
    expect(deleted).toBeGreaterThan(100);
  });
});
