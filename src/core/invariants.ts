import { assert } from '../base/assert.js';
import type { LogIndex, NodeId, Term } from '../base/ids.js';
import type { RaftState } from './raft-state.js';

/** What the last look saw, for all that must never go back. */
interface Seen {
  term: Term;
  vote: NodeId;
  commitIndex: LogIndex;
}

/** Looks at a state after every step. Costs a few comparisons and one per follower, so it is on in production too. */
export class Invariants {
  readonly #state: RaftState;
  #seen: Seen;

  constructor(state: RaftState) {
    this.#state = state;
    this.#seen = { term: state.term, vote: state.vote, commitIndex: state.log.commitIndex };
    this.check();
  }

  check(): void {
    this.#checkMonotone();
    this.#checkLog();
    this.#checkRole();
  }

  #checkMonotone(): void {
    const { term, vote, log } = this.#state;
    const seen = this.#seen;
    assert(term >= seen.term, 'the term never goes back');
    assert(term > seen.term || vote === seen.vote || seen.vote === 0, 'one vote a term');
    assert(log.commitIndex >= seen.commitIndex, 'commit never goes back');
    seen.term = term;
    seen.vote = vote;
    seen.commitIndex = log.commitIndex;
  }

  #checkLog(): void {
    const { log, term, outbox, orderedHardState, vote } = this.#state;
    assert(log.baseIndex <= log.commitIndex && log.commitIndex <= log.lastIndex, 'base ≤ commit ≤ last');
    assert(log.durableIndex <= log.lastIndex, 'durable ≤ last');
    assert(log.durableOrder <= outbox.newestOrder, 'only what was ordered is durable');
    assert(log.lastTerm <= term, 'no entry of a later term');
    assert(log.configuration.index <= log.lastIndex, 'the configuration in force is in the log');
    assert(
      orderedHardState.term === term && orderedHardState.vote === vote,
      'term and vote are ordered written',
    );
  }

  #checkRole(): void {
    const { role, id, leader, vote, term, log, progress, followed, reads, transfer } = this.#state;
    assert((role === 'leader') === (leader === id), 'a node knows when it leads');
    assert(
      role === 'follower' || role === 'precandidate' || vote === id,
      'candidates and leaders voted for themselves',
    );
    assert(role === 'leader' || progress.size === 0, 'only leaders replicate');
    assert(role === 'leader' || (reads.length === 0 && transfer === undefined), 'only leaders promise');
    assert(role !== 'leader' || log.lastTerm === term, 'a leader starts its term with an entry of its own');
    assert(followed.match <= log.lastIndex, 'what was verified is in the log');
    for (const follower of progress.values()) {
      assert(follower.match <= log.lastIndex, 'match ≤ last');
      assert(follower.match < follower.next, 'match < next');
    }
  }
}
