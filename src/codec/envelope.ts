import { Builder } from 'flatbuffers';
import { assert } from '../base/assert.js';
import { SAFE_MAX } from '../base/ids.js';
import { MESSAGE_BYTES_CEILING, PROTOCOL_VERSION } from '../base/limits.js';
import type { ControlMessage } from '../base/messages.js';
import { readU32, refuseBytes, writeU32 } from './bytes.js';
import { crc32 } from './checksum.js';
import { type FlatMessage, LAYOUTS } from './envelope-layouts.js';
import type { Envelope } from './envelope-types.js';
import { type Field, type FieldValues, putFields, readFields, writeTable } from './fields.js';
import { rootTable } from './flat-table.js';
import { areFixed, type Form, makeForm, presentValues } from './form.js';
import { Envelope as EnvelopeTable } from './generated/envelope.js';

export type * from './envelope-types.js';

/** In front of every envelope: magic and version, its length, its CRC-32, zero; four bytes each. */
const HEAD_BYTES = 16;
const LENGTH_OFFSET = 4;
const CHECKSUM_OFFSET = 8;
/** "RLM", then the protocol version. */
const MAGIC = Buffer.from('RLM\0', 'latin1').readUInt32LE(0) + PROTOCOL_VERSION * 0x100_0000;
const IDENTIFIER = 'RLE1';
const MESSAGE_TYPE_SLOT = 0;
const MESSAGE_SLOT = 1;
const CONTROL_TYPES: ReadonlySet<string> = new Set<ControlMessage['type']>([
  'vote',
  'voteReply',
  'heartbeat',
  'heartbeatReply',
  'timeoutNow',
  'readIndex',
  'readIndexReply',
]);

/** By number in the union: the message's type and fields. */
const BY_TAG: { type: string; fields: readonly Field[] }[] = [];
for (const [type, { tag, fields }] of Object.entries(LAYOUTS)) BY_TAG[tag] = { type, fields };

/** One for all: it grows to the largest envelope and stays so. */
const builder = new Builder(1024);

/** Where the body begins behind an envelope of `length` bytes. */
function bodyOffsetAfter(length: number): number {
  return (HEAD_BYTES + length + 7) & ~7;
}

/** By type, of those whose length is always the same. */
const FORMS: Partial<Record<FlatMessage['type'], Form>> = {};
for (const type of Object.keys(LAYOUTS) as FlatMessage['type'][]) {
  const fields: readonly Field[] = LAYOUTS[type].fields;
  if (!areFixed(fields)) continue;
  const bytes = build(type, presentValues(fields));
  const end = HEAD_BYTES + bytes.readUInt32LE(LENGTH_OFFSET);
  const where = { start: HEAD_BYTES, end, slot: MESSAGE_SLOT, identifier: IDENTIFIER };
  FORMS[type] = makeForm(bytes, where, fields);
}

/**
 * Makes a message: head, envelope, and room for `bodyBytes` bytes of body from `bodyOffset` to the end, which the
 * caller fills (it is not zeroed). Values that the format does not allow are a bug of the caller's.
 *
 * @param take gives the memory, of exactly so many bytes
 */
export function encodeEnvelope(
  envelope: Envelope,
  bodyBytes = 0,
  take: (byteLength: number) => Buffer = Buffer.allocUnsafe,
): { bytes: Buffer; bodyOffset: number } {
  const message: FlatMessage = envelope.type === 'control' ? envelope.message : envelope;
  const values = message as unknown as FieldValues;
  const form = FORMS[message.type];
  const front = form?.bytes ?? build(message.type, values);
  const bodyOffset = front.length;
  assert(bodyOffset + bodyBytes <= MESSAGE_BYTES_CEILING, 'a message is within its ceiling');
  const bytes = take(bodyOffset + bodyBytes);
  bytes.set(front);
  if (form !== undefined) putFields(bytes, form.fields, form.places, values);
  const end = HEAD_BYTES + readU32(bytes, LENGTH_OFFSET);
  writeU32(bytes, CHECKSUM_OFFSET, crc32(bytes.subarray(HEAD_BYTES, end)));
  return { bytes, bodyOffset };
}

