import { describe, expect, it } from 'vitest';
import { copyBytes } from '../../src/base/copy.js';

const LENGTHS = [0, 1, 7, 1023, 1024, 1025, 4096, 300_000];
const ROOM = 400_000;
const plain = () => Buffer.alloc(ROOM, 0xee);
const shared = () => Buffer.from(new SharedArrayBuffer(ROOM)).fill(0xee);

describe('bytes are copied', () => {
  it.each([
    ['own memory', plain, 'own memory', plain],
    ['own memory', plain, 'shared memory', shared],
    ['shared memory', shared, 'own memory', plain],
    ['shared memory', shared, 'shared memory', shared],
  ])('from %s to %s: exactly those, whatever the length, and nothing beside them', (_from, from, _to, to) => {
    for (const length of LENGTHS) {
      const whole = from();
      for (let at = 0; at < ROOM; at++) whole[at] = (at * 31 + 7) % 251;
      const source = whole.subarray(13, 13 + length);
      const target = to();
      copyBytes(source, target, 57);
      expect(target.subarray(57, 57 + length).equals(source)).toBe(true);
      const beside = [target.subarray(0, 57), target.subarray(57 + length)];
      for (const bytes of beside) expect(bytes.every((byte) => byte === 0xee)).toBe(true);
    }
  });

  it.each([10, 2000])('%i bytes that do not fit are refused, and nothing is written', (length) => {
    const target = Buffer.alloc(length);
    expect(() => copyBytes(Buffer.alloc(length, 1), target, 1)).toThrow(RangeError);
    expect(target.every((byte) => byte === 0)).toBe(true);
  });
});
