import type { HardState } from '../../src/base/messages.js';
import type { TraceEvent, TraceState } from '../../src/core/trace-event.js';
import { TraceLife } from './trace-life.js';
import { diskRules, followerRules, leaderRules } from './trace-log-rules.js';
import { memberRules } from './trace-member-rules.js';
import { electionRules, type TraceGuards } from './trace-rules.js';

const UNGUARDED: TraceGuards = { checkQuorum: false, lease: false };

/** Follows the traces of all members of one group and says what no run of Raft can contain. */
export class TraceModel {
  readonly #guards: TraceGuards;
  readonly #lives = new Map<number, TraceLife>();
  readonly #leaders = new Map<number, number>();
  /** By index: the term of what was committed there. */
  readonly #committed = new Map<number, number>();
  readonly faults: string[] = [];
  leaderships = 0;
  commits = 0;

  constructor(guards = UNGUARDED) {
    this.#guards = guards;
  }

  /** The member lost all that it had on disk, and its votes with it. */
  forget(node: number): void {
    this.#lives.delete(node);
  }

  take(event: TraceEvent): void {
    const { node, step, state, door } = event;
    const fault = (what: string) => this.faults.push(`node ${node}, step ${step}: ${what}`);
    this.#commitsAgree(state, fault);
    if (state.role === 'leader') this.#leadsAlone(node, state, fault);
    const life = this.#lives.get(node);
    if (life === undefined || door === 'start') {
      // What was not on disk may be forgotten: nothing that rested on it had left.
      if (life !== undefined) notBack(life.durable, state, fault);
      this.#lives.set(node, new TraceLife(event));
      return;
    }
    const before = life.state;
    notBack(before, state, fault);
    if (before.role === 'leader' && state.term === before.term && state.lastIndex < before.lastIndex)
      fault('a leader lost entries of its log');
    if (step !== life.step + 1) fault(`step after ${life.step}`);
    if (state.commitIndex < before.commitIndex) fault('the commit went back');
    const moved = state.commitIndex > before.commitIndex;
    if (moved) this.commits++;
    if (moved && state.role === 'leader') mayCommit(node, state, before, fault);
    follows(event, before, fault);
    life.before(event);
    const traced = { event, before, life, guards: this.#guards, fault };
    for (const rules of [electionRules, leaderRules, followerRules, diskRules, memberRules]) rules(traced);
    life.after(event);
  }

  #commitsAgree({ commitIndex, commitTerm }: TraceState, fault: (what: string) => void): void {
    if (commitTerm === 0) return;
    const known = this.#committed.get(commitIndex) ?? commitTerm;
    if (known !== commitTerm)
      fault(`entry ${commitIndex} of term ${commitTerm} and of ${known} is committed`);
    this.#committed.set(commitIndex, commitTerm);
  }

  #leadsAlone(node: number, { term }: TraceState, fault: (what: string) => void): void {
    const known = this.#leaders.get(term);
    if (known === undefined) this.leaderships++;
    else if (known !== node) fault(`term ${term} is led by node ${known} as well`);
    this.#leaders.set(term, node);
  }
}

/** Neither the term, nor the vote in it. */
function notBack(before: HardState, state: TraceState, fault: (what: string) => void): void {
  if (state.term < before.term) fault(`term ${state.term} after ${before.term}`);
  else if (state.term === before.term && before.vote !== 0 && state.vote !== before.vote)
    fault(`voted for ${before.vote} and ${state.vote}`);
}

/** Only an entry of the own term, on a quorum of disks (Raft §5.4.2). */
function mayCommit(node: number, state: TraceState, before: TraceState, fault: (what: string) => void): void {
  const { commitIndex, commitTerm, term, durableIndex, match } = state;
  if (commitTerm !== term) fault(`a leader of term ${term} committed an entry of term ${commitTerm}`);
  // A commit may bring the next configuration with it; it was made under the one before.
  const { voters, votersOutgoing } = before.configuration;
  for (const half of [voters, votersOutgoing]) {
    const holders = half.filter((id) => (id === node ? durableIndex : (match[id] ?? 0)) >= commitIndex);
    if (half.length > 0 && holders.length * 2 <= half.length)
      fault(`${commitIndex} was committed with ${holders.length} of ${half.length} voters`);
  }
}

/** The orders lead from the log before to the log after. */
function follows({ orders, state }: TraceEvent, before: TraceState, fault: (what: string) => void): void {
  let end = before.lastIndex;
  for (const order of orders) {
    if (order.type === 'truncate') {
      if (order.from <= before.commitIndex) fault(`committed entries from ${order.from} on were cut`);
      end = order.from - 1;
    } else if (order.type === 'snapshot') {
      end = order.keepsSuffix ? end : order.index;
    } else if (order.type === 'append') {
      const { firstIndex, count } = order.batch;
      if (firstIndex !== end + 1) fault(`batch at ${firstIndex} after ${end}`);
      end += count;
    }
  }
  if (end !== state.lastIndex) fault(`the log ends at ${state.lastIndex}, the orders at ${end}`);
}
