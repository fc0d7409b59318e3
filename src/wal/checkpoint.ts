import type { GroupId } from '../base/ids.js';
import { writeU64 } from '../codec/bytes.js';
import { readStoredU64 } from './format.js';
import { GroupLog, storedConfiguration } from './group-log.js';

/**
 * The record that opens every segment: what all records before it add up to, so that a segment may go once a later
 * checkpoint is synced. The encoding is a function of the state alone: recovery compares bytes.
 */
export interface Checkpoint {
  /** The lowest segment that is still needed; it and all up to the newest must be there. */
  oldestSegment: number;
  groups: Map<GroupId, GroupLog>;
}

const HEAD_BYTES = 16;
const GROUP_BYTES = 96;

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const groups = [...checkpoint.groups.entries()].sort(([a], [b]) => a - b);
  const head = Buffer.alloc(HEAD_BYTES);
  writeU64(head, 0, checkpoint.oldestSegment);
  head.writeUInt32LE(groups.length, 8);
  const parts: Buffer[] = [head];
  for (const [group, log] of groups) parts.push(...encodeGroup(group, log));
  return Buffer.concat(parts);
}

function encodeGroup(group: GroupId, log: GroupLog): Buffer[] {
  const configuration = log.configurations.at(-1);
  const fixed = Buffer.alloc(GROUP_BYTES);
  fixed.writeUInt32LE(group, 0);
  fixed.writeUInt32LE(log.hardState.vote, 4);
  writeU64(fixed, 8, log.hardState.term);
  writeU64(fixed, 16, log.base.index);
  writeU64(fixed, 24, log.base.term);
  writeU64(fixed, 32, log.base.index + 1);
  writeU64(fixed, 40, log.lastIndex);
  writeU64(fixed, 48, log.lastTerm);
  fixed.writeUInt32LE(log.bootstrapChecksum, 56);
  writeU64(fixed, 64, configuration?.index ?? 0);
  writeU64(fixed, 72, configuration?.term ?? 0);
  fixed.writeUInt32LE(configuration?.bytes.length ?? 0, 80);
  return configuration === undefined ? [fixed] : [fixed, configuration.bytes];
}

/** undefined: the lengths inside do not fit the body, or a configuration cannot be read. */
export function decodeCheckpoint(body: Buffer): Checkpoint | undefined {
  if (body.length < HEAD_BYTES) return undefined;
  const checkpoint: Checkpoint = { oldestSegment: readStoredU64(body, 0), groups: new Map() };
  let at = HEAD_BYTES;
  for (let left = body.readUInt32LE(8); left > 0; left -= 1) {
    if (at + GROUP_BYTES > body.length) return undefined;
    const fixed = body.subarray(at, at + GROUP_BYTES);
    const bytesLength = fixed.readUInt32LE(80);
    if (at + GROUP_BYTES + bytesLength > body.length) return undefined;
    const bytes = Buffer.from(body.subarray(at + GROUP_BYTES, at + GROUP_BYTES + bytesLength));
    const log = decodeGroup(fixed, bytes);
    if (log === undefined) return undefined;
    checkpoint.groups.set(fixed.readUInt32LE(0), log);
    at += GROUP_BYTES + bytesLength;
  }
  return at === body.length ? checkpoint : undefined;
}

function decodeGroup(fixed: Buffer, bytes: Buffer): GroupLog | undefined {
  const log = new GroupLog();
  log.hardState = { term: readStoredU64(fixed, 8), vote: fixed.readUInt32LE(4) };
  log.base = { index: readStoredU64(fixed, 16), term: readStoredU64(fixed, 24) };
  log.lastIndex = readStoredU64(fixed, 40);
  log.lastTerm = readStoredU64(fixed, 48);
  log.bootstrapChecksum = fixed.readUInt32LE(56);
  if (bytes.length > 0) {
    const stored = storedConfiguration(readStoredU64(fixed, 64), readStoredU64(fixed, 72), bytes);
    if (stored === undefined) return undefined;
    log.configurations.push(stored);
  }
  return log;
}
