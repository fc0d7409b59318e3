import { describe, expect, it } from 'vitest';
import type { RaftlineError } from '../../src/base/errors.js';
import { type Faults, FaultyDisk } from './faulty-disk.js';
import { expectPrefix, History, openHistory } from './history.js';
import { flushAll, openLog, stageRun } from './log-tools.js';

const STEPS = 14;

/** Runs a history into a fault; true if it got to its end. */
function runInto(disk: FaultyDisk, history: History, faults: Faults): boolean {
  try {
    disk.faults = faults;
    history.run(disk, 'd', openHistory(disk, 'd'), STEPS);
    return true;
  } catch (thrown) {
    expect((thrown as RaftlineError).code).toMatch(/^RAFTLINE_DISK_/);
    return false;
  }
}

describe('losing power', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    it(`H31 H49 H76 H77 H79 H82 at every operation, whatever unsynced pages survive (seed ${seed})`, () => {
      let crashAt = 1;
      for (let finished = false; !finished; crashAt += 1) {
        const story = `history ${seed}, power cut at operation ${crashAt}`;
        const disk = new FaultyDisk(seed * 1000 + crashAt);
        const history = new History(seed);
        finished = runInto(disk, history, { crashAt, delay: seed % 3 });
        disk.crash();
        const second = openHistory(disk, 'd');
        history.continueFrom(expectPrefix(history, disk, 'd', second, story));

        // What is appended behind the cut survives the next power cut.
        history.run(disk, 'd', second, 3);
        disk.crash();
        const third = openHistory(disk, 'd');
        expect(expectPrefix(history, disk, 'd', third, `${story}, then again`)).toBe(history.staged);
      }
      expect(crashAt).toBeGreaterThan(50);
    });
  }

  it('H76 while the torn tail is being cut, at every operation of that', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      for (let crashAt = 1; crashAt <= 6; crashAt += 1) {
        const disk = new FaultyDisk(seed);
        const history = new History(9);
        runInto(disk, history, { crashAt: 20 + seed });
        disk.crash();
        disk.faults = { crashAt };
        try {
          openHistory(disk, 'd');
        } catch (thrown) {
          expect((thrown as RaftlineError).code).toBe('RAFTLINE_DISK_FAILED');
        }
        disk.crash();
        const log = openHistory(disk, 'd');
        expectPrefix(history, disk, 'd', log, `seed ${seed}, cut at operation ${crashAt} of recovery`);
      }
    }
  });

  it('H75 H76 what a recovery has reported is synced, though the sync of the process before it failed', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const disk = new FaultyDisk(seed);
      const history = new History(11);
      // The write of some flush is complete, its sync is not reached; the process dies, the machine does not.
      runInto(disk, history, { failSyncAt: 3 + (seed % 12) });
      disk.restart();
      const k = expectPrefix(history, disk, 'd', openHistory(disk, 'd'), `seed ${seed}, process died`);
      history.continueFrom(k);
      disk.crash();
      const after = expectPrefix(history, disk, 'd', openHistory(disk, 'd'), `seed ${seed}, then power cut`);
      expect(after).toBe(k);
    }
  });
});

describe('a process that died', () => {
  it('H82 between a rotation and the sync of its directory: the next one syncs it before it goes on', () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const disk = new FaultyDisk(seed);
      const history = new History(seed, false);
      const log = openHistory(disk, 'd');
      disk.faults = { failDirectorySyncAt: disk.directorySyncs + 1 + (seed % 4) };
      expect(() => history.run(disk, 'd', log, 60)).toThrow(/EIO/);
      disk.restart();
      const second = openHistory(disk, 'd');
      history.continueFrom(expectPrefix(history, disk, 'd', second, `seed ${seed}, process died`));
      second.wal.stageHardState(1, { term: 1000, vote: 1 });
      second.wal.flush();
      while (second.wal.poll() !== 'durable');
      disk.crash();
      expect(openHistory(disk, 'd').recovered.get(1)?.hardState, `seed ${seed}`).toEqual({
        term: 1000,
        vote: 1,
      });
    }
  });
});

