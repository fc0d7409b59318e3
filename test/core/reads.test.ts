import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import type { RaftOptions } from '../../src/core/options.js';
import type { Raft } from '../../src/core/raft.js';
import { READS_PENDING_MAX } from '../../src/core/read-index.js';
import {
  accepted,
  append,
  configuration,
  electedRaft,
  GROUP,
  heartbeat,
  heartbeatReply,
  SELF,
  type Start,
  sessionTo,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

/** Leader of term 2 that has committed its no-op at 2. */
function leader(parts: Partial<RaftOptions> = {}, start: Start = {}): Raft {
  const raft = electedRaft(start, [2], parts);
  raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
  take(raft);
  expect(raft.status().commitIndex).toBe(2);
  return raft;
}

const heartbeatsOf = (raft: Raft) =>
  (raft.ready()?.messages ?? []).flatMap(({ message }) =>
    message.type === 'heartbeat' ? [message.round] : [],
  );

describe('read-index', () => {
  it('is answered with the commit index once a quorum has answered a round that began after it', () => {
    const raft = leader();
    expect(raft.readIndex(7)).toBe('pending');
    expect(heartbeatsOf(raft)).toEqual([2, 2]);
    raft.step(heartbeatReply(2, 2, 1, 2));
    expect(raft.ready()).toBeUndefined();
    raft.step(heartbeatReply(3, 2, 2, 1));
    expect(take(raft).readStates).toEqual([{ context: 7, index: 2, byLease: false }]);
    raft.step(heartbeatReply(2, 2, 2, 2));
    expect(raft.ready()).toBeUndefined();
  });

  it('reads between two Readies share a round; those that come meanwhile share the next', () => {
    const raft = leader();
    for (const context of [1, 2, 3]) raft.readIndex(context);
    expect(heartbeatsOf(raft)).toEqual([2, 2]);
    for (const context of [4, 5]) raft.readIndex(context);
    expect(heartbeatsOf(raft)).toEqual([]);
    raft.step(heartbeatReply(2, 2, 2, 2));
    const ready = take(raft);
    expect(ready.readStates.map(({ context }) => context)).toEqual([1, 2, 3]);
    expect(ready.messages.map(({ message }) => message)).toMatchObject([{ round: 3 }, { round: 3 }]);
    expect(raft.status().readsPending).toBe(2);
    raft.step(heartbeatReply(2, 2, 3, 2));
    expect(take(raft).readStates.map(({ context }) => context)).toEqual([4, 5]);
  });

  it('H66 an answer to an earlier round that comes late takes nothing back', () => {
    const raft = electedRaft({ voters: [1, 2, 3, 4, 5] }, [2, 3]);
    for (const peer of [2, 3]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 2));
    take(raft);
    raft.readIndex(7);
    expect(heartbeatsOf(raft)).toEqual([2, 2, 2, 2]);
    raft.step(heartbeatReply(2, 2, 2, 2));
    raft.step(heartbeatReply(2, 2, 1, 2));
    raft.step(heartbeatReply(3, 2, 2, 2));
    expect(take(raft).readStates).toEqual([{ context: 7, index: 2, byLease: false }]);
  });

  it('H66 a round that is lost is made up for by the next heartbeat', () => {
    const raft = leader();
    raft.readIndex(1);
    heartbeatsOf(raft);
    raft.readIndex(2);
    raft.tick();
    raft.tick();
    expect(heartbeatsOf(raft)).toEqual([3, 3]);
    raft.step(heartbeatReply(2, 2, 3, 2));
    expect(take(raft).readStates.map(({ context }) => context)).toEqual([1, 2]);
  });

  it('H65 waits for the first commit of the own term, which may reveal earlier commits', () => {
    const raft = electedRaft({ terms: [1, 1, 1, 1] });
    raft.readIndex(1);
    take(raft);
    for (const peer of [2, 3]) raft.step(heartbeatReply(peer, 2, 2, 4));
    expect(raft.ready()?.readStates ?? []).toEqual([]);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 4));
    expect(raft.ready()?.readStates ?? []).toEqual([]);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 5));
    expect(take(raft).readStates).toEqual([{ context: 1, index: 5, byLease: false }]);
  });

  it('the index is what was committed when it was asked for, so a later write does not hold it up', () => {
    const raft = leader();
    raft.readIndex(1);
    raft.propose(5, 5);
    take(raft);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 7));
    raft.step(heartbeatReply(2, 2, 2, 7));
    expect(take(raft).readStates).toMatchObject([{ index: 2 }]);
  });

  it('H66 H68 stepping down fails every waiting read, each once', () => {
    const raft = leader();
    raft.readIndex(1);
    take(raft);
    raft.readIndex(2);
    raft.step(heartbeat(3, 3));
    expect(take(raft)).toMatchObject({ readStates: [], readsFailed: [1, 2] });
    raft.step(heartbeatReply(2, 3, 2, 2));
    expect(raft.ready()).toBeUndefined();
    const lonely = leader({ checkQuorum: true });
    lonely.readIndex(4);
    timeOut(lonely);
    expect(take(lonely).readsFailed).toEqual([4]);
  });

  it('H36 only current voters confirm, in both halves', () => {
    const settings = configuration([1, 4, 5], { learners: [2, 3, 6] });
    const raft = electedRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] }, [4]);
    for (const peer of [2, 3, 4]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 2));
    expect(raft.proposeConfiguration(configuration([1, 2, 3], { learners: [6] }), 1)).toMatchObject({
      configuration: { voters: [1, 2, 3], votersOutgoing: [1, 4, 5] },
    });
    raft.readIndex(1);
    take(raft);
    for (const peer of [2, 3, 6]) raft.step(heartbeatReply(peer, 2, 2, 2));
    expect(raft.ready()).toBeUndefined();
    raft.step(heartbeatReply(5, 2, 2, 2));
    expect(take(raft).readStates).toHaveLength(1);
  });

  it('rounds answered in an earlier leadership confirm nothing', () => {
    const raft = leader();
    raft.readIndex(1);
    take(raft);
    raft.step(heartbeatReply(2, 2, 2, 2));
    raft.step(heartbeat(3, 3));
    timeOut(raft);
    raft.step(voteReply(2, 4));
    raft.step(accepted(2, 4, sessionTo(raft, 2), 3));
    const { orders } = take(raft);
    raft.step({ type: 'durable', order: orders.at(-1)?.id ?? 0 });
    raft.readIndex(2);
    take(raft);
    raft.step(heartbeatReply(2, 2, 4, 2));
    expect(raft.ready()).toBeUndefined();
    raft.step(heartbeatReply(2, 4, 99, 2));
    expect(raft.ready()).toBeUndefined();
    expect(raft.status().invalidMessages).toBe(1);
  });

  it('a late answer to an older round takes nothing back', () => {
    const raft = electedRaft({ voters: [1, 2, 3, 4, 5] }, [2, 3]);
    for (const peer of [2, 3]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 2));
    raft.readIndex(1);
    take(raft);
    raft.step(heartbeatReply(2, 2, 2, 2));
    raft.step(heartbeatReply(2, 2, 1, 2));
    raft.step(heartbeatReply(3, 2, 2, 2));
    expect(take(raft).readStates).toHaveLength(1);
  });

  it('who is alone answers at once, after its first commit', () => {
    const raft = startRaft({ voters: [1] });
    raft.tick();
    raft.step({ type: 'durable', order: 1 });
    raft.readIndex(1);
    expect(take(raft).readStates).toEqual([]);
    raft.step({ type: 'durable', order: 2 });
    raft.readIndex(2);
    expect(take(raft).readStates).toMatchObject([
      { context: 1, index: 2 },
      { context: 2, index: 2 },
    ]);
  });

  it('waiting reads are bounded', () => {
    const raft = leader();
    for (let i = 0; i < READS_PENDING_MAX; i++) raft.readIndex(i);
    expect(raft.readIndex(-1)).toEqual({ refused: 'overloaded', leader: 1 });
  });
});

