import { describe, expect, it } from 'vitest';
import { BatchKind } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import {
  accepted,
  append,
  configuration,
  electedRaft,
  header,
  heartbeat,
  heartbeatReply,
  SELF,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

function answer(raft: ReturnType<typeof startRaft>) {
  const [first, ...rest] = take(raft).messages;
  expect(rest).toEqual([]);
  return first;
}

const granted = (term: number) => ({ message: { type: 'voteReply', granted: true, term } });
const refusedVote = (term: number) => ({ message: { type: 'voteReply', granted: false, term } });

describe('votes', () => {
  it('H1 one vote a term, also after a restart with what the record says', () => {
    const raft = startRaft();
    raft.step(voteRequest(2, 5, 1, 1));
    const [order] = take(raft).orders;
    expect(order).toMatchObject({ hardState: { term: 5, vote: 2 } });
    const restarted = startRaft({ term: 5, vote: 2 });
    restarted.step(voteRequest(3, 5, 1, 1));
    expect(answer(restarted)).toMatchObject(refusedVote(5));
  });

  it('H3 a grant of an earlier term elects nobody', () => {
    const raft = startRaft();
    timeOut(raft);
    while (raft.status().term < 3) raft.tick();
    expect(raft.status()).toMatchObject({ role: 'candidate', term: 3 });
    raft.step(voteReply(2, 2));
    expect(raft.status().role).toBe('candidate');
    raft.step(voteReply(2, 3));
    expect(raft.status().role).toBe('leader');
  });

  it('H4 voters are counted, not messages', () => {
    const raft = startRaft({ voters: [1, 2, 3, 4, 5] });
    timeOut(raft);
    for (let i = 0; i < 3; i++) raft.step(voteReply(2, 2));
    expect(raft.status().role).toBe('candidate');
    raft.step(voteReply(4, 2));
    expect(raft.status().role).toBe('leader');
  });

  it('H4 a refusal stands, whatever comes after it', () => {
    const raft = startRaft();
    timeOut(raft);
    raft.step(voteReply(2, 2, false));
    raft.step(voteReply(2, 2, true));
    expect(raft.status().role).toBe('candidate');
  });

  it('H5 who asks again is granted again, without another record', () => {
    const raft = startRaft();
    raft.step(voteRequest(2, 2, 1, 1));
    take(raft);
    raft.step(voteRequest(2, 2, 1, 1));
    expect(take(raft)).toMatchObject({ orders: [], messages: [{ ...granted(2), after: 1 }] });
    raft.step(voteRequest(3, 2, 1, 1));
    expect(answer(raft)).toMatchObject(refusedVote(2));
  });

  it('H7 the last term decides, then the length', () => {
    const voted = (terms: number[], lastTerm: number, lastIndex: number) => {
      const raft = startRaft({ terms, term: 5 });
      raft.step(voteRequest(2, 6, lastTerm, lastIndex));
      const message = answer(raft)?.message;
      return message?.type === 'voteReply' && message.granted;
    };
    expect(voted([1, 1, 1, 1, 1], 3, 3)).toBe(true);
    expect(voted([1, 1, 3], 1, 5)).toBe(false);
    expect(voted([1, 1, 3], 3, 3)).toBe(true);
    expect(voted([1, 1, 3], 3, 4)).toBe(true);
    expect(voted([1, 1, 3], 3, 2)).toBe(false);
  });

  it("a node that follows this term's leader votes for nobody else in it", () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 4));
    take(raft);
    raft.step(voteRequest(3, 4, 9, 9));
    expect(answer(raft)).toMatchObject(refusedVote(4));
  });

  it('H8 whatever comes from an older term is answered with ours', () => {
    const raft = startRaft({ term: 6 });
    raft.step(append(2, 4, 1, 1));
    raft.step(heartbeat(2, 4));
    raft.step(voteRequest(3, 4, 1, 1));
    raft.step({ ...voteRequest(3, 4, 1, 1), preVote: true });
    expect(take(raft).messages.map(({ message }) => message)).toMatchObject([
      { type: 'appendReply', to: 2, term: 6, refused: true, session: 1 },
      { type: 'heartbeatReply', to: 2, term: 6 },
      { type: 'voteReply', to: 3, term: 6, granted: false, preVote: false, removed: 0 },
      { type: 'voteReply', to: 3, term: 6, granted: false, preVote: true, removed: 0 },
    ]);
    expect(raft.status()).toMatchObject({ term: 6, leader: 0 });
  });

  it("a pre-vote's term never becomes ours", () => {
    const raft = startRaft();
    raft.step({ ...voteRequest(2, 9, 1, 1), preVote: true });
    expect(raft.status().term).toBe(1);
  });

  it('E11 replies of an older term change nothing, a higher term makes a leader step down first', () => {
    const raft = electedRaft();
    raft.step(voteReply(3, 1, false));
    expect(raft.status().role).toBe('leader');
    raft.step(voteReply(3, 3, false));
    expect(raft.status()).toMatchObject({ role: 'follower', term: 3, leader: 0, progress: [] });
  });
});

