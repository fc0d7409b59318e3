import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { compressibility, makePool } from '../../src/bench/data.js';
import { Load } from '../../src/bench/load.js';
import { sharesOf } from '../../src/bench/load-report.js';

const pool = [Buffer.from('a'), Buffer.from('b'), Buffer.from('c')];

/** A system that answers when told to. */
function system() {
  const waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const seen: string[] = [];
  let outstandingMax = 0;
  return {
    waiting,
    seen,
    outstandingMax: () => outstandingMax,
    propose: (bytes: Buffer) =>
      new Promise<void>((resolve, reject) => {
        seen.push(bytes.toString());
        waiting.push({ resolve, reject });
        outstandingMax = Math.max(outstandingMax, waiting.length);
      }),
    answer: async (count: number) => {
      for (const { resolve } of waiting.splice(0, count)) resolve();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('a load', () => {
  it('in a closed loop keeps its number outstanding, takes the entries in turn, and ends when it has proposed all', async () => {
    const { propose, waiting, seen, answer, outstandingMax } = system();
    const load = new Load({ propose, pool, concurrency: 4, entriesMax: 10 });
    load.start();
    expect(waiting).toHaveLength(4);
    while (waiting.length > 0) await answer(2);
    await load.ended;
    expect(load.completed).toBe(10);
    expect(outstandingMax()).toBe(4);
    expect(seen.join('')).toBe('abcabcabca');
    // Where so few are outstanding, every latency counts.
    expect(load.latencies.samples).toBe(10);
  });

  it('proposes again what was refused as overloaded, and counts it; any other refusal ends it', async () => {
    const { propose, waiting, answer } = system();
    const load = new Load({ propose, pool, concurrency: 1, entriesMax: 3 });
    load.start();
    waiting.shift()!.reject(new RaftlineError(ErrorCode.Overloaded, 'full'));
    await answer(0);
    await answer(0);
    expect(waiting).toHaveLength(1);
    expect(load).toMatchObject({ overloaded: 1, completed: 0 });
    waiting.shift()!.reject(new RaftlineError(ErrorCode.NotLeader, 'lost'));
    await load.ended;
    expect(load.failure).toMatchObject({ code: ErrorCode.NotLeader });
  });

  it('in an open loop counts the time that an entry had to wait for a system that stood still', async () => {
    const { propose, waiting, answer } = system();
    const load = new Load({ propose, pool, concurrency: 5, rate: 1000, entriesMax: 40 });
    load.start();
    // Nothing is answered until all but the first five are long overdue: those were sent late and must say so.
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(waiting).toHaveLength(5);
    while (load.completed < 40) {
      await answer(5);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await load.ended;
    expect(load.latencies.samples).toBe(40);
    // Every one was meant to be sent within 40 ms and none was answered before 120.
    expect(load.latencies.quantile(0.01)).toBeGreaterThan(75);
  });
});

describe('processes that load together', () => {
  it('keep as many outstanding as was said, none more than one above another', () => {
    expect(sharesOf(10, 4)).toEqual([3, 3, 2, 2]);
    expect(sharesOf(8, 1)).toEqual([8]);
  });
});

describe('entries of a benchmark', () => {
  it('have the wanted size, differ, and are the same for the same seed', () => {
    for (const data of ['json', 'random'] as const) {
      const made = makePool({ payload: 100, data, seed: 3 });
      expect(made.every((bytes) => bytes.length === 100)).toBe(true);
      expect(new Set(made.slice(0, 500).map((bytes) => bytes.toString('latin1'))).size).toBe(500);
      expect(makePool({ payload: 100, data, seed: 3 })[77]!.equals(made[77]!)).toBe(true);
      expect(makePool({ payload: 100, data, seed: 4 })[77]!.equals(made[77]!)).toBe(false);
    }
  });

  it('come from a file in pieces; a file too small for one is refused', () => {
    const [first] = makePool({ payload: 16, data: { file: 'package.json' }, seed: 1 });
    expect(first!.toString()).toBe('{\n  "name": "raf');
    expect(() => makePool({ payload: 1_000_000, data: { file: 'package.json' }, seed: 1 })).toThrow(
      /package.json: expected at least one entry of 1000000 bytes, received \d+/,
    );
  });

  it('compress as they do in batches that begin with them again where they end', () => {
    const noise = makePool({ payload: 100, data: 'random', seed: 1 });
    const few = noise.slice(0, 20);
    expect(compressibility(noise, 65_536)).not.toHaveProperty('repeatedBytes');
    expect(compressibility(noise, 65_536).ratio).toBeCloseTo(1);
    // By itself noise does not; a batch holds it thirty times.
    expect(compressibility(few, 65_536)).toMatchObject({ repeatedBytes: 2000 });
    expect(compressibility(few, 65_536).ratio).toBeGreaterThan(15);
    // Two batches of fifteen: the second one begins again, and holds nothing twice.
    expect(compressibility(few, 15 * 104).ratio).toBeCloseTo(1);
  });
});
