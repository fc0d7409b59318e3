import {
  type Append,
  type AppendReply,
  type BatchHeader,
  BatchKind,
  type Configuration,
  type ConfigurationAt,
  type Heartbeat,
  type HeartbeatReply,
  type VoteReply,
  type VoteRequest,
} from '../../src/base/messages.js';
import type { RaftOptions, RecoveredState } from '../../src/core/options.js';
import { Raft } from '../../src/core/raft.js';
import type { Ready } from '../../src/core/ready.js';

/** Every test here is about node 1 of group 7; the peers are 2, 3 … */
export const GROUP = 7;
export const SELF = 1;

export function configuration(voters: number[], parts: Partial<Configuration> = {}): Configuration {
  return {
    voters,
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    incarnations: [],
    compressionLevel: 1,
    ...parts,
  };
}

/**
 * With `electionTicksMin` = `electionTicksMax` a timeout is exactly ten ticks. The paper's plain elections, unless a test
 * asks for more.
 */
export function options(parts: Partial<RaftOptions> = {}): RaftOptions {
  return {
    group: GROUP,
    id: SELF,
    electionTicksMin: 10,
    electionTicksMax: 10,
    heartbeatTicks: 2,
    random: () => 0,
    preVote: false,
    checkQuorum: false,
    ...parts,
  };
}

export interface Start {
  voters?: number[];
  /** Instead of `voters`. */
  configurations?: ConfigurationAt[];
  /** The term of every entry, from index 1 on; the first is the bootstrap configuration. */
  terms?: number[];
  term?: number;
  vote?: number;
  commit?: number;
  base?: { index: number; term: number };
}

/** What a disk holds whose log has these terms, one entry each. */
export function recovered(start: Start = {}): RecoveredState {
  const terms = start.terms ?? [1];
  const base = start.base ?? { index: 0, term: 0 };
  const termRuns: RecoveredState['termRuns'] = [];
  for (const [i, term] of terms.entries()) {
    if (termRuns.at(-1)?.term !== term) termRuns.push({ term, firstIndex: base.index + i + 1 });
  }
  return {
    hardState: { term: start.term ?? terms.at(-1) ?? base.term, vote: start.vote ?? 0 },
    base,
    termRuns,
    lastIndex: base.index + terms.length,
    configurations: start.configurations ?? [
      { index: 1, term: 1, configuration: configuration(start.voters ?? [1, 2, 3]) },
    ],
    commitIndex: start.commit ?? Math.max(1, base.index),
  };
}

export function startRaft(start: Start = {}, parts: Partial<RaftOptions> = {}): Raft {
  return new Raft(options(parts), recovered(start));
}

/** Ticks until the election timer has run out, once. */
export function timeOut(raft: Raft): void {
  for (let tick = 0; tick < 10; tick++) raft.tick();
}

/** The Ready that must be there. */
export function take(raft: Raft): Ready {
  const ready = raft.ready();
  if (ready === undefined) throw new Error('expected a Ready');
  return ready;
}

/** Elected by `voters`, with everything ordered so far durable and every Ready taken. */
export function electedRaft(
  start: Start = {},
  grantedBy: number[] = [2],
  parts: Partial<RaftOptions> = {},
): Raft {
  const raft = startRaft(start, parts);
  timeOut(raft);
  take(raft);
  for (const from of grantedBy) raft.step(voteReply(from, raft.status().term));
  if (raft.status().role !== 'leader') throw new Error('not elected');
  const { orders } = take(raft);
  raft.step({ type: 'durable', order: orders.at(-1)?.id ?? 0 });
  raft.ready();
  return raft;
}

/** The session that node 1 has open to `peer`. */
export function sessionTo(raft: Raft, peer: number): number {
  return progressOf(raft, peer).session;
}

export function progressOf(raft: Raft, peer: number) {
  const progress = raft.status().progress.find((follower) => follower.id === peer);
  if (progress === undefined) throw new Error(`no progress of ${peer}`);
  return progress;
}

const address = (from: number, term: number) => ({ group: GROUP, from, to: SELF, term });

export function voteRequest(from: number, term: number, lastTerm: number, lastIndex: number): VoteRequest {
  return { ...address(from, term), type: 'vote', lastTerm, lastIndex, preVote: false, transfer: false };
}

export function voteReply(from: number, term: number, granted = true): VoteReply {
  return { ...address(from, term), type: 'voteReply', granted, preVote: false, removed: 0 };
}

export function heartbeat(from: number, term: number, commit = 0, round = 1): Heartbeat {
  return { ...address(from, term), type: 'heartbeat', commit, round };
}

export function heartbeatReply(from: number, term: number, round: number, lastIndex: number): HeartbeatReply {
  return { ...address(from, term), type: 'heartbeatReply', round, lastIndex };
}

export function accepted(from: number, term: number, session: number, match: number): AppendReply {
  return {
    ...address(from, term),
    type: 'appendReply',
    session,
    refused: false,
    match,
    hintIndex: 0,
    hintTerm: 0,
    applied: 0,
  };
}

export function refused(
  from: number,
  term: number,
  session: number,
  prevIndex: number,
  hintIndex: number,
  hintTerm: number,
): AppendReply {
  return { ...accepted(from, term, session, prevIndex), refused: true, hintIndex, hintTerm };
}

export function header(
  term: number,
  firstIndex: number,
  count: number,
  prevTerm: number,
  kind: BatchKind = BatchKind.Data,
): BatchHeader {
  return {
    formatVersion: 1,
    group: GROUP,
    kind,
    flags: 0,
    term,
    firstIndex,
    count,
    prevTerm,
    codec: 0,
    rawLength: 16 * count,
    byteLength: 64 + 16 * count,
    leaderTimeMs: 0,
    checksum: 0,
  };
}

export interface AppendParts {
  session?: number;
  commit?: number;
  headers?: BatchHeader[];
  configurations?: Configuration[];
}

export function append(
  from: number,
  term: number,
  prevIndex: number,
  prevTerm: number,
  parts: AppendParts = {},
): Append {
  return {
    ...address(from, term),
    type: 'append',
    session: 1,
    prevIndex,
    prevTerm,
    commit: 0,
    headers: [],
    configurations: [],
    ...parts,
  };
}
