import { lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lastIndexOf } from '../../src/base/messages.js';
import type { Disk } from '../../src/wal/disk.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { RealDisk, writeAll } from '../../src/wal/real-disk.js';
import { prepareSegment } from '../../src/wal/segment.js';
import { FaultyDisk } from './faulty-disk.js';
import { expectPrefix, History, openHistory, readAll } from './history.js';
import {
  configurationOf,
  flushAll,
  makeBatch,
  openLog,
  realDisk,
  settle,
  span,
  stageRun,
  temporaryDirectory,
} from './log-tools.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function realPlace(): { disk: Disk; path: string } {
  const { path, remove } = temporaryDirectory();
  cleanups.push(remove);
  return { disk: realDisk, path };
}

const places: [string, () => { disk: Disk; path: string }][] = [
  ['the real disk', realPlace],
  ['a simulated disk', () => ({ disk: new FaultyDisk(7), path: 'd' })],
  ['a slow simulated disk', () => ({ disk: new FaultyDisk(7, { delay: 3 }), path: 'd' })],
];

describe.each(places)('the log on %s', (_name, place) => {
  it('reports written, then durable, once each, and is idle before and after', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path);
    expect(wal.poll()).toBe('idle');
    expect(wal.flush()).toBe(false);
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 3, count: 5 });
    expect(wal.stagedRecords).toBe(3);
    expect(wal.stagedBytes).toBeGreaterThan(3 * 5 * 44);
    expect(wal.flush()).toBe(true);
    expect([wal.stagedRecords, wal.stagedBytes]).toEqual([0, 0]);
    stageRun(wal, { term: 1, after: 15, prevTerm: 1, batches: 1 });
    expect(wal.flush()).toBe(false);
    expect(index.writtenLast(1)).toBe(0);
    expect(settle(wal)).toEqual(['written', 'durable']);
    expect(index.writtenLast(1)).toBe(15);
    flushAll(wal);
    expect([wal.flushes, wal.syncs, index.writtenLast(1)]).toEqual([2, 2, 16]);
    wal.close();
    expect(() => wal.poll()).toThrow(expect.objectContaining({ code: 'RAFTLINE_CLOSED' }));
  });

  it('finds everything again after a restart: logs, terms and votes, configurations, the first batch', () => {
    const { disk, path } = place();
    const groups = [3, 1];
    const { wal } = openLog(disk, path, { groups });
    const first = makeBatch({ group: 3, firstIndex: 1, term: 1, configuration: configurationOf(1, 2, 3) });
    wal.stageHardState(3, { term: 1, vote: 2 });
    wal.stageBatch(3, first);
    stageRun(wal, { group: 3, term: 4, after: 1, prevTerm: 1, batches: 20, count: 3 });
    wal.stageHardState(1, { term: 9, vote: 0 });
    flushAll(wal);
    wal.close();
    const { recovered } = openLog(disk, path, { groups: [1, 3, 5] });
    expect(recovered.get(3)).toEqual({
      hardState: { term: 1, vote: 2 },
      base: { index: 0, term: 0 },
      termRuns: [
        { term: 1, firstIndex: 1 },
        { term: 4, firstIndex: 2 },
      ],
      lastIndex: 61,
      lastTerm: 4,
      configurations: [{ index: 1, term: 1, configuration: configurationOf(1, 2, 3) }],
    });
    expect(recovered.get(1)).toMatchObject({ hardState: { term: 9, vote: 0 }, lastIndex: 0 });
    expect(recovered.get(5)).toMatchObject({ hardState: { term: 0, vote: 0 }, lastIndex: 0 });
  });

  it('H59 takes back terms, configurations and the first batch with a truncation', () => {
    const { disk, path } = place();
    const { wal } = openLog(disk, path);
    wal.stageBatch(1, makeBatch({ firstIndex: 1, configuration: configurationOf(1) }));
    stageRun(wal, { term: 2, after: 1, prevTerm: 1, batches: 2 });
    wal.stageBatch(
      1,
      makeBatch({ firstIndex: 4, term: 3, prevTerm: 2, configuration: configurationOf(1, 2) }),
    );
    wal.stageTruncate(1, 3);
    flushAll(wal);
    wal.close();
    const second = openLog(disk, path);
    expect(second.recovered.get(1)).toMatchObject({
      lastIndex: 2,
      lastTerm: 2,
      configurations: [{ index: 1 }],
    });
    expect(second.recovered.get(1)?.termRuns).toHaveLength(2);
    second.wal.stageTruncate(1, 1);
    flushAll(second.wal);
    second.wal.close();
    const third = openLog(disk, path).recovered.get(1);
    expect(third).toMatchObject({ lastIndex: 0, lastTerm: 0, termRuns: [], configurations: [] });
  });

  it('goes from segment to segment within one flush, and a batch larger than a segment has its own', () => {
    const { disk, path } = place();
    const options = { segmentBytes: 4096 };
    const { wal, index } = openLog(disk, path, options);
    const batches = stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 100, entryBytes: 300 });
    const large = makeBatch({ firstIndex: 101, count: 40, entryBytes: 1000 });
    wal.stageBatch(1, large);
    batches.push(large, ...stageRun(wal, { term: 1, after: 140, prevTerm: 1, batches: 3 }));
    wal.flush();
    expect(settle(wal)).toEqual(['written', 'durable']);
    expect(disk.list(path).length).toBeGreaterThan(10);
    expect(wal.bytesWritten).toBeGreaterThan(100 * 400 + 40_000);
    const reader = new LogReader(disk, path, index);
    expect(readAll(reader, 1, 143, 3000)).toEqual(batches);
    reader.close();
    wal.close();
    const again = openLog(disk, path, options);
    expect(again.recovered.get(1)?.lastIndex).toBe(143);
    expect(readAll(new LogReader(disk, path, again.index), 1, 143, 50_000)).toEqual(batches);
  });

  it('takes a prepared file at rotation, throws away one of another size, and does without', () => {
    const { disk, path } = place();
    const options = { segmentBytes: 8192 };
    const { wal } = openLog(disk, path, options);
    expect(wal.wantsSpare()).toBe(true);
    prepareSegment(disk, { directory: path, segmentBytes: 8192 });
    prepareSegment(disk, { directory: path, segmentBytes: 8192 });
    expect(wal.wantsSpare()).toBe(false);
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 30, entryBytes: 300 });
    flushAll(wal);
    expect(disk.stat(`${path}/0000000002.segment`)?.size).toBe(8192);
    expect(disk.stat(`${path}/spare`)).toBeUndefined();
    prepareSegment(disk, { directory: path, segmentBytes: 4096 });
    expect(wal.wantsSpare()).toBe(true);
    stageRun(wal, { term: 1, after: 30, prevTerm: 1, batches: 16, entryBytes: 300 });
    flushAll(wal);
    expect(disk.stat(`${path}/0000000003.segment`)?.size).toBeLessThan(8192);
    expect(disk.stat(`${path}/spare`)).toBeUndefined();
    prepareSegment(disk, { directory: path, segmentBytes: 4096 });
    prepareSegment(disk, { directory: path, segmentBytes: 8192 });
    expect(disk.stat(`${path}/spare`)?.size).toBe(8192);
    wal.close();
    expect(openLog(disk, path, options).recovered.get(1)?.lastIndex).toBe(46);
  });

  it('reads back any mixture of groups, truncations and rotations, also with hardly any anchors', () => {
    for (let seed = 1; seed <= (place === realPlace ? 2 : 12); seed += 1) {
      const { disk, path } = place();
      const history = new History(seed);
      const log = openHistory(disk, path, 4);
      history.run(disk, path, log, 60);
      for (const anchors of [4, 64]) {
        const again = openHistory(disk, path, anchors);
        expectPrefix(history, disk, path, again, `seed ${seed}, ${anchors} anchors`);
        again.wal.close();
      }
    }
  });

  it('refuses what does not follow from the log, and says so for good', () => {
    const { disk, path } = place();
    const { wal } = openLog(disk, path);
    stageRun(wal, { term: 2, after: 0, prevTerm: 0, batches: 2 });
    flushAll(wal);
    wal.stageBatch(1, makeBatch({ firstIndex: 4, term: 2 }));
    expect(() => wal.flush()).toThrow(/begins at index 4 where 3 was expected/);
    expect(() => wal.poll()).toThrow(/begins at index 4/);
  });

  it('H1 never lets a term go back or a vote change within a term', () => {
    for (const bad of [
      { term: 4, vote: 0 },
      { term: 5, vote: 3 },
      { term: 5, vote: 0 },
    ]) {
      const { disk, path } = place();
      const { wal } = openLog(disk, path);
      wal.stageHardState(1, { term: 5, vote: 2 });
      wal.stageHardState(1, { term: 5, vote: 2 });
      wal.stageHardState(1, bad);
      expect(() => wal.flush()).toThrow(/hard state/);
    }
  });
});