/** A follower of node 2 in term 1, and the question that it sends for its reads. */
function follower(parts: Partial<RaftOptions> = {}): Raft {
  const raft = startRaft({}, { electionTicksMin: 10, electionTicksMax: 10, ...parts });
  raft.step(heartbeat(2, 1));
  take(raft);
  return raft;
}

const questionsOf = (raft: Raft) =>
  (raft.ready()?.messages ?? []).flatMap(({ message }) => (message.type === 'readIndex' ? [message] : []));

const reply = (from: number, term: number, context: number, index: number) =>
  ({ type: 'readIndexReply', group: GROUP, from, to: SELF, term, context, index }) as const;

const question = (from: number, term: number, context: number, lease = false) =>
  ({ type: 'readIndex', group: GROUP, from, to: SELF, term, context, lease }) as const;

describe('reads of those who do not lead', () => {
  it('all that wait are one question; what comes meanwhile shares the next', () => {
    const raft = follower();
    for (const context of [1, 2, 3]) expect(raft.readIndex(context)).toBe('pending');
    const [first, ...more] = questionsOf(raft);
    expect([first, more]).toMatchObject([{ to: 2, lease: false }, []]);
    for (const context of [4, 5]) raft.readIndex(context);
    expect(questionsOf(raft)).toEqual([]);
    raft.step(reply(2, 1, first!.context, 9));
    const ready = take(raft);
    expect(ready.readStates.map(({ context, index }) => [context, index])).toEqual(
      [1, 2, 3].map((n) => [n, 9]),
    );
    const second = ready.messages[0]!.message;
    expect(second).toMatchObject({ type: 'readIndex', context: first!.context + 1 });
    raft.step(reply(2, 1, first!.context, 9));
    expect(raft.ready()).toBeUndefined();
    raft.step(reply(2, 1, first!.context + 1, 11));
    expect(take(raft).readStates.map(({ context }) => context)).toEqual([4, 5]);
  });

  it('H66 a question that was lost is asked again, and either answer will do', () => {
    const raft = follower();
    raft.readIndex(1);
    const [asked] = questionsOf(raft);
    for (let i = 0; i < 2; i++) raft.tick();
    expect(questionsOf(raft)).toEqual([asked]);
    raft.step(reply(2, 1, asked!.context, 4));
    expect(take(raft).readStates).toEqual([{ context: 1, index: 4, byLease: false }]);
  });

  it('H66 H68 a change of leader asks the new one; what the old one says then counts for nothing', () => {
    const raft = follower();
    raft.readIndex(1);
    const [asked] = questionsOf(raft);
    raft.step(heartbeat(3, 2));
    const [again] = questionsOf(raft);
    expect(again).toMatchObject({ to: 3, term: 2 });
    expect(again!.context).not.toBe(asked!.context);
    raft.step(reply(2, 1, asked!.context, 4));
    raft.step(reply(3, 2, asked!.context, 4));
    expect(raft.ready()).toBeUndefined();
    raft.step(reply(3, 2, again!.context, 6));
    expect(take(raft).readStates).toMatchObject([{ index: 6 }]);
  });

  it('H66 without a leader it waits for one, and not for ever', () => {
    const raft = startRaft({}, { electionTicksMin: 10, electionTicksMax: 10 });
    raft.readIndex(1);
    expect(questionsOf(raft)).toEqual([]);
    for (let i = 0; i < 5; i++) raft.tick();
    raft.readIndex(2);
    raft.step(heartbeat(2, 1));
    expect(questionsOf(raft)).toHaveLength(1);
    for (let i = 5; i < 29; i++) raft.tick();
    expect(raft.ready()?.readsFailed ?? []).toEqual([]);
    raft.tick();
    expect(take(raft).readsFailed).toEqual([1]);
    for (let i = 30; i < 35; i++) raft.tick();
    expect(take(raft).readsFailed).toEqual([2]);
    expect(raft.status().readsPending).toBe(0);
  });

  it('H66 H68 a question whose reads were given up answers none that came after it', () => {
    const raft = follower();
    raft.readIndex(1);
    const [asked] = questionsOf(raft);
    for (let i = 0; i < 29; i++) {
      raft.step(heartbeat(2, 1));
      raft.tick();
    }
    raft.readIndex(2);
    raft.step(heartbeat(2, 1));
    raft.tick();
    expect(take(raft).readsFailed).toEqual([1]);
    raft.step(reply(2, 1, asked!.context, 4));
    expect(take(raft)).toMatchObject({ readStates: [], messages: [{ message: { type: 'readIndex' } }] });
    raft.step(reply(2, 1, asked!.context + 1, 7));
    expect(take(raft).readStates).toEqual([{ context: 2, index: 7, byLease: false }]);
  });

  it('whoever is elected meanwhile asks its own quorum', () => {
    const raft = follower();
    raft.readIndex(1);
    questionsOf(raft);
    timeOut(raft);
    raft.step(voteReply(2, 2));
    raft.step(accepted(2, 2, sessionTo(raft, 2), 1));
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    const { orders } = take(raft);
    raft.step({ type: 'durable', order: orders.at(-1)?.id ?? 0 });
    raft.step(heartbeatReply(2, 2, 2, 2));
    expect(take(raft).readStates).toEqual([{ context: 1, index: 2, byLease: false }]);
  });

  it('a new life of the process does not take an answer to a question of the one before', () => {
    const names = [3, 4].map((seed) => {
      const raft = follower({ random: seededRandom(seed) });
      raft.readIndex(1);
      return questionsOf(raft)[0]!.context;
    });
    expect(names[0]).not.toBe(names[1]);
  });

  it('waiting reads are bounded', () => {
    const raft = follower();
    for (let i = 0; i < READS_PENDING_MAX; i++) raft.readIndex(i);
    expect(raft.readIndex(-1)).toEqual({ refused: 'overloaded', leader: 2 });
  });
});

