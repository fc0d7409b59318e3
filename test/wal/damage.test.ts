import { describe, expect, it } from 'vitest';
import { RaftlineError } from '../../src/base/errors.js';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { crc32 } from '../../src/codec/checksum.js';
import { encodeRecordHeader, encodeSegmentHeader, RecordKind } from '../../src/wal/format.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { FaultyDisk } from './faulty-disk.js';
import { expectPrefix, History, openHistory } from './history.js';
import { flushAll, openLog, stageRun } from './log-tools.js';

const SEGMENT = 'd/0000000001.segment';
const damaged = expect.objectContaining({ code: 'RAFTLINE_LOG_DAMAGED' });

/** A log of `flushes` flushes with three batches each in one segment; where each flush begins in the file. */
function logOf(flushes: number): { disk: FaultyDisk; starts: number[]; end: number } {
  const disk = new FaultyDisk(1);
  const { wal } = openLog(disk, 'd');
  const starts: number[] = [];
  for (let flush = 0; flush < flushes; flush += 1) {
    starts.push(disk.file(SEGMENT).length);
    stageRun(wal, { term: 1, after: flush * 3, prevTerm: flush === 0 ? 0 : 1, batches: 3 });
    flushAll(wal);
  }
  return { disk, starts, end: disk.file(SEGMENT).length };
}

