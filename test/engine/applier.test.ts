import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { BatchFlag, BatchKind, type Configuration } from '../../src/base/messages.js';
import { encodeConfiguration } from '../../src/codec/configuration.js';
import { packEntry, packSessionEntry } from '../../src/codec/entries.js';
import { Applier, type RawBatch } from '../../src/engine/applier.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import { type Proposed, type ProposedMany, Waiters } from '../../src/engine/waiters.js';
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

const NO_MEMBERS: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  incarnations: [],
  compressionLevel: 0,
};

function configured(index: number, configuration: Configuration): RawBatch {
  const bytes = Buffer.alloc(1024);
  const end = packEntry(bytes, 0, encodeConfiguration(configuration));
  return {
    ...{ term: 2, firstIndex: index, count: 1, kind: BatchKind.Configuration, flags: 0 },
    ...{ bytes, start: 0, end },
  };
}

/** Notes what it is given, and answers with it. */
class Notes implements StateMachine {
  readonly log: string[] = [];
  batches = 0;
  apply: StateMachine['apply'] = (batch) => {
    this.batches++;
    const results: Buffer[] = [];
    const scanned: [string, number, number][] = [];
    batch.scan((payload, start, end, ...place) =>
      scanned.push([payload.toString('utf8', start, end), ...place]),
    );
    batch.forEach((bytes, index, position) => {
      expect(position).toBe(results.length);
      expect(scanned[position]).toEqual([Buffer.from(bytes).toString(), index, position]);
      this.log.push(`${index} ${Buffer.from(bytes)}`);
      results.push(Buffer.from(`<${Buffer.from(bytes)}>`));
    });
    expect(results.length).toBe(batch.count);
    return results;
  };
}

/** A promise for the entry at each position. */
function waitersAt(positions: number[]) {
  const waiters = new Waiters();
  const answers: Promise<Proposed>[] = positions.map((position) => waiters.promise(position));
  return { waiters, answers };
}

