import { describe, expect, it } from 'vitest';
import { type AppendReply, BatchKind } from '../../src/base/messages.js';
import type { Raft } from '../../src/core/raft.js';
import {
  type AppendParts,
  append,
  configuration,
  header,
  heartbeat,
  startRaft,
  take,
  voteRequest,
} from './fixtures.js';

function reply(raft: Raft): AppendReply & { after: number } {
  const { message, after } = take(raft).messages.at(-1) ?? {};
  if (message?.type !== 'appendReply') throw new Error('expected an append reply');
  return { ...message, after: after ?? -1 };
}

/** Follower of node 2 in term 2 with entries 2 … 10 of that term, all committed up to `commit`. */
function follower(commit = 1): Raft {
  const raft = startRaft();
  raft.step(
    append(2, 2, 1, 1, { headers: [header(2, 2, 3, 1), header(2, 5, 3, 2), header(2, 8, 3, 2)], commit }),
  );
  take(raft);
  return raft;
}

describe("a follower and its leader's batches", () => {
  it('H20 a late duplicate is skipped: nothing is cut, nothing is written', () => {
    const raft = follower();
    raft.step(append(2, 2, 1, 1, { headers: [header(2, 2, 3, 1)] }));
    const ready = take(raft);
    expect(ready.orders).toEqual([]);
    expect(raft.status().lastIndex).toBe(10);
  });

  it('H20 an overlap is skipped, and what is new is taken', () => {
    const raft = follower();
    raft.step(append(2, 2, 4, 2, { headers: [header(2, 5, 3, 2), header(2, 8, 3, 2), header(2, 11, 2, 2)] }));
    expect(take(raft).orders).toMatchObject([{ type: 'append', header: { firstIndex: 11 } }]);
  });

  it("H31 the reply to a duplicate waits for the first one's write", () => {
    const raft = follower();
    raft.step(append(2, 2, 1, 1, { headers: [header(2, 2, 3, 1)] }));
    expect(reply(raft)).toMatchObject({ refused: false, match: 10, after: 4 });
  });

  it('H21 a conflicting suffix goes, all of it', () => {
    const raft = follower();
    raft.step(append(3, 3, 4, 2, { headers: [header(3, 5, 1, 2)] }));
    expect(take(raft).orders).toMatchObject([
      { type: 'hardState' },
      { type: 'truncate', from: 5 },
      { type: 'append' },
    ]);
    expect([5, 6].map((index) => raft.termAt(index))).toEqual([3, undefined]);
  });

  it('H22 commit moves no further than the message proves', () => {
    const raft = follower();
    // What stands behind it is on disk here, and says nothing all the same.
    raft.step({ type: 'durable', order: 4 });
    raft.step(append(3, 3, 7, 2, { commit: 9 }));
    expect(raft.status().commitIndex).toBe(7);
    raft.step(append(3, 3, 7, 2, { commit: 9, headers: [header(3, 8, 1, 2)] }));
    expect(raft.status().commitIndex).toBe(8);
  });

  it("a heartbeat's answer waits for the term's record and for no entry; an acknowledgement waits for all", () => {
    const raft = follower();
    raft.step(heartbeat(2, 2, 1));
    raft.step(append(2, 2, 10, 2, { headers: [header(2, 11, 1, 2)] }));
    // Order 1 is the hard state, 2 to 4 are the batches before, 5 is the one that came now.
    expect(take(raft).messages).toMatchObject([
      { message: { type: 'heartbeatReply' }, after: 1 },
      { message: { type: 'appendReply', match: 11 }, after: 5 },
    ]);
    raft.step(heartbeat(3, 3, 1));
    expect(take(raft).messages).toMatchObject([{ message: { type: 'heartbeatReply', term: 3 }, after: 6 }]);
  });

  it("H30 a heartbeat commits no further than was verified in the leader's session", () => {
    const raft = follower();
    raft.step(heartbeat(2, 2, 6));
    expect(raft.status().commitIndex).toBe(6);
    raft.step(heartbeat(3, 3, 9));
    expect(raft.status().commitIndex).toBe(6);
    raft.step(append(3, 3, 7, 2));
    raft.step(heartbeat(3, 3, 99));
    expect(raft.status().commitIndex).toBe(7);
  });

  it('commit never goes back', () => {
    const raft = follower(9);
    raft.step(append(2, 2, 1, 1, { headers: [header(2, 2, 3, 1)], commit: 2 }));
    expect(raft.status().commitIndex).toBe(9);
  });

  it('match is what was verified in the session of the message, not the end of the log', () => {
    const raft = follower();
    raft.step(append(2, 2, 4, 2, { session: 2 }));
    expect(reply(raft)).toMatchObject({ session: 2, match: 4 });
    raft.step(append(2, 2, 4, 2, { session: 2, headers: [header(2, 5, 3, 2)] }));
    expect(reply(raft)).toMatchObject({ session: 2, match: 7 });
    raft.step(append(2, 2, 4, 2, { session: 2 }));
    expect(reply(raft)).toMatchObject({ session: 2, match: 7 });
  });

  it('H26 an append of a session that its leader gave up is dropped', () => {
    const raft = follower();
    raft.step(append(2, 2, 10, 2, { session: 2 }));
    take(raft);
    raft.step(append(2, 2, 10, 2, { session: 1, headers: [header(2, 11, 1, 2)] }));
    expect(raft.ready()).toBeUndefined();
  });

  it('H26 what was verified in another session, or under another leader, is not acknowledged', () => {
    const raft = follower();
    raft.step(append(2, 2, 1, 1, { session: 2 }));
    expect(reply(raft)).toMatchObject({ session: 2, match: 1 });
    raft.step(append(2, 2, 10, 2, { session: 9 }));
    expect(reply(raft)).toMatchObject({ session: 9, match: 10 });
    raft.step(append(3, 3, 4, 2, { session: 1 }));
    expect(reply(raft)).toMatchObject({ session: 1, match: 4, term: 3 });
  });

  it('E3 a refusal names what was asked and where both may agree', () => {
    const raft = startRaft({ terms: [1, 2, 2, 4, 4], term: 6 });
    const hintFor = (prevIndex: number, prevTerm: number) => {
      raft.step(append(2, 6, prevIndex, prevTerm));
      const { refused, match, hintIndex, hintTerm } = reply(raft);
      expect({ refused, match }).toEqual({ refused: true, match: prevIndex });
      return [hintIndex, hintTerm];
    };
    expect(hintFor(9, 5)).toEqual([5, 4]);
    expect(hintFor(9, 3)).toEqual([3, 2]);
    expect(hintFor(5, 5)).toEqual([4, 4]);
    expect(hintFor(5, 3)).toEqual([3, 2]);
    expect(hintFor(5, 1)).toEqual([1, 1]);
  });

  it('E9 H59 a configuration counts as soon as it is in the log, and is rolled back with it', () => {
    const raft = startRaft();
    const grown = configuration([1, 2, 3, 4]);
    const headers = [header(2, 2, 1, 1), header(2, 3, 1, 2, BatchKind.Configuration), header(2, 4, 2, 2)];
    raft.step(append(2, 2, 1, 1, { headers, configurations: [grown] }));
    expect(raft.status().configuration).toEqual({ index: 3, term: 2, configuration: grown });
    raft.step(append(3, 3, 2, 2, { headers: [header(3, 3, 1, 2, BatchKind.NoOp)] }));
    expect(raft.status().configuration).toEqual({
      index: 1,
      term: 1,
      configuration: configuration([1, 2, 3]),
    });
  });

  it('E9 after a restart the configuration in force is again the latest, and rolls back to the one before', () => {
    const first = { index: 1, term: 1, configuration: configuration([1, 2, 3]) };
    const second = { index: 3, term: 2, configuration: configuration([1, 2]) };
    const raft = startRaft({ terms: [1, 2, 2], configurations: [first, second] });
    expect(raft.status().configuration).toEqual(second);
    raft.step(append(2, 3, 2, 2, { headers: [header(3, 3, 1, 2)] }));
    expect(raft.status().configuration).toEqual(first);
  });

  it('H32 a write that was overwritten before it was durable proves nothing for what took its place', () => {
    const raft = startRaft();
    raft.step(append(2, 2, 1, 1, { headers: [header(2, 2, 3, 1)] }));
    raft.step(append(3, 3, 1, 1, { headers: [header(3, 2, 2, 1)] }));
    expect(take(raft).orders.map((order) => order.type)).toEqual([
      'hardState',
      'append',
      'hardState',
      'truncate',
      'append',
    ]);
    raft.step({ type: 'durable', order: 2 });
    expect(raft.status().durableIndex).toBe(1);
    raft.step({ type: 'durable', order: 4 });
    expect(raft.status().durableIndex).toBe(1);
    raft.step({ type: 'durable', order: 5 });
    expect(raft.status().durableIndex).toBe(3);
  });

  it('H32 what was durable before it was overwritten says nothing of what took its place', () => {
    const raft = follower();
    raft.step({ type: 'durable', order: 4 });
    expect(raft.status().durableIndex).toBe(10);
    raft.step(append(3, 3, 4, 2, { headers: [header(3, 5, 6, 2)] }));
    const { orders } = take(raft);
    expect(raft.status()).toMatchObject({ lastIndex: 10, durableIndex: 4 });
    raft.step({ type: 'durable', order: orders.at(-1)?.id ?? 0 });
    expect(raft.status().durableIndex).toBe(10);
  });

  it('H33 a reply keeps the term and session that it was made in', () => {
    const raft = startRaft();
    raft.step(append(2, 2, 1, 1, { session: 5, headers: [header(2, 2, 1, 1)] }));
    raft.step(voteRequest(3, 4, 2, 9));
    const [first] = take(raft).messages;
    expect(first).toMatchObject({ message: { term: 2, session: 5, match: 2 }, after: 2 });
  });

  it('H70 the term at an index tells whether it still is the entry that was put there', () => {
    const raft = follower();
    expect(raft.termAt(8)).toBe(2);
    raft.step(append(3, 3, 7, 2, { headers: [header(3, 8, 1, 2)], commit: 8 }));
    expect(raft.status().commitIndex).toBe(8);
    expect(raft.termAt(8)).toBe(3);
  });

  it('A4 what lies below the base is committed: an append from there is taken from where it is new', () => {
    const raft = startRaft({ base: { index: 10, term: 2 }, terms: [3, 3], commit: 11 });
    raft.step(append(2, 4, 0, 0));
    expect(reply(raft)).toMatchObject({ refused: false, match: 11 });
    raft.step(
      append(2, 4, 5, 1, { headers: [header(2, 6, 5, 1), header(3, 11, 2, 2), header(4, 13, 1, 3)] }),
    );
    const ready = take(raft);
    expect(ready.orders).toMatchObject([{ type: 'append', header: { firstIndex: 13 } }]);
  });
});

