import { describe, expect, it } from 'vitest';
import { BatchKind } from '../../src/base/messages.js';
import type { Raft } from '../../src/core/raft.js';
import {
  accepted,
  append,
  configuration,
  electedRaft,
  header,
  heartbeat,
  heartbeatReply,
  progressOf,
  refused,
  sessionTo,
  startRaft,
  take,
} from './fixtures.js';

const bigger = configuration([1, 2, 3], { learners: [4] });

const received = (index: number, term: number, at = { index: 1, term: 1, configuration: bigger }) =>
  ({ type: 'snapshotReceived', index, term, configuration: at }) as const;

describe('a snapshot that was received', () => {
  it('H47 takes the place of the whole log where the log does not hold its last entry', () => {
    const raft = startRaft({ terms: [1, 1, 1, 1, 1, 1], term: 5 });
    raft.step(received(4, 3));
    expect(take(raft)).toMatchObject({
      orders: [{ id: 1, type: 'snapshot', index: 4, term: 3, keepsSuffix: false }],
      commitIndex: 4,
      commitMoved: true,
    });
    expect(raft.status()).toMatchObject({ lastIndex: 4, commitIndex: 4, durableIndex: 1 });
    expect([3, 4, 5].map((index) => raft.termAt(index))).toEqual([undefined, 3, undefined]);
    raft.step({ type: 'durable', order: 1 });
    expect(raft.durableIndex).toBe(4);
  });

  it('H47 keeps what follows where the log holds its last entry', () => {
    const raft = startRaft({ terms: [1, 1, 3, 3, 4], term: 5 });
    raft.step(received(4, 3));
    expect(take(raft).orders).toMatchObject([{ type: 'snapshot', keepsSuffix: true }]);
    expect(raft.status()).toMatchObject({ lastIndex: 5, commitIndex: 4, durableIndex: 5 });
    expect([3, 4, 5].map((index) => raft.termAt(index))).toEqual([undefined, 3, 4]);
  });

  it('beyond the end of the log: what comes next follows it', () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 2));
    raft.step(received(10, 2));
    take(raft);
    raft.step(append(2, 2, 10, 2, { headers: [header(2, 11, 2, 2)], commit: 12 }));
    expect(take(raft).orders).toMatchObject([{ type: 'append' }]);
    expect(raft.status()).toMatchObject({ lastIndex: 12, commitIndex: 12 });
  });

  it('H46 E6 what is not newer than the commit is passed over', () => {
    const raft = startRaft({ terms: [1, 1, 1, 1], commit: 3 });
    raft.step(received(3, 1));
    raft.step(received(2, 1));
    expect(raft.ready()).toBeUndefined();
    raft.step(received(4, 1));
    raft.step(received(4, 1));
    expect(take(raft).orders).toHaveLength(1);
    raft.step(received(9, 1));
    expect(take(raft).orders).toMatchObject([{ id: 2, index: 9 }]);
  });

  it('H51 brings the configuration of its index; later ones in the log stay only with their entries', () => {
    const later = { index: 4, term: 3, configuration: configuration([1, 2]) };
    const first = { index: 1, term: 1, configuration: configuration([1, 2, 3]) };
    const start = { terms: [1, 1, 3, 3], configurations: [first, later] };
    const keeps = startRaft(start);
    keeps.step(received(3, 3));
    expect(keeps.status().configuration).toEqual(later);
    const drops = startRaft(start);
    drops.step(received(3, 2));
    expect(drops.status().configuration).toMatchObject({ index: 1, configuration: bigger });
    const wrong = startRaft(start);
    wrong.step(received(3, 3, { index: 4, term: 3, configuration: bigger }));
    expect(wrong.status()).toMatchObject({ invalidMessages: 1, commitIndex: 1 });
  });

  it('H32 writes of the old log that become durable later say nothing about the new one', () => {
    const raft = startRaft();
    raft.step(append(2, 2, 1, 1, { headers: [header(2, 2, 1, 1, BatchKind.NoOp), header(2, 3, 9, 2)] }));
    raft.step(append(3, 3, 1, 1));
    raft.step(received(8, 3));
    take(raft);
    raft.step({ type: 'durable', order: 3 });
    expect(raft.durableIndex).toBe(1);
    raft.step({ type: 'durable', order: 5 });
    expect(raft.durableIndex).toBe(8);
  });

  it('H53 its pieces are contact with the leader, and only with the leader', () => {
    const raft = startRaft();
    raft.step(heartbeat(2, 2));
    for (let i = 0; i < 30; i++) {
      raft.tick();
      raft.step({ type: 'snapshotChunk', from: 2, term: 2 });
    }
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 2 });
    for (let i = 0; i < 10; i++) {
      raft.tick();
      raft.step({ type: 'snapshotChunk', from: 3, term: 2 });
      raft.step({ type: 'snapshotChunk', from: 2, term: 1 });
    }
    expect(raft.status().role).toBe('candidate');
  });
});

/** Leader of term 2 whose log begins after 10; its no-op is at 13. */
function leader(): Raft {
  const raft = electedRaft({ base: { index: 10, term: 1 }, terms: [1, 1] });
  raft.step(refused(2, 2, sessionTo(raft, 2), 12, 4, 1));
  return raft;
}

