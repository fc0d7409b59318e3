import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId, Term } from '../base/ids.js';
import type { ConfigurationAt } from '../base/messages.js';
import { NO_CONFIGURATION } from '../core/membership.js';
import type { ConfigurationRefusal, ConfigurationTarget, ProposedBatch } from '../core/ready.js';
import type { Clock } from './clock.js';
import { MemberSteps, type Step } from './member-steps.js';
import {
  type ChangeOptions,
  checkRequest,
  type MembersRequest,
  type MembersView,
} from './members-request.js';
import type { PeerBook } from './peer-book.js';

/** What changes of members ask of their replica. */
export interface MembersReplica {
  readonly group: GroupId;
  readonly leads: boolean;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly configurations: readonly ConfigurationAt[];
  termAt(index: LogIndex): Term | undefined;
  notLeader(): RaftlineError;
  placeConfiguration(
    target: ConfigurationTarget,
    expectedIndex: LogIndex,
  ): ProposedBatch | ConfigurationRefusal;
}

const TIMEOUT_MS_DEFAULT = 60_000;
/** A node that is to be added must answer within this. */
const INVITE_MS_MAX = 10_000;

interface Running {
  readonly steps: readonly Step[];
  /** Where the configuration in force must stand, if the caller compares; after a step of this change, where that one stands. */
  expectedIndex: LogIndex | undefined;
  readonly startedMs: number;
  readonly deadlineMs: number;
  at: number;
  /** The entry of the step at `at`, once it stands in the log. */
  placed: { index: LogIndex; term: Term } | undefined;
  /** Why nothing could be done at the last try. */
  waitsFor: { code: ErrorCode; reason: string };
  resolve: (view: MembersView) => void;
  reject: (error: Error) => void;
}

/**
 * Changes of one group's members, one at a time. A change is a few configuration entries in turn; each is proposed by
 * compare-and-set on the configuration that it was computed from, and counts as done only when it is committed and its joint
 * phase is left. Every step is skipped where it is done already, so the same change may be asked for again.
 */
export class Members {
  readonly #replica: MembersReplica;
  readonly #book: PeerBook;
  readonly #clock: Clock;
  #running: Running | undefined;

  constructor(replica: MembersReplica, book: PeerBook, clock: Clock) {
    this.#replica = replica;
    this.#book = book;
    this.#clock = clock;
  }

  view(): MembersView {
    const { index, configuration } = this.#inForce();
    const { voters, votersOutgoing, learners, removed = [], compressionLevel } = configuration;
    const ids = sorted(new Set([...voters, ...votersOutgoing, ...learners]));
    const members = ids.map((id) => ({
      id,
      address: this.#book.addressOf(id),
      incarnation: configuration.incarnations.find((member) => member.id === id)?.incarnation ?? 0,
    }));
    const committed = index > 0 && index <= this.#replica.commitIndex;
    return {
      index,
      committed,
      voters: sorted(voters),
      votersOutgoing: sorted(votersOutgoing),
      learners: sorted(learners),
      members,
      removed: [...removed],
      compressionLevel,
    };
  }

