import { randomInteger, seededRandom } from '../dist/base/prng.js';
import { BATCH_PAYLOAD_OFFSET } from '../dist/codec/batch.js';
import { loadCompression } from '../dist/codec/compression.js';
import { packEntry, packedEntryBytes } from '../dist/codec/entries.js';

/** Entries are made beforehand, so that making them costs nothing in the loop; at most so many, and so many bytes. */
const POOL_ENTRIES = 65_536;
const POOL_BYTES = 8 * 1024 * 1024;

const WORDS =
  'amber anchor basin beacon birch bridge canyon cedar cobalt copper coral crane delta ember falcon fern fjord garnet glacier granite harbor hazel heron indigo island ivory jasper juniper kelp lagoon larch lemon linen lotus maple marble meadow mist nickel oak ocean olive onyx opal orchid otter pearl pine plum quartz raven reed river saffron sage slate spruce stone thistle topaz tulip velvet walnut willow'.split(
    ' ',
  );
const ACTIONS = ['created', 'updated', 'paid', 'shipped', 'returned', 'cancelled', 'viewed', 'rated'];

/**
 * Varied JSON-like entries of exactly `payload` bytes: ids, words, numbers and times differ from entry to entry, names of
 * fields repeat, as in real records. One constant entry would make LZ4 look four times better than it is.
 *
 * @param {{ payload: number, seed: number }} wanted
 * @returns {Buffer[]} views into one buffer
 */
export function makePool({ payload, seed }) {
  const random = seededRandom(seed);
  const count = Math.max(1, Math.min(POOL_ENTRIES, Math.floor(POOL_BYTES / Math.max(1, payload))));
  const bytes = Buffer.alloc(count * payload);
  const pool = [];
  for (let at = 0; at < count; at++) {
    bytes.write(record(random, at, payload), at * payload, 'latin1');
    pool.push(bytes.subarray(at * payload, (at + 1) * payload));
  }
  return pool;
}

function record(random, at, payload) {
  const word = () => WORDS[randomInteger(random, 0, WORDS.length - 1)];
  const id = Math.floor(random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, '0');
  const action = ACTIONS[randomInteger(random, 0, ACTIONS.length - 1)];
  const amount = (random() * 1000).toFixed(2);
  let text = `{"id":"${id}","user":"${word()}","action":"${action}","at":${1_700_000_000_000 + at * 17}`;
  text += `,"amount":${amount},"currency":"EUR","ok":${random() < 0.9}`;
  for (let field = 0; text.length < payload; field++) {
    text += `,"note${field}":"${word()} ${word()} ${word()}","n${field}":${randomInteger(random, 0, 9999)}`;
  }
  return payload === 0 ? '' : `${text.slice(0, payload - 1)}}`;
}

/**
 * How well LZ4 does on full batches of this data: raw bytes for one stored.
 *
 * @param {Buffer[]} pool
 * @param {number} batchBytes
 * @returns {{ ratio: number, lz4: string }}
 */
export function measureRatio(pool, batchBytes) {
  const compression = loadCompression('auto');
  let raw = 0;
  let stored = 0;
  for (let next = 0; next < pool.length; ) {
    const packed = Buffer.alloc(batchBytes);
    let length = 0;
    while (next < pool.length && length + packedEntryBytes(pool[next].length, false) <= batchBytes) {
      length = packEntry(packed, length, pool[next]);
      next++;
    }
    if (length === 0) break;
    const target = Buffer.alloc(length + BATCH_PAYLOAD_OFFSET);
    raw += length;
    stored += compression.compressLz4(packed.subarray(0, length), target) || length;
  }
  return { ratio: stored === 0 ? 1 : raw / stored, lz4: compression.name };
}