describe('a follower that needs a snapshot', () => {
  it('A4 is asked for once; what was sent proves nothing until the follower says so', () => {
    const raft = leader();
    expect(take(raft).snapshots).toEqual([{ peer: 2, term: 2, index: 10 }]);
    raft.step(heartbeatReply(2, 2, 1, 4));
    expect(raft.ready()).toBeUndefined();
    raft.step({ type: 'snapshotResult', peer: 2, index: 11, ok: true });
    expect(take(raft).sessions).toMatchObject([{ type: 'open', peer: 2, prevIndex: 11 }]);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 0 });
  });

  it('A16 a snapshot that failed is offered again once the follower is heard', () => {
    const raft = leader();
    take(raft);
    raft.step({ type: 'snapshotResult', peer: 2, index: 10, ok: false });
    expect(raft.ready()).toBeUndefined();
    raft.step(heartbeatReply(2, 2, 1, 4));
    expect(take(raft).snapshots).toEqual([{ peer: 2, term: 2, index: 10 }]);
    raft.step(heartbeatReply(2, 2, 1, 4));
    expect(raft.ready()).toBeUndefined();
  });

  it('A16 and to one that is never heard, as a newcomer whose log is empty, an election timeout after it was offered last', () => {
    const raft = leader();
    take(raft);
    raft.step({ type: 'snapshotResult', peer: 2, index: 10, ok: false });
    for (let ticks = 1; ticks < 10; ticks++) raft.tick();
    expect(take(raft).snapshots).toEqual([]);
    // The third keeps the quorum.
    raft.step(heartbeatReply(3, 2, 0, 13));
    raft.tick();
    expect(take(raft).snapshots).toEqual([{ peer: 2, term: 2, index: 10 }]);
  });

  it('A16 meanwhile heartbeats go to it as to everybody, and what the others hold is committed', () => {
    const raft = leader();
    raft.step(accepted(3, 2, sessionTo(raft, 3), 13));
    take(raft);
    const beats = [1, 2].map(() => {
      raft.tick();
      raft.tick();
      const { messages } = take(raft);
      return messages.map(({ message: { type, to } }) => `${type} ${to}`);
    });
    expect(beats).toEqual([
      ['heartbeat 2', 'heartbeat 3'],
      ['heartbeat 2', 'heartbeat 3'],
    ]);
    raft.propose(1, 10);
    raft.step({ type: 'durable', order: take(raft).orders.at(-1)!.id });
    raft.step(accepted(3, 2, sessionTo(raft, 3), 14));
    expect(take(raft).commitIndex).toBe(14);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'snapshot' });
  });

  it("A16 it goes on until somebody else leads: then what becomes of it is nobody's business", () => {
    const raft = leader();
    take(raft);
    raft.step(heartbeat(3, 3));
    take(raft);
    raft.step({ type: 'snapshotResult', peer: 2, index: 11, ok: true });
    raft.step(heartbeatReply(2, 3, 1, 4));
    for (let tick = 0; tick < 3; tick++) raft.tick();
    expect(raft.ready()).toBeUndefined();
  });

  it('a snapshot that compaction has overtaken is followed by a newer one', () => {
    const raft = leader();
    raft.step(accepted(3, 2, sessionTo(raft, 3), 13));
    take(raft);
    raft.step({ type: 'compacted', index: 12 });
    raft.step({ type: 'snapshotResult', peer: 2, index: 10, ok: true });
    expect(take(raft).snapshots).toEqual([{ peer: 2, term: 2, index: 12 }]);
  });

  it('H48 compaction under a probing follower, which then needs a snapshot; others go on', () => {
    const raft = electedRaft({ terms: [1, 1, 1, 1, 1, 1] });
    raft.step(refused(2, 2, sessionTo(raft, 2), 6, 3, 1));
    raft.step(accepted(3, 2, sessionTo(raft, 3), 7));
    take(raft);
    raft.step({ type: 'compacted', index: 5 });
    expect(take(raft)).toMatchObject({
      sessions: [{ type: 'close', peer: 2 }],
      snapshots: [{ peer: 2, term: 2, index: 5 }],
    });
    expect(progressOf(raft, 3)).toMatchObject({ state: 'replicate', match: 7 });
    expect([4, 5, 6].map((index) => raft.termAt(index))).toEqual([undefined, 1, 1]);
    raft.step({ type: 'compacted', index: 3 });
    expect(raft.termAt(5)).toBe(1);
  });

  it('only what is committed and on the own disk may go', () => {
    const raft = electedRaft({ terms: [1, 1, 1] });
    expect(() => raft.step({ type: 'compacted', index: 2 })).toThrow(/committed and durable/);
  });

  it('a result for a follower that needs none any more is passed over', () => {
    const raft = leader();
    raft.step(heartbeatReply(2, 2, 1, 11));
    take(raft);
    raft.step({ type: 'snapshotResult', peer: 2, index: 10, ok: true });
    raft.step({ type: 'snapshotResult', peer: 9, index: 10, ok: true });
    expect(raft.ready()).toBeUndefined();
  });
});
