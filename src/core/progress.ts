import { assert } from '../base/assert.js';
import type { LogIndex, NodeId, SessionCounter, Term } from '../base/ids.js';
import type { ProgressState, ProgressStatus, SessionCommand } from './ready.js';

/**
 * How far one follower has got, as its leader knows it. All changes of state are here:
 *
 *     probe ──accepted──▶ replicate        any ──needs what was compacted──▶ snapshot
 *       ▲ └──refused──▶ probe │ refused, broken, unreachable, lost its log
 *       └─────────────────────┘
 *
 * Each arrow into `probe` opens a new session; only answers of the session in force are counted (A1, H26, H36).
 */
export class Progress {
  readonly id: NodeId;
  /** The leader's tick when it last heard from this follower; when it began to listen, before the first time. */
  heardAt: number;
  /** The leader's tick when a heartbeat was sent to it last. */
  heartbeatAt = Number.NEGATIVE_INFINITY;
  /** The newest heartbeat round that it answered in this term. */
  roundAnswered = 0;
  /** While in `snapshot`: one was asked for, and nothing was heard of how it ended. */
  snapshotWanted = false;
  /** The leader's tick when a snapshot was asked for last. */
  snapshotAskedAt = 0;
  #state: ProgressState = 'probe';
  #session: SessionCounter = 0;
  /** Highest index known to be durable at the follower in this term. Goes back only in `forget`. */
  #match: LogIndex = 0;
  /** While probing, the index before it is the one that is asked for. */
  #next: LogIndex = 1;
  /** The heartbeat round sent last, and `match` when it was sent. */
  #roundSent = 0;
  #matchAtRound: LogIndex = 0;

  constructor(id: NodeId, tick: number) {
    this.id = id;
    this.heardAt = tick;
  }

  get state(): ProgressState {
    return this.#state;
  }

  get session(): SessionCounter {
    return this.#session;
  }

  get match(): LogIndex {
    return this.#match;
  }

  get next(): LogIndex {
    return this.#next;
  }

  /** Where a probe in force asks, and where the next one would: a stream's `match`. */
  get probeIndex(): LogIndex {
    return this.#next - 1;
  }

  /** Any state → probe, in a new session. */
  probe(
    out: SessionCommand[],
    session: SessionCounter,
    term: Term,
    prevIndex: LogIndex,
    prevTerm: Term,
  ): void {
    assert(session > this.#session, 'session counters only grow');
    this.close(out);
    this.#state = 'probe';
    this.#session = session;
    this.#next = prevIndex + 1;
    out.push({ type: 'open', peer: this.id, session, term, mode: 'probe', prevIndex, prevTerm });
  }

  /** probe → replicate, in the same session: the follower agrees up to `match`. */
  replicate(out: SessionCommand[], term: Term, match: LogIndex): void {
    assert(this.#state === 'probe' && this.#session > 0, 'only a probe turns into a stream');
    this.#state = 'replicate';
    out.push({ type: 'stream', peer: this.id, session: this.#session, term, next: match + 1 });
    this.acknowledge(match);
  }

  /** Any state → snapshot: the log does not reach back to what the follower needs (A4). */
  snapshot(out: SessionCommand[], tick: number): void {
    this.close(out);
    this.#state = 'snapshot';
    this.snapshotWanted = true;
    this.snapshotAskedAt = tick;
  }

  close(out: SessionCommand[]): void {
    if (this.#session === 0) return;
    out.push({ type: 'close', peer: this.id, session: this.#session });
    this.#session = 0;
  }

  /** The follower has everything up to `match` on its disk. Never goes back. */
  acknowledge(match: LogIndex): boolean {
    this.#next = Math.max(this.#next, match + 1);
    if (match <= this.#match) return false;
    this.#match = match;
    return true;
  }

  /** The follower turned out to have lost what it had acknowledged: nothing of it counts any more (A2). */
  forget(): void {
    this.#match = 0;
    this.#matchAtRound = 0;
  }

  heartbeatSent(round: number, tick: number): void {
    this.heartbeatAt = tick;
    this.#roundSent = round;
    this.#matchAtRound = this.#match;
  }

  /**
   * Whether an answer to a heartbeat reveals a lost log. Only against what was known when that heartbeat was sent:
   * heartbeats and appends travel apart, so an older answer may come after newer acknowledgements.
   */
  revealsLoss(round: number, lastIndex: LogIndex): boolean {
    return round === this.#roundSent && lastIndex < this.#matchAtRound;
  }

  status(): ProgressStatus {
    return { id: this.id, state: this.#state, match: this.#match, next: this.#next, session: this.#session };
  }
}