  /** Begins a change. Throws where it cannot even be begun; then nothing was changed. */
  begin(
    request: MembersRequest,
    options: ChangeOptions,
    resolve: Running['resolve'],
    reject: Running['reject'],
  ): void {
    checkRequest(request, options);
    if (!this.#replica.leads) throw this.#replica.notLeader();
    if (this.#running !== undefined) throw this.#busy();
    const { expectedIndex } = options;
    const { index } = this.#inForce();
    if (expectedIndex !== undefined && expectedIndex !== index) throw this.#changed(expectedIndex);
    const nowMs = this.#clock.nowMs();
    const deadlineMs = nowMs + (options.timeoutMs ?? TIMEOUT_MS_DEFAULT);
    const waitsFor = { code: ErrorCode.Timeout, reason: '' };
    const steps = new MemberSteps(this.#book).stepsOf(request);
    const change = { steps, expectedIndex, startedMs: nowMs, deadlineMs, at: 0, placed: undefined, waitsFor };
    this.#running = { ...change, resolve, reject };
    this.poll();
  }

  /** Goes on with the change under way, as far as it can. */
  poll(): void {
    const running = this.#running;
    if (running === undefined) return;
    const nowMs = this.#clock.nowMs();
    try {
      while (running.at < running.steps.length) {
        if (!this.#advance(running, nowMs)) return;
      }
      this.#end(running);
      running.resolve(this.view());
    } catch (thrown) {
      this.#end(running);
      running.reject(thrown as Error);
    }
  }

  /** The engine ends. */
  abandon(error: RaftlineError): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#end(running);
    running.reject(running.placed === undefined ? error : this.#unknown(error.message));
  }

  /** False: nothing to do now. */
  #advance(running: Running, nowMs: number): boolean {
    const step = running.steps[running.at]!;
    if (running.placed !== undefined) {
      if (!this.#isDone(running.placed)) {
        if (nowMs > running.deadlineMs) throw this.#unknown('it is not committed in time');
        return false;
      }
      // Steps that others follow keep the voters, so nothing of their own comes behind them.
      if (running.expectedIndex !== undefined) running.expectedIndex = running.placed.index;
      running.placed = undefined;
      running.at++;
      return true;
    }
    if (!this.#replica.leads) throw this.#replica.notLeader();
    if (this.#propose(running, step, nowMs)) return true;
    if (nowMs > running.deadlineMs) throw this.#tooLate(running);
    return false;
  }

  /** True: the step is in the log, or was not needed. */
  #propose(running: Running, step: Step, nowMs: number): boolean {
    const { index, configuration } = this.#inForce();
    if (configuration.votersOutgoing.length > 0 || index > this.#replica.commitIndex) {
      if (running.at === 0) throw this.#busy();
      return wait(running, 'an earlier change is under way');
    }
    const target = step.target(configuration);
    if (target === undefined) {
      if (step.invite !== undefined) this.#checkReachable(step.invite.id);
      running.at++;
      return true;
    }
    if (step.invite !== undefined && !this.#isGreeted(running, step.invite, target, nowMs)) return false;
    const placed = this.#replica.placeConfiguration(target, running.expectedIndex ?? index);
    if ('refused' in placed) return this.#refused(running, placed.refused);
    running.placed = { index: placed.firstIndex, term: placed.term };
    return true;
  }

  /** Whether who is to be added has answered; writes into `target` who it is. */
  #isGreeted(
    running: Running,
    invite: { id: NodeId; address: string },
    target: ConfigurationTarget,
    nowMs: number,
  ): boolean {
    const { id, address } = invite;
    if (this.#isElsewhere(running, invite, nowMs)) return false;
    this.#book.invite(id, address);
    const greeting = this.#book.greeting(id);
    if (greeting.state === 'met') {
      target.incarnations = [
        ...target.incarnations.filter((member) => member.id !== id),
        { id, incarnation: greeting.incarnation },
      ];
      return true;
    }
    if (greeting.state === 'refused') {
      const { code, message } = greeting.error;
      throw new RaftlineError(code as ErrorCode, `${this.#what} node ${id}: ${message}`, {
        node: id,
        address,
      });
    }
    if (nowMs - running.startedMs > INVITE_MS_MAX) {
      const message = `${this.#what} node ${id} does not answer at ${address}: ${greeting.reason}`;
      throw new RaftlineError(ErrorCode.Unreachable, message, { node: id, address });
    }
    return wait(running, `node ${id} does not answer at ${address}`);
  }

  /**
   * A member that answers where it is has not moved, and the link to it is not given up for an address that may be wrong. One that has just
   * moved is waited for: the link to where it was may not know yet.
   */
  #isElsewhere(running: Running, { id, address }: { id: NodeId; address: string }, nowMs: number): boolean {
    const present = this.#book.connectedAt(id);
    if (present === '' || present === address) return false;
    if (nowMs - running.startedMs > INVITE_MS_MAX)
      throw this.#invalid(
        `node ${id} answers at ${present}; only a member that has moved gets another address`,
      );
    wait(running, `node ${id} still answers at ${present}`);
    return true;
  }

  /** A member that is there already is nothing to add, unless somebody else sits at its place. */
  #checkReachable(id: NodeId): void {
    const refusal = this.#book.refusal(id);
    if (refusal === undefined) return;
    const message = `${this.#what} node ${id} is a member already, and refused: ${refusal.message}`;
    throw new RaftlineError(ErrorCode.MemberInvalid, message, { node: id, reason: refusal.code });
  }

  #refused(running: Running, refused: ConfigurationRefusal['refused']): boolean {
    switch (refused) {
      case 'notLeader':
        throw this.#replica.notLeader();
      case 'transferring':
        return wait(running, 'leadership is being handed over');
      case 'noOwnCommit':
        return wait(running, 'this leader has committed nothing yet');
      case 'lagging':
        return wait(running, 'a voter-to-be has not caught up', ErrorCode.MemberLagging);
      case 'pending':
        throw this.#busy();
      case 'conflict':
        throw this.#changed(running.expectedIndex ?? 0);
      case 'removed': {
        const message = `${this.#what} it was removed, and comes back with the data directory that it had; give it an empty one`;
        throw new RaftlineError(ErrorCode.MemberRemoved, message);
      }
      case 'incarnation':
        throw this.#invalid(
          'a member has another incarnation now: its directory was lost; remove it and add it anew',
        );
      case 'invalid':
        throw this.#invalid('such a configuration cannot be: it needs a voter, and takes 64 members at most');
    }
  }

