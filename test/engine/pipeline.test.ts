import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { Engine as EngineType } from '../../src/engine/engine.js';
import { type EngineOptions, parseOptions } from '../../src/engine/options.js';
import { Pipelines } from '../../src/engine/pipeline.js';
import type { PipelineOptions } from '../../src/engine/pipeline-options.js';
import { expectCode } from '../workers/parts.js';
import { Cluster, Engine, Ledger, leads, single, temporaryDirectory } from './world.js';

function pipelinesOf(pipeline: PipelineOptions, group: PipelineOptions, sumMax?: number): Pipelines {
  const stateMachine = { apply: () => undefined };
  const groups = [
    { id: 1, stateMachine },
    { id: 2, stateMachine, pipeline: group },
  ];
  return new Pipelines(parseOptions({ id: 1, cluster: 'c', dataDirectory: 'd', pipeline, groups }), sumMax);
}

/** Settings of so many followers. */
function followersFrom(first: number, count: number): Required<PipelineOptions>['followers'] {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [first + at, { depth: 2 }]));
}

describe('the settings of the pipeline in force', () => {
  it('the narrower place counts: group and follower, engine and follower, group, engine', () => {
    const pipelines = pipelinesOf(
      { depth: 10, followers: { 5: { depth: 11 }, 6: { depth: 12 } } },
      { depth: 20, followers: { 6: { depth: 22 } } },
    );
    const depths = (group: number) => [4, 5, 6].map((id) => pipelines.ofFollower(group, id).depth);
    expect([pipelines.of(1).depth, ...depths(1)]).toEqual([10, 10, 11, 12]);
    expect([pipelines.of(2).depth, ...depths(2)]).toEqual([20, 20, 11, 22]);
    pipelines.tune(undefined, { depth: 30, followers: { 4: { depth: 31 } } });
    expect([pipelines.of(1).depth, ...depths(1)]).toEqual([30, 31, 11, 12]);
    expect([pipelines.of(2).depth, ...depths(2)], 'the group says otherwise itself').toEqual([
      20, 31, 11, 22,
    ]);
    pipelines.tune(2, { depth: 40 });
    expect([pipelines.of(1).depth, pipelines.of(2).depth]).toEqual([30, 40]);
  });

  it('what is not given stays; a refusal changes nothing at all', () => {
    const pipelines = pipelinesOf({ lingerUs: 5, followers: { 5: { depth: 3 } } }, {});
    pipelines.tune(1, { batchEntriesMax: 7, followers: { 5: { inflightBytesMax: 65_536 } } });
    expect(pipelines.of(1)).toMatchObject({ lingerUs: 5, batchEntriesMax: 7 });
    expect(pipelines.ofFollower(1, 5)).toMatchObject({ depth: 3, inflightBytesMax: 65_536 });
    for (const [path, changes] of [
      ['pipeline.depth', { lingerUs: 9, depth: 0 }],
      ['pipeline.followers.5.depth', { lingerUs: 9, followers: { 5: { depth: -1 } } }],
      ['pipeline.batchBytesMax', { lingerUs: 9, batchBytesMax: 1024 * 1024 + 1 }],
      ['pipeline', 3],
      ['pipeline.followers', { lingerUs: 9, followers: followersFrom(1, 1025) }],
      ['pipeline.followers', { lingerUs: 9, followers: followersFrom(1001, 1024) }],
      ['pipeline', undefined],
    ] as const) {
      const error = expectCode(() => pipelines.tune(1, changes as PipelineOptions), ErrorCode.OptionInvalid);
      expect(error.details.path).toBe(path);
      expect(pipelines.of(1).lingerUs).toBe(5);
    }
    pipelines.tune(1, { batchBytesMax: 1024 * 1024 });
    expect(pipelines.of(1).batchBytesMax, 'as large as the largest entry').toBe(1024 * 1024);
  });
});

describe('a batch size that is raised', () => {
  it('must fit into the memory budget, with those of all groups', () => {
    const pipelines = pipelinesOf({ batchBytesMax: 4000 }, {}, 10_000);
    const raise = (group: number | undefined, batchBytesMax: number) => () =>
      pipelines.tune(group, { batchBytesMax });
    for (const refused of [raise(1, 6001), raise(undefined, 5001)]) {
      const { message, details } = expectCode(refused, ErrorCode.OptionInvalid);
      expect([details.path, pipelines.of(1).batchBytesMax]).toEqual(['pipeline.batchBytesMax', 4000]);
      expect(message).toMatch(/10000 over all groups.*memory\.budgetBytes/);
    }
    raise(1, 6000)();
    expectCode(raise(undefined, 4001), ErrorCode.OptionInvalid);
    raise(1, 2000)();
    raise(undefined, 8000)();
    expect([pipelines.of(1), pipelines.of(2)].map(({ batchBytesMax }) => batchBytesMax)).toEqual([
      2000, 8000,
    ]);
    pipelines.tune(2, { lingerUs: 1 });
    expectCode(raise(2, 8001), ErrorCode.OptionInvalid);
  });
});