describe.each(places)('a far reader on %s', (_name, place) => {
  it('begins with the batch that contains the index, keeps to bytes and to the last index, gives whole batches', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path);
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 50, count: 4 });
    flushAll(wal);
    const reader = new LogReader(disk, path, index);
    const size = makeBatch({ firstIndex: 1, count: 4 }).length;
    expect(reader.read(1, 7, 200, 3 * size)?.batches.map(span)).toEqual(['5-8@1', '9-12@1', '13-16@1']);
    expect(reader.read(1, 17, 25, 9 * size)?.batches.map(span)).toEqual(['17-20@1', '21-24@1']);
    expect(reader.read(1, 197, 200, 1)?.batches.map(span)).toEqual(['197-200@1']);
    expect(reader.read(1, 201, 300, 1000)).toBeUndefined();
    expect(reader.read(1, 5, 7, 1000)).toBeUndefined();
    expect(reader.read(2, 1, 7, 1000)).toBeUndefined();
  });

  it('follows a writer: sees what is written and not yet synced, and nothing that is only staged', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path, { segmentBytes: 4096, groups: [1, 2] });
    const reader = new LogReader(disk, path, index);
    for (let last = 0; last < 200; last += 2) {
      stageRun(wal, { term: 1, after: last, prevTerm: last === 0 ? 0 : 1, batches: 2, entryBytes: last * 3 });
      stageRun(wal, { group: 2, term: 1, after: last / 2, prevTerm: last === 0 ? 0 : 1, batches: 1 });
      expect(reader.read(1, last + 1, 1e9, 1e6)).toBeUndefined();
      wal.flush();
      while (wal.poll() !== 'written');
      expect(reader.read(1, last + 1, 1e9, 1e6)?.batches.map(span)).toEqual([
        `${last + 1}-${last + 1}@1`,
        `${last + 2}-${last + 2}@1`,
      ]);
      expect(reader.read(2, last / 2 + 1, 1e9, 1e6)?.headers.map(lastIndexOf)).toEqual([last / 2 + 1]);
      settle(wal);
    }
  });

  it('H79 never gives out what a truncation has made dead, however the reader came there', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path, { segmentBytes: 4096 });
    const reader = new LogReader(disk, path, index);
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 20 });
    flushAll(wal);
    expect(reader.read(1, 1, 10, 1e6)?.batches).toHaveLength(10);
    wal.stageTruncate(1, 6);
    stageRun(wal, { term: 2, after: 5, prevTerm: 1, batches: 3, count: 5 });
    flushAll(wal);
    expect(reader.read(1, 11, 20, 1e6)?.batches.map(span)).toEqual(['11-15@2', '16-20@2']);
    wal.stageTruncate(1, 11);
    flushAll(wal);
    expect(reader.read(1, 11, 20, 1e6)).toBeUndefined();
    expect(reader.read(1, 4, 20, 1e6)?.batches.map(span)).toEqual(['4-4@1', '5-5@1', '6-10@2']);
  });

  it('gives out a batch that is larger than a window in the memory that it was read into: there are no two of it', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path);
    const large = makeBatch({ firstIndex: 1, count: 3, entryBytes: 100_000 });
    wal.stageBatch(1, large);
    stageRun(wal, { term: 1, after: 3, prevTerm: 1, batches: 1 });
    flushAll(wal);
    const reader = new LogReader(disk, path, index);
    const copying = vi.spyOn(Buffer, 'from');
    const [batch] = reader.read(1, 1, 4, 256 * 1024)!.batches;
    const copies = copying.mock.calls.filter(([bytes]) => Buffer.isBuffer(bytes));
    copying.mockRestore();
    expect(copies).toEqual([]);
    expect(large.equals(batch!)).toBe(true);
    expect(reader.read(1, 4, 4, 256 * 1024)?.batches).toHaveLength(1);
    expect(large.equals(batch!), 'a window moves on, what was given out does not').toBe(true);
  });

  it('keeps few files open', () => {
    const { disk, path } = place();
    const { wal, index } = openLog(disk, path, { segmentBytes: 4096 });
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 300, entryBytes: 500 });
    flushAll(wal);
    const reader = new LogReader(disk, path, index);
    for (let from = 1; from <= 300; from += 7) expect(reader.read(1, from, 300, 1)?.batches).toHaveLength(1);
    if (disk instanceof FaultyDisk) expect(disk.openHandles).toBeLessThanOrEqual(5);
    reader.close();
    if (disk instanceof FaultyDisk) expect(disk.openHandles).toBe(1);
  });
});

