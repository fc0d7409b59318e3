import { describe, expect, it } from 'vitest';
import { type BatchHeader, BatchKind, Codec } from '../../src/base/messages.js';
import { packEntry } from '../../src/codec/entries.js';
import { Applier } from '../../src/engine/applier.js';
import { ApplyPace } from '../../src/engine/apply-pace.js';
import { Feed, type FeedParts } from '../../src/engine/feed.js';
import { NearSlots } from '../../src/engine/near-slots.js';
import type { ProposalSlot } from '../../src/engine/proposal-slots.js';
import { notLeader } from '../../src/engine/refusals.js';
import { Waiters } from '../../src/engine/waiters.js';

/** One entry a batch, unless told: an `x` each, at the place where every ring here holds its payload. */
const BYTES = Buffer.alloc(1024);
const END = packEntry(BYTES, 0, Buffer.from('x'));
for (let at = END; at + END <= BYTES.length; ) at = packEntry(BYTES, at, Buffer.from('x'));

function makeWorld() {
  const entries: number[] = [];
  const clock = { ms: 0, entryMs: 0, nowMs: () => clock.ms };
  const pace = new ApplyPace();
  const machine = { fails: false };
  const hubSlots: { bytes: Buffer; inUse: ProposalSlot | undefined } = { bytes: BYTES, inUse: undefined };
  /** What was in use when the state machine had a batch. */
  const used: (number | undefined)[] = [];
  const applier = new Applier(1, {
    apply: (batch) => {
      if (machine.fails) throw new Error('it fails');
      used.push(hubSlots.inUse?.firstIndex);
      clock.ms += clock.entryMs * batch.count;
      batch.forEach((_, index) => {
        entries.push(index);
      });
      return undefined;
    },
  });
  const near = new NearSlots();
  const commands: Record<string, unknown>[] = [];
  const log = { durableIndex: 0, term: 2, termAt: () => log.term };
  const snapshots = { installing: false, isDue: false };
  const parts = {
    ...{ group: 1, applier, pace, clock, log, snapshots },
    hub: {
      slots: hubSlots,
      command: (command: Record<string, unknown>) => commands.push(command),
    },
    proposals: { near },
    notLeader: () => notLeader(1, 2, ''),
    urgent: () => false,
    sessions: () => {},
  };
  const feed = new Feed(parts as unknown as FeedParts, 0);
  const slots = new Map<number, ProposalSlot>();
  const seal = (firstIndex: number, count = 1, kind: BatchKind = BatchKind.Data): Waiters => {
    const waiters = new Waiters();
    const place = { group: 1, term: 2, firstIndex, count, kind, flags: 0 };
    const slot = { ...place, start: 0, end: count * END, ringEnd: END, waiters, kept: true };
    near.add(slot, 0);
    slots.set(firstIndex, slot);
    return waiters;
  };
  /** The ring was needed for others. */
  const letGo = (firstIndex: number): void => {
    slots.get(firstIndex)!.kept = false;
  };
  const applyFed = (firstIndex: number, term = 2, count = 1): boolean => {
    const place = { group: 1, term, firstIndex, count, prevTerm: 2, kind: BatchKind.Data, flags: 0 };
    const form = {
      formatVersion: 1,
      codec: Codec.None,
      rawLength: count * END,
      byteLength: 0,
      leaderTimeMs: 0,
    };
    return feed.applyFed({ ...place, ...form, checksum: 0 } as BatchHeader, BYTES, 0);
  };
  const told = () => commands.splice(0);
  const asked = () => told().map(({ type, from, to }) => `${type} ${from} to ${to}`);
  return {
    feed,
    log,
    near,
    used,
    hubSlots,
    seal,
    letGo,
    applyFed,
    entries,
    told,
    asked,
    snapshots,
    clock,
    pace,
    machine,
  };
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

  it('is timed without what never reaches it: a new leader’s own entries do not make its first batches small', () => {
    const { feed, log, seal, clock, pace } = makeWorld();
    const fresh = pace.batchEntriesInTime;
    seal(1, 1, BatchKind.NoOp);
    seal(2);
    log.durableIndex = 2;
    feed.committed(2);
    clock.nowMs = () => {
      clock.ms += 0.5;
      return clock.ms;
    };
    feed.applyNear();
    expect(pace.batchEntriesInTime).toBe(fresh);
    feed.applyNear();
    expect(pace.batchEntriesInTime, 'an entry of 0.5 ms').toBeLessThan(fresh);
  });

  it('is told of once, with how far ahead of it others may be kept waiting', () => {
    const { feed, log, seal, clock, told } = makeWorld();
    feed.tell();
    clock.entryMs = 0.125;
    for (const index of [1, 2]) seal(index);
    log.durableIndex = 2;
    feed.committed(2);
    while (feed.applyNear());
    feed.tell();
    feed.tell();
    expect(told()).toEqual([{ type: 'applied', group: 1, applied: 2, ahead: expect.closeTo(96, -1) }]);
  });

  it('is as much of a batch as it takes no longer for than it may: the rest comes later, and from the log if the ring was not kept meanwhile', async () => {
    const { feed, log, near, seal, letGo, applyFed, entries, asked, clock, told } = makeWorld();
    clock.entryMs = 0.5;
    const waiters = seal(1, 60);
    const answers = [waiters.promise(0), waiters.promise(59)];
    log.durableIndex = 60;
    feed.committed(60);
    expect(feed.applyNear()).toBe(true);
    expect(entries.length, 'nothing is known yet').toBe(16);
    expect(feed.applyNear()).toBe(true);
    expect(entries.length, 'what 2 ms take').toBe(20);
    feed.tell();
    expect([told(), near.first()?.count], 'it is not applied yet').toEqual([[], 60]);
    letGo(1);
    expect(feed.applyNear()).toBe(false);
    feed.ask();
    expect(asked()).toEqual(['feed 1 to 60']);
    let calls = 1;
    while (!applyFed(1, 2, 60)) calls++;
    expect([calls, near.first()]).toEqual([10, undefined]);
    expect(entries).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
    expect((await Promise.all(answers)).map(({ index }) => index)).toEqual([1, 60]);
    expect(applyFed(1, 2, 60), 'it had that').toBe(true);
    expect(entries.length).toBe(60);
  });

  it('is all of a batch where a snapshot is due, which can be taken between two batches only', () => {
    const { feed, log, seal, entries, clock, snapshots } = makeWorld();
    clock.entryMs = 0.5;
    seal(1, 60);
    log.durableIndex = 60;
    feed.committed(60);
    feed.applyNear();
    snapshots.isDue = true;
    feed.applyNear();
    expect(entries.length).toBe(60);
  });

  it('stays where it is in the ring while the state machine has it, and no longer', () => {
    const { feed, log, seal, applyFed, used, hubSlots } = makeWorld();
    for (const index of [1, 2]) seal(index);
    log.durableIndex = 9;
    feed.committed(9);
    while (feed.applyNear());
    expect(hubSlots.inUse).toBeUndefined();
    applyFed(3);
    expect(used).toEqual([1, 2, undefined]);
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

  it('is read back up to the first batch that the ring still keeps, and who waits for what it was let go of has the answer all the same', async () => {
    const { feed, log, near, seal, letGo, applyFed, entries, asked } = makeWorld();
    const answers = [1, 2, 3].map((index) => seal(index).promise(0));
    log.durableIndex = 9;
    feed.committed(1);
    letGo(1);
    letGo(2);
    expect(feed.applyNear(), 'its bytes may be overwritten').toBe(false);
    feed.ask();
    feed.committed(3);
    feed.ask();
    expect(asked()).toEqual(['feed 1 to 1', 'feed 1 to 2']);
    expect(near.entries, 'they count as long as they are not applied').toBe(3);
    applyFed(1);
    expect(feed.applyNear()).toBe(false);
    applyFed(2);
    expect(feed.applyNear()).toBe(true);
    expect((await Promise.all(answers)).map(({ index, term }) => [index, term])).toEqual([
      [1, 2],
      [2, 2],
      [3, 2],
    ]);
    expect(entries).toEqual([1, 2, 3]);
    expect([near.entries, near.bytes]).toEqual([0, 0]);
  });

  it('H70 is what the log says, also where what was sealed in a term that was lost was let go of', async () => {
    const { feed, log, near, seal, letGo, applyFed, entries } = makeWorld();
    const lost = seal(1).promise(0);
    letGo(1);
    log.durableIndex = 1;
    log.term = 3;
    feed.committed(1);
    applyFed(1, 3);
    await expect(lost).rejects.toMatchObject({ code: 'RAFTLINE_NOT_LEADER' });
    expect(entries, 'the new leader’s').toEqual([1]);
    expect(near.first()).toBeUndefined();
  });

  it('leaves who waits to those who end everything where the state machine fails on what was read back', async () => {
    const { feed, log, near, seal, letGo, applyFed, machine } = makeWorld();
    const answer = seal(1).promise(0);
    letGo(1);
    log.durableIndex = 1;
    feed.committed(1);
    machine.fails = true;
    expect(() => applyFed(1)).toThrow(/the state machine failed/);
    expect(near.first()?.firstIndex).toBe(1);
    near.first()!.waiters.reject(new Error('failed'), 'unknown');
    await expect(answer).rejects.toThrow('failed');
  });
});
