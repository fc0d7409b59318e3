import { describe, expect, it } from 'vitest';
import { Raft } from '../../src/core/raft.js';
import {
  accepted,
  configuration,
  electedRaft,
  heartbeat,
  heartbeatReply,
  options,
  recovered,
  type Start,
  sessionTo,
  startRaft,
  take,
  voteRequest,
} from './fixtures.js';

/** Leader of term 2 that checks its quorum; a timeout is ten ticks. */
const leader = (start: Start = {}, grantedBy: number[] = [2]): Raft =>
  electedRaft(start, grantedBy, { checkQuorum: true });

const tick = (raft: Raft, times: number): void => {
  for (let i = 0; i < times; i++) raft.tick();
};

describe('check-quorum', () => {
  it('is on unless it is switched off, and so is pre-vote', () => {
    const { preVote, checkQuorum, ...plain } = options();
    expect([preVote, checkQuorum]).toEqual([false, false]);
    const raft = new Raft(plain, recovered());
    raft.step(heartbeat(2, 1));
    take(raft);
    raft.step(voteRequest(3, 9, 1, 1));
    expect(take(raft).messages).toMatchObject([{ message: { granted: false, term: 1 } }]);
    tick(raft, 10);
    expect(raft.status()).toMatchObject({ preVoting: true, term: 1 });
  });

  it('H12 a leader that nobody answers steps down after one timeout, and is silent from then on', () => {
    const raft = leader();
    tick(raft, 9);
    expect(raft.status().role).toBe('leader');
    take(raft);
    tick(raft, 1);
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 0, term: 2, progress: [] });
    expect(take(raft)).toMatchObject({ messages: [], sessions: [{ type: 'close' }, { type: 'close' }] });
    tick(raft, 4);
    expect(raft.ready()).toBeUndefined();
  });

  it('answers to heartbeats and to appends both count, once per voter', () => {
    const raft = leader({ voters: [1, 2, 3, 4, 5] }, [2, 3]);
    for (let i = 0; i < 5; i++) {
      tick(raft, 6);
      raft.step(heartbeatReply(2, 2, 1, 1));
      raft.step(accepted(3, 2, sessionTo(raft, 3), 1));
    }
    expect(raft.status().role).toBe('leader');
    for (let i = 0; i < 2; i++) {
      tick(raft, 5);
      raft.step(heartbeatReply(2, 2, 1, 1));
    }
    expect(raft.status().role).toBe('follower');
  });

  it('H11 a leader that reaches only the bridge gives way', () => {
    const raft = leader({ voters: [1, 2, 3, 4] }, [2, 3]);
    for (let i = 0; i < 2; i++) {
      tick(raft, 5);
      raft.step(heartbeatReply(2, 2, 1, 1));
    }
    expect(raft.status().role).toBe('follower');
  });

  it("H36 learners' answers keep nobody in power, and both halves of a joint configuration are asked", () => {
    const learners = configuration([1, 2, 3], { learners: [4] });
    const joint = configuration([1, 2, 3], { votersOutgoing: [1, 4, 5] });
    for (const [settings, answering] of [
      [learners, [4]],
      [joint, [2, 3]],
    ] as const) {
      const start = { configurations: [{ index: 1, term: 1, configuration: settings }] };
      const raft = leader(start, [2, 4]);
      for (let i = 0; i < 2; i++) {
        tick(raft, 5);
        for (const peer of answering) raft.step(heartbeatReply(peer, 2, 1, 1));
      }
      expect(raft.status().role).toBe('follower');
    }
  });

  it('who leads alone needs nobody', () => {
    const raft = startRaft({ voters: [1] }, { checkQuorum: true });
    tick(raft, 1);
    raft.step({ type: 'durable', order: 1 });
    tick(raft, 50);
    expect(raft.status().role).toBe('leader');
  });

  it('H12 a leader that has its quorum refuses votes without learning their term', () => {
    const raft = leader();
    raft.step(voteRequest(3, 9, 5, 9));
    expect(raft.status()).toMatchObject({ role: 'leader', term: 2 });
    expect(take(raft).messages).toMatchObject([{ message: { granted: false, term: 2 } }]);
  });

  it('H10 a leader that stepped down holds nobody back', () => {
    const raft = leader();
    tick(raft, 10);
    take(raft);
    raft.step({ ...voteRequest(3, 3, 2, 2), preVote: true });
    expect(take(raft).messages).toMatchObject([{ message: { granted: true, term: 3 } }]);
  });
});
