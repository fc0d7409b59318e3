import { describe, expect, it } from 'vitest';
import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import { sharedWasmMemory } from '../../src/base/web-assembly.js';
import { compressLz4Block, decompressLz4Block } from '../../src/codec/lz4.js';
import { type TryDecompress, wasmDecompressor } from '../../src/codec/lz4-wasm.js';

const SEED = 20_261_121;
/** What stands around input and output, and must stay. */
const GUARD = 0xa5;
const GUARD_BYTES = 64;

/** The decompressor on a memory of its own, where every call has its input and output between guards. */
function bench() {
  const wasm = sharedWasmMemory(2 * 1024 * 1024)!;
  const all = Buffer.from(wasm.buffer);
  const decompress = wasmDecompressor(wasm.buffer, wasm);
  return (block: Uint8Array, rawLength: number): Buffer | undefined => {
    const targetAt = GUARD_BYTES + block.length + GUARD_BYTES;
    const end = targetAt + rawLength + GUARD_BYTES;
    all.fill(GUARD, 0, end);
    all.set(block, GUARD_BYTES);
    const source = all.subarray(GUARD_BYTES, GUARD_BYTES + block.length);
    const target = all.subarray(targetAt, targetAt + rawLength);
    const done = decompress(source, target);
    const guards = [all.subarray(0, GUARD_BYTES), all.subarray(targetAt - GUARD_BYTES, targetAt)];
    guards.push(all.subarray(end - GUARD_BYTES, end));
    for (const guard of guards) expect(guard.every((byte) => byte === GUARD)).toBe(true);
    expect(source.equals(block), 'the input is only read').toBe(true);
    return done ? Buffer.from(target) : undefined;
  };
}

/** The same by TypeScript. */
function reference(block: Uint8Array, rawLength: number): Buffer | undefined {
  const target = Buffer.alloc(rawLength);
  try {
    decompressLz4Block(block, target);
    return target;
  } catch {
    return undefined;
  }
}

/** Bytes with repetitions of every distance and length, and runs of one byte. */
function sample(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const run = Math.min(length - at, randomInteger(random, 1, random() < 0.1 ? 700 : 40));
    const back = at === 0 ? 0 : randomInteger(random, 1, Math.min(at, random() < 0.5 ? 12 : 65_535));
    const copied = at > 0 && random() < 0.6;
    for (let i = 0; i < run; i++)
      bytes[at + i] = copied ? bytes[at + i - back]! : randomInteger(random, 0, 255);
    at += run;
  }
  return bytes;
}

function compressed(raw: Buffer): Buffer {
  const room = Buffer.alloc(raw.length + raw.length / 100 + 100);
  return room.subarray(0, compressLz4Block(raw, room));
}

describe(`LZ4 by WebAssembly (seed ${SEED})`, () => {
  it('makes what TypeScript makes, whatever the lengths, distances and overlaps', () => {
    const random = seededRandom(SEED);
    const decompress = bench();
    const lengths = [0, 1, 12, 13, 17, 18, 48, 49, 255, 4096, 65_536, 262_020];
    for (let round = 0; round < 600; round++) {
      const raw = sample(random, lengths[round] ?? randomInteger(random, 0, 3000));
      const made = decompress(compressed(raw), raw.length);
      expect(made?.equals(raw), `round ${round}, ${raw.length} bytes`).toBe(true);
    }
  });

  it('S5 takes exactly the blocks that TypeScript takes, and never touches what stands around', () => {
    const random = seededRandom(SEED + 1);
    const decompress = bench();
    let taken = 0;
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const raw = sample(random, randomInteger(random, 0, 300));
      const block = Buffer.from(compressed(raw));
      for (let flips = randomInteger(random, 0, 2); flips > 0 && block.length > 0; flips--)
        block[randomInteger(random, 0, block.length - 1)] = randomInteger(random, 0, 255);
      const cut = random() < 0.2 ? block.subarray(0, randomInteger(random, 0, block.length)) : block;
      const rawLength = random() < 0.2 ? randomInteger(random, 0, 320) : raw.length;
      const [ours, theirs] = [decompress(cut, rawLength), reference(cut, rawLength)];
      if (theirs === undefined) refused++;
      else taken++;
      expect(ours?.toString('hex'), `round ${round}`).toBe(theirs?.toString('hex'));
    }
    expect(Math.min(taken, refused)).toBeGreaterThan(4000);
  });

  it('leaves alone what stands elsewhere', () => {
    const wasm = sharedWasmMemory(65_536)!;
    const decompress: TryDecompress = wasmDecompressor(wasm.buffer, wasm);
    const raw = Buffer.alloc(500, 'again and again ');
    const block = compressed(raw);
    const target = Buffer.alloc(500);
    expect(decompress(block, target)).toBe(false);
    expect(target.every((byte) => byte === 0)).toBe(true);
  });
});
