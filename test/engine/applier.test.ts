import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { BatchFlag, BatchKind } from '../../src/base/messages.js';
import { packEntry, packSessionEntry } from '../../src/codec/entries.js';
import { Applier, type RawBatch } from '../../src/engine/applier.js';
import type { Proposed, Waiter } from '../../src/engine/open-batch.js';
import type { ProposalSlot } from '../../src/engine/proposal-slots.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import { expectCode } from '../workers/parts.js';

type Entry = string | [client: number, sequence: number, text: string];

/** A raw batch somewhere in the middle of a ring. */
function raw(firstIndex: number, entries: Entry[], changes: Partial<RawBatch> = {}): RawBatch {
  const bytes = Buffer.alloc(4096, 0xee);
  let at = 100;
  for (const entry of entries) {
    if (typeof entry === 'string') at = packEntry(bytes, at, Buffer.from(entry));
    else at = packSessionEntry(bytes, at, entry[0], entry[1], Buffer.from(entry[2]));
  }
  const flags = entries.some((entry) => typeof entry !== 'string') ? BatchFlag.Sessions : 0;
  const place = { term: 2, firstIndex, count: entries.length, kind: BatchKind.Data, flags };
  return { ...place, bytes, start: 100, end: at, ...changes };
}

/** Notes what it is given, and answers with it. */
class Notes implements StateMachine {
  readonly log: string[] = [];
  batches = 0;
  apply: StateMachine['apply'] = (batch) => {
    this.batches++;
    const results: Buffer[] = [];
    batch.forEach((bytes, index, position) => {
      expect(position).toBe(results.length);
      this.log.push(`${index} ${Buffer.from(bytes)}`);
      results.push(Buffer.from(`<${Buffer.from(bytes)}>`));
    });
    expect(results.length).toBe(batch.count);
    return results;
  };
}

function slotOf(batch: RawBatch, positions: number[]) {
  const answered: [number, Proposed][] = [];
  const waiters: Waiter[] = positions.map((position) => ({
    position,
    resolve: (proposed) => answered.push([position, proposed]),
    reject: () => {},
  }));
  const { term, firstIndex, count, kind, flags, start, end } = batch;
  const slot: ProposalSlot = {
    group: 1,
    term,
    firstIndex,
    count,
    kind,
    flags,
    start,
    end,
    ringEnd: 0,
    waiters,
    done: false,
  };
  return { slot, answered };
}

