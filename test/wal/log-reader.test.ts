import { describe, expect, it } from 'vitest';
import { LogReader, READER_WINDOW_BYTES } from '../../src/wal/log-reader.js';
import { FaultyDisk } from './faulty-disk.js';
import { flushAll, makeBatch, openLog } from './log-tools.js';

describe('reading a log with few fills', () => {
  it('gets on with every fill, wherever what was read before ends within a record', () => {
    const disk = new FaultyDisk(1);
    const { wal, index } = openLog(disk, 'd', { segmentBytes: 1 << 22 });
    // About as small as records get, in many sizes: most of the windows end within a head.
    const batches = 12_000;
    for (let at = 1; at <= batches; at++)
      wal.stageBatch(1, makeBatch({ firstIndex: at, entryBytes: at % 61 }));
    const bytes = wal.stagedBytes;
    flushAll(wal);
    const reader = new LogReader(disk, 'd', index);
    let reads = 0;
    for (let next = 1; next <= batches; reads++) {
      const read = reader.read(1, next, batches, 1 << 22, 1);
      expect(read, `from ${next} on`).toBeDefined();
      next += read!.batches.length;
    }
    expect(reads).toBeLessThan(bytes / READER_WINDOW_BYTES.anyhow + 5);
    reader.close();
  });

  it('with one fill takes a batch that is larger than the window, and its head', () => {
    const disk = new FaultyDisk(1);
    const { wal, index } = openLog(disk, 'd', { segmentBytes: 1 << 22 });
    const entryBytes = READER_WINDOW_BYTES.anyhow + 50_000;
    for (let at = 1; at <= 4; at++) wal.stageBatch(1, makeBatch({ firstIndex: at, entryBytes }));
    flushAll(wal);
    const reader = new LogReader(disk, 'd', index);
    for (let at = 1; at <= 4; at++) {
      expect(reader.read(1, at, 4, 1, 0), `no fill, no batch ${at}`).toBeUndefined();
      expect(reader.read(1, at, 4, 1, 1)?.headers.map(({ firstIndex }) => firstIndex)).toEqual([at]);
    }
    reader.close();
  });
});