describe('campaigns', () => {
  it("E1 timeouts lie between the bounds, from the tick after the voters' own to the last, and all of them occur", () => {
    const seen = new Set<number>();
    const random = seededRandom(1);
    for (let i = 0; i < 200; i++) {
      const raft = startRaft({}, { electionTicksMin: 5, electionTicksMax: 8, heartbeatTicks: 1, random });
      let ticks = 0;
      for (; raft.status().role === 'follower'; ticks++) raft.tick();
      seen.add(ticks);
    }
    expect([...seen].sort()).toEqual([6, 7, 8]);
  });

  it('H13 a refused request does not put off our own campaign, a grant and a leader do', () => {
    const campaignsAfter = (message: Parameters<ReturnType<typeof startRaft>['step']>[0]) => {
      const raft = startRaft({ terms: [1, 1] });
      for (let i = 0; i < 9; i++) raft.tick();
      raft.step(message);
      raft.tick();
      return raft.status().role === 'candidate';
    };
    expect(campaignsAfter(voteRequest(2, 7, 1, 1))).toBe(true);
    expect(campaignsAfter(voteRequest(2, 7, 1, 2))).toBe(false);
    expect(campaignsAfter(heartbeat(2, 7))).toBe(false);
    expect(campaignsAfter(append(2, 7, 2, 1))).toBe(false);
    expect(campaignsAfter(append(2, 0, 2, 1))).toBe(true);
  });

  it('H16 learners and removed nodes never campaign', () => {
    for (const settings of [configuration([2, 3], { learners: [SELF] }), configuration([2, 3])]) {
      const raft = startRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
      for (let i = 0; i < 5; i++) timeOut(raft);
      expect(raft.status()).toMatchObject({ role: 'follower', term: 1 });
      expect(raft.ready()).toBeUndefined();
    }
  });

  it('H17 a learner answers a vote request', () => {
    const settings = configuration([2, 3], { learners: [SELF] });
    const raft = startRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    raft.step(voteRequest(2, 2, 1, 1));
    expect(answer(raft)).toMatchObject(granted(2));
  });

  it('H18 E10 H2 H23 H34 who is alone leads as soon as its own vote is durable, and commits once its own disk has it', () => {
    const raft = startRaft({ voters: [SELF], terms: [1, 4, 4], term: 4, vote: 1 });
    raft.tick();
    raft.tick();
    expect(take(raft)).toMatchObject({
      orders: [{ type: 'hardState', hardState: { term: 5, vote: 1 } }],
      leadership: { role: 'candidate', term: 5 },
    });
    raft.step({ type: 'durable', order: 1 });
    const { orders, leadership } = take(raft);
    expect(leadership).toEqual({ role: 'leader', term: 5, leader: SELF });
    expect(orders.map((order) => order.type)).toEqual(['own']);
    raft.propose(2, 20);
    expect(raft.status().commitIndex).toBe(1);
    raft.step({ type: 'durable', order: 2 });
    expect(raft.status()).toMatchObject({ commitIndex: 4, durableIndex: 4 });
    raft.step({ type: 'durable', order: 3 });
    expect(raft.status()).toMatchObject({ commitIndex: 6, uncommittedBytes: 0 });
  });

  it('a joint configuration is won in both halves', () => {
    const settings = configuration([1, 2, 3], { votersOutgoing: [1, 4, 5] });
    const raft = startRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    timeOut(raft);
    expect(take(raft).messages.map(({ message }) => message.to)).toEqual([2, 3, 4, 5]);
    raft.step(voteReply(2, 2));
    raft.step(voteReply(3, 2));
    expect(raft.status().role).toBe('candidate');
    raft.step(voteReply(5, 2));
    expect(raft.status().role).toBe('leader');
  });

  it('a candidate follows whoever leads its term, and gives up when it cannot win', () => {
    const raft = startRaft();
    timeOut(raft);
    raft.step(heartbeat(3, 2));
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 3, term: 2, vote: SELF });
    timeOut(raft);
    raft.step(voteReply(2, 3, false));
    raft.step(voteReply(3, 3, false));
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 0, term: 3 });
  });

  it('H45 a heartbeat is for one group: that of another keeps no leader alive here, whoever sends it', () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 1));
    take(raft);
    for (let tick = 0; tick < 40 && raft.status().role === 'follower'; tick++) {
      raft.step({ ...heartbeat(2, 1), group: 99 });
      raft.tick();
    }
    expect(raft.status().role).toBe('candidate');
    expect(raft.status().invalidMessages).toBeGreaterThan(0);
  });

  it('a second leader of one term is not listened to', () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 2));
    raft.step(append(3, 2, 1, 1, { headers: [header(2, 2, 1, 1)] }));
    expect(raft.status()).toMatchObject({ leader: 2, lastIndex: 1, invalidMessages: 1 });
  });
});

