import { copyBytes } from '../base/copy.js';
import { refuseBytes } from './bytes.js';

/*
 * The LZ4 block format, in TypeScript: sequences of a token (literal length << 4 | match length − 4), literals,
 * and a match (two bytes of offset back, length). A length nibble of 15 goes on in bytes of 255. The last
 * sequence has literals only.
 */

const MATCH_MIN = 4;
/** A match starts at least this far before the end, and … */
const MATCH_START_MARGIN = 12;
/** … the last bytes are always literals. */
const LITERALS_AT_END = 5;
const OFFSET_MAX = 0xffff;
const NIBBLE_MAX = 15;

const HASH_BITS = 14;
const HASH_SHIFT = 32 - HASH_BITS;
const HASH_FACTOR = -1_640_531_535;
/** After 2^6 misses in a row every search step grows by one byte: what does not compress is passed quickly. */
const SKIP_SHIFT = 6;

/**
 * Where each hash was last seen, as `base` + position. Raising `base` with every block makes older marks recognisably
 * old, which saves clearing the table for small blocks.
 */
const seenAt = new Int32Array(1 << HASH_BITS);
let base = 1;
/** Before `base` + a block's length could pass 2^31. */
const BASE_MAX = 0x4000_0000;

/** Up to here a loop is faster than the built-in copy. */
const LOOP_COPY_MAX = 24;
/** Bytes that are copied or compared at once. */
const WORD = 4;
/** Bytes of one step of a wide copy. */
const STRIDE = 2 * WORD;

/** Compresses `source` into `target`; returns the bytes written, or 0 when the block does not fit `target`. */
export function compressLz4Block(source: Uint8Array, target: Uint8Array): number {
  const firstMark = base > BASE_MAX ? resetMarks() : base;
  base = firstMark + source.length;
  const searchEnd = source.length - MATCH_START_MARGIN;
  const matchEnd = source.length - LITERALS_AT_END;
  const words = viewOf(source);
  let anchor = 0;
  let at = 0;
  let out = 0;
  let misses = 1 << SKIP_SHIFT;
  while (at <= searchEnd) {
    const word = words.getInt32(at, true);
    const slot = Math.imul(word, HASH_FACTOR) >>> HASH_SHIFT;
    const candidate = seenAt[slot]! - firstMark;
    seenAt[slot] = firstMark + at;
    if (candidate < 0 || at - candidate > OFFSET_MAX || words.getInt32(candidate, true) !== word) {
      at += misses++ >> SKIP_SHIFT;
      continue;
    }
    misses = 1 << SKIP_SHIFT;
    const start = at;
    const offset = at - candidate;
    at = endOfMatch(words, at + MATCH_MIN, offset, matchEnd);
    out = writeSequence(source, anchor, start, target, out, offset, at - start - MATCH_MIN);
    if (out === 0) return 0;
    anchor = at;
  }
  return writeSequence(source, anchor, source.length, target, out, 0, 0);
}

function resetMarks(): number {
  seenAt.fill(0);
  return 1;
}

/** How far the bytes from `at` are the same as those `offset` back, `end` at most. */
function endOfMatch(words: DataView, at: number, offset: number, end: number): number {
  let to = at;
  while (to <= end - WORD) {
    const difference = words.getInt32(to, true) ^ words.getInt32(to - offset, true);
    // The lowest set bit stands in the first byte that differs.
    if (difference !== 0) return to + ((31 - Math.clz32(difference & -difference)) >> 3);
    to += WORD;
  }
  while (to < end && words.getUint8(to) === words.getUint8(to - offset)) to++;
  return to;
}

/** Bytes that a length takes beyond its nibble. */
function extensionBytes(length: number): number {
  return length < NIBBLE_MAX ? 0 : (((length - NIBBLE_MAX) / 255) | 0) + 1;
}

function writeLength(target: Uint8Array, at: number, rest: number): number {
  let out = at;
  let left = rest;
  for (; left >= 255; left -= 255) target[out++] = 255;
  target[out++] = left;
  return out;
}

