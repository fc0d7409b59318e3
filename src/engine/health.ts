import { createHistogram } from 'node:perf_hooks';
import type { NodeId } from '../base/ids.js';
import type { Replica } from './replica.js';

/** What a node knows of its own fitness; part of `status`. */
export interface HealthStatus {
  /** How late the ticks of the main thread's loop came since the start, ms. */
  loop: { delayMsP99: number; delayMsMax: number };
  /** For how long the disk has finished nothing although something waits for it, ms; 0 when nothing waits. */
  diskStalledMs: number;
}

export interface HealthOptions {
  /** A tick that comes this late counts as missed, ms: heartbeats are no longer bridged then. */
  lateMs: number;
  /** How long a disk may finish nothing, and how much longer a loop may be late than in time, before a leader hands over, ms; 0: for ever. */
  handOverAfterMs: number;
}

/** What makes a leader unfit, in words for the log; undefined while it is fit. */
export type Complaint = string | undefined;

/**
 * Watches what a leader owes its group beside being there: a main thread that comes to its ticks, and a disk that finishes
 * writes (H44). Heartbeats alone would keep a leader that does neither. Judged at ticks, and the loop by what it was late and in time on the
 * whole: breaks between its stalls excuse nothing unless they are as long. One stall is none, since whoever slept for once is either deposed by
 * now or was not missed.
 */
export class Health {
  readonly #options: HealthOptions;
  readonly #delaysUs = createHistogram();
  /** By how much late times outweigh times in time, ms: each adds or takes its length; from 0 to `handOverAfterMs`. */
  #owedMs = 0;
  #durableSeen = 0;
  /** When the disk last finished something or had nothing to do. */
  #diskMovedMs = 0;
  #nowMs = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** `lateMs`: by how much this tick missed its time. `newest`, `durable`: the newest order given, and the newest on disk. */
  tick(nowMs: number, lateMs: number, newest: number, durable: number): void {
    const sinceMs = nowMs - this.#nowMs;
    this.#nowMs = nowMs;
    this.#delaysUs.record(Math.max(1, Math.round(lateMs * 1000)));
    const isLate = lateMs > this.#options.lateMs;
    this.#weigh(sinceMs, isLate);
    // A stall of this loop is not the disk's: it is judged by what is seen after it.
    const moved = durable >= newest || durable !== this.#durableSeen || isLate;
    if (moved) this.#diskMovedMs = nowMs;
    this.#durableSeen = durable;
  }

  complaint(): Complaint {
    const { handOverAfterMs } = this.#options;
    if (handOverAfterMs === 0) return undefined;
    const stalledMs = this.#diskStalledMs();
    if (stalledMs >= handOverAfterMs) return `the disk has finished no write for ${Math.round(stalledMs)} ms`;
    if (this.#owedMs >= handOverAfterMs)
      return `the main thread has been late to its ticks for ${handOverAfterMs} ms longer than in time`;
    return undefined;
  }

  status(): HealthStatus {
    const ms = (us: number): number => Math.round(us / 100) / 10;
    const { count } = this.#delaysUs;
    const loop = {
      delayMsP99: count === 0 ? 0 : ms(this.#delaysUs.percentile(99)),
      delayMsMax: count === 0 ? 0 : ms(this.#delaysUs.max),
    };
    return { loop, diskStalledMs: Math.round(this.#diskStalledMs()) };
  }

  /** A single stall weighs half of the bound, however long it was: it takes two. */
  #weigh(ms: number, isLate: boolean): void {
    const { handOverAfterMs } = this.#options;
    const owedMs = this.#owedMs + (isLate ? Math.min(ms, handOverAfterMs / 2) : -ms);
    this.#owedMs = Math.min(Math.max(owedMs, 0), handOverAfterMs);
  }

  #diskStalledMs(): number {
    return this.#nowMs - this.#diskMovedMs;
  }
}

/**
 * Hands over what this node leads if there is something to complain of: a leader that is there and does nothing is worse than none. To be
 * called at each tick, so that it is tried again while nobody could take over.
 */
export function handOverUnfit(
  complaint: Complaint,
  replicas: Iterable<Replica>,
  warn: (message: string) => void,
): void {
  if (complaint === undefined) return;
  for (const replica of replicas) {
    const to = handOver(replica);
    if (to === 0) continue;
    warn(`group ${replica.group}: ${complaint}; leadership is being handed to node ${to}`);
  }
}

/** Hands a group to the voter that holds most of its log. Returns whom, 0 where there is nobody or it is under way already. */
function handOver(replica: Replica): NodeId {
  const { role, transferTo, progress, configuration } = replica.status();
  if (role !== 'leader' || transferTo !== 0) return 0;
  const { voters } = configuration.configuration;
  const able = progress.filter(({ id, state }) => state === 'replicate' && voters.includes(id));
  const best = able.sort((a, b) => b.match - a.match)[0];
  if (best === undefined) return 0;
  replica.transferLeadership(best.id);
  return best.id;
}
