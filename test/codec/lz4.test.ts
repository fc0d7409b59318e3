import fc from 'fast-check';
import { uncompressSync } from 'lz4-napi';
import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { type Compression, loadCompression } from '../../src/codec/compression.js';
import { compressLz4Block, decompressLz4Block } from '../../src/codec/lz4.js';
import { expectHarmless, expectRefused, jsonLike, mutate, randomBytes } from './samples.js';

const PURE = loadCompression('pure');
const NATIVE = loadCompression('native');

function compress(compression: Compression, source: Buffer): Buffer {
  const target = Buffer.alloc(source.length * 2 + 64);
  return target.subarray(0, compression.compressLz4(source, target));
}

function decompress(compression: Compression, source: Buffer, rawLength: number): Buffer {
  const target = Buffer.alloc(rawLength, 0xee);
  compression.decompressLz4(source, target);
  return target;
}

/** As an implementation does that is not ours. */
function decompressForeign(source: Buffer): Buffer {
  return uncompressSync(source);
}

/** Decompresses a block given in hex. */
function block(hex: string, rawLength: number): string {
  const target = Buffer.alloc(rawLength, 0xee);
  decompressLz4Block(Buffer.from(hex, 'hex'), target);
  return target.toString('latin1');
}

/** Stretches of noise, of one byte, and of what came before: literals and matches of all lengths and distances. */
function patchwork(seed: number, lengthMax: number): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(randomInteger(random, 0, lengthMax));
  let at = 0;
  while (at < bytes.length) {
    const run = Math.min(bytes.length - at, Math.floor(2 ** (random() * 10)));
    const from = Math.floor(random() * at);
    const way = randomInteger(random, 0, 2);
    if (way === 0) randomBytes(random, run).copy(bytes, at);
    else if (way === 1) bytes.fill(at & 0xff, at, at + run);
    else for (let i = 0; i < run; i++) bytes[at + i] = bytes[from + i]!;
    at += run;
  }
  return bytes;
}

describe('an LZ4 block', () => {
  it('made by either implementation is read by both', () => {
    const sources: Buffer[] = [
      Buffer.alloc(0),
      Buffer.alloc(1),
      Buffer.alloc(70_000),
      Buffer.from('abc'.repeat(5)),
    ];
    sources.push(jsonLike(seededRandom(1), 200_000), randomBytes(seededRandom(2), 100_000));
    for (let seed = 1; seed <= 300; seed++) sources.push(patchwork(seed, 3000));
    for (let seed = 1; seed <= 10; seed++) sources.push(patchwork(seed, 100_000));
    sources.forEach((source, which) => {
      for (const writer of [PURE, NATIVE]) {
        const compressed = compress(writer, source);
        const what = `source ${which}, written by ${writer.implementations.compressor}`;
        expect(decompress(PURE, compressed, source.length).equals(source), what).toBe(true);
        expect(decompressForeign(compressed).equals(source), `${what}, read by the other`).toBe(true);
      }
    });
  });

  it('gives back any bytes (property)', () => {
    const chunk = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 40 }));
    const anything = fc
      .array(chunk, { maxLength: 30 })
      .map((chunks) =>
        Buffer.concat(chunks.flatMap(([bytes, times]) => new Array<Uint8Array>(times).fill(bytes))),
      );
    fc.assert(
      fc.property(anything, (source) => {
        const compressed = compress(PURE, source);
        expect(decompress(PURE, compressed, source.length).equals(source)).toBe(true);
        expect(decompressForeign(compressed).equals(source)).toBe(true);
      }),
      { seed: 20, numRuns: 300 },
    );
  });

  it('is small where the bytes repeat, however far the block is into the life of the table', () => {
    const json = jsonLike(seededRandom(3), 64 * 1024);
    expect(compress(PURE, json).length).toBeLessThan(json.length / 2);
    expect(compress(PURE, Buffer.alloc(64 * 1024)).length).toBeLessThan(300);
    const large = Buffer.from(
      new Uint32Array(16 * 1024 * 1024).map((_, at) => Math.imul(at, 0x9e37_79b1)).buffer,
    );
    const target = Buffer.alloc(large.length + 300_000);
    for (let round = 0; round < 18; round++) {
      expect(compressLz4Block(large, target)).toBeGreaterThan(0);
      const zeros = Buffer.alloc(100);
      expect(decompress(PURE, compress(PURE, zeros), 100).equals(zeros), `round ${round}`).toBe(true);
    }
    expect(decompress(PURE, compress(PURE, json), json.length).equals(json)).toBe(true);
  });

  it('keeps the rules for its end: five literals last, no match in the last twelve bytes', () => {
    expect(compress(PURE, Buffer.alloc(12, 0x61)).toString('hex')).toBe(`0c000000c0${'61'.repeat(12)}`);
    const thirteen = compress(PURE, Buffer.alloc(13, 0x61)).toString('hex');
    expect(thirteen).toBe('0d000000' + '13' + '61' + '0100' + '50' + '6161616161');
  });

  it('reaches back 65,535 bytes and not one more', () => {
    for (const [distance, found] of [
      [65_535, true],
      [65_536, false],
    ] as const) {
      const source = randomBytes(seededRandom(8), distance + 300);
      source.copy(source, distance, 0, 200);
      const compressed = compress(PURE, source);
      expect(decompressForeign(compressed).equals(source)).toBe(true);
      expect(compressed.length < source.length + 200).toBe(found); // noise alone takes some 260 bytes more
    }
  });

  it('is not made where it does not fit, to the byte', () => {
    for (const source of [
      jsonLike(seededRandom(4), 2000),
      randomBytes(seededRandom(5), 700),
      Buffer.alloc(0),
    ]) {
      const needed = compress(PURE, source).length;
      const exact = Buffer.alloc(needed + 1, 0xee);
      expect(PURE.compressLz4(source, exact.subarray(0, needed))).toBe(needed);
      expect(exact[needed]).toBe(0xee);
      for (let room = 0; room < needed; room++) {
        expect(PURE.compressLz4(source, exact.subarray(0, room))).toBe(0);
        if (room % 100 === 0) expect(NATIVE.compressLz4(source, Buffer.alloc(room))).toBe(0);
      }
    }
  });

  it('lets literals and overlapping matches through that are written by hand', () => {
    expect(block('00', 0)).toBe('');
    expect(block('30616263', 3)).toBe('abc');
    expect(block('3261626303001078', 10)).toBe('abcabcabcx');
    expect(block(`1f610100${'ff'.repeat(2)}051078`, 1 + 19 + 515 + 1)).toBe(`${'a'.repeat(535)}x`);
  });
});

