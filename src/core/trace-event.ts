import type { GroupId, LogIndex, NodeId, OrderId, Term } from '../base/ids.js';
import type { BatchHeader, BatchKind, Configuration, PeerMessage } from '../base/messages.js';
import type { LocalMessage, Order, Outbound, SessionCommand } from './ready.js';

/** Which door of the core the transition came through. `ready`: what is only decided when the caller asks for it. */
export type TraceDoor = 'start' | 'tick' | 'step' | 'propose' | 'configure' | 'transfer' | 'read' | 'ready';

/** A run of entries of one term, without its bytes. */
export type TraceBatch = Pick<BatchHeader, 'kind' | 'term' | 'firstIndex' | 'count'> & { kind: BatchKind };

/** What the log or the term was told to become, in order (docs/trace.md). */
export type TraceOrder =
  | { id: OrderId; type: 'append'; batch: TraceBatch; configuration?: Configuration }
  | Exclude<Order, { type: 'own' | 'append' | 'snapshot' }>
  | { id: OrderId; type: 'snapshot'; index: LogIndex; term: Term; keepsSuffix: boolean };

/** The member's state after the transition. */
export interface TraceState {
  role: 'follower' | 'precandidate' | 'candidate' | 'leader';
  term: Term;
  vote: NodeId;
  leader: NodeId;
  firstIndex: LogIndex;
  lastIndex: LogIndex;
  lastTerm: Term;
  durableIndex: LogIndex;
  commitIndex: LogIndex;
  commitTerm: Term;
  configuration: { index: LogIndex } & Pick<Configuration, 'voters' | 'votersOutgoing' | 'learners'>;
  match: Record<NodeId, LogIndex>;
}

export type TraceMessage =
  | Exclude<PeerMessage | LocalMessage, { type: 'append' }>
  | (Omit<Extract<PeerMessage, { type: 'append' }>, 'headers' | 'configurations'> & {
      batches: TraceBatch[];
    });

/** One transition of one member of one group. Plain data, of the caller's to keep. */
export interface TraceEvent {
  group: GroupId;
  node: NodeId;
  /** 1, 2, 3 … in one life of the member. A number that is missing was lost on the way. */
  step: number;
  door: TraceDoor;
  /** What came in; only where `door` is `step`. */
  message?: TraceMessage;
  orders: TraceOrder[];
  sends: Outbound[];
  /** A leader's: what its replicators are told. They send the appends. */
  sessions: SessionCommand[];
  state: TraceState;
}
