import type { GroupId } from '../base/ids.js';
import type { Random } from '../base/prng.js';
import type { RaftOptions, RecoveredState } from '../core/options.js';
import type { Clock } from './clock.js';
import { leaseOf, ticksOf } from './lease.js';
import type { Config } from './options.js';

/** What the core of one group is to go by: the engine's options, in ticks. */
export function raftOptionsOf(
  config: Config,
  group: GroupId,
  clock: Clock,
  random: Random,
  trace: RaftOptions['trace'],
): RaftOptions {
  const { election } = config;
  const lease = leaseOf(config, clock);
  return {
    group,
    id: config.id,
    electionTicksMin: ticksOf(config, election.timeoutMsMin),
    electionTicksMax: ticksOf(config, election.timeoutMsMax),
    heartbeatTicks: ticksOf(config, election.heartbeatIntervalMs),
    random,
    checkQuorum: true,
    priority: election.priority,
    ...(lease === undefined ? {} : { lease }),
    ...(trace === undefined ? {} : { trace }),
  };
}

/** What a log says of itself: where it begins is committed, and so is the first configuration that it gives. */
export function recoveredStateOf(found: Omit<RecoveredState, 'commitIndex'>): RecoveredState {
  const commitIndex = Math.max(found.base.index, found.configurations[0]?.index ?? 0);
  return { ...found, commitIndex };
}