/** Writes literals and, unless `offset` is 0, a match; returns the offset behind, or 0 when there is no room. */
function writeSequence(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
  offset: number,
  matchExtra: number,
): number {
  const literals = to - from;
  const matchBytes = offset === 0 ? 0 : 2 + extensionBytes(matchExtra);
  if (at + 1 + extensionBytes(literals) + literals + matchBytes > target.length) return 0;
  let out = at + 1;
  const high = Math.min(literals, NIBBLE_MAX);
  if (high === NIBBLE_MAX) out = writeLength(target, out, literals - NIBBLE_MAX);
  if (literals > LOOP_COPY_MAX) copyBytes(source.subarray(from, to), target, out);
  else for (let i = 0; i < literals; i++) target[out + i] = source[from + i]!;
  out += literals;
  if (offset === 0) {
    target[at] = high << 4;
    return out;
  }
  target[out] = offset;
  target[out + 1] = offset >>> 8;
  out += 2;
  const low = Math.min(matchExtra, NIBBLE_MAX);
  if (low === NIBBLE_MAX) out = writeLength(target, out, matchExtra - NIBBLE_MAX);
  target[at] = (high << 4) | low;
  return out;
}

/**
 * Decompresses `source` into `target`, which must come out exactly full. Whatever is not a block of just that many
 * bytes is refused with `RAFTLINE_BYTES_INVALID`; nothing is read or written outside, but `target` may be left
 * partly written.
 */
export function decompressLz4Block(source: Uint8Array, target: Uint8Array): void {
  const inEnd = source.length;
  const outEnd = target.length;
  const from = viewOf(source);
  const to = viewOf(target);
  let at = 0;
  let out = 0;
  while (at < inEnd) {
    const token = source[at++]!;
    let literals = token >>> 4;
    if (literals === NIBBLE_MAX) {
      let more = 255;
      while (more === 255 && at < inEnd) literals += more = source[at++]!;
      if (more === 255) refuseBytes('LZ4 literal length', 'an end inside the block', 'none');
    }
    if (literals > inEnd - at) refuseBytes('LZ4 literals', `at most ${inEnd - at} bytes`, literals);
    if (literals > outEnd - out) refuseBytes('LZ4 literals', `at most ${outEnd - out} bytes`, literals);
    const spacious = inEnd - at - literals >= STRIDE && outEnd - out - literals >= STRIDE;
    if (spacious) copyWide(from, at, to, out, literals);
    else for (let i = 0; i < literals; i++) target[out + i] = source[at + i]!;
    at += literals;
    out += literals;
    if (at === inEnd) {
      if (out !== outEnd) refuseBytes('LZ4 output', `${outEnd} bytes`, out);
      return;
    }
    if (inEnd - at < 2) refuseBytes('LZ4 match offset', '2 bytes', inEnd - at);
    const offset = source[at]! | (source[at + 1]! << 8);
    at += 2;
    if (offset === 0 || offset > out) refuseBytes('LZ4 match offset', `1 to ${out}`, offset);
    let length = (token & NIBBLE_MAX) + MATCH_MIN;
    if (length === NIBBLE_MAX + MATCH_MIN) {
      let more = 255;
      while (more === 255 && at < inEnd) length += more = source[at++]!;
      if (more === 255) refuseBytes('LZ4 match length', 'an end inside the block', 'none');
    }
    if (length > outEnd - out) refuseBytes('LZ4 match', `at most ${outEnd - out} bytes`, length);
    // Where source and target overlap, what was just written is read again: not sooner than a word later.
    if (offset >= WORD && outEnd - out - length >= STRIDE) copyWide(to, out - offset, to, out, length);
    else for (let i = 0; i < length; i++) target[out + i] = target[out - offset + i]!;
    out += length;
  }
  refuseBytes('LZ4 block', 'literals at the end', inEnd === 0 ? 'nothing' : 'a match');
}

/**
 * Copies `length` bytes, and up to `STRIDE` − 1 beyond, which both sides must have room for; what comes next is written over
 * them. A word at a time through a view, which is allowed at any offset: more than twice as fast as bytes.
 */
function copyWide(source: DataView, from: number, target: DataView, to: number, length: number): void {
  for (let i = 0; i < length; i += STRIDE) {
    target.setInt32(to + i, source.getInt32(from + i, true), true);
    target.setInt32(to + i + WORD, source.getInt32(from + i + WORD, true), true);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
