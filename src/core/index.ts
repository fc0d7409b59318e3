/** Raft without an engine around it, for tests of one's own: `import { Raft } from 'raftline/core'`. See docs/driving-the-core.md. */
export type { GroupId, Incarnation, LogIndex, NodeId, OrderId, SessionCounter, Term } from '../base/ids.js';
export type {
  Append,
  AppendReply,
  BatchHeader,
  Configuration,
  ConfigurationAt,
  ControlMessage,
  HardState,
  PeerMessage,
} from '../base/messages.js';
export { BatchKind, lastIndexOf } from '../base/messages.js';
export { AppendSender, type SenderStatus, type SentLog } from './append-sender.js';
export type { LeaseOptions, RaftOptions, RecoveredState, TermRun } from './options.js';
export { Raft } from './raft.js';
export type {
  ConfigurationRefusal,
  ConfigurationTarget,
  LocalMessage,
  Order,
  Outbound,
  ProgressStatus,
  ProposedBatch,
  ProposeRefusal,
  RaftStatus,
  ReadRefusal,
  ReadState,
  Ready,
  SessionCommand,
  SnapshotCommand,
  TransferRefusal,
} from './ready.js';
export type { TraceEvent } from './trace-event.js';
