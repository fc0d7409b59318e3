import { describe, expect, it } from 'vitest';
import type { Raft } from '../../src/core/raft.js';
import {
  append,
  configuration,
  heartbeat,
  type Start,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

/** As in production: both guards on. */
const guarded = (start: Start = {}): Raft => startRaft(start, { preVote: true, checkQuorum: true });

const preVote = (from: number, term: number, lastTerm: number, lastIndex: number) => ({
  ...voteRequest(from, term, lastTerm, lastIndex),
  preVote: true,
});
const preVoteReply = (from: number, term: number, granted = true) => ({
  ...voteReply(from, term, granted),
  preVote: true,
});

function answer(raft: Raft) {
  const [first, ...rest] = take(raft).messages;
  expect(rest).toEqual([]);
  return first?.message;
}

describe('pre-vote', () => {
  it('a pre-candidate takes no term and writes nothing until a quorum would vote for it', () => {
    const raft = guarded();
    timeOut(raft);
    const ready = take(raft);
    expect(ready.orders).toEqual([]);
    expect(ready.messages).toMatchObject([
      { message: { type: 'vote', to: 2, term: 2, preVote: true, transfer: false, lastIndex: 1 } },
      { message: { type: 'vote', to: 3, term: 2, preVote: true } },
    ]);
    expect(raft.status()).toMatchObject({ role: 'candidate', preVoting: true, term: 1, vote: 0 });
    raft.step(preVoteReply(3, 2));
    expect(raft.status()).toMatchObject({ role: 'candidate', preVoting: false, term: 2, vote: 1 });
    expect(take(raft)).toMatchObject({
      orders: [{ hardState: { term: 2, vote: 1 } }],
      messages: [
        { message: { type: 'vote', to: 2, term: 2, preVote: false }, after: 1 },
        { message: { type: 'vote', to: 3, term: 2, preVote: false }, after: 1 },
      ],
    });
  });

  it('H3 pre-votes elect nobody, and votes are no pre-votes', () => {
    const raft = guarded();
    timeOut(raft);
    raft.step(preVoteReply(3, 2));
    raft.step(preVoteReply(2, 2));
    raft.step(preVoteReply(2, 3));
    expect(raft.status()).toMatchObject({ role: 'candidate', term: 2 });
    const asking = guarded();
    timeOut(asking);
    asking.step(voteReply(2, 1));
    expect(asking.status()).toMatchObject({ preVoting: true, term: 1 });
    asking.step(preVoteReply(2, 1));
    asking.step(preVoteReply(2, 7));
    expect(asking.status()).toMatchObject({ preVoting: true, term: 1 });
  });

  it('a lost pre-vote leaves a follower that asks again a timeout later', () => {
    const raft = guarded();
    timeOut(raft);
    for (const peer of [2, 3]) raft.step(preVoteReply(peer, 1, false));
    expect(raft.status()).toMatchObject({ role: 'follower', preVoting: false, term: 1 });
    timeOut(raft);
    expect(raft.status()).toMatchObject({ preVoting: true, term: 1 });
  });

  it('a node that is cut off for long comes back with the term that it had', () => {
    const raft = guarded();
    for (let i = 0; i < 20; i++) timeOut(raft);
    expect(raft.status()).toMatchObject({ term: 1, vote: 0 });
    raft.step(heartbeat(2, 1));
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 2, term: 1 });
  });

  it('a pre-vote is granted in the term that was asked for, and binds to nothing', () => {
    const raft = guarded();
    raft.step(preVote(2, 9, 1, 1));
    expect(answer(raft)).toMatchObject({ type: 'voteReply', granted: true, preVote: true, term: 9 });
    raft.step(preVote(3, 9, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: true, term: 9 });
    expect(raft.status()).toMatchObject({ term: 1, vote: 0 });
  });

  it('H7 H8 a pre-vote that is behind is refused in our term, so that its sender learns it', () => {
    const raft = guarded({ terms: [1, 1], term: 4 });
    raft.step(preVote(2, 7, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: false, preVote: true, term: 4 });
    raft.step(preVote(2, 3, 1, 5));
    expect(answer(raft)).toMatchObject({ granted: false, preVote: true, term: 4 });
  });

  it('in the own term a pre-vote is granted only where the vote is free', () => {
    const raft = guarded({ term: 4, vote: 3 });
    raft.step(preVote(2, 4, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: false, term: 4 });
    raft.step(preVote(3, 4, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: true, term: 4 });
  });

  it('H8 H9 a pre-candidate learns a higher term from the refusal, and asks for a later one next', () => {
    const raft = guarded();
    timeOut(raft);
    take(raft);
    raft.step(preVoteReply(2, 5, false));
    expect(raft.status()).toMatchObject({ role: 'follower', term: 5, preVoting: false });
    timeOut(raft);
    expect(take(raft).messages[0]?.message).toMatchObject({ preVote: true, term: 6 });
  });

  it('H9 a node without pre-vote at a higher term is answered, and answers', () => {
    const plain = startRaft({ term: 8 });
    plain.step(preVote(2, 2, 1, 1));
    expect(answer(plain)).toMatchObject({ granted: false, term: 8 });
    plain.step(preVote(2, 9, 1, 1));
    expect(answer(plain)).toMatchObject({ granted: true, term: 9 });
  });

  it('H13 a pre-vote puts off nobody: only a real grant resets the election timer', () => {
    const raft = guarded();
    for (let i = 0; i < 9; i++) raft.tick();
    raft.step(preVote(2, 2, 1, 1));
    raft.tick();
    expect(raft.status().preVoting).toBe(true);
  });

  it('H16 learners ask nobody, and forget a leader that is silent', () => {
    const settings = configuration([2, 3], { learners: [1] });
    const raft = guarded({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    raft.step(heartbeat(2, 1));
    take(raft);
    timeOut(raft);
    expect(take(raft).messages).toEqual([]);
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 0 });
    raft.step(voteRequest(3, 2, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: true });
  });
});

