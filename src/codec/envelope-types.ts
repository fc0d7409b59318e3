import type {
  ClientId,
  GroupId,
  Incarnation,
  LogIndex,
  NodeId,
  Sequence,
  SessionCounter,
  Term,
} from '../base/ids.js';
import type { ControlMessage } from '../base/messages.js';

/** Opens a stream between nodes; nothing else is sent before its reply (S2). */
export interface Hello {
  type: 'hello';
  protocolVersion: number;
  /** The newest batch format that the sender reads and writes. */
  formatVersion: number;
  /** At most 64 characters. */
  clusterId: string;
  node: NodeId;
  incarnation: Incarnation;
  /** Who the sender thinks is at the other end. */
  receiver: NodeId;
  lane: 'control' | 'append' | 'snapshot';
  groups: GroupId[];
  /** CRC-32 of the bootstrap configuration, not 0: who belongs together, and which of two clusters with one name is meant. */
  bootstrapChecksum: number;
  /** For how long an answered heartbeat keeps the sender from voting, as its own reads rest on it; 0: they do not. */
  leaseMs: number;
  /** What the sender was before under its id, as its log says: the incarnations of it that were removed. */
  formerIncarnations: Incarnation[];
}

/** `accepted: false` says why in `code` (an error code) and `message`; the stream is closed after it. */
export interface HelloReply {
  type: 'helloReply';
  accepted: boolean;
  code: string;
  message: string;
  node: NodeId;
  incarnation: Incarnation;
  /** Where this node's lanes listen, 0 where it does not. */
  controlPort: number;
  dataPort: number;
  clientPort: number;
  /** As in `Hello`, of who answers. */
  formerIncarnations: Incarnation[];
}

/** A message of main to main: votes, heartbeats, leadership transfer. */
export interface ControlEnvelope {
  type: 'control';
  message: ControlMessage;
}

/** AppendEntries (Raft figure 2) without its entries. Body: `batches` whole batches, back to back. */
export interface AppendEnvelope {
  type: 'append';
  group: GroupId;
  from: NodeId;
  to: NodeId;
  term: Term;
  session: SessionCounter;
  prevIndex: LogIndex;
  /** 0 exactly where `prevIndex` is 0. */
  prevTerm: Term;
  commit: LogIndex;
  /** Others follow, or nothing waits for room: that this was received need not be said at once, `durable` says it too (B6). */
  more: boolean;
  /** 0: a probe, or a commit index that moved alone. */
  batches: number;
}

export interface AppendReplyEnvelope {
  type: 'appendReply';
  group: GroupId;
  from: NodeId;
  to: NodeId;
  term: Term;
  session: SessionCounter;
  /** `received` moves the window only; `durable` counts; `refused` ends the session. */
  kind: 'received' | 'durable' | 'refused';
  match: LogIndex;
  /** Meaningful only when refused. */
  hintIndex: LogIndex;
  hintTerm: Term;
  applied: LogIndex;
}

/** Opens a client's stream. */
export interface ClientHello {
  type: 'clientHello';
  protocolVersion: number;
  /** At most 64 characters; empty: any cluster. */
  clusterId: string;
  /** 0 for a client that proposes nothing. */
  clientId: ClientId;
}

export interface ClientWelcome {
  type: 'clientWelcome';
  accepted: boolean;
  code: string;
  message: string;
  node: NodeId;
  clusterId: string;
}

/** Body: `count` packed entries with session, all of `clientId`, with consecutive sequences from `firstSequence`. */
export interface Propose {
  type: 'propose';
  group: GroupId;
  clientId: ClientId;
  firstSequence: Sequence;
  count: number;
}

/**
 * What became of `count` entries. `applied`: entry `firstSequence + i` stands at `index + i`. `duplicate`: applied
 * before. `refused`: certainly not done. `unknown`: may be done. Body: the result's bytes, if any.
 */
export interface ProposeReply {
  type: 'proposeReply';
  group: GroupId;
  firstSequence: Sequence;
  count: number;
  index: LogIndex;
  term: Term;
  outcome: 'applied' | 'duplicate' | 'refused' | 'unknown';
  code: string;
  message: string;
  /** 0: not known. */
  leader: NodeId;
  leaderAddress: string;
}

export interface StatusRequest {
  type: 'statusRequest';
  requestId: number;
  /** Only groups from this id on are told of; 0: all. Earlier builds tell from the start in any case. */
  fromGroup: GroupId;
}

export interface StatusReply {
  type: 'statusReply';
  requestId: number;
  /** At most 256 Ki characters. */
  json: string;
}

/** Asks for committed entries from index `from` on; with `follow` also for those to come. */
export interface TailRequest {
  type: 'tailRequest';
  group: GroupId;
  from: LogIndex;
  follow: boolean;
}

/** Body: `count` packed entries. */
export interface TailChunk {
  type: 'tailChunk';
  group: GroupId;
  firstIndex: LogIndex;
  term: Term;
  count: number;
}

/** The end of a tail; an empty `code` says that everything was sent. */
export interface TailEnd {
  type: 'tailEnd';
  lastIndex: LogIndex;
  code: string;
  message: string;
}

export const MEMBER_ACTIONS = [
  'list',
  'add',
  'learn',
  'promote',
  'remove',
  'transfer',
  'compression',
] as const;
export type MemberAction = (typeof MEMBER_ACTIONS)[number];

/** Reads or changes the configuration of a group; `learn` adds without making a voter. */
export interface MemberRequest {
  type: 'memberRequest';
  requestId: number;
  group: GroupId;
  action: MemberAction;
  /** 0 where the action names nobody. */
  node: NodeId;
  /** `host:port` of who is added; else empty. */
  address: string;
  /** Whether `expectedIndex` counts. */
  compare: boolean;
  expectedIndex: LogIndex;
  timeoutMs: number;
  /** What leaders are to be allowed to compress with (`CompressionLevel`); 0 where the action is another. */
  level: number;
}

/** An empty `code` says that it is done; `json` then has the members as they are. */
export interface MemberReply {
  type: 'memberReply';
  requestId: number;
  code: string;
  message: string;
  /** 0: not known. */
  leader: NodeId;
  leaderAddress: string;
  json: string;
}

/** Where the members are: told to a client after its welcome, and when it changes. `json`: [{id, address}]. */
export interface MemberNews {
  type: 'memberNews';
  json: string;
}

/** What stands in front of the body of every message on any stream. */
export type Envelope =
  | Hello
  | HelloReply
  | ControlEnvelope
  | AppendEnvelope
  | AppendReplyEnvelope
  | ClientHello
  | ClientWelcome
  | Propose
  | ProposeReply
  | StatusRequest
  | StatusReply
  | TailRequest
  | TailChunk
  | TailEnd
  | MemberRequest
  | MemberReply
  | MemberNews;