describe('a disk that fails', () => {
  it('H75 a failed sync poisons the log for good, although the next one would succeed', () => {
    const disk = new FaultyDisk(1);
    const { wal } = openHistory(disk, 'd');
    disk.faults = { failSyncAt: disk.syncs + 1 };
    wal.stageHardState(1, { term: 2, vote: 0 });
    wal.flush();
    expect(wal.poll()).toBe('written');
    const failed = expect.objectContaining({ code: 'RAFTLINE_DISK_FAILED' });
    expect(() => wal.poll()).toThrow(failed);
    const { operations } = disk;
    expect(() => wal.poll()).toThrow(failed);
    expect(() => wal.flush()).toThrow(failed);
    expect(() => wal.stageHardState(1, { term: 99, vote: 0 })).toThrow(failed);
    expect(disk.operations).toBe(operations);
  });

  it('H75 a failed sync of the directory at a rotation poisons as well', () => {
    const disk = new FaultyDisk(1);
    const log = openHistory(disk, 'd');
    const history = new History(3, false);
    disk.faults = { failDirectorySyncAt: disk.directorySyncs + 3 };
    expect(() => history.run(disk, 'd', log, 40)).toThrow(/EIO/);
    expect(() => log.wal.poll()).toThrow(/EIO/);
  });

  for (const [code, expected] of [
    ['ENOSPC', 'RAFTLINE_DISK_FULL'],
    ['EIO', 'RAFTLINE_DISK_FAILED'],
  ] as const) {
    it(`H80 H81 a write that stops half way with ${code} at any point: ${expected}, never durable`, () => {
      for (let nth = 2; nth < 40; nth += 1) {
        const disk = new FaultyDisk(nth);
        const history = new History(4, false);
        disk.faults = { failWriteAt: nth, failWriteCode: code };
        const log = openHistory(disk, 'd');
        let caught: unknown;
        try {
          history.run(disk, 'd', log, 60);
        } catch (thrown) {
          caught = thrown;
        }
        expect(caught).toMatchObject({ code: expected });
        disk.restart();
        expectPrefix(history, disk, 'd', openHistory(disk, 'd'), `write ${nth} failed with ${code}`);
      }
    });
  }

  it('H80 a restart needs no new space, and once there is some the log goes on', () => {
    for (let capacity = 6_000; capacity < 30_000; capacity += 777) {
      const disk = new FaultyDisk(capacity);
      const history = new History(5);
      const log = openHistory(disk, 'd');
      disk.faults = { capacity };
      expect(() => history.run(disk, 'd', log, 60)).toThrow(
        expect.objectContaining({ code: 'RAFTLINE_DISK_FULL' }),
      );
      disk.restart();
      disk.faults = { capacity: 0 };
      const again = openHistory(disk, 'd');
      history.continueFrom(expectPrefix(history, disk, 'd', again, `full at ${capacity} bytes`));
      disk.faults = {};
      history.run(disk, 'd', again, 5);
      expect(history.durable).toBe(history.staged);
    }
  });
});

describe('a log that acknowledges what the system has taken', () => {
  /** The records that a loss of power may take: from `first` on, all of them batches and truncations. */
  const forgettable = (disk: FaultyDisk, history: History, steps: number, faults: Faults): boolean => {
    try {
      disk.faults = faults;
      history.run(disk, 'd', openHistory(disk, 'd', 8, 'os'), steps);
      return true;
    } catch (thrown) {
      expect((thrown as RaftlineError).code).toMatch(/^RAFTLINE_DISK_/);
      return false;
    }
  };

  for (const seed of [1, 2, 3]) {
    it(`H1 H76 H77 loses power at every operation: what is left is a beginning of it, with every term and vote, and never damage (seed ${seed})`, () => {
      let crashAt = 1;
      let lost = 0;
      for (let finished = false; !finished; crashAt += 1) {
        const story = `history ${seed}, power cut at operation ${crashAt}`;
        const disk = new FaultyDisk(seed * 1000 + crashAt);
        const history = new History(seed);
        finished = forgettable(disk, history, 20, { crashAt, delay: seed % 3 });
        disk.crash();
        const second = openHistory(disk, 'd', 8, 'os');
        const k = expectPrefix(history, disk, 'd', second, story);
        if (k < history.acknowledged) lost += 1;
        history.continueFrom(k);
        history.run(disk, 'd', second, 3);
        second.wal.syncWritten();
        disk.crash();
        const third = openHistory(disk, 'd');
        expect(expectPrefix(history, disk, 'd', third, `${story}, then synced`)).toBe(history.staged);
      }
      expect(crashAt).toBeGreaterThan(40);
      expect(lost, 'otherwise this test shows nothing').toBeGreaterThan(0);
    });
  }

  it('loses nothing that was acknowledged when only the process dies', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const disk = new FaultyDisk(seed);
      const history = new History(seed);
      forgettable(disk, history, 5 + (seed % 10), {});
      history.durable = history.acknowledged;
      disk.restart();
      const k = expectPrefix(
        history,
        disk,
        'd',
        openHistory(disk, 'd', 8, 'os'),
        `seed ${seed}, process died`,
      );
      expect(k).toBe(history.staged);
    }
  });

  it('syncs term and vote before it says so, batches only now and then, and a segment to its end before the next', () => {
    const disk = new FaultyDisk(1);
    const { wal } = openLog(disk, 'd', { segmentBytes: 4096, durability: 'os' });
    const syncsOf = (stage: () => void): number => {
      const before = disk.syncs;
      stage();
      flushAll(wal);
      return disk.syncs - before;
    };
    expect(syncsOf(() => wal.stageHardState(1, { term: 1, vote: 1 }))).toBe(1);
    expect(wal.hasUnsynced).toBe(false);
    expect(syncsOf(() => stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 2 }))).toBe(0);
    expect(wal.hasUnsynced).toBe(true);
    expect(syncsOf(() => wal.stageTruncate(1, 2))).toBe(0);
    expect(syncsOf(() => wal.stageHardState(1, { term: 2, vote: 0 }))).toBe(1);
    expect(wal.syncWritten(), 'that sync took all').toBe(false);
    expect(syncsOf(() => stageRun(wal, { term: 2, after: 1, prevTerm: 1, batches: 1 }))).toBe(0);
    expect(wal.syncWritten()).toBe(true);
    expect(syncsOf(() => stageRun(wal, { term: 2, after: 2, prevTerm: 2, batches: 1 }))).toBe(0);
    const large = () => stageRun(wal, { term: 2, after: 3, prevTerm: 2, batches: 1, entryBytes: 3900 });
    expect(syncsOf(large), 'the old segment, and the head of the new one').toBe(2);
  });
});