describe("the voters' leases", () => {
  it('H12 H60 who heard from a leader lately refuses votes and pre-votes, and learns no term from them', () => {
    const raft = guarded();
    raft.step(heartbeat(2, 1));
    take(raft);
    for (let i = 0; i < 9; i++) raft.tick();
    raft.step(voteRequest(3, 9, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: false, term: 1, preVote: false });
    raft.step(preVote(3, 9, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: false, term: 1, preVote: true });
    expect(raft.status()).toMatchObject({ term: 1, leader: 2 });
  });

  it('H10 a silent leader holds nobody back, and a pre-candidate has forgotten its own', () => {
    const raft = startRaft(
      {},
      { preVote: true, checkQuorum: true, electionTicksMin: 10, electionTicksMax: 30, random: () => 0.9 },
    );
    raft.step(append(2, 1, 1, 1));
    take(raft);
    timeOut(raft);
    raft.step(preVote(3, 2, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: true, term: 2 });
    const asking = guarded();
    asking.step(heartbeat(2, 1));
    timeOut(asking);
    take(asking);
    expect(asking.status()).toMatchObject({ preVoting: true, leader: 0 });
    asking.step(preVote(3, 2, 1, 1));
    expect(answer(asking)).toMatchObject({ granted: true });
  });

  it("H14 whoever campaigns on its leader's order is not held back", () => {
    const raft = guarded();
    raft.step(heartbeat(2, 1));
    take(raft);
    raft.step({ ...voteRequest(3, 2, 1, 1), transfer: true });
    expect(answer(raft)).toMatchObject({ granted: true, term: 2 });
  });

  it('without check-quorum nobody is held back: a leader might never step down', () => {
    const raft = startRaft({}, { preVote: true });
    raft.step(heartbeat(2, 1));
    take(raft);
    raft.step(preVote(3, 2, 1, 1));
    expect(answer(raft)).toMatchObject({ granted: true });
  });
});

describe('priority', () => {
  it('each step below the highest waits for one more longest timeout', () => {
    for (const [priority, ticks] of [
      [3, 10],
      [2, 20],
      [0, 40],
    ] as const) {
      const raft = startRaft({}, { priority });
      let waited = 0;
      for (; raft.status().role === 'follower'; waited++) raft.tick();
      expect(waited, `priority ${priority}`).toBe(ticks);
    }
  });

  it('who is alone does not wait', () => {
    const raft = startRaft({ voters: [1] }, { priority: 0, preVote: true });
    raft.tick();
    raft.step({ type: 'durable', order: 1 });
    expect(raft.status().role).toBe('leader');
  });
});
