import type { Child } from './processes.js';

/** What is measured: the cluster or the pipe, started and ready. */
export interface Side {
  name: 'cluster' | 'pipe';
  /** Programs by thread, of one node. */
  threads: Record<string, readonly string[]>;
  leader: Child;
  /** host:port of the leader, as clients reach it; empty for the pipe. */
  leaderAddress: string;
  followers: readonly Child[];
  /** Where proposals are made: the leader itself, or processes of their own. */
  loaders: readonly Child[];
  close(): Promise<void>;
}
