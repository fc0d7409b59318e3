import { describe, expect, it } from 'vitest';
import { type BatchHeader, BatchKind, Codec } from '../../src/base/messages.js';
import { packEntry } from '../../src/codec/entries.js';
import { Applier } from '../../src/engine/applier.js';
import { ApplyPace } from '../../src/engine/apply-pace.js';
import { Feed, type FeedParts } from '../../src/engine/feed.js';
import type { ProposalSlot } from '../../src/engine/proposal-slots.js';
import { notLeader } from '../../src/engine/refusals.js';
import { Waiters } from '../../src/engine/waiters.js';

/** One entry a batch: an `x` at the place where every ring here holds its payload. */
const BYTES = Buffer.alloc(64);
const END = packEntry(BYTES, 0, Buffer.from('x'));

function makeWorld() {
  const entries: number[] = [];
  const clock = { ms: 0, entryMs: 0, nowMs: () => clock.ms };
  const pace = new ApplyPace();
  const applier = new Applier(1, {
    apply: (batch) => {
      clock.ms += clock.entryMs * batch.count;
      batch.forEach((_, index) => {
        entries.push(index);
      });
      return undefined;
    },
  });
  const near: ProposalSlot[] = [];
  const commands: Record<string, unknown>[] = [];
  const log = { durableIndex: 0, term: 2, termAt: () => log.term };
  const snapshots = { installing: false };
  const parts = {
    ...{ group: 1, applier, pace, clock, log, snapshots },
    hub: {
      slots: { bytes: BYTES },
      command: (command: Record<string, unknown>) => commands.push(command),
    },
    proposals: { near: { first: () => near[0], shift: () => near.shift(), finish: () => {} } },
    notLeader: () => notLeader(1, 2, ''),
    urgent: () => false,
    sessions: () => {},
  };
  const feed = new Feed(parts as unknown as FeedParts, 0);
  const seal = (firstIndex: number): Waiters => {
    const waiters = new Waiters();
    const place = { group: 1, term: 2, firstIndex, count: 1, kind: BatchKind.Data, flags: 0 };
    near.push({ ...place, start: 0, end: END, ringEnd: END, waiters, done: false });
    return waiters;
  };
  const applyFed = (firstIndex: number): void => {
    const place = { group: 1, term: 2, firstIndex, count: 1, prevTerm: 2, kind: BatchKind.Data, flags: 0 };
    const form = { formatVersion: 1, codec: Codec.None, rawLength: END, byteLength: 0, leaderTimeMs: 0 };
    feed.applyFed({ ...place, ...form, checksum: 0 } as BatchHeader, BYTES, 0);
  };
  const asked = () => commands.splice(0).map(({ type, from, to }) => `${type} ${from} to ${to}`);
  return { feed, log, near, seal, applyFed, entries, asked, snapshots, clock, pace };
}

describe('what a state machine is given next', () => {
  it('is timed, near and fed: a leader knows how many entries a batch may have', () => {
    const { feed, log, seal, applyFed, clock, pace } = makeWorld();
    clock.entryMs = 0.02;
    for (let index = 1; index <= 40; index++) seal(index);
    log.durableIndex = 100;
    feed.committed(100);
    for (let index = 1; index <= 40; index++) feed.applyNear();
    expect(Math.abs(pace.batchEntriesInTime - 300)).toBeLessThanOrEqual(1);
    clock.entryMs = 0.1;
    for (let index = 41; index <= 100; index++) applyFed(index);
    expect(Math.abs(pace.batchEntriesInTime - 60)).toBeLessThanOrEqual(1);
  });

  it('H34 is committed and on the own disk, whichever comes last', () => {
    const { feed, log, seal, entries } = makeWorld();
    for (const index of [1, 2, 3]) seal(index);
    feed.committed(3);
    expect(feed.applyNear()).toBe(false);
    log.durableIndex = 2;
    while (feed.applyNear());
    expect(entries).toEqual([1, 2]);
    log.durableIndex = 9;
    while (feed.applyNear());
    expect(entries).toEqual([1, 2, 3]);
  });

  it('H73 is nothing that it had: what came near is passed over when it is read back', () => {
    const { feed, log, seal, applyFed, entries } = makeWorld();
    log.durableIndex = 9;
    feed.committed(3);
    for (const index of [1, 2]) seal(index);
    expect(feed.applyNear()).toBe(true);
    expect(feed.applyNear()).toBe(true);
    for (const index of [1, 2, 3]) applyFed(index);
    expect(entries).toEqual([1, 2, 3]);
  });

  it('H70 is what the log says, not what was sealed in a term that was lost', async () => {
    const { feed, log, seal, entries } = makeWorld();
    const lost = seal(1).promise(0);
    log.durableIndex = 1;
    log.term = 3;
    feed.committed(1);
    expect(feed.applyNear()).toBe(true);
    await expect(lost).rejects.toMatchObject({ code: 'RAFTLINE_NOT_LEADER' });
    expect(entries).toEqual([]);
  });

  it('is read back where nothing near is due, each stretch asked for once, and not under a snapshot that is being taken in', () => {
    const { feed, log, seal, snapshots, asked } = makeWorld();
    log.durableIndex = 9;
    feed.committed(5);
    feed.ask();
    feed.ask();
    expect(asked()).toEqual(['feed 1 to 5']);
    seal(8);
    feed.committed(9);
    feed.ask();
    expect(asked()).toEqual(['feed 1 to 7']);
    snapshots.installing = true;
    feed.committed(12);
    feed.ask();
    expect(asked()).toEqual([]);
  });
});