  /** Committed, and not joint any more. Throws when another entry took its place. */
  #isDone({ index, term }: { index: LogIndex; term: Term }): boolean {
    const { commitIndex, configurations, leads, term: now } = this.#replica;
    if (commitIndex < index) return false;
    // What is in the log no more is the own entry for certain only as long as the leadership lasts in which it was made.
    const found = this.#replica.termAt(index) ?? (leads ? now : undefined);
    if (found === undefined) throw this.#unknown('a snapshot took its place');
    if (found !== term) throw this.#replica.notLeader();
    const committed = configurations[0];
    return (
      committed !== undefined &&
      committed.index >= index &&
      committed.configuration.votersOutgoing.length === 0
    );
  }

  #end(running: Running): void {
    this.#running = undefined;
    for (const { invite } of running.steps) if (invite !== undefined) this.#book.uninvite(invite.id);
  }

  #inForce(): ConfigurationAt {
    return this.#replica.configurations.at(-1) ?? NO_CONFIGURATION;
  }

  // — what is answered ——————————————————————————————————————————————————————————————————————————————————————————————

  get #what(): string {
    return `group ${this.#replica.group}: change of members:`;
  }

  #busy(): RaftlineError {
    return new RaftlineError(
      ErrorCode.MembersBusy,
      `${this.#what} another one is under way; try again later`,
    );
  }

  #changed(expected: LogIndex): RaftlineError {
    const { index, voters, learners } = this.view();
    const current = `index ${index}, voters ${voters.join(', ')}${learners.length === 0 ? '' : `, learners ${learners.join(', ')}`}`;
    const message = `${this.#what} expected the configuration at index ${expected}, in force is ${current}`;
    return new RaftlineError(ErrorCode.MembersChanged, message, {
      expected,
      index,
      voters: voters.join(','),
      learners: learners.join(','),
    });
  }

  #invalid(reason: string): RaftlineError {
    return new RaftlineError(ErrorCode.MemberInvalid, `${this.#what} ${reason}`, { reason });
  }

  #tooLate({ waitsFor: { code, reason } }: Running): RaftlineError {
    return new RaftlineError(code, `${this.#what} not in time: ${reason}`, { reason });
  }

  #unknown(reason: string): RaftlineError {
    return new RaftlineError(
      ErrorCode.OutcomeUnknown,
      `${this.#what} ${reason}; it may still come into force`,
      { reason },
    );
  }
}

function sorted(ids: Iterable<NodeId>): NodeId[] {
  return [...ids].sort((a, b) => a - b);
}

function wait(running: Running, reason: string, code: ErrorCode = ErrorCode.Timeout): false {
  running.waitsFor = { code, reason };
  return false;
}
