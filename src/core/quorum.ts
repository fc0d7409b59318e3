import { assert } from '../base/assert.js';
import type { LogIndex, NodeId } from '../base/ids.js';
import type { Configuration } from '../base/messages.js';

type VoteResult = 'won' | 'lost' | 'pending';

type Halves = Pick<Configuration, 'voters' | 'votersOutgoing'>;

/**
 * The highest index that a majority of every half holds (E2; Raft §5.3 and, for joint configurations, §6).
 * `matchOf` gives the highest index that a voter is known to hold on its disk.
 */
export function quorumIndex(configuration: Halves, matchOf: (id: NodeId) => LogIndex): LogIndex {
  assert(configuration.voters.length > 0, 'only a configuration with voters decides');
  const incoming = majorityIndex(configuration.voters, matchOf);
  if (configuration.votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityIndex(configuration.votersOutgoing, matchOf));
}

/** How an election stands: won by a majority of every half, lost once one half cannot be won any more. */
export function voteResult(configuration: Halves, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  assert(configuration.voters.length > 0, 'only a configuration with voters decides');
  const incoming = majorityVote(configuration.voters, votes);
  if (configuration.votersOutgoing.length === 0) return incoming;
  const outgoing = majorityVote(configuration.votersOutgoing, votes);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majority(size: number): number {
  return Math.floor(size / 2) + 1;
}

function majorityIndex(voters: readonly NodeId[], matchOf: (id: NodeId) => LogIndex): LogIndex {
  const descending = voters.map(matchOf).sort((a, b) => b - a);
  return descending[majority(voters.length) - 1] as LogIndex;
}

function majorityVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}
