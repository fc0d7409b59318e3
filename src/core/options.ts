import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, Incarnation, LogIndex, NodeId, Term } from '../base/ids.js';
import type { ConfigurationAt, HardState } from '../base/messages.js';
import type { Random } from '../base/prng.js';
import type { TraceEvent } from './trace-event.js';

/** What one member of one group is started with. All times are in ticks; the engine says how long a tick is. */
export interface RaftOptions {
  group: GroupId;
  id: NodeId;
  /**
   * Of this node's data directory; default 0: not known. While a new life catches up, configurations of the log may still mean an earlier one
   * under its id: by those it must not lead (H61).
   */
  incarnation?: Incarnation;
  /**
   * This directory came to a cluster that was there; default false. Then a configuration that names no incarnation under its id means the
   * founder who had it, and not this node: by that neither (H61).
   */
  joined?: boolean;
  /** Election timeouts are drawn uniformly from (electionTicksMin, electionTicksMax], whole ticks (E1, Raft §5.2). */
  electionTicksMin: number;
  electionTicksMax: number;
  /** Ticks between two rounds of heartbeats, ≥ 1 and below `electionTicksMin`. */
  heartbeatTicks: number;
  /** Only spreads election timeouts. The only source of chance in the core. */
  random: Random;
  /**
   * Default true: asks before it takes a new term whether it could win it, so that a node that was cut off does not
   * come back with a higher term and depose a good leader (dissertation §9.6). Nodes with and without may be mixed.
   */
  preVote?: boolean;
  /**
   * Default true: a leader that has not heard from a quorum for `electionTicksMax` steps down (dissertation §6.2), and
   * who heard from a leader within `electionTicksMin` refuses votes and pre-votes (§4.2.3). The same on every member:
   * without the first half, the second would keep a leader that reaches nobody.
   */
  checkQuorum?: boolean;
  /**
   * 0 … `PRIORITY_MAX`, default `PRIORITY_MAX`. Whoever has less waits for that many more times `electionTicksMax` before
   * it campaigns, so that members of higher priority, if they are up and hold the log, have had their chance.
   */
  priority?: number;
  /**
   * Default none: reads go by read-index. With a lease they are answered at once while it holds. Needs `checkQuorum`, and a
   * lease on every member: each then refuses votes for `electionTicksMax` after its start, since it forgot whom it had heard.
   */
  lease?: LeaseOptions;
  /** Default none: told of every transition (docs/trace.md). Called in the middle of it: it must neither throw nor call back. */
  trace?: (event: TraceEvent) => void;
}

/**
 * A leader's lease is measured by a clock and not in ticks: a node that was stopped counts the gap as one tick.
 */
export interface LeaseOptions {
  /**
   * In the unit of `now`. At most (`electionTicksMin` − 1) ticks of the fastest member's clock, divided by how much faster
   * that one may run than this one's (the first tick may come right after the heartbeat).
   */
  length: number;
  /** A clock that never goes back. Only differences count. */
  now: () => number;
}

/** The priority of a member that campaigns as soon as its timeout has passed. */
export const PRIORITY_MAX = 3;

/** The options of a member that runs: every one of them given. */
export type Settings = Required<Omit<RaftOptions, 'lease' | 'trace'>> & Pick<RaftOptions, 'lease' | 'trace'>;

/** A run of entries of one term: from `firstIndex` to the next run's `firstIndex` − 1, or to the log's end. */
export interface TermRun {
  term: Term;
  firstIndex: LogIndex;
}

/** What was found on disk. All of it is durable. */
export interface RecoveredState {
  hardState: HardState;
  /** Index and term right before the first entry that is kept; 0/0 for a whole log. */
  base: { index: LogIndex; term: Term };
  /** Runs of equal term, ascending in term and index, without gaps. */
  termRuns: TermRun[];
  /** The last entry's index, or `base.index` when there is none. */
  lastIndex: LogIndex;
  /** Every configuration found in the log, or the bootstrap one, ascending by index. */
  configurations: ConfigurationAt[];
  /** Known to be committed: at least the bootstrap configuration's index, at least `base.index`. */
  commitIndex: LogIndex;
}

/** Fills in defaults and refuses options that no group can work with. Throws `RAFTLINE_OPTION_INVALID`. */
export function settingsOf(options: RaftOptions): Settings {
  const settings = {
    incarnation: 0,
    joined: false,
    preVote: true,
    checkQuorum: true,
    priority: PRIORITY_MAX,
    ...options,
  };
  checkSettings(settings);
  return settings;
}

function checkSettings(options: Settings): void {
  const { electionTicksMin, electionTicksMax, heartbeatTicks } = options;
  const ticks = { electionTicksMin, electionTicksMax, heartbeatTicks };
  for (const [name, value] of Object.entries(ticks)) {
    if (!Number.isSafeInteger(value) || value < 1) throw invalid(name, 'a whole number ≥ 1', value);
  }
  if (electionTicksMax < electionTicksMin) {
    throw invalid('electionTicksMax', `≥ electionTicksMin (${electionTicksMin})`, electionTicksMax);
  }
  if (heartbeatTicks >= electionTicksMin) {
    throw invalid('heartbeatTicks', `< electionTicksMin (${electionTicksMin})`, heartbeatTicks);
  }
  const { priority } = options;
  if (!Number.isSafeInteger(priority) || priority < 0 || priority > PRIORITY_MAX) {
    throw invalid('priority', `a whole number from 0 to ${PRIORITY_MAX}`, priority);
  }
  if (options.lease === undefined) return;
  const { length } = options.lease;
  if (!(length > 0)) throw invalid('lease.length', 'a number > 0', length);
  if (!options.checkQuorum) throw invalid('checkQuorum', 'true where there is a lease', false);
}

function invalid(option: string, expected: string, received: number | boolean): RaftlineError {
  return new RaftlineError(ErrorCode.OptionInvalid, `${option}: expected ${expected}, received ${received}`, {
    option,
    expected,
    received,
  });
}
