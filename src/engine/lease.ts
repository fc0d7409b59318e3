import type { LeaseOptions } from '../core/options.js';
import type { Clock } from './clock.js';
import type { Config } from './options.js';

/**
 * The lease of this node while it leads (dissertation §6.4.1), if reads may rest on one.
 *
 * A voter that answered a heartbeat refuses votes until it has counted `electionTicksMin` ticks. The first of them may be due
 * already when the heartbeat comes, and a tick that is late does not put off the next one: two ticks of the count may take no time at
 * all. The rest is measured by the voter's clock, which may run faster than this one's by `clockDriftMax`. A voter that is stopped meanwhile
 * only counts more slowly.
 */
export function leaseOf(
  config: Config,
  clock: Clock,
  ticks: { electionTicksMin: number; tickMs: number },
): LeaseOptions | undefined {
  const { policy, clockDriftMax } = config.reads;
  if (policy !== 'lease') return undefined;
  const length = ((ticks.electionTicksMin - 2) * ticks.tickMs) / clockDriftMax;
  return { length, now: () => clock.nowMs() };
}
