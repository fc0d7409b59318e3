import { describe, expect, it } from 'vitest';
import { BatchKind } from '../../src/base/messages.js';
import {
  accepted,
  append,
  electedRaft,
  header,
  heartbeat,
  sessionTo,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

const idle = {
  orders: [],
  messages: [],
  sessions: [],
  commitMoved: false,
  readStates: [],
  readsFailed: [],
  snapshots: [],
};

describe('the exact Ready after one step', () => {
  it('nothing happened: nothing to do', () => {
    const raft = startRaft();
    expect(raft.ready()).toBeUndefined();
    raft.tick();
    expect(raft.ready()).toBeUndefined();
  });

  it('H2 an election timeout: the own vote is one record, and the requests wait for it', () => {
    const raft = startRaft({ terms: [1, 2, 2], term: 4, vote: 3 });
    timeOut(raft);
    const request = {
      group: 7,
      from: 1,
      term: 5,
      type: 'vote',
      lastIndex: 3,
      lastTerm: 2,
      preVote: false,
      transfer: false,
    };
    expect(raft.ready()).toEqual({
      ...idle,
      orders: [{ id: 1, type: 'hardState', hardState: { term: 5, vote: 1 } }],
      messages: [
        { message: { ...request, to: 2 }, after: 1 },
        { message: { ...request, to: 3 }, after: 1 },
      ],
      commitIndex: 1,
      leadership: { role: 'candidate', term: 5, leader: 0 },
    });
    expect(raft.ready()).toBeUndefined();
  });

  it('E1 H1 a vote: one record of term and vote, before the reply', () => {
    const raft = startRaft();
    raft.step(voteRequest(2, 2, 1, 1));
    expect(raft.ready()).toEqual({
      ...idle,
      orders: [{ id: 1, type: 'hardState', hardState: { term: 2, vote: 2 } }],
      messages: [
        {
          message: {
            group: 7,
            from: 1,
            to: 2,
            term: 2,
            type: 'voteReply',
            granted: true,
            preVote: false,
            removed: 0,
          },
          after: 1,
        },
      ],
      commitIndex: 1,
      leadership: { role: 'follower', term: 2, leader: 0 },
    });
  });

  it('an election won: a session per peer at the old end, a no-op, a round of heartbeats', () => {
    const raft = startRaft();
    timeOut(raft);
    take(raft);
    raft.step(voteReply(3, 2));
    const beat = { group: 7, from: 1, term: 2, type: 'heartbeat', commit: 0, round: 1 };
    expect(raft.ready()).toEqual({
      ...idle,
      orders: [
        {
          id: 2,
          type: 'own',
          batch: { kind: BatchKind.NoOp, term: 2, firstIndex: 2, prevTerm: 1, count: 1 },
        },
      ],
      // Heartbeats assert the term and not the log: they wait for the term's record alone.
      messages: [
        { message: { ...beat, to: 2 }, after: 1 },
        { message: { ...beat, to: 3 }, after: 1 },
      ],
      sessions: [
        { type: 'open', peer: 2, session: 1, term: 2, mode: 'probe', prevIndex: 1, prevTerm: 1 },
        { type: 'open', peer: 3, session: 2, term: 2, mode: 'probe', prevIndex: 1, prevTerm: 1 },
      ],
      commitIndex: 1,
      leadership: { role: 'leader', term: 2, leader: 1 },
    });
  });

  it('a proposal: indexes at once, one order', () => {
    const raft = electedRaft();
    const batch = { kind: BatchKind.Data, term: 2, firstIndex: 3, prevTerm: 2, count: 5 };
    expect(raft.propose(5, 100)).toEqual(batch);
    expect(raft.ready()).toEqual({ ...idle, orders: [{ id: 3, type: 'own', batch }], commitIndex: 1 });
  });

  it('a probe accepted: the same session streams from there; the quorum commits', () => {
    const raft = electedRaft();
    const session = sessionTo(raft, 2);
    raft.step(accepted(2, 2, session, 1));
    expect(raft.ready()).toEqual({
      ...idle,
      sessions: [{ type: 'stream', peer: 2, session, term: 2, next: 2 }],
      commitIndex: 1,
    });
    raft.step(accepted(2, 2, session, 2));
    expect(raft.ready()).toEqual({ ...idle, commitIndex: 2, commitMoved: true });
  });

  it('an append: the term, then the batches by their very headers, then the reply that waits for all', () => {
    const raft = startRaft();
    const headers = [header(2, 2, 1, 1, BatchKind.NoOp), header(2, 3, 4, 2)];
    raft.step(append(2, 2, 1, 1, { headers, commit: 2, session: 9 }));
    const ready = take(raft);
    expect(ready).toEqual({
      ...idle,
      orders: [
        { id: 1, type: 'hardState', hardState: { term: 2, vote: 0 } },
        { id: 2, type: 'append', header: headers[0] },
        { id: 3, type: 'append', header: headers[1] },
      ],
      messages: [
        {
          message: {
            group: 7,
            from: 1,
            to: 2,
            term: 2,
            type: 'appendReply',
            session: 9,
            refused: false,
            match: 6,
            hintIndex: 0,
            hintTerm: 0,
            applied: 0,
          },
          after: 3,
        },
      ],
      commitIndex: 2,
      commitMoved: true,
      leadership: { role: 'follower', term: 2, leader: 2 },
    });
    expect(ready.orders[1]?.type === 'append' && ready.orders[1].header === headers[0]).toBe(true);
  });

  it("E3 a conflict: cut at the batch border, then the leader's batch", () => {
    const raft = startRaft({ terms: [1, 2, 2, 2], term: 3 });
    const batch = header(3, 3, 1, 2, BatchKind.NoOp);
    raft.step(append(2, 3, 2, 2, { headers: [batch] }));
    expect(take(raft).orders).toEqual([
      { id: 1, type: 'truncate', from: 3 },
      { id: 2, type: 'append', header: batch },
    ]);
    expect(raft.status()).toMatchObject({ lastIndex: 3, durableIndex: 2 });
    expect(raft.termAt(3)).toBe(3);
  });

  it('a leader that hears of a higher term closes every session in the same Ready', () => {
    const raft = electedRaft();
    raft.step(heartbeat(3, 5));
    expect(raft.ready()).toEqual({
      ...idle,
      orders: [{ id: 3, type: 'hardState', hardState: { term: 5, vote: 0 } }],
      messages: [
        {
          message: { group: 7, from: 1, to: 3, term: 5, type: 'heartbeatReply', round: 1, lastIndex: 2 },
          after: 3,
        },
      ],
      sessions: [
        { type: 'close', peer: 2, session: 1 },
        { type: 'close', peer: 3, session: 2 },
      ],
      commitIndex: 1,
      leadership: { role: 'follower', term: 5, leader: 3 },
    });
  });
});
