import { readFileSync } from 'node:fs';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type Random, randomInteger, seededRandom } from '../base/prng.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { loadCompression } from '../codec/compression.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import type { BenchSettings } from './settings.js';

/** Entries are made beforehand, so that making them costs nothing in the loop; at most so many, and so many bytes. */
const POOL_ENTRIES = 65_536;
const POOL_BYTES = 8 * 1024 * 1024;

const WORDS =
  'amber anchor basin beacon birch bridge canyon cedar cobalt copper coral crane delta ember falcon fern fjord garnet glacier granite harbor hazel heron indigo island ivory jasper juniper kelp lagoon larch lemon linen lotus maple marble meadow mist nickel oak ocean olive onyx opal orchid otter pearl pine plum quartz raven reed river saffron sage slate spruce stone thistle topaz tulip velvet walnut willow'.split(
    ' ',
  );
const ACTIONS = ['created', 'updated', 'paid', 'shipped', 'returned', 'cancelled', 'viewed', 'rated'];

export type DataSettings = Pick<BenchSettings, 'payload' | 'data' | 'seed'>;

/**
 * Entries of exactly `payload` bytes, to be proposed one after the other, over and over. One constant entry would make LZ4
 * look four times better than it is.
 * @returns views into one buffer
 */
export function makePool({ payload, data, seed }: DataSettings): Buffer[] {
  const count = Math.max(1, Math.min(POOL_ENTRIES, Math.floor(POOL_BYTES / payload)));
  const bytes = poolBytes(data, seed, payload, count);
  return Array.from({ length: Math.floor(bytes.length / payload) }, (_, at) =>
    bytes.subarray(at * payload, (at + 1) * payload),
  );
}

function poolBytes(data: BenchSettings['data'], seed: number, payload: number, count: number): Buffer {
  if (typeof data === 'object') return fileBytes(data.file, payload, count);
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(count * payload);
  if (data === 'random') {
    for (let at = 0; at < bytes.length; at++) bytes[at] = randomInteger(random, 0, 255);
  } else {
    for (let at = 0; at < count; at++) bytes.write(record(random, at, payload), at * payload, 'latin1');
  }
  return bytes;
}

function fileBytes(file: string, payload: number, count: number): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file).subarray(0, count * payload);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw new RaftlineError(ErrorCode.FileUnreadable, `--data ${file}: cannot be read (${code})`, {
      path: file,
    });
  }
  if (bytes.length >= payload) return bytes;
  throw new RaftlineError(
    ErrorCode.UsageInvalid,
    `--data ${file}: expected at least one entry of ${payload} bytes, received ${bytes.length} bytes`,
  );
}

/** Ids, words, numbers and times differ from entry to entry, names of fields repeat, as in real records. */
function record(random: Random, at: number, payload: number): string {
  const word = (): string => WORDS[randomInteger(random, 0, WORDS.length - 1)]!;
  const id = Math.floor(random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, '0');
  const action = ACTIONS[randomInteger(random, 0, ACTIONS.length - 1)]!;
  const amount = (random() * 1000).toFixed(2);
  let text = `{"id":"${id}","user":"${word()}","action":"${action}","at":${1_700_000_000_000 + at * 17}`;
  text += `,"amount":${amount},"currency":"EUR","ok":${random() < 0.9}`;
  for (let field = 0; text.length < payload; field++) {
    text += `,"note${field}":"${word()} ${word()} ${word()}","n${field}":${randomInteger(random, 0, 9999)}`;
  }
  return `${text.slice(0, payload - 1)}}`;
}

/** What LZ4 makes of full batches. */
export interface Compressibility {
  /** Raw bytes for one stored. */
  ratio: number;
  /** Which LZ4 it is. */
  lz4: string;
  /** Bytes of the data that each batch holds more than once, where it has no more. */
  repeatedBytes?: number;
}

/** How well LZ4 does on batches of this data as a loop makes them: full, and from the beginning again where the data end. */
export function compressibility(pool: readonly Buffer[], batchBytes: number): Compressibility {
  const compression = loadCompression('auto');
  const packed = Buffer.alloc(Math.max(batchBytes, packedEntryBytes(pool[0]!.length, false)));
  const target = Buffer.alloc(packed.length + BATCH_PAYLOAD_OFFSET);
  const perBatch = Math.floor(packed.length / packedEntryBytes(pool[0]!.length, false));
  let raw = 0;
  let stored = 0;
  for (let next = 0; next < pool.length; next += perBatch) {
    let length = 0;
    for (let at = next; at < next + perBatch; at++)
      length = packEntry(packed, length, pool[at % pool.length]!);
    raw += length;
    stored += compression.compressLz4(packed.subarray(0, length), target) || length;
  }
  const lz4 = compression.implementations.compressor;
  const repeated = perBatch > pool.length ? { repeatedBytes: pool.length * pool[0]!.length } : {};
  return { ratio: raw / stored, lz4, ...repeated };
}
