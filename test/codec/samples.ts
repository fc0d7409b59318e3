import { expect } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { type BatchHeader, BatchKind, Codec } from '../../src/base/messages.js';
import { type Random, randomInteger } from '../../src/base/prng.js';
import { BATCH_PAYLOAD_OFFSET, sealBatch, writeBatchHead } from '../../src/codec/batch.js';
import { packEntry, packedEntryBytes } from '../../src/codec/entries.js';

/** Packs entries without sessions. */
export function packEntries(entries: readonly Uint8Array[]): Buffer {
  const payload = Buffer.alloc(entries.reduce((sum, { length }) => sum + packedEntryBytes(length, false), 0));
  let at = 0;
  for (const entry of entries) at = packEntry(payload, at, entry);
  return payload;
}

/** A header that is right for a payload that is not compressed. */
export function sampleHeader(payload: Uint8Array, changes: Partial<BatchHeader> = {}): BatchHeader {
  return {
    formatVersion: 1,
    group: 7,
    kind: BatchKind.Data,
    flags: 0,
    term: 3,
    firstIndex: 9,
    count: 1,
    prevTerm: 2,
    codec: Codec.None,
    rawLength: payload.length,
    byteLength: BATCH_PAYLOAD_OFFSET + payload.length,
    leaderTimeMs: 1_700_000_000_123,
    checksum: 0,
    ...changes,
  };
}

/** A sealed batch; `changes` may make it wrong in one respect while its checksum stays right. */
export function sampleBatch(payload: Uint8Array, changes: Partial<BatchHeader> = {}): Buffer {
  const batch = Buffer.alloc(BATCH_PAYLOAD_OFFSET + payload.length);
  writeBatchHead(batch, 0, sampleHeader(payload, changes));
  batch.set(payload, BATCH_PAYLOAD_OFFSET);
  sealBatch(batch, 0, batch.length);
  return batch;
}

/** Runs `decode` and expects it to refuse the bytes with the right code and, if given, a message that matches. */
export function expectRefused(decode: () => unknown, message?: RegExp): void {
  let thrown: unknown;
  try {
    decode();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, 'the bytes were taken').toBeInstanceOf(RaftlineError);
  const refusal = thrown as RaftlineError;
  expect(refusal.code, refusal.message).toBe(ErrorCode.BytesInvalid);
  if (message !== undefined) expect(refusal.message).toMatch(message);
}

/** Runs `decode` on bytes that may or may not mean something: it may only return, or refuse with the right code. */
export function expectHarmless(decode: () => unknown, story: string): void {
  try {
    decode();
  } catch (error) {
    const code = error instanceof RaftlineError ? error.code : String(error);
    expect(code, story).toBe(ErrorCode.BytesInvalid);
  }
}

export function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) bytes[at] = randomInteger(random, 0, 255);
  return bytes;
}

/** Text like that of real entries: it compresses, and no two stretches are alike. */
export function jsonLike(random: Random, length: number): Buffer {
  const parts: string[] = [];
  for (let made = 0; made < length; ) {
    const id = randomInteger(random, 0, 999_999);
    const part = `{"id":${id},"user":"user-${id % 97}","amount":${id / 100},"state":"paid"}`;
    parts.push(part);
    made += part.length;
  }
  return Buffer.from(parts.join('')).subarray(0, length);
}

/** Changes one to four bytes, mostly to the values that offsets and lengths go wrong with. */
export function mutate(random: Random, bytes: Buffer, from: number, to: number): void {
  const spiteful = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xfe, 0xff];
  for (let change = randomInteger(random, 1, 4); change > 0; change--) {
    const at = randomInteger(random, from, to - 1);
    const pick = randomInteger(random, 0, spiteful.length);
    bytes[at] = spiteful[pick] ?? randomInteger(random, 0, 255);
  }
}
