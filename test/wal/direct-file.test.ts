import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import { alignedMemory } from '../../src/base/web-assembly.js';
import { RealDisk } from '../../src/wal/real-disk.js';
import { hasSpare, prepareSegment } from '../../src/wal/segment.js';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-direct-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const SEED = 20_261_121;

describe(`a file that is written once, from its front to its back (seed ${SEED})`, () => {
  it('holds exactly what was written and zeros behind it, whatever the lengths, and shows it to readers at once', () => {
    const random = seededRandom(SEED);
    const disk = new RealDisk();
    const segmentBytes = 8 * 1024 * 1024;
    prepareSegment(disk, { directory, segmentBytes });
    expect(hasSpare(disk, { directory, segmentBytes })).toBe(true);
    const path = `${directory}/spare`;
    const fd = disk.openForWriting(path, 'once');
    const reader = disk.openForReading(path);
    const expected = Buffer.alloc(segmentBytes);
    let position = 0;
    for (const length of lengths(random, segmentBytes)) {
      const isInPlace = randomInteger(random, 0, 1) === 1;
      const bytes = isInPlace ? Buffer.from(alignedMemory(length), 0, length) : Buffer.alloc(length);
      bytes.fill(randomInteger(random, 1, 255));
      bytes[randomInteger(random, 0, length - 1)] = 0;
      const cut = randomInteger(random, 0, 1) * randomInteger(random, 0, length);
      disk.write(fd, [bytes.subarray(0, cut), bytes.subarray(cut)], position);
      bytes.copy(expected, position);
      position += length;
      const seen = Buffer.alloc(length + 4096);
      const count = disk.read(reader, seen, 0, seen.length, position - length);
      expect(seen.subarray(0, count).equals(expected.subarray(position - length, position + 4096))).toBe(
        true,
      );
    }
    disk.sync(fd);
    disk.close(fd);
    disk.close(reader);
    expect(readFileSync(path).equals(expected)).toBe(true);
  });

  it('may grow past its end, by whole blocks', () => {
    const disk = new RealDisk();
    const fd = disk.create(`${directory}/new`, 'once');
    const bytes = Buffer.alloc(5000, 7);
    disk.write(fd, [bytes], 0);
    disk.close(fd);
    const written = readFileSync(`${directory}/new`);
    expect(written.subarray(0, 5000).equals(bytes)).toBe(true);
    expect(written.subarray(5000).every((byte) => byte === 0)).toBe(true);
    expect([5000, 8192]).toContain(written.length);
  });

  it('takes blocks from where they stand, where nothing waits in front of them', () => {
    const disk = new RealDisk();
    const fd = disk.create(`${directory}/new`, 'once');
    const blocks = (byte: number) => Buffer.from(alignedMemory(65_536)).fill(byte);
    const parts = [
      blocks(1),
      blocks(2).subarray(4096, 12_288),
      Buffer.alloc(100, 3),
      blocks(4),
      Buffer.alloc(3996, 5),
    ];
    disk.write(fd, parts, 0);
    const later = [blocks(6).subarray(0, 4096), blocks(7).subarray(1, 4097)];
    disk.write(fd, later, Buffer.concat(parts).length);
    disk.close(fd);
    expect(readFileSync(`${directory}/new`).equals(Buffer.concat([...parts, ...later]))).toBe(true);
  });

  it('has the rights and refusals of every file', () => {
    const disk = new RealDisk();
    disk.close(disk.create(`${directory}/new`, 'once'));
    expect(statSync(`${directory}/new`).mode & 0o777).toBe(0o600);
    expect(() => disk.create(`${directory}/new`, 'once')).toThrow(/EEXIST/);
    expect(() => disk.openForWriting(`${directory}/missing`, 'once')).toThrow(/ENOENT/);
  });
});

/** Small ones, block-sized ones, and a few that are more than one write of the disk's. */
function* lengths(random: Random, segmentBytes: number): Iterable<number> {
  const kinds = [
    () => randomInteger(random, 1, 300),
    () => 4096,
    () => randomInteger(random, 4000, 4199),
    () => 70_000,
  ];
  let left = segmentBytes - 3_000_000;
  yield 2_500_000;
  for (let number = 0; number < 300; number++) {
    const length = kinds[randomInteger(random, 0, kinds.length - 1)]!();
    if (length > left) return;
    left -= length;
    yield length;
  }
}
