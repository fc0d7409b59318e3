import type { GroupId } from '../base/ids.js';
import { writeU64 } from '../codec/bytes.js';
import { readStoredU64 } from './format.js';
import { GroupLog, storedConfiguration } from './group-log.js';

/**
 * The record that opens every segment: all that the records before it add up to, so that a segment may go once a later
 * checkpoint is synced. The encoding is a function of the state alone: recovery compares bytes.
 */
export interface Checkpoint {
  /** The lowest segment that is still needed; it and all up to the newest must be there. */
  oldestSegment: number;
  groups: Map<GroupId, GroupLog>;
}

const HEAD_BYTES = 16;
const GROUP_BYTES = 64;
const RUN_BYTES = 16;
const CONFIGURATION_BYTES = 24;

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
  const fixed = Buffer.alloc(GROUP_BYTES);
  fixed.writeUInt32LE(group, 0);
  fixed.writeUInt32LE(log.hardState.vote, 4);
  writeU64(fixed, 8, log.hardState.term);
  writeU64(fixed, 16, log.base.index);
  writeU64(fixed, 24, log.base.term);
  writeU64(fixed, 32, log.lastIndex);
  writeU64(fixed, 40, log.lastTerm);
  fixed.writeUInt32LE(log.termRuns.length, 52);
  fixed.writeUInt32LE(log.configurations.length, 56);
  const runs = Buffer.alloc(log.termRuns.length * RUN_BYTES);
  for (const [at, { term, firstIndex }] of log.termRuns.entries()) {
    writeU64(runs, at * RUN_BYTES, term);
    writeU64(runs, at * RUN_BYTES + 8, firstIndex);
  }
  const parts: Buffer[] = [fixed, runs];
  for (const { index, term, bytes } of log.configurations) {
    const place = Buffer.alloc(CONFIGURATION_BYTES);
    writeU64(place, 0, index);
    writeU64(place, 8, term);
    place.writeUInt32LE(bytes.length, 16);
    parts.push(place, bytes);
  }
  return parts;
}

/** undefined: the lengths inside do not fit the body, or a configuration cannot be read. */
export function decodeCheckpoint(body: Buffer): Checkpoint | undefined {
  if (body.length < HEAD_BYTES) return undefined;
  const checkpoint: Checkpoint = { oldestSegment: readStoredU64(body, 0), groups: new Map() };
  let at = HEAD_BYTES;
  for (let left = body.readUInt32LE(8); left > 0; left -= 1) {
    const end = decodeGroup(checkpoint.groups, body, at);
    if (end === undefined) return undefined;
    at = end;
  }
  return at === body.length ? checkpoint : undefined;
}

/** Where the group that begins at `start` ends; undefined where it cannot be read. */
function decodeGroup(groups: Map<GroupId, GroupLog>, body: Buffer, start: number): number | undefined {
  let at = start + GROUP_BYTES;
  if (at > body.length) return undefined;
  const fixed = body.subarray(start, at);
  const log = new GroupLog();
  log.hardState = { term: readStoredU64(fixed, 8), vote: fixed.readUInt32LE(4) };
  log.base = { index: readStoredU64(fixed, 16), term: readStoredU64(fixed, 24) };
  log.lastIndex = readStoredU64(fixed, 32);
  log.lastTerm = readStoredU64(fixed, 40);
  for (let left = fixed.readUInt32LE(52); left > 0; left -= 1, at += RUN_BYTES) {
    if (at + RUN_BYTES > body.length) return undefined;
    log.termRuns.push({ term: readStoredU64(body, at), firstIndex: readStoredU64(body, at + 8) });
  }
  for (let left = fixed.readUInt32LE(56); left > 0; left -= 1) {
    const bytesAt = at + CONFIGURATION_BYTES;
    if (bytesAt > body.length) return undefined;
    const end = bytesAt + body.readUInt32LE(at + 16);
    if (end > body.length) return undefined;
    const bytes = Buffer.from(body.subarray(bytesAt, end));
    const stored = storedConfiguration(readStoredU64(body, at), readStoredU64(body, at + 8), bytes);
    if (stored === undefined) return undefined;
    log.configurations.push(stored);
    at = end;
  }
  groups.set(fixed.readUInt32LE(0), log);
  return at;
}