/** Head, envelope and padding of a message, without the checksum. */
function build(type: FlatMessage['type'], values: FieldValues): Buffer {
  const layout = LAYOUTS[type];
  builder.clear();
  const table = writeTable(builder, layout.fields, values);
  EnvelopeTable.finishEnvelopeBuffer(builder, EnvelopeTable.createEnvelope(builder, layout.tag, table));
  const flat = builder.asUint8Array();
  const bytes = Buffer.alloc(bodyOffsetAfter(flat.length));
  bytes.set(flat, HEAD_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(flat.length, LENGTH_OFFSET);
  return bytes;
}

/**
 * Reads the envelope of a whole message: head and checksum, then structure, then meaning (S6). The body begins at
 * `bodyOffset` and goes to the end; it is not looked at. Throws `RAFTLINE_BYTES_INVALID` naming the field.
 */
export function decodeEnvelope(bytes: Buffer): { envelope: Envelope; bodyOffset: number } {
  const { flat, bodyOffset } = openMessage(bytes);
  const root = rootTable(flat, IDENTIFIER, 'envelope');
  const tag = root.u8(MESSAGE_TYPE_SLOT, 'message type');
  const layout = BY_TAG[tag];
  if (layout === undefined) return refuseBytes('unknown message', `1 to ${BY_TAG.length - 1}`, tag);
  const { type, fields } = layout;
  const table = root.child(MESSAGE_SLOT, type);
  const message = readFields(flat, table, fields, { type }) as unknown as FlatMessage;
  verifyMeaning(message);
  return { envelope: isControl(message) ? { type: 'control', message } : message, bodyOffset };
}

/** Checks head, checksum and padding; returns the FlatBuffer alone. */
function openMessage(bytes: Buffer): { flat: Buffer; bodyOffset: number } {
  if (bytes.length < HEAD_BYTES) refuseBytes('message length', `at least ${HEAD_BYTES} bytes`, bytes.length);
  const magic = bytes.readUInt32LE(0);
  if (magic !== MAGIC) refuseBytes('message magic and version', MAGIC.toString(16), magic.toString(16));
  const length = bytes.readUInt32LE(LENGTH_OFFSET);
  if (length > bytes.length - HEAD_BYTES) {
    refuseBytes('envelope length', `at most ${bytes.length - HEAD_BYTES}`, length);
  }
  const flat = bytes.subarray(HEAD_BYTES, HEAD_BYTES + length);
  const [stored, computed] = [bytes.readUInt32LE(CHECKSUM_OFFSET), crc32(flat)];
  if (stored !== computed) refuseBytes('envelope checksum', computed, stored);
  const reserved = bytes.readUInt32LE(12);
  if (reserved !== 0) refuseBytes('message reserved field', 0, reserved);
  const bodyOffset = bodyOffsetAfter(length);
  if (bodyOffset > bytes.length) refuseBytes('message length', `at least ${bodyOffset} bytes`, bytes.length);
  for (let at = HEAD_BYTES + length; at < bodyOffset; at++) {
    if (bytes[at] !== 0) refuseBytes('message padding', 0, bytes[at]!);
  }
  return { flat, bodyOffset };
}

function isControl(message: FlatMessage): message is ControlMessage {
  return CONTROL_TYPES.has(message.type);
}

/** What must hold between fields. */
function verifyMeaning(message: FlatMessage): void {
  switch (message.type) {
    case 'vote':
      verifyPosition(message.type, message.lastIndex, message.lastTerm, message.term);
      break;
    case 'append':
      verifyPosition(message.type, message.prevIndex, message.prevTerm, message.term);
      break;
    case 'propose':
    case 'proposeReply':
      verifyRun(message.type, message.firstSequence, message.count);
      if (message.type === 'proposeReply') verifyRun(message.type, message.index, message.count);
      break;
    case 'tailChunk':
      verifyRun(message.type, message.firstIndex, message.count);
      break;
    default:
  }
}

/** An entry's index and term are both 0 or both not, and no log holds a term above its owner's. */
function verifyPosition(what: string, index: number, indexTerm: number, term: number): void {
  if ((index === 0) !== (indexTerm === 0)) {
    refuseBytes(`${what}: term of entry ${index}`, index === 0 ? 0 : 'at least 1', indexTerm);
  }
  if (indexTerm > term) refuseBytes(`${what}: term of entry ${index}`, `at most ${term}`, indexTerm);
}

function verifyRun(what: string, first: number, count: number): void {
  if (first > SAFE_MAX - count + 1) refuseBytes(`${what}: last number`, 'at most 2^53 - 1', first);
}
