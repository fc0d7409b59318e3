import { copyBytes } from '../base/copy.js';
import { Codec } from '../base/messages.js';
import { type Compression, compressDeflate } from './compression.js';

/** Payloads below this are not worth a compressor's call. */
const COMPRESS_BYTES_MIN = 256;
/** A compressed form must save at least this part of the payload, or it only costs every reader a decompression. */
const SAVING_MIN = 1 / 16;
const SAMPLE_PIECES = 3;
const SAMPLE_PIECE_BYTES = 4 * 1024;
const SAMPLE_BYTES = SAMPLE_PIECES * SAMPLE_PIECE_BYTES;
/** What is no larger than this many samples is its own sample. */
const SAMPLED_TIMES_MIN = 4;
/** After so many failures in a row what is spared does not grow any more. */
const DOUBTS_MAX = 5;

/**
 * Whether and how payloads are compressed, one after the other, for one encoder. `always`: each that is not small. `sampled` spares
 * those that are likely to save little: while payloads compress, the next one is compressed without a question; after one that did
 * not, a sample decides; and with each failure in a row more payloads go raw without a look (0, 1, 3, 7, at most 15).
 */
export class Compressor {
  /** Payloads that were compressed whole, whether or not the outcome was kept. */
  compressions = 0;
  /** Those of them that are stored compressed. */
  kept = 0;
  readonly #lz4: Compression;
  readonly #sampled: boolean;
  /** Failures in a row. Not 0 at first: nothing is known of the payloads yet. */
  #doubts = 1;
  /** Payloads to come that are not looked at. */
  #rests = 0;

  constructor(lz4: Compression, policy: 'always' | 'sampled') {
    this.#lz4 = lz4;
    this.#sampled = policy === 'sampled';
  }

  /**
   * Compresses to the front of `room`, which is as long as the payload. Returns the bytes written, or 0 where the payload is better kept as
   * it is. Of two implementations of LZ4 either reads what the other one wrote.
   */
  compress(payload: Buffer, room: Buffer, codec: Codec): number {
    if (codec === Codec.None || payload.length < COMPRESS_BYTES_MIN) return 0;
    if (this.#rests > 0) {
      this.#rests--;
      return 0;
    }
    const sampled = this.#sampled && this.#doubts > 0 && payload.length >= SAMPLED_TIMES_MIN * SAMPLE_BYTES;
    if (sampled && !this.#sampleCompresses(payload, room, codec)) return this.#failed();
    this.compressions++;
    const written = this.#run(payload, room.subarray(0, storedBytesMax(payload.length)), codec);
    if (written === 0) return this.#failed();
    this.kept++;
    this.#doubts = 0;
    return written;
  }

  #failed(): 0 {
    this.#doubts = Math.min(DOUBTS_MAX, this.#doubts + 1);
    this.#rests = this.#sampled ? (1 << (this.#doubts - 1)) - 1 : 0;
    return 0;
  }

  #run(payload: Buffer, room: Buffer, codec: Codec): number {
    return codec === Codec.Lz4 ? this.#lz4.compressLz4(payload, room) : compressDeflate(payload, room);
  }

  /** Tries pieces from the payload's begin, middle and end, compressed as one, with `room` to work in. */
  #sampleCompresses(payload: Buffer, room: Buffer, codec: Codec): boolean {
    const sample = room.subarray(0, SAMPLE_BYTES);
    const stride = (payload.length - SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1);
    for (let piece = 0; piece < SAMPLE_PIECES; piece++) {
      const from = Math.floor(piece * stride);
      copyBytes(payload.subarray(from, from + SAMPLE_PIECE_BYTES), sample, piece * SAMPLE_PIECE_BYTES);
    }
    const work = room.subarray(SAMPLE_BYTES, SAMPLE_BYTES + storedBytesMax(SAMPLE_BYTES));
    return this.#run(sample, work, codec) > 0;
  }
}

function storedBytesMax(rawLength: number): number {
  return Math.floor(rawLength * (1 - SAVING_MIN));
}
