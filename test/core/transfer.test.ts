import { describe, expect, it } from 'vitest';
import type { TimeoutNow } from '../../src/base/messages.js';
import type { Raft } from '../../src/core/raft.js';
import {
  accepted,
  configuration,
  electedRaft,
  GROUP,
  heartbeat,
  SELF,
  type Start,
  sessionTo,
  startRaft,
  take,
  timeOut,
  voteReply,
} from './fixtures.js';

/** Leader of term 2 whose followers stream from index 2 on (the no-op); node 2 holds it, node 3 does not yet. */
function leader(start: Start = {}): Raft {
  const raft = electedRaft(start);
  raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
  raft.step(accepted(3, 2, sessionTo(raft, 3), 1));
  take(raft);
  return raft;
}

const timeoutNow = (from: number, term: number): TimeoutNow => ({
  group: GROUP,
  from,
  to: SELF,
  term,
  type: 'timeoutNow',
});

describe('leadership transfer, the leader', () => {
  it('H14 the order goes at once to a target that holds the whole log', () => {
    const raft = leader();
    expect(raft.transferLeadership(2)).toBe('started');
    expect(take(raft).messages).toMatchObject([{ message: { type: 'timeoutNow', to: 2, term: 2 } }]);
    expect(raft.status()).toMatchObject({ role: 'leader', transferTo: 2 });
  });

  it('H14 a lagging target gets the log first; the order goes once', () => {
    const raft = leader();
    expect(raft.transferLeadership(3)).toBe('started');
    expect(raft.ready()).toBeUndefined();
    raft.step(accepted(3, 2, sessionTo(raft, 3), 2));
    expect(take(raft).messages).toMatchObject([{ message: { type: 'timeoutNow', to: 3 } }]);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 2));
    expect(raft.ready()).toBeUndefined();
  });

  it('H14 H15 proposals wait for at most one election timeout, then are taken again', () => {
    const raft = leader();
    raft.transferLeadership(3);
    expect(raft.propose(1, 1)).toEqual({ refused: 'transferring', leader: SELF });
    for (let i = 0; i < 9; i++) raft.tick();
    expect(raft.propose(1, 1)).toMatchObject({ refused: 'transferring' });
    raft.tick();
    expect(raft.status()).toMatchObject({ role: 'leader', transferTo: 0 });
    expect(raft.propose(1, 1)).toMatchObject({ firstIndex: 3 });
    take(raft);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 3));
    expect(raft.ready()?.messages ?? []).toEqual([]);
  });

  it('H15 a hand-over does not outlive the leadership', () => {
    const raft = leader();
    raft.transferLeadership(3);
    raft.step(heartbeat(2, 3));
    timeOut(raft);
    raft.step(voteReply(2, 4));
    expect(raft.status()).toMatchObject({ role: 'leader', term: 4, transferTo: 0 });
    expect(raft.propose(1, 1)).toMatchObject({ term: 4 });
  });

  it('what cannot be is refused with the reason', () => {
    const settings = configuration([1, 2, 3], { learners: [4] });
    const raft = leader({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    expect(raft.transferLeadership(SELF)).toEqual({ refused: 'self', leader: SELF });
    expect(raft.transferLeadership(4)).toEqual({ refused: 'notVoter', leader: SELF });
    expect(raft.transferLeadership(9)).toEqual({ refused: 'notVoter', leader: SELF });
    raft.transferLeadership(3);
    expect(raft.transferLeadership(2)).toEqual({ refused: 'transferring', leader: SELF });
    expect(startRaft().transferLeadership(2)).toEqual({ refused: 'notLeader', leader: 0 });
  });

  it('a target that is only being probed is not ordered', () => {
    const raft = electedRaft({ terms: [1] });
    raft.transferLeadership(3);
    expect(raft.ready()).toBeUndefined();
  });
});

describe('leadership transfer, the target', () => {
  it('campaigns at once for the next term, without asking before, and says on whose order', () => {
    const raft = startRaft({}, { preVote: true, checkQuorum: true });
    raft.step(heartbeat(2, 1));
    take(raft);
    raft.step(timeoutNow(2, 1));
    expect(take(raft)).toMatchObject({
      orders: [{ hardState: { term: 2, vote: 1 } }],
      messages: [
        { message: { type: 'vote', to: 2, term: 2, preVote: false, transfer: true } },
        { message: { type: 'vote', to: 3, term: 2, preVote: false, transfer: true } },
      ],
    });
  });

  it("nobody's order but the leader's counts, and only in its term", () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 4));
    raft.step(timeoutNow(3, 4));
    raft.step(timeoutNow(2, 3));
    expect(raft.status()).toMatchObject({ role: 'follower', term: 4 });
    raft.step(timeoutNow(2, 4));
    raft.step(timeoutNow(2, 4));
    expect(raft.status()).toMatchObject({ role: 'candidate', term: 5 });
  });

  it('H16 a learner does not campaign, whoever orders it', () => {
    const settings = configuration([2, 3], { learners: [SELF] });
    const raft = startRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    raft.step(heartbeat(2, 4));
    raft.step(timeoutNow(2, 4));
    expect(raft.status()).toMatchObject({ role: 'follower', term: 4 });
  });
});
