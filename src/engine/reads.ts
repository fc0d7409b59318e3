import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex } from '../base/ids.js';
import type { Raft } from '../core/raft.js';
import type { Ready } from '../core/ready.js';
import type { Clock } from './clock.js';
import { shownAs } from './option-checks.js';
import type { Config, ReadPolicy } from './options.js';
import { overloaded } from './refusals.js';

/** What `group.read` resolves with: the state machine on this node now holds everything up to `index`, at least. */
export interface ReadPoint {
  index: LogIndex;
}

export interface ReadOptions {
  /** Default: the engine's option `reads.policy`. `lease` needs that option; `readIndex` is always possible. */
  policy?: ReadPolicy | undefined;
}

/** Reads that may wait at a time in one group. */
const READS_MAX = 65_536;
/** Until one of so many is answered: a round of heartbeats at least, ms. */
const READ_RETRY_MS = 50;

interface Waiting {
  resolve: (point: ReadPoint) => void;
  reject: (error: Error) => void;
  deadlineMs: number;
  /** Known once the leadership is confirmed; until then undefined. */
  index: LogIndex | undefined;
}

export interface ReadsParts {
  group: GroupId;
  raft: Pick<Raft, 'readIndex' | 'leaseHolds'>;
  clock: Clock;
  config: Config;
  /** This node does not lead: what to say, naming who does. */
  notLeader: () => RaftlineError;
  leaderKnown: () => boolean;
}

/**
 * Linearizable reads of one group that wait: first for the leader's or the quorum's word, then for the state machine. None
 * waits for longer than two of the longest election timeouts (H66).
 */
export class Reads {
  readonly #parts: ReadsParts;
  readonly #patienceMs: number;
  /** In the order in which they came, which is that of their deadlines. */
  readonly #waiting = new Map<number, Waiting>();
  /** Those of them that wait for the state machine only. */
  #confirmed: { context: number; index: LogIndex; byLease: boolean }[] = [];
  #lastContext = 0;

  constructor(parts: ReadsParts) {
    this.#parts = parts;
    this.#patienceMs = 2 * parts.config.election.timeoutMsMax;
  }

  /** Whether any waits. */
  get pending(): boolean {
    return this.#waiting.size > 0;
  }

  /** Asks the core; its Ready has to be carried out next. Refusals are thrown. */
  add(options: ReadOptions, resolve: Waiting['resolve'], reject: Waiting['reject']): void {
    const { raft, group, clock } = this.#parts;
    const lease = this.#wantsLease(options);
    const context = ++this.#lastContext;
    const full = this.#waiting.size >= READS_MAX;
    if (full || raft.readIndex(context, lease) !== 'pending')
      throw overloaded(group, 'too many reads wait', READ_RETRY_MS);
    const deadlineMs = clock.nowMs() + this.#patienceMs;
    this.#waiting.set(context, { resolve, reject, deadlineMs, index: undefined });
  }

  #wantsLease({ policy }: ReadOptions): boolean {
    const configured = this.#parts.config.reads.policy;
    const wanted = policy ?? configured;
    const known = wanted === 'lease' || wanted === 'readIndex';
    if (known && (wanted === 'readIndex' || configured === 'lease')) return wanted === 'lease';
    const expected = known
      ? "'readIndex', since the engine's option reads.policy is"
      : "'readIndex' or 'lease'";
    throw new RaftlineError(
      ErrorCode.OptionInvalid,
      `read: policy: expected ${expected}, received ${shownAs(wanted)}`,
      { path: 'policy', expected, received: shownAs(wanted) },
    );
  }

  /** What the core said of reads. */
  take({ readStates, readsFailed }: Pick<Ready, 'readStates' | 'readsFailed'>): void {
    for (const { context, index, byLease } of readStates) {
      const read = this.#waiting.get(context);
      if (read === undefined) continue;
      read.index = index;
      this.#confirmed.push({ context, index, byLease });
    }
    for (const context of readsFailed) this.#fail(context, this.#parts.notLeader());
  }

  /** Answers what is confirmed and applied; tells those whose time is up. True: the core has something to be carried out. */
  settle(applied: LogIndex): boolean {
    if (this.#waiting.size === 0) return false;
    const asked = this.#answer(applied);
    const nowMs = this.#parts.clock.nowMs();
    let expired = false;
    for (const [context, { deadlineMs, index }] of this.#waiting) {
      if (nowMs <= deadlineMs) break;
      expired = true;
      this.#fail(context, this.#late(index));
    }
    if (expired) this.#confirmed = this.#confirmed.filter(({ context }) => this.#waiting.has(context));
    return asked;
  }

  /**
   * The state that is read stands before the lease is looked at: a leader that was stopped in between asks a quorum
   * instead (H67).
   */
  #answer(applied: LogIndex): boolean {
    const due = this.#confirmed.filter(({ index }) => index <= applied);
    if (due.length === 0) return false;
    this.#confirmed = this.#confirmed.filter(({ index }) => index > applied);
    const { raft } = this.#parts;
    const leaseHolds = !due.some(({ byLease }) => byLease) || raft.leaseHolds();
    for (const { context, index, byLease } of due) {
      if (!byLease || leaseHolds) this.#resolve(context, index);
      else if (raft.readIndex(context, false) !== 'pending') this.#fail(context, this.#parts.notLeader());
    }
    return !leaseHolds;
  }

  #resolve(context: number, index: LogIndex): void {
    const read = this.#waiting.get(context);
    this.#waiting.delete(context);
    read?.resolve({ index });
  }

  #fail(context: number, error: RaftlineError): void {
    const read = this.#waiting.get(context);
    this.#waiting.delete(context);
    read?.reject(error);
  }

  #late(index: LogIndex | undefined): RaftlineError {
    if (index === undefined && !this.#parts.leaderKnown()) return this.#parts.notLeader();
    const what =
      index === undefined ? 'the leader was not confirmed by a quorum' : 'the state machine is behind';
    return new RaftlineError(ErrorCode.Timeout, `read: ${what} in time; try again`);
  }

  failAll(error: RaftlineError): void {
    for (const context of [...this.#waiting.keys()]) this.#fail(context, error);
  }
}
