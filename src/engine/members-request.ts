import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type Incarnation, type LogIndex, type NodeId, U32_MAX } from '../base/ids.js';
import { ADDRESS_CHARS_MAX } from '../base/limits.js';
import { CompressionLevel, type MemberIncarnation } from '../base/messages.js';
import { checkObject, shownAs } from './option-checks.js';

/** The members of a group, as this node's log has them: on the leader the newest, elsewhere perhaps behind. */
export interface MembersView {
  /** Log index of the configuration in force: what `expectedIndex` is compared with. */
  index: LogIndex;
  /** Known here to be committed. */
  committed: boolean;
  voters: NodeId[];
  /** While a change is under way: the voters before it, who decide as well. */
  votersOutgoing: NodeId[];
  learners: NodeId[];
  /** Each member's address, empty where this node does not know it, and its directory's incarnation, 0 where none is known yet. */
  members: { id: NodeId; address: string; incarnation: Incarnation }[];
  /** Who was removed, in the order of their going; the newest 256. */
  removed: MemberIncarnation[];
  /** What leaders may compress with: 0 nothing, 1 LZ4, 2 deflate as well. */
  compressionLevel: number;
}

export interface ChangeOptions {
  /** Compare-and-set: refuse unless the configuration in force stands at this log index. Default: whichever is in force. */
  expectedIndex?: LogIndex;
  /** How long it may take, ms, 1 … 2^31 − 1. Default 60,000: to catch up with a long log takes its time. */
  timeoutMs?: number;
}

export type MembersRequest =
  | { type: 'add'; id: NodeId; address: string; as: 'voter' | 'learner' }
  | { type: 'promote'; id: NodeId }
  | { type: 'remove'; id: NodeId }
  | { type: 'compression'; level: number }
  | { type: 'set'; voters: readonly NodeId[]; learners: readonly NodeId[] };

/** Input from outside. @throws RaftlineError `RAFTLINE_OPTION_INVALID` */
export function checkRequest(request: MembersRequest, options: ChangeOptions): void {
  checkObject('options', options);
  for (const id of namedIn(request)) checkWhole('id', id, 1, U32_MAX);
  if (request.type === 'compression') checkWhole('level', request.level, 0, CompressionLevel.Deflate);
  if (request.type === 'add') {
    const { address } = request;
    if (typeof address !== 'string' || address.length > ADDRESS_CHARS_MAX || !/^.+:\d{1,5}$/.test(address)) {
      throw refused('address', 'host:port', address);
    }
  }
  if (options.timeoutMs !== undefined) checkWhole('timeoutMs', options.timeoutMs, 1, 0x7fff_ffff);
  if (options.expectedIndex !== undefined)
    checkWhole('expectedIndex', options.expectedIndex, 0, Number.MAX_SAFE_INTEGER);
}

function namedIn(request: MembersRequest): readonly NodeId[] {
  if (request.type === 'compression') return [];
  if (request.type !== 'set') return [request.id];
  const { voters, learners } = request;
  for (const [path, ids] of Object.entries({ voters, learners }))
    if (!Array.isArray(ids)) throw refused(path, 'an array of ids', ids);
  return [...voters, ...learners];
}

function checkWhole(path: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw refused(path, `a whole number from ${min} to ${max}`, value);
}

function refused(path: string, expected: string, value: unknown): RaftlineError {
  const received = shownAs(value);
  const message = `change of members: ${path}: expected ${expected}, received ${received}`;
  return new RaftlineError(ErrorCode.OptionInvalid, message, { path, expected, received });
}
