import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { Configuration, ConfigurationAt } from '../../src/base/messages.js';
import { systemClock } from '../../src/engine/clock.js';
import { Members, type MembersReplica } from '../../src/engine/members.js';
import type { PeerBook } from '../../src/engine/peer-book.js';

const configuration: Configuration = {
  voters: [1, 2, 3],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  incarnations: [],
  compressionLevel: 0,
};

const book = { addressOf: () => '', incarnationOf: () => 0, uninvite: () => {} } as unknown as PeerBook;

/** A leader of term 2 whose next entry is at 5. */
function leader() {
  const terms = new Map([[5, 2]]);
  const configurations: ConfigurationAt[] = [{ index: 1, term: 1, configuration }];
  const replica = {
    ...{ group: 1, leads: true, term: 2, commitIndex: 4, configurations },
    termAt: (index: number) => terms.get(index),
    notLeader: () => new RaftlineError(ErrorCode.NotLeader, 'this node does not lead'),
    placeConfiguration: () => ({ kind: 4, term: 2, firstIndex: 5, prevTerm: 2, count: 1 }),
  };
  return { terms, replica, members: new Members(replica as MembersReplica, book, systemClock) };
}

/** Node 2 is to go; what stands at 5 is committed later, and `then` says what that is. */
function outcomeOf(then: (known: ReturnType<typeof leader>) => void): string {
  const known = leader();
  let outcome = 'open';
  known.members.begin(
    { type: 'remove', id: 2 },
    {},
    () => (outcome = 'done'),
    (error) => (outcome = (error as RaftlineError).code),
  );
  expect(outcome).toBe('open');
  known.replica.commitIndex = 9;
  known.replica.configurations.splice(0, 1, { index: 7, term: 3, configuration });
  then(known);
  known.members.poll();
  return outcome;
}

describe('what became of a change of members whose leader was deposed', () => {
  it('E9 certainly nothing, where the log has another entry in its place', () => {
    const outcome = outcomeOf(({ replica, terms }) => {
      Object.assign(replica, { leads: false, term: 3 });
      terms.set(5, 3);
    });
    expect(outcome).toBe(ErrorCode.NotLeader);
  });

  it('H69 nobody knows, where a snapshot has taken the place of the log', () => {
    const outcome = outcomeOf(({ replica, terms }) => {
      Object.assign(replica, { leads: false, term: 3 });
      terms.clear();
    });
    expect(outcome).toBe(ErrorCode.OutcomeUnknown);
  });

  it('but one that still leads knows its own entry, also once it is compacted', () => {
    expect(outcomeOf(({ terms }) => terms.clear())).toBe('done');
  });
});
