import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { crc32, crc32Portable } from '../../src/codec/checksum.js';
import { randomBytes } from './samples.js';

describe('CRC-32', () => {
  it('is the one of IEEE 802.3, by its published check value', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf4_3926);
    expect(crc32Portable(Buffer.from('123456789'))).toBe(0xcbf4_3926);
    expect(crc32Portable(Buffer.alloc(0))).toBe(0);
  });

  it('is the same with and without zlib, whole or in pieces', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seededRandom(seed);
      const bytes = randomBytes(random, randomInteger(random, 0, 300));
      const cut = randomInteger(random, 0, bytes.length);
      const whole = crc32(bytes);
      expect(crc32Portable(bytes), `seed ${seed}`).toBe(whole);
      for (const checksum of [crc32, crc32Portable]) {
        expect(checksum(bytes.subarray(cut), checksum(bytes.subarray(0, cut))), `seed ${seed}`).toBe(whole);
      }
    }
  });
});