describe('an engine tuned while it runs', () => {
  let directory: { path: string; remove: () => void };
  let engine: EngineType;
  let ledger: Ledger;

  beforeEach(() => {
    directory = temporaryDirectory();
    ledger = new Ledger();
  });

  afterEach(async () => {
    await engine.close();
    directory.remove();
  });

  async function open(pipeline: EngineOptions['pipeline']): Promise<void> {
    engine = await Engine.open(single(directory.path, ledger, { pipeline: pipeline! }));
    await leads(engine);
    await engine.group(1).propose(Buffer.from('ready'));
  }

  const batches = () => engine.status().encoder.batches;

  it('a batch lingers for company, but not when it is full, and not any more once it is told so', async () => {
    await open({ lingerUs: 100_000, batchEntriesMax: 3 });
    const group = engine.group(1);
    const before = batches();
    const first = group.propose(Buffer.from('a'));
    for (let turns = 0; turns < 20; turns++) await turn();
    const sealed = group.status().lastIndex;
    const second = group.propose(Buffer.from('b'));
    const [one, two] = await Promise.all([first, second]);
    expect([one.index, two.index]).toEqual([sealed + 1, sealed + 2]);
    expect(batches() - before, 'both in one batch').toBe(1);
    const three = ['c', 'd', 'e'].map((text) => group.propose(Buffer.from(text)));
    expect(group.status().lastIndex, 'full: sealed within the call').toBe(two.index + 3);
    await Promise.all(three);
    const fourth = group.propose(Buffer.from('f'));
    await turn();
    await turn();
    expect(group.status().lastIndex).toBe(two.index + 3);
    group.tune({ lingerUs: 0 });
    expect((await fourth).index).toBe(two.index + 4);
    expect(ledger.texts).toEqual(['ready', 'a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('new limits of a batch hold for the next entry', async () => {
    await open({});
    const group = engine.group(1);
    const before = batches();
    const open1 = [group.propose(Buffer.from('1')), group.propose(Buffer.from('2'))];
    engine.tune({ batchEntriesMax: 1 });
    const open2 = ['3', '4', '5'].map((text) => group.propose(Buffer.from(text)));
    await Promise.all([...open1, ...open2]);
    expect(batches() - before).toBe(4);
    expect(ledger.texts).toEqual(['ready', '1', '2', '3', '4', '5']);
    expect(group.status().pipeline).toMatchObject({ batchEntriesMax: 1, lingerUs: 0, uncommittedBatches: 0 });
    expect(() => group.tune({ depth: 0 })).toThrow('option pipeline.depth: expected a whole number');
    expect(() => engine.tune({ dept: 1 } as never)).toThrow('option pipeline.dept');
  });
});

describe('a cluster tuned while it runs', () => {
  it('every setting is changed under load, again and again, and all replicas have every entry once', async () => {
    const cluster = await Cluster.start();
    try {
      const leader = await cluster.leader();
      const group = leader.group(1);
      const changes: PipelineOptions[] = [
        { depth: 1, batchEntriesMax: 2 },
        { depth: 64, batchEntriesMax: 16_384, inflightBytesMax: 65_536 },
        { lingerUs: 300, batchBytesMax: 1024 },
        { lingerUs: 0, followers: { 1: { depth: 1 }, 2: { depth: 2 }, 3: { depth: 3 } } },
        { depth: 8, batchBytesMax: 262_144, inflightBytesMax: 4_194_304 },
      ];
      const proposed: Promise<unknown>[] = [];
      for (let round = 0; round < 100; round++) {
        group.tune(changes[round % changes.length]!);
        for (let entry = 0; entry < 20; entry++)
          proposed.push(group.propose(Buffer.from(`${round}-${entry}`)));
        if (round % 3 === 0) await turn();
      }
      await Promise.all(proposed);
      const texts = await cluster.agree(2000);
      expect(texts).toEqual(Array.from({ length: 2000 }, (_, at) => `${Math.floor(at / 20)}-${at % 20}`));
      const [follower] = group.status().followers;
      expect(follower!.pipeline).toMatchObject({ depth: follower!.id, inflightBytesMax: 4_194_304 });
    } finally {
      await cluster.close();
    }
  });
});