describe('the applier', () => {
  it('H73 applies each batch once and in log order; what is not data moves on without the state machine', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    applier.apply(raw(1, ['']), undefined);
    applier.apply(raw(2, ['x'], { kind: BatchKind.Configuration }), undefined);
    applier.apply(raw(3, ['a', 'b']), undefined);
    expect(notes.log).toEqual(['1 ', '3 a', '4 b']);
    expect([applier.applied, applier.entriesApplied]).toEqual([4, 3]);
    for (const firstIndex of [3, 4, 6])
      expectCode(() => applier.apply(raw(firstIndex, ['z']), undefined), ErrorCode.Internal);
    expect(notes.batches).toBe(2);
  });

  it('H70 answers each waiter with its own index, term and result', () => {
    const applier = new Applier(1, new Notes());
    const batch = raw(1, ['a', 'b', 'c']);
    const { slot, answered } = slotOf(batch, [0, 2]);
    applier.apply(batch, slot);
    expect(answered).toEqual([
      [0, { index: 1, term: 2, result: Buffer.from('<a>') }],
      [2, { index: 3, term: 2, result: Buffer.from('<c>') }],
    ]);
    expect(slot.waiters).toEqual([]);
  });

  it('a state machine without answers is fine', () => {
    const applier = new Applier(1, { apply: () => undefined });
    const batch = raw(1, ['a']);
    const { slot, answered } = slotOf(batch, [0]);
    applier.apply(batch, slot);
    expect(answered).toEqual([[0, { index: 1, term: 2, result: undefined }]]);
  });

  it('H71 what the session table turns away never reaches the state machine; answers keep to their entries', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    applier.apply(raw(1, [[7, 1, 'one']]), undefined);
    const batch = raw(2, [
      [7, 1, 'one again'],
      'own',
      [7, 2, 'two'],
      [7, 9, 'gap'],
      [8, 5, 'stranger'],
      'own too',
    ]);
    const { slot, answered } = slotOf(batch, [1, 5]);
    const runs = applier.apply(batch, slot);
    expect(notes.log).toEqual(['1 one', '3 own', '4 two', '7 own too']);
    expect(answered.map(([, { index, result }]) => [index, String(result)])).toEqual([
      [3, '<own>'],
      [7, '<own too>'],
    ]);
    expect(runs).toMatchObject([
      { client: 7, firstSequence: 1, outcome: 'duplicate', index: 1, term: 2, result: Buffer.from('<one>') },
      { client: 7, firstSequence: 2, outcome: 'applied', index: 4, result: Buffer.from('<two>') },
      { client: 7, firstSequence: 9, outcome: 'refused', code: ErrorCode.SequenceGap, index: 0 },
      { client: 8, firstSequence: 5, outcome: 'refused', code: ErrorCode.SessionExpired },
    ]);
    expect([applier.entriesApplied, applier.duplicates, applier.applied]).toEqual([4, 3, 7]);
  });

  it('a batch of nothing but duplicates does not reach the state machine at all', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    applier.apply(raw(1, [[7, 1, 'a']]), undefined);
    const runs = applier.apply(raw(2, [[7, 1, 'a']]), undefined);
    expect(notes.batches).toBe(1);
    expect(runs).toMatchObject([{ outcome: 'duplicate', index: 1 }]);
    expect(applier.applied).toBe(2);
  });

  it('joins equal fates into runs, over consecutive sequences and indexes only', () => {
    const applier = new Applier(1, { apply: () => undefined });
    const runs = applier.apply(
      raw(1, [
        [7, 1, 'a'],
        [7, 2, 'b'],
        [8, 1, 'c'],
        [7, 3, 'd'],
        [8, 2, 'e'],
        [8, 3, 'f'],
      ]),
      undefined,
    );
    expect(
      runs.map(({ client, firstSequence, count, index }) => [client, firstSequence, count, index]),
    ).toEqual([
      [7, 1, 2, 1],
      [8, 1, 1, 3],
      [7, 3, 1, 4],
      [8, 2, 2, 5],
    ]);
    const again = applier.apply(
      raw(7, [
        [7, 1, 'a'],
        [7, 2, 'b'],
        [7, 3, 'd'],
        [7, 4, 'new'],
      ]),
      undefined,
    );
    expect(
      again.map(({ outcome, firstSequence, count, index }) => [outcome, firstSequence, count, index]),
    ).toEqual([
      ['duplicate', 1, 2, 1],
      ['duplicate', 3, 1, 4],
      ['applied', 4, 1, 10],
    ]);
  });

  it('refusals of sequences that do not follow each other are told apart', () => {
    const applier = new Applier(1, { apply: () => undefined });
    const runs = applier.apply(
      raw(1, [
        [7, 5, 'a'],
        [7, 6, 'b'],
        [7, 9, 'c'],
      ]),
      undefined,
    );
    expect(runs.map(({ firstSequence, count }) => [firstSequence, count])).toEqual([
      [5, 2],
      [9, 1],
    ]);
  });

  it('a state machine that throws is named with the batch, and the batch does not count as applied', () => {
    const applier = new Applier(5, {
      apply: () => {
        throw new TypeError('no such account');
      },
    });
    const batch = raw(1, ['a']);
    const { slot, answered } = slotOf(batch, [0]);
    const error = expectCode(() => applier.apply(batch, slot), ErrorCode.StateMachineFailed);
    expect(error.message).toMatch(/group 5.*1@2.*no such account/);
    expect(error.details).toEqual({ group: 5, index: 1 });
    expect(error.cause).toBeInstanceOf(TypeError);
    expect([applier.applied, answered.length]).toEqual([0, 0]);
  });

  it('counts a thousand entries and more of one batch right', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    const bytes = Buffer.alloc(100_000);
    let at = 0;
    for (let entry = 1; entry <= 3000; entry++)
      at = packSessionEntry(bytes, at, 7, entry, Buffer.from(`${entry}`));
    const runs = applier.apply(
      raw(1, [], { bytes, start: 0, end: at, count: 3000, flags: BatchFlag.Sessions }),
      undefined,
    );
    expect(runs).toMatchObject([{ count: 3000, outcome: 'applied' }]);
    expect(notes.log.at(-1)).toBe('3000 3000');
  });
});
