import { describe, expect, it } from 'vitest';
import { nodeBounds } from '../../src/bench/cluster.js';
import { BenchArguments, CONCURRENCY_FLAG, fillingOf } from '../../src/cli/bench/flags.js';
import { optionTable } from '../../src/engine/option-table.js';

const KiB = 1024;
const AUTO_DEPTH = new URL('../../bench/targets/auto-depth.mjs', import.meta.url).href;

describe('a load that nobody chose', () => {
  const batchBytesMax = 256 * KiB;

  it('is the one that published figures rest on', () => {
    const loads = [16, 128, 1024].map((payload) => fillingOf({ payload, depth: 8, batchBytesMax }));
    expect(loads).toEqual([131_072, 16_384, 2048]);
    expect(fillingOf({ payload: 128, depth: 'auto', batchBytesMax })).toBe(16_384);
  });

  it('fills the deepest pipeline, up to 131,072 entries and 64 MiB', () => {
    expect(fillingOf({ payload: 128, depth: 32, batchBytesMax })).toBe(65_536);
    expect(fillingOf({ payload: 1024, depth: 32, batchBytesMax })).toBe(8192);
    expect(fillingOf({ payload: 1024, depth: 64, batchBytesMax })).toBe(16_384);
    expect(fillingOf({ payload: 16, depth: 32, batchBytesMax })).toBe(131_072);
    const large = { payload: 1024 * KiB, batchBytesMax };
    expect(fillingOf({ ...large, depth: 32 }), 'an entry is a batch by itself').toBe(32);
    expect(fillingOf({ ...large, depth: 1024 })).toBe(63);
  });

  it("is one for all depths of the row 'auto-depth', with links of any delay", async () => {
    const { autoDepthPoints } = await import(AUTO_DEPTH);
    const shape = { name: '', summary: '', flags: [CONCURRENCY_FLAG], notes: [] };
    const pointsOf = (...args: string[]) => {
      const given = new BenchArguments(shape, args);
      const settings = (asked: object) => given.settings({ ...given.point(), ...asked });
      return autoDepthPoints({ rate: undefined, settings }) as ReturnType<typeof settings>[];
    };
    const loadsOf = (...args: string[]) => new Set(pointsOf(...args).map(({ concurrency }) => concurrency));
    expect(loadsOf()).toEqual(new Set([131_072]));
    expect(loadsOf('--concurrency', '500')).toEqual(new Set([500]));
    expect(new Set(pointsOf().map(({ depth }) => depth)).size).toBe(8);
  });
});

it('what a load needs of a node is within what its options allow', () => {
  const maxOf = (path: string) => {
    const option = optionTable.find((each) => each.path === path);
    return option !== undefined && 'max' in option ? option.max : undefined;
  };
  const { batchEntriesMax, inflightBytesMax, ringBytes, uncommittedBytesMax } = nodeBounds({
    concurrency: 1024 * KiB,
    payload: 1024,
    batchBytesMax: 256 * KiB,
  });
  expect(inflightBytesMax).toBe(maxOf('pipeline.inflightBytesMax'));
  expect(ringBytes).toBe(maxOf('memory.ringBytes'));
  expect(uncommittedBytesMax).toBe(maxOf('uncommittedBytesMax'));
  expect(batchEntriesMax).toBe(16_384);
  const entriesOf = (payload: number, kib: number) =>
    nodeBounds({ concurrency: 1, payload, batchBytesMax: kib * KiB }).batchEntriesMax;
  expect(entriesOf(16, 1024), 'as many as the bytes hold').toBe(52_429);
  expect(entriesOf(1, 16_384)).toBe(maxOf('pipeline.batchEntriesMax'));
});