describe('the applier', () => {
  it('H73 applies each batch once and in log order; what is not data moves on without the state machine', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    applier.apply(raw(1, ['']), undefined);
    applier.apply(raw(2, ['x'], { kind: BatchKind.NoOp }), undefined);
    applier.apply(raw(3, ['a', 'b']), undefined);
    expect(notes.log).toEqual(['1 ', '3 a', '4 b']);
    expect([applier.applied, applier.entriesApplied]).toEqual([4, 3]);
    for (const firstIndex of [3, 4, 6])
      expectCode(() => applier.apply(raw(firstIndex, ['z']), undefined), ErrorCode.Internal);
    expect(notes.batches).toBe(2);
  });

  it('H51 H71 H72 a snapshot brings the state, the sessions and the configuration of its index, and the state machine goes on behind it', () => {
    const first = new Applier(1, new Notes());
    const voters = { ...NO_MEMBERS, voters: [1, 2, 3] };
    first.apply(configured(1, voters), undefined);
    first.apply(
      raw(2, [
        [7, 1, 'a'],
        [7, 2, 'b'],
        [8, 1, 'c'],
      ]),
      undefined,
    );
    expect(first.configuration).toEqual({ index: 1, term: 2, configuration: voters });
    const snapshot = { index: 4, configuration: first.configuration!, sessions: first.sessionRecords() };

    const notes = new Notes();
    const second = new Applier(1, notes);
    const restored: string[] = [];
    second.restore(snapshot, () => restored.push('state'));
    expect([second.applied, restored, second.configuration]).toEqual([4, ['state'], first.configuration]);
    expect(second.sessionRecords()).toEqual(snapshot.sessions);
    // What it holds is a copy: nothing that happens here reaches the snapshot.
    const runs = second.apply(
      raw(5, [
        [7, 2, 'b'],
        [7, 3, 'd'],
        [8, 3, 'f'],
        [9, 2, 'g'],
      ]),
      undefined,
    );
    expect(runs).toMatchObject([
      { client: 7, firstSequence: 2, outcome: 'duplicate', index: 3, result: Buffer.from('<b>') },
      { client: 7, firstSequence: 3, outcome: 'applied' },
      { client: 8, outcome: 'refused', code: ErrorCode.SequenceGap },
      { client: 9, outcome: 'refused', code: ErrorCode.SessionExpired },
    ]);
    expect(notes.log).toEqual(['6 d']);
    expect(snapshot.sessions).toEqual(first.sessionRecords());
    expectCode(() => second.restore(snapshot, () => {}), ErrorCode.Internal);
  });

  it('a state machine that cannot take a snapshot ends the engine, named', () => {
    const applier = new Applier(1, new Notes());
    const configuration = { index: 1, term: 1, configuration: NO_MEMBERS };
    const fail = (): void => {
      throw new Error('not mine');
    };
    const error = expectCode(
      () => applier.restore({ index: 4, configuration, sessions: [] }, fail),
      ErrorCode.StateMachineFailed,
    );
    expect(error.message).toMatch(/the snapshot to index 4: not mine/);
    expect(applier.applied).toBe(0);
  });

  it('H70 answers each waiter with its own index, term and result, once', async () => {
    const applier = new Applier(1, new Notes());
    const batch = raw(1, ['a', 'b', 'c']);
    const { waiters, answers } = waitersAt([0, 2]);
    applier.apply(batch, waiters);
    waiters.reject(new Error('the engine ended right after'), 'unknown');
    expect(await Promise.all(answers)).toEqual([
      { index: 1, term: 2, result: Buffer.from('<a>') },
      { index: 3, term: 2, result: Buffer.from('<c>') },
    ]);
    expectCode(() => waiters.resolve(1, 2, undefined), ErrorCode.Internal);
  });

  it('H70 answers whoever waits for several entries with the first index and the results of all of them', () => {
    const applier = new Applier(1, new Notes());
    const batch = raw(1, ['a', 'b', 'c', 'd']);
    const waiters = new Waiters();
    const told: unknown[] = [];
    const listener = (name: string) => ({
      resolve: (proposed: ProposedMany) => told.push([name, proposed]),
      reject: () => told.push([name, 'rejected']),
    });
    waiters.listen(0, 1, listener('one'));
    waiters.listen(1, 2, listener('two'));
    applier.apply(batch, waiters);
    waiters.reject(new Error('the engine ended right after'), 'unknown');
    const [a, b, c] = ['<a>', '<b>', '<c>'].map((text) => Buffer.from(text));
    expect(told).toEqual([
      ['one', { index: 1, term: 2, count: 1, results: [a] }],
      ['two', { index: 2, term: 2, count: 2, results: [b, c] }],
    ]);
  });

  it('whoever waits learns of a batch that is lost, once', async () => {
    const { waiters, answers } = waitersAt([0, 1]);
    const told: string[] = [];
    waiters.listen(2, 5, {
      resolve: () => told.push('resolved'),
      reject: ({ message }) => told.push(message),
    });
    waiters.reject(new Error('lost'), 'unknown');
    waiters.reject(new Error('lost again'), 'unknown');
    expect(told).toEqual(['lost']);
    for (const answer of answers) await expect(answer).rejects.toThrow(/^lost$/);
  });

  it('a state machine without answers is fine', async () => {
    const applier = new Applier(1, { apply: () => undefined });
    const batch = raw(1, ['a']);
    const { waiters, answers } = waitersAt([0]);
    applier.apply(batch, waiters);
    expect(await answers[0]).toEqual({ index: 1, term: 2, result: undefined });
  });

  it('H71 what the session table turns away never reaches the state machine; answers keep to their entries', async () => {
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
    const { waiters, answers } = waitersAt([1, 5]);
    const runs = applier.apply(batch, waiters);
    expect(notes.log).toEqual(['1 one', '3 own', '4 two', '7 own too']);
    expect((await Promise.all(answers)).map(({ index, result }) => [index, String(result)])).toEqual([
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

  it('gives a batch in as many parts as are asked for, and counts it, and answers, when the machine has had all of it', async () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    const { waiters, answers } = waitersAt([0, 3, 6]);
    const batch = raw(1, ['a', 'bb', '', 'dddd', 'e', 'f', 'gg']);
    expect(applier.apply(batch, waiters, 3)).toBeUndefined();
    expect([applier.applied, applier.reached, notes.log.length]).toEqual([0, 3, 3]);
    // The rest may come from elsewhere: the same batch at another place.
    const bytes = Buffer.concat([Buffer.alloc(7), batch.bytes]);
    const again = { ...batch, bytes, start: batch.start + 7, end: batch.end + 7 };
    expect(applier.apply(again, waiters, 1)).toBeUndefined();
    expect(applier.apply(again, waiters, 3)).toEqual([]);
    expect([applier.applied, applier.reached, notes.batches]).toEqual([7, 7, 3]);
    expect(notes.log).toEqual(['1 a', '2 bb', '3 ', '4 dddd', '5 e', '6 f', '7 gg']);
    const given = await Promise.all(answers);
    expect(given.map(({ index, result }) => `${index} ${result}`)).toEqual(['1 <a>', '4 <dddd>', '7 <gg>']);
    expect(applier.entriesApplied).toBe(7);
  });

  it('H73 turns away what was applied before, wherever a batch is cut', () => {
    const entries: Entry[] = [
      [7, 1, 'a'],
      [7, 1, 'a'],
      [7, 2, 'b'],
      'own',
      [7, 2, 'b'],
      [7, 1, 'a'],
      [7, 3, 'c'],
    ];
    const outcomes = [1, 2, 3, 5, 99].map((part) => {
      const notes = new Notes();
      const applier = new Applier(1, notes);
      let runs = applier.apply(raw(1, entries), undefined, part);
      while (runs === undefined) runs = applier.apply(raw(1, entries), undefined, part);
      expect(applier.duplicates).toBe(3);
      return { runs, log: notes.log, sessions: applier.sessionRecords() };
    });
    expect(outcomes[0]!.log).toEqual(['1 a', '3 b', '4 own', '7 c']);
    for (const outcome of outcomes) expect(outcome).toEqual(outcomes[4]);
  });

  it('answers with nothing for parts to which the machine gave no answers, and with none at all if it gave none to any', async () => {
    for (const silent of [[1, 2], [0], [1], [0, 1, 2]]) {
      let part = 0;
      const answer = (count: number) => Array.from({ length: count }, () => Buffer.from(`part ${part}`));
      const machine = {
        apply: ({ count }: { count: number }) => (silent.includes(part++) ? undefined : answer(count)),
      };
      const applier = new Applier(1, machine);
      const { waiters, answers } = waitersAt([0, 1, 2]);
      const batch = raw(1, ['a', 'b', 'c']);
      while (applier.apply(batch, waiters, 1) === undefined);
      const results = (await Promise.all(answers)).map(({ result }) => result?.toString());
      expect(results).toEqual([0, 1, 2].map((at) => (silent.includes(at) ? undefined : `part ${at + 1}`)));
    }
  });

  it('forgets the part that it had when a snapshot takes the machine further', () => {
    const notes = new Notes();
    const applier = new Applier(1, notes);
    applier.apply(raw(1, ['a', 'b', 'c']), undefined, 2);
    const configuration = { index: 3, term: 1, configuration: NO_MEMBERS };
    applier.restore({ index: 3, configuration, sessions: [] }, () => {});
    expect([applier.applied, applier.reached]).toEqual([3, 3]);
    expect(applier.apply(raw(4, ['d', 'e']), undefined, 2)).toEqual([]);
    expect(notes.log).toEqual(['1 a', '2 b', '4 d', '5 e']);
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
      runs?.map(({ client, firstSequence, count, index }) => [client, firstSequence, count, index]),
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
      again?.map(({ outcome, firstSequence, count, index }) => [outcome, firstSequence, count, index]),
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
    expect(runs?.map(({ firstSequence, count }) => [firstSequence, count])).toEqual([
      [5, 2],
      [9, 1],
    ]);
  });

  it('a state machine that throws is named with the batch, and the batch does not count as applied', async () => {
    const applier = new Applier(5, {
      apply: () => {
        throw new TypeError('no such account');
      },
    });
    const batch = raw(1, ['a']);
    const { waiters, answers } = waitersAt([0]);
    const error = expectCode(() => applier.apply(batch, waiters), ErrorCode.StateMachineFailed);
    expect(error.message).toMatch(/group 5.*1@2.*no such account/);
    expect(error.details).toEqual({ group: 5, index: 1 });
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(applier.applied).toBe(0);
    waiters.reject(error, 'unknown');
    await expect(answers[0]).rejects.toBe(error);
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