describe('S6 S7 what no correct leader sends', () => {
  const good = header(2, 11, 2, 2);
  const cases: [string, AppendParts][] = [
    ['a gap behind prevIndex', { headers: [{ ...good, firstIndex: 12 }] }],
    ['a gap between batches', { headers: [good, header(2, 14, 1, 2)] }],
    ["a term above the message's", { headers: [{ ...good, term: 3 }] }],
    ['terms that fall', { headers: [good, header(1, 13, 1, 2)] }],
    ['a wrong term before', { headers: [{ ...good, prevTerm: 1 }] }],
    ['an empty batch', { headers: [{ ...good, count: 0 }] }],
    ["another group's batch", { headers: [{ ...good, group: 8 }] }],
    ['a no-op of two entries', { headers: [{ ...good, kind: BatchKind.NoOp }] }],
    ['a configuration that is missing', { headers: [{ ...good, count: 1, kind: BatchKind.Configuration }] }],
    ['a configuration too many', { headers: [good], configurations: [configuration([1])] }],
    [
      'a configuration without voters',
      {
        headers: [{ ...good, count: 1, kind: BatchKind.Configuration }],
        configurations: [configuration([])],
      },
    ],
    ['an index beyond what a number holds', { headers: [{ ...good, count: Number.MAX_SAFE_INTEGER }] }],
  ];
  for (const [name, parts] of cases) {
    it(`${name}: refused, counted, nothing changed`, () => {
      const raft = follower();
      raft.step(append(2, 2, 10, 2, { ...parts, commit: 10 }));
      const ready = take(raft);
      expect(ready).toMatchObject({
        orders: [],
        commitMoved: false,
        messages: [{ message: { refused: true } }],
      });
      expect(raft.status()).toMatchObject({ invalidMessages: 1, lastIndex: 10 });
    });
  }

  it('H20 a committed entry is not replaced, whoever asks', () => {
    const raft = follower(7);
    raft.step(append(3, 3, 4, 2, { headers: [header(3, 5, 1, 2)] }));
    expect(reply(raft)).toMatchObject({ refused: true });
    expect(raft.status()).toMatchObject({ invalidMessages: 1, lastIndex: 10 });
  });

  it('a leader does not replace what it sent itself', () => {
    const raft = startRaft({ terms: [1, 2], term: 5 });
    raft.step(append(2, 5, 1, 1, { headers: [header(2, 2, 1, 1)] }));
    raft.step(append(2, 5, 1, 1, { headers: [header(3, 2, 1, 1)] }));
    expect(raft.status()).toMatchObject({ invalidMessages: 1, lastIndex: 2 });
    expect(raft.termAt(2)).toBe(2);
  });

  it('of a batch there is all or nothing', () => {
    const raft = follower();
    raft.step(append(2, 2, 7, 2, { headers: [header(2, 8, 9, 2)] }));
    expect(raft.status()).toMatchObject({ invalidMessages: 1, lastIndex: 10 });
  });
});
