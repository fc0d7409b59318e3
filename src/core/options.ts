import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import type { ConfigurationAt, HardState } from '../base/messages.js';
import type { Random } from '../base/prng.js';

/** What one member of one group is started with. All times are in ticks; the engine says how long a tick is. */
export interface RaftOptions {
  group: GroupId;
  id: NodeId;
  /** Election timeouts are drawn uniformly from [electionTicksMin, electionTicksMax], whole ticks (E1, Raft §5.2). */
  electionTicksMin: number;
  electionTicksMax: number;
  /** Ticks between two rounds of heartbeats, ≥ 1 and below `electionTicksMin`. */
  heartbeatTicks: number;
  /** Only spreads election timeouts. The only source of chance in the core. */
  random: Random;
}

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

/** Refuses options that no group can work with. Throws `RAFTLINE_OPTION_INVALID`. */
export function checkOptions(options: RaftOptions): void {
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
}

function invalid(option: string, expected: string, received: number): RaftlineError {
  return new RaftlineError(ErrorCode.OptionInvalid, `${option}: expected ${expected}, received ${received}`, {
    option,
    expected,
    received,
  });
}
