import type { LeaseOptions } from '../core/options.js';
import type { Clock } from './clock.js';
import type { Config } from './options.js';

/** How often the main thread counts time, ms. */
export function tickMsOf({ election }: Config): number {
  return Math.max(5, Math.floor(election.heartbeatIntervalMs / 4));
}

/** That much time, in whole ticks. */
export function ticksOf(config: Config, ms: number): number {
  return Math.max(1, Math.ceil(ms / tickMsOf(config)));
}

/**
 * How long a lease is by one and the same clock, ms; 0 where reads do not rest on one. The same on every member (`Hello`): a voter holds its
 * promise for two ticks more, which are its own, so what counts is this and not what it is made of.
 */
export function leaseMsOf(config: Config): number {
  if (config.reads.policy !== 'lease') return 0;
  return (ticksOf(config, config.election.timeoutMsMin) - 2) * tickMsOf(config);
}

/**
 * The lease of this node while it leads (dissertation §6.4.1), if reads may rest on one.
 *
 * A voter that answered a heartbeat refuses votes until it has counted `electionTicksMin` ticks. The first of them may be due
 * already when the heartbeat comes, and a tick that is late does not put off the next one: two ticks of the count may take no time at
 * all. The rest is measured by the voter's clock, which may run faster than this one's by `clockDriftMax`. A voter that is stopped meanwhile
 * only counts more slowly.
 */
export function leaseOf(config: Config, clock: Clock): LeaseOptions | undefined {
  const leaseMs = leaseMsOf(config);
  if (leaseMs === 0) return undefined;
  return { length: leaseMs / config.reads.clockDriftMax, now: () => clock.nowMs() };
}