describe('the real disk', () => {
  it('S8 makes directories 0700 and files 0600, and follows no symbolic link', () => {
    const { path } = realPlace();
    openLog(realDisk, path);
    expect(lstatSync(path).mode & 0o777).toBe(0o700);
    expect(lstatSync(`${path}/0000000001.segment`).mode & 0o777).toBe(0o600);
    symlinkSync(path, `${path}-link`);
    expect(() => openLog(realDisk, `${path}-link`)).toThrow(
      expect.objectContaining({ code: 'RAFTLINE_DIRECTORY_INVALID' }),
    );
    const other = realPlace().path;
    mkdirSync(other);
    writeFileSync(`${other}-file`, 'x');
    symlinkSync(`${other}-file`, `${other}/0000000001.segment`);
    expect(() => openLog(realDisk, other)).toThrow(expect.objectContaining({ code: 'RAFTLINE_DISK_FAILED' }));
  });

  it('H81 goes on behind a short count, wherever it fell, and gives up where nothing is taken', () => {
    const buffers = ['abc', '', 'defg', 'h'].map((text) => Buffer.from(text));
    for (let most = 1; most <= 9; most += 1) {
      const file = Buffer.alloc(10, '.');
      const writev = (rest: Buffer[], position: number): number =>
        Buffer.concat(rest).copy(file, position, 0, Math.min(most, Buffer.concat(rest).length));
      writeAll(writev, buffers, 1);
      expect(file.toString()).toBe('.abcdefgh.');
    }
    expect(() => writeAll(() => 0, buffers, 0)).toThrow(/no progress/);
  });

  it('gives salts that differ and fit a number', () => {
    const disk = new RealDisk();
    const salts = new Set(Array.from({ length: 1000 }, () => disk.randomNumber()));
    expect(salts.size).toBe(1000);
    for (const salt of salts) expect(Number.isSafeInteger(salt) && salt > 0).toBe(true);
  });

  it('refuses a segment size beyond its bounds', () => {
    const { path } = realPlace();
    for (const segmentBytes of [0, 4095, 4096.5, 2 ** 31, Number.NaN]) {
      expect(() => openLog(realDisk, path, { segmentBytes })).toThrow(
        expect.objectContaining({ code: 'RAFTLINE_OPTION_INVALID' }),
      );
    }
  });
});