describe('bytes that went bad', () => {
  it('H78 anywhere before the last sync group: refuses to open, names file and offset, changes nothing', () => {
    const { disk, starts } = logOf(5);
    const lastGroup = starts.at(-1)!;
    for (let offset = 0; offset < lastGroup; offset += 1) {
      if (isPadding(disk.file(SEGMENT), offset)) continue;
      disk.damage(SEGMENT, offset);
      const before = disk.snapshot();
      const { operations } = disk;
      let caught: unknown;
      try {
        openLog(disk, 'd');
      } catch (thrown) {
        caught = thrown;
      }
      if (!(caught instanceof RaftlineError)) expect.fail(`a flipped bit in byte ${offset} went unnoticed`);
      expect(caught.code).toBe('RAFTLINE_LOG_DAMAGED');
      expect(caught.details.file).toBe(SEGMENT);
      expect(caught.details.offset).toBeLessThanOrEqual(offset);
      expect(disk.snapshot()).toEqual(before);
      expect(disk.operations).toBe(operations);
      disk.damage(SEGMENT, offset);
    }
    expect(openLog(disk, 'd').recovered.get(1)?.lastIndex).toBe(15);
  });

  it('H77 in the last sync group it may be a torn write: cut before the first bad record, start, go on', () => {
    const { starts, end } = logOf(5);
    for (let offset = starts.at(-1)!; offset < end; offset += 5) {
      const { disk } = logOf(5);
      if (isPadding(disk.file(SEGMENT), offset)) continue;
      disk.damage(SEGMENT, offset);
      const { wal, recovered } = openLog(disk, 'd');
      const last = recovered.get(1)!.lastIndex;
      expect(last).toBe(12 + Math.floor((offset - starts.at(-1)!) / ((end - starts.at(-1)!) / 3)));
      stageRun(wal, { term: 2, after: last, prevTerm: 1, batches: 1 });
      flushAll(wal);
      disk.crash();
      expect(openLog(disk, 'd').recovered.get(1)).toMatchObject({ lastIndex: last + 1, lastTerm: 2 });
    }
  });

  it('H76 H79 what stood intact behind the tear does not come back behind what took the place of the torn record', () => {
    const { disk, starts, end } = logOf(5);
    const start = starts.at(-1)!;
    disk.damage(SEGMENT, start + 60);
    const { wal, recovered } = openLog(disk, 'd');
    expect(recovered.get(1)?.lastIndex).toBe(12);
    expect([...disk.file(SEGMENT).subarray(start, end)].every((byte) => byte === 0)).toBe(true);
    // Of the size of what it replaces, so that the next old record would follow it.
    stageRun(wal, { term: 2, after: 12, prevTerm: 1, batches: 1 });
    flushAll(wal);
    disk.crash();
    expect(openLog(disk, 'd').recovered.get(1)).toMatchObject({ lastIndex: 13, lastTerm: 2 });
  });

  it('H77 a record header belongs to one batch: intact ones under each other’s headers are a torn write', () => {
    const { disk, starts, end } = logOf(5);
    const file = disk.file(SEGMENT);
    const start = starts.at(-1)!;
    const size = (end - start) / 3;
    const first = Buffer.from(file.subarray(start + 48, start + size));
    file.copy(file, start + 48, start + size + 48, start + 2 * size);
    first.copy(file, start + size + 48);
    expect(openLog(disk, 'd').recovered.get(1)?.lastIndex).toBe(12);
  });

  it('H78 in an older segment: damage even in its last sync group', () => {
    const disk = new FaultyDisk(2);
    const { wal } = openLog(disk, 'd', { segmentBytes: 4096 });
    stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 40 });
    flushAll(wal);
    wal.close();
    const end = disk.file(SEGMENT).length;
    for (const offset of [end - 20, end - 150, 2000, 100]) {
      disk.damage(SEGMENT, offset);
      expect(() => openLog(disk, 'd', { segmentBytes: 4096 })).toThrow(
        expect.objectContaining({
          code: 'RAFTLINE_LOG_DAMAGED',
          details: expect.objectContaining({ file: SEGMENT }),
        }),
      );
      disk.damage(SEGMENT, offset);
    }
    openLog(disk, 'd', { segmentBytes: 4096 });
  });

  it('H82 a segment that is missing is damage: the oldest, one in the middle', () => {
    for (const missing of [1, 3]) {
      const disk = new FaultyDisk(2);
      const { wal } = openLog(disk, 'd', { segmentBytes: 4096 });
      stageRun(wal, { term: 1, after: 0, prevTerm: 0, batches: 100 });
      flushAll(wal);
      disk.unlink(`d/000000000${missing}.segment`);
      expect(() => openLog(disk, 'd', { segmentBytes: 4096 })).toThrow(damaged);
    }
  });

  it('H78 a far reader gives out no bad batch and says where it lies', () => {
    const { disk, starts } = logOf(3);
    const { index } = openLog(disk, 'd');
    const reader = new LogReader(disk, 'd', index);
    disk.damage(SEGMENT, starts[1]! + 48 + 100);
    expect(reader.read(1, 1, 3, 1e6)?.batches).toHaveLength(3);
    expect(() => reader.read(1, 4, 9, 1e6)).toThrow(
      expect.objectContaining({
        code: 'RAFTLINE_LOG_DAMAGED',
        details: { file: SEGMENT, offset: starts[1] },
      }),
    );
    disk.damage(SEGMENT, starts[1]! + 48 + 100);
    expect(reader.read(1, 4, 9, 1e6)?.batches).toHaveLength(6);
    disk.damage(SEGMENT, starts[1]! + 20);
    expect(() => new LogReader(disk, 'd', index).read(1, 1, 9, 1e6)).toThrow(damaged);
  });

  it('H79 a record of another life of the file, or with a number out of turn, is not part of the log', () => {
    for (const [salt, lsn, found] of [
      ['own', 3, 4],
      ['own', 4, 3],
      ['own', 2, 3],
      ['other', 3, 3],
    ] as const) {
      const disk = new FaultyDisk(3);
      const { wal } = openLog(disk, 'd');
      wal.stageHardState(1, { term: 3, vote: 0 });
      flushAll(wal);
      wal.close();
      const own = disk.file(SEGMENT).readUInt32LE(16) + disk.file(SEGMENT).readUInt32LE(20) * 2 ** 32;
      const record = Buffer.alloc(64);
      record.writeUInt32LE(4, 48);
      encodeRecordHeader(record, 0, {
        kind: RecordKind.HardState,
        group: 1,
        bodyLength: 16,
        lsn,
        salt: salt === 'own' ? own : own - 1,
        durableLsn: 0,
        bodyChecksum: crc32(record.subarray(48)),
      });
      const fd = disk.openForWriting(SEGMENT);
      disk.write(fd, [record], disk.size(fd));
      expect(openLog(disk, 'd').recovered.get(1)?.hardState.term).toBe(found);
      expect(openLog(disk, 'd').recovered.get(1)?.hardState.term).toBe(found);
    }
  });

  it('S7 whatever a seed makes of a log, opening it ends with a prefix or with LogDamaged', () => {
    const counts = { opened: 0, refused: 0 };
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = seededRandom(seed);
      const disk = new FaultyDisk(seed);
      const history = new History(seed % 7, false);
      history.run(disk, 'd', openHistory(disk, 'd'), 12);
      const names = disk.list('d');
      const path = `d/${names[randomInteger(random, 0, names.length - 1)]}`;
      const bytes = disk.file(path);
      for (let hits = randomInteger(random, 1, 4); hits > 0; hits -= 1) {
        const offset = randomInteger(random, 0, bytes.length - 1);
        const end = Math.min(bytes.length, offset + randomInteger(random, 1, 64));
        bytes.fill(randomInteger(random, 0, 255), offset, end);
      }
      try {
        const log = openHistory(disk, 'd');
        history.durable = 0;
        expectPrefix(history, disk, 'd', log, `seed ${seed}`);
        counts.opened += 1;
      } catch (thrown) {
        if (!(thrown instanceof RaftlineError)) throw thrown;
        expect(thrown.code, `seed ${seed}: ${thrown.message}`).toBe('RAFTLINE_LOG_DAMAGED');
        counts.refused += 1;
      }
    }
    expect(counts.opened).toBeGreaterThan(5);
    expect(counts.refused).toBeGreaterThan(100);
  });

  it('S7 record headers with a good checksum and any content never do worse than LogDamaged', () => {
    for (let seed = 1; seed <= 400; seed += 1) {
      const random = seededRandom(seed);
      const disk = new FaultyDisk(seed);
      const path = 'd/0000000001.segment';
      const segment = encodeSegmentHeader({ number: 1, salt: 5, baseLsn: 1 });
      const body = Buffer.from(
        Array.from({ length: randomInteger(random, 0, 200) }, () => randomInteger(random, 0, 255)),
      );
      const record = Buffer.alloc(48);
      encodeRecordHeader(record, 0, {
        kind: randomInteger(random, 0, 7),
        group: randomInteger(random, 0, 3),
        bodyLength: random() < 0.8 ? body.length : randomInteger(random, 0, 0xffff_ffff),
        lsn: randomInteger(random, 0, 2),
        salt: 5,
        durableLsn: randomInteger(random, 0, 3),
        bodyChecksum: crc32(body),
      });
      disk.makeDirectory('d');
      disk.write(disk.create(path), [segment, record, body], 0);
      expect(() => openLog(disk, 'd'), `seed ${seed}`).toThrow(damaged);
    }
  });
});

/** The zeros that align records are covered by no checksum. */
function isPadding(bytes: Buffer, offset: number): boolean {
  let at = 48;
  while (at < bytes.length) {
    const bodyEnd = at + 48 + bytes.readUInt32LE(at + 12);
    const end = (bodyEnd + 7) & ~7;
    if (offset < bodyEnd) return false;
    if (offset < end) return true;
    at = end;
  }
  return false;
}
