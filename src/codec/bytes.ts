import { ErrorCode, type ErrorDetails, RaftlineError } from '../base/errors.js';

const TWO_POW_32 = 0x1_0000_0000;
/** Upper halves above this make a number beyond 2^53 − 1. */
const HIGH_HALF_MAX = 0x1f_ffff;

/** Refuses bytes from outside: `what` names the thing and the field, the message says what was expected and received. */
export function refuseBytes(
  what: string,
  expected: string | number,
  received: string | number,
  details: ErrorDetails = {},
): never {
  throw new RaftlineError(ErrorCode.BytesInvalid, `${what}: expected ${expected}, received ${received}`, {
    ...details,
    expected,
    received,
  });
}

/** Reads eight bytes, little-endian, as a number; one above 2^53 − 1 is refused as `what`. */
export function readU64(bytes: Buffer, offset: number, what: string): number {
  const high = bytes.readUInt32LE(offset + 4);
  if (high > HIGH_HALF_MAX) refuseBytes(what, 'at most 2^53 - 1', `${high} * 2^32 or more`);
  return high * TWO_POW_32 + bytes.readUInt32LE(offset);
}

/** Writes a whole number of 0 … 2^53 − 1 as eight bytes, little-endian. The caller has made sure of the room. */
export function writeU64(bytes: Buffer, offset: number, value: number): void {
  const high = Math.floor(value / TWO_POW_32);
  writeU32(bytes, offset, value - high * TWO_POW_32);
  writeU32(bytes, offset + 4, high);
}

/** Writes four bytes, little-endian; in the hot paths, where a call of `Buffer` costs more than its work. */
export function writeU32(bytes: Buffer, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/** Reads four bytes, little-endian, that lie inside `bytes`: see {@link writeU32}. */
export function readU32(bytes: Buffer, offset: number): number {
  const low = bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16);
  return low + bytes[offset + 3]! * 0x100_0000;
}