describe('a leader that is asked by others', () => {
  const answersOf = (raft: Raft) =>
    (raft.ready()?.messages ?? []).flatMap(({ message }) =>
      message.type === 'readIndexReply' ? [message] : [],
    );

  it('answers after a round that began after the question, with what was committed then', () => {
    const raft = leader();
    raft.step(question(3, 2, 77));
    expect(heartbeatsOf(raft)).toEqual([2, 2]);
    raft.step(heartbeatReply(2, 2, 1, 2));
    expect(answersOf(raft)).toEqual([]);
    raft.step(heartbeatReply(2, 2, 2, 2));
    expect(answersOf(raft)).toMatchObject([{ to: 3, context: 77, index: 2, term: 2 }]);
  });

  it('H65 says nothing before its own first commit', () => {
    const raft = electedRaft({ terms: [1, 1, 1, 1] });
    raft.step(question(3, 2, 77));
    take(raft);
    for (const peer of [2, 3]) raft.step(heartbeatReply(peer, 2, 2, 4));
    expect(answersOf(raft)).toEqual([]);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 4));
    raft.step(accepted(3, 2, sessionTo(raft, 3), 5));
    expect(answersOf(raft)).toMatchObject([{ index: 5 }]);
  });

  it('says nothing once it does not lead, and tells nobody here of a read that was none of theirs', () => {
    const raft = leader();
    raft.step(question(3, 2, 77));
    raft.readIndex(5);
    take(raft);
    raft.step(heartbeat(3, 3));
    expect(take(raft)).toMatchObject({ readsFailed: [5] });
    raft.step(question(2, 3, 78));
    expect(raft.ready()).toBeUndefined();
  });

  it('H67 answers by its lease only if the asker trusts it', () => {
    const clock = { now: 1000 };
    const raft = leader({ checkQuorum: true, lease: { length: 80, now: () => clock.now } });
    raft.step(heartbeatReply(2, 2, 1, 2));
    raft.step(question(3, 2, 77, true));
    expect(answersOf(raft)).toMatchObject([{ context: 77, index: 2 }]);
    raft.step(question(3, 2, 78, false));
    expect(answersOf(raft)).toEqual([]);
    raft.step(heartbeatReply(2, 2, 2, 2));
    expect(answersOf(raft)).toMatchObject([{ context: 78 }]);
    clock.now = 9000;
    raft.step(question(3, 2, 79, true));
    expect(answersOf(raft)).toEqual([]);
  });
});