describe('strangers', () => {
  it('S2 H60 one whose log is not ahead raises no term and gets no vote', () => {
    const raft = startRaft({ terms: [1, 1], term: 1 });
    raft.step(voteRequest(9, 50, 1, 2));
    raft.step(heartbeat(9, 50));
    raft.step(append(9, 50, 2, 1));
    raft.step(voteReply(9, 50));
    raft.step(heartbeatReply(9, 50, 1, 2));
    raft.step(accepted(9, 50, 1, 2));
    raft.step(voteRequest(9, 1, 1, 2));
    expect(raft.ready()).toBeUndefined();
    expect(raft.status()).toMatchObject({ term: 1, vote: 0, leader: 0 });
  });

  it('S2 H60 its vote does not count', () => {
    const raft = startRaft({ voters: [1, 2, 3] });
    timeOut(raft);
    raft.step(voteReply(9, 2));
    raft.step(voteReply(8, 2));
    expect(raft.status().role).toBe('candidate');
  });

  it('one whose log is ahead may have joined while we were away', () => {
    const raft = startRaft();
    raft.step(voteRequest(9, 3, 2, 7));
    expect(answer(raft)).toMatchObject(granted(3));
    raft.step(append(9, 4, 7, 3));
    expect(raft.status()).toMatchObject({ term: 4, leader: 9 });
  });

  it('H61 who came to a cluster that was there does not lead by a configuration that means a founder under its id', () => {
    const founding = { configurations: [{ index: 1, term: 1, configuration: configuration([SELF]) }] };
    const incarnations = [{ id: SELF, incarnation: 12 }];
    const added = configuration([SELF], { incarnations });
    const adding = { configurations: [{ index: 1, term: 1, configuration: added }] };
    for (const [state, joined, role] of [
      [founding, true, 'follower'],
      [founding, false, 'candidate'],
      [adding, true, 'candidate'],
    ] as const) {
      const raft = startRaft(state, { incarnation: 12, joined });
      timeOut(raft);
      expect(raft.status().role).toBe(role);
    }
  });

  it('H61 a new life that catches up does not lead by a configuration that means an earlier one, also where that voted alone', () => {
    const meaning = (incarnation: number) =>
      configuration([SELF], { incarnations: [{ id: SELF, incarnation }] });
    const start = (incarnation: number) =>
      startRaft({ configurations: [{ index: 1, term: 1, configuration: meaning(11) }] }, { incarnation });
    for (const [own, role] of [
      [12, 'follower'],
      [11, 'candidate'],
      [0, 'candidate'],
    ] as const) {
      const raft = start(own);
      timeOut(raft);
      expect(raft.status().role, `incarnation ${own}`).toBe(role);
    }
  });

  it('H61 a newcomer gives no vote before it knows a configuration: whoever asks may count a member that is no more', () => {
    const raft = startRaft({ terms: [], configurations: [], term: 0, commit: 0 });
    raft.step(voteRequest(2, 2, 1, 1));
    raft.step({ ...voteRequest(2, 2, 1, 1), preVote: true });
    expect(raft.ready()).toBeUndefined();
    expect(raft.status()).toMatchObject({ term: 0, vote: 0 });
    const first = header(1, 1, 1, 0);
    const change = { ...first, kind: BatchKind.Configuration };
    raft.step(append(2, 2, 0, 0, { headers: [change], configurations: [configuration([1, 2, 3])] }));
    take(raft);
    raft.step(voteRequest(3, 3, 5, 2));
    expect(answer(raft)).toMatchObject(granted(3));
  });

  it('a member that an uncommitted configuration leaves out is still listened to: it may have to be rolled back', () => {
    const raft = startRaft({
      terms: [1, 2],
      configurations: [
        { index: 1, term: 1, configuration: configuration([1, 2, 3]) },
        { index: 2, term: 2, configuration: configuration([1, 2]) },
      ],
    });
    raft.step(append(3, 3, 1, 1, { headers: [header(3, 2, 1, 1, 2)] }));
    expect(raft.status()).toMatchObject({ term: 3, leader: 3, configuration: { index: 1 } });
  });

  it('messages for another group or node, or from ourselves, are dropped and counted', () => {
    const raft = startRaft();
    raft.step({ ...heartbeat(2, 9), group: 8 });
    raft.step({ ...heartbeat(2, 9), to: 3 });
    raft.step({ ...heartbeat(2, 9), from: SELF });
    expect(raft.status()).toMatchObject({ term: 1, invalidMessages: 3 });
  });
});
