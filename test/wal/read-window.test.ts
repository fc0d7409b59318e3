import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { BLOCK_BYTES, type Disk, type ReadPattern } from '../../src/wal/disk.js';
import { ReadWindow } from '../../src/wal/read-window.js';
import { RealDisk } from '../../src/wal/real-disk.js';

const SEED = 20_261_122;
const WINDOW = 8 * BLOCK_BYTES;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-window-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A disk that holds its reader to whole blocks, and counts what is read. */
function watched() {
  const disk = new RealDisk();
  const seen = { bytes: 0 };
  const read = disk.read.bind(disk);
  disk.read = (fd, buffer, offset, length, position) => {
    expect([buffer.byteOffset, offset, length, position].map((n) => n % BLOCK_BYTES)).toEqual([0, 0, 0, 0]);
    seen.bytes += length;
    return read(fd, buffer, offset, length, position);
  };
  return { disk, seen };
}

function fileOf(disk: Disk, name: string, byteLength: number, pattern: ReadPattern) {
  const random = seededRandom(SEED + byteLength);
  const bytes = Buffer.from(Array.from({ length: byteLength }, () => randomInteger(random, 0, 255)));
  writeFileSync(join(directory, name), bytes);
  return { bytes, fd: disk.openForReading(join(directory, name), pattern) };
}

describe(`a window over files that are read (seed ${SEED})`, () => {
  it.each(['once', 'anyhow'] as const)(
    'shows what is in the file, wherever and however much (%s)',
    (pattern) => {
      const random = seededRandom(SEED);
      const { disk } = watched();
      const window = new ReadWindow(disk, WINDOW);
      // One that ends with a block, one that does not.
      const files = [20 * BLOCK_BYTES, 15 * BLOCK_BYTES + 777].map((byteLength, at) =>
        fileOf(disk, `${at}`, byteLength, pattern),
      );
      for (let look = 0; look < 500; look++) {
        const { fd, bytes } = files[randomInteger(random, 0, 1)]!;
        const position = randomInteger(random, 0, bytes.length + 10);
        const length = randomInteger(random, 0, randomInteger(random, 1, 2 * WINDOW));
        const view = window.view(fd, position, length);
        expect(view.equals(bytes.subarray(position, position + length)), `${position}+${length}`).toBe(true);
      }
      for (const { fd } of files) disk.close(fd);
    },
  );

  it('reads each byte once where somebody reads on', () => {
    const { disk, seen } = watched();
    const window = new ReadWindow(disk, WINDOW);
    const { fd, bytes } = fileOf(disk, 'log', 200 * BLOCK_BYTES, 'once');
    // Records of two blocks and a bit: head first, then all of it.
    for (let at = 0; at + 9000 < bytes.length; at += 9000) {
      window.view(fd, at, 64);
      expect(window.view(fd, at, 9000).equals(bytes.subarray(at, at + 9000))).toBe(true);
    }
    expect(seen.bytes / bytes.length).toBeLessThan(1.1);
    disk.close(fd);
  });

  it('looks at the disk again when it was told to forget', () => {
    const disk = new RealDisk();
    const window = new ReadWindow(disk, WINDOW);
    const { fd, bytes } = fileOf(disk, 'log', 100, 'anyhow');
    window.view(fd, 0, 10);
    writeFileSync(join(directory, 'log'), Buffer.concat([Buffer.alloc(50, 1), bytes]));
    expect(window.view(fd, 0, 10).equals(bytes.subarray(0, 10)), 'as it was').toBe(true);
    window.forget();
    expect(window.view(fd, 0, 150).equals(Buffer.concat([Buffer.alloc(50, 1), bytes]))).toBe(true);
    disk.close(fd);
  });
});
