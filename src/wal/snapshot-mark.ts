import { writeU64 } from '../codec/bytes.js';
import { readStoredU64 } from './format.js';
import { type SnapshotMark, storedConfiguration } from './group-log.js';

const HEAD_BYTES = 40;
const KEEPS_SUFFIX = 1;

/** Index (8), term (8), flags (4), zero (4), the configuration's index (8), term (8), and its entry. */
export function encodeSnapshotMark(mark: SnapshotMark): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  writeU64(head, 0, mark.index);
  writeU64(head, 8, mark.term);
  head.writeUInt32LE(mark.keepsSuffix ? KEEPS_SUFFIX : 0, 16);
  writeU64(head, 24, mark.configuration.index);
  writeU64(head, 32, mark.configuration.term);
  return Buffer.concat([head, mark.configuration.bytes]);
}

/** undefined where the body is no snapshot mark. */
export function decodeSnapshotMark(body: Buffer): SnapshotMark | undefined {
  if (body.length <= HEAD_BYTES || body.readUInt32LE(16) > KEEPS_SUFFIX) return undefined;
  const bytes = Buffer.from(body.subarray(HEAD_BYTES));
  const configuration = storedConfiguration(readStoredU64(body, 24), readStoredU64(body, 32), bytes);
  if (configuration === undefined) return undefined;
  return {
    index: readStoredU64(body, 0),
    term: readStoredU64(body, 8),
    keepsSuffix: body.readUInt32LE(16) === KEEPS_SUFFIX,
    configuration,
  };
}
