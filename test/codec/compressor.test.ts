import { describe, expect, it } from 'vitest';
import { Codec } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import { type Compression, loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import { jsonLike, randomBytes } from './samples.js';

const PURE = loadCompression('pure');
const SAMPLE = 12 * 1024;

/** A compressor, and the lengths of what it gave to LZ4 since it was last asked. */
function watched(policy: 'always' | 'sampled') {
  let tried: number[] = [];
  const spy: Compression = {
    ...PURE,
    compressLz4(source, target) {
      tried.push(source.length);
      return PURE.compressLz4(source, target);
    },
  };
  const compressor = new Compressor(spy, policy);
  const compress = (payload: Buffer, codec: Codec = Codec.Lz4) => {
    tried = [];
    const written = compressor.compress(payload, Buffer.alloc(payload.length), codec);
    return { written, tried };
  };
  return { compressor, compress };
}

const random = seededRandom(7);
const noise = randomBytes(random, 200_000);
const text = jsonLike(random, 200_000);

describe('what is compressed', () => {
  it('always: whatever is not small, if the codec may be used, and only what saves a sixteenth is kept', () => {
    const { compressor, compress } = watched('always');
    for (let round = 0; round < 3; round++) {
      expect(compress(noise)).toEqual({ written: 0, tried: [200_000] });
      expect(compress(text).tried).toEqual([200_000]);
    }
    expect(compress(Buffer.alloc(255)).tried, 'too small').toEqual([]);
    expect(compress(text, Codec.None)).toEqual({ written: 0, tried: [] });
    expect(compress(text, Codec.Deflate).written).toBeGreaterThan(0);
    expect(compressor).toMatchObject({ compressions: 7, kept: 4 });
  });

  it('sampled: the first large payload and each after a failure is judged by a sample; one that compresses is believed', () => {
    const { compress } = watched('sampled');
    expect(compress(text).tried).toEqual([SAMPLE, 200_000]);
    expect(compress(text).tried, 'believed').toEqual([200_000]);
    expect(compress(noise).tried, 'one disappointment').toEqual([200_000]);
    expect(compress(text).tried).toEqual([SAMPLE, 200_000]);
    expect(compress(text).tried).toEqual([200_000]);
    expect(compress(text, Codec.Deflate).written).toBeGreaterThan(0);
  });

  it('sampled: the longer nothing compresses, the rarer it is looked at, and never less than once in sixteen', () => {
    const { compressor, compress } = watched('sampled');
    const looks: number[] = [];
    for (let number = 0; number < 100; number++) {
      const { written, tried } = compress(noise);
      expect(written).toBe(0);
      if (tried.length > 0) looks.push(number);
    }
    expect(looks).toEqual([0, 2, 6, 14, 30, 46, 62, 78, 94]);
    expect(compressor.compressions, 'samples are not counted').toBe(0);
    let waited = 0;
    while (compress(text).written === 0) waited++;
    expect(waited, 'it finds out that the data has changed').toBeLessThan(16);
    expect(compress(text).tried).toEqual([200_000]);
  });

  it('sampled: a payload of a few samples is its own sample', () => {
    const { compress } = watched('sampled');
    expect(compress(text.subarray(0, 40_000)).tried).toEqual([40_000]);
    expect(compress(noise.subarray(0, 40_000)).tried).toEqual([40_000]);
  });
});
