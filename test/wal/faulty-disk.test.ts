import { describe, expect, it } from 'vitest';
import { FaultyDisk } from './faulty-disk.js';

describe('the simulated disk', () => {
  it('survives a power cut after a file was made shorter, which may or may not be undone', () => {
    const lengths = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const disk = new FaultyDisk(seed);
      disk.makeDirectory('d');
      const fd = disk.create('d/f');
      disk.write(fd, [Buffer.alloc(5000, 7)], 0);
      disk.sync(fd);
      disk.syncDirectory('d');
      disk.truncate(fd, 600);
      disk.crash();
      const { length } = disk.file('d/f');
      expect(disk.file('d/f').subarray(0, 600)).toEqual(Buffer.alloc(600, 7));
      lengths.add(length);
    }
    expect(lengths.size).toBeGreaterThan(1);
  });
});