describe('S5 a forged LZ4 block', () => {
  const forged: [string, string, number, RegExp][] = [
    ['empty', '', 0, /literals at the end, received nothing/],
    ['literals beyond its end', '50616263', 5, /LZ4 literals: expected at most 3/],
    ['literals beyond the output', '30616263', 2, /LZ4 literals: expected at most 2/],
    ['too little output', '30616263', 4, /LZ4 output: expected 4 bytes, received 3/],
    ['an offset of 0', '1061000010', 40, /match offset: expected 1 to 1, received 0/],
    ['an offset before the output', '1061020010', 40, /match offset: expected 1 to 1, received 2/],
    ['an offset before any output', '00010010', 40, /match offset: expected 1 to 0, received 1/],
    ['half an offset', '106101', 40, /match offset: expected 2 bytes/],
    ['a match beyond the output', '1f6101000010', 10, /LZ4 match: expected at most 9 bytes, received 19/],
    ['a match as its last', '10610100', 5, /literals at the end, received a match/],
    ['a literal length without end', `f0${'ff'.repeat(50)}`, 40, /literal length/],
    ['a match length without end', `1f610100${'ff'.repeat(50)}`, 40, /match length/],
  ];
  it.each(forged)('is refused: %s', (_, hex, rawLength, message) => {
    expectRefused(() => block(hex, rawLength), message);
  });

  it('is refused by both implementations when the length in front is not the expected one', () => {
    const compressed = compress(PURE, Buffer.alloc(1000));
    for (const compression of [PURE, NATIVE]) {
      for (const claimed of [0, 999, 1001, 0x7fff_ffff, 0xffff_ffff]) {
        compressed.writeUInt32LE(claimed, 0);
        expectRefused(() => decompress(compression, compressed, 1000), /LZ4 raw length: expected 1000/);
      }
      expectRefused(() => decompress(compression, Buffer.alloc(3), 1000), /LZ4 length: expected 4 bytes/);
    }
  });

  it('is refused when it makes less than the length in front says', () => {
    const compressed = compress(PURE, Buffer.alloc(1000));
    compressed.writeUInt32LE(1001, 0);
    for (const compression of [PURE, NATIVE]) expectRefused(() => decompress(compression, compressed, 1001));
  });

  it('is refused at every truncation', () => {
    for (const source of [
      jsonLike(seededRandom(6), 1500),
      Buffer.alloc(600),
      randomBytes(seededRandom(7), 300),
    ]) {
      const compressed = compress(PURE, source);
      for (let length = 0; length < compressed.length; length++) {
        expectRefused(() => decompress(PURE, compressed.subarray(0, length), source.length));
      }
    }
  });

  it('S7 never writes outside, whatever its bytes (by seed)', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = seededRandom(seed);
      const source = patchwork(seed, 400);
      const compressed = compress(PURE, source).subarray(4);
      mutate(random, compressed, 0, compressed.length);
      const frame = Buffer.alloc(source.length + 32, 0xee);
      expectHarmless(
        () => decompressLz4Block(compressed, frame.subarray(16, 16 + source.length)),
        `seed ${seed}: ${compressed.toString('hex')}`,
      );
      expect(frame.subarray(0, 16).equals(Buffer.alloc(16, 0xee)), `seed ${seed}`).toBe(true);
      expect(frame.subarray(16 + source.length).equals(Buffer.alloc(16, 0xee)), `seed ${seed}`).toBe(true);
    }
  });
});