describe('leases', () => {
  /** A leader with a lease of 80, its clock, and round 2 sent at 1000 and not yet answered. */
  function leased() {
    const clock = { now: 1000 };
    const lease = { length: 80, now: () => clock.now };
    const raft = leader({ checkQuorum: true, lease });
    for (let i = 0; i < 2; i++) raft.tick();
    take(raft);
    return { raft, clock };
  }

  it('H67 a lease counts from when the answered round was sent, and a read at once says what it rests on', () => {
    const { raft, clock } = leased();
    expect(raft.leaseHolds()).toBe(false);
    clock.now = 1050;
    raft.step(heartbeatReply(3, 2, 2, 1));
    expect(raft.leaseHolds()).toBe(true);
    expect(raft.readIndex(9)).toBe('pending');
    expect(raft.ready()).toMatchObject({
      messages: [],
      readStates: [{ context: 9, index: 2, byLease: true }],
    });
    clock.now = 1079;
    expect(raft.leaseHolds()).toBe(true);
    clock.now = 1080;
    expect(raft.leaseHolds()).toBe(false);
  });

  it('H67 after a pause a read asks a quorum, however few ticks have passed', () => {
    const { raft, clock } = leased();
    raft.step(heartbeatReply(3, 2, 2, 1));
    clock.now = 9000;
    raft.readIndex(9);
    expect(raft.ready()).toMatchObject({ messages: [{}, {}], readStates: [] });
  });

  it('H67 a read may insist on a quorum', () => {
    const { raft } = leased();
    raft.step(heartbeatReply(3, 2, 2, 1));
    expect(raft.leaseHolds()).toBe(true);
    raft.readIndex(9, false);
    expect(raft.ready()).toMatchObject({ messages: [{}, {}], readStates: [] });
  });

  it('a late answer to an old round does not prolong it', () => {
    const { raft, clock } = leased();
    clock.now = 1060;
    for (let i = 0; i < 2; i++) raft.tick();
    raft.step(heartbeatReply(2, 2, 2, 2));
    expect(raft.leaseHolds()).toBe(true);
    clock.now = 1090;
    expect(raft.leaseHolds()).toBe(false);
    raft.step(heartbeatReply(2, 2, 3, 2));
    expect(raft.leaseHolds()).toBe(true);
  });

  it('H65 there is none before the own first commit, and none after stepping down', () => {
    const lease = { length: 80, now: () => 0 };
    const raft = electedRaft({}, [2], { checkQuorum: true, lease });
    raft.step(heartbeatReply(2, 2, 1, 1));
    expect(raft.leaseHolds()).toBe(false);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    expect(raft.leaseHolds()).toBe(true);
    raft.step(heartbeat(3, 3));
    expect(raft.leaseHolds()).toBe(false);
  });

  it('H15 it is dropped before a transfer sends its order, for the rest of the term', () => {
    const { raft } = leased();
    raft.step(heartbeatReply(2, 2, 2, 2));
    raft.transferLeadership(3);
    expect(raft.leaseHolds()).toBe(true);
    raft.step(accepted(3, 2, sessionTo(raft, 3), 1));
    raft.step(accepted(3, 2, sessionTo(raft, 3), 2));
    expect(take(raft).messages).toMatchObject([{ message: { type: 'timeoutNow' } }]);
    expect(raft.leaseHolds()).toBe(false);
    for (let i = 0; i < 9; i++) raft.tick();
    for (const peer of [2, 3]) raft.step(heartbeatReply(peer, 2, 4, 2));
    expect(raft.status().transferTo).toBe(3);
    raft.tick();
    expect(raft.status().transferTo).toBe(0);
    expect(raft.leaseHolds()).toBe(false);
  });

  const lease = { length: 80, now: () => 0 };

  it('H67 who has just started refuses votes for the longest election timeout: it forgot whom it had heard', () => {
    const raft = startRaft({}, { checkQuorum: true, lease, electionTicksMax: 15, priority: 0 });
    for (let i = 0; i < 14; i++) raft.tick();
    raft.step(voteRequest(2, 5, 1, 1));
    expect(take(raft).messages).toMatchObject([{ message: { granted: false, term: 1 } }]);
    raft.step({ ...voteRequest(2, 5, 1, 1), preVote: true });
    expect(take(raft).messages).toMatchObject([{ message: { granted: false, term: 1 } }]);
    raft.tick();
    raft.step(voteRequest(2, 5, 1, 1));
    expect(take(raft).messages).toMatchObject([{ message: { granted: true, term: 5 } }]);
    const unleased = startRaft({}, { checkQuorum: true });
    unleased.step(voteRequest(2, 5, 1, 1));
    expect(take(unleased).messages).toMatchObject([{ message: { granted: true } }]);
  });

  it('H67 a promise outlives a higher term that is learned by the way', () => {
    const raft = startRaft({}, { checkQuorum: true, lease });
    raft.step(append(2, 1, 1, 1));
    for (let i = 0; i < 8; i++) raft.tick();
    raft.step(heartbeat(2, 1));
    for (let i = 0; i < 2; i++) raft.tick();
    raft.step(voteReply(3, 4, false));
    take(raft);
    expect(raft.status()).toMatchObject({ term: 4, leader: 0 });
    raft.step(voteRequest(3, 4, 1, 1));
    expect(take(raft).messages).toMatchObject([{ message: { granted: false } }]);
    for (let i = 0; i < 7; i++) raft.tick();
    raft.step(voteRequest(3, 4, 1, 1));
    expect(take(raft).messages).toMatchObject([{ message: { granted: false } }]);
  });

  it('a lease without check-quorum or length is refused', () => {
    expect(() => startRaft({}, { lease })).toThrow(/^checkQuorum: expected/);
    expect(() => startRaft({}, { checkQuorum: true, lease: { ...lease, length: 0 } })).toThrow(
      /^lease.length/,
    );
  });
});
