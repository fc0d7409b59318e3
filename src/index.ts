/** raftline: an embeddable Raft log-replication engine. The remote client is also exported alone, as `raftline/client`. */

// Errors: one class, one list of codes (docs/errors.md).
export { ErrorCode, type ErrorDetails, RaftlineError } from './base/errors.js';
// The remote client: ordered appends that apply once.
export {
  type AppendCallback,
  type AppendedRun,
  type Appender,
  type ClientOptions,
  RaftlineClient,
} from './client/index.js';
export type { AppenderCallback, AppenderOptions, AppenderRun, GroupAppender } from './engine/appender.js';
// The engine: one per process and data directory.
export { Engine } from './engine/engine.js';
export type { Group } from './engine/group.js';
export type { ChangeOptions, MembersView } from './engine/members-request.js';
export type { EngineOptions, GroupOptions, ReadPolicy, TraceSink } from './engine/options.js';
export type { FollowerPipelineOptions, PipelineOptions } from './engine/pipeline-options.js';
export type { ReadOptions, ReadPoint } from './engine/reads.js';
// What it replicates for.
export type { CommittedBatch, LogRun, StateMachine } from './engine/state-machine.js';
export type { EngineStatus, FollowerStatus, GroupStatus } from './engine/status.js';
export type { Proposed, ProposedMany } from './engine/waiters.js';
