import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/ring/gate.js';
import { makeRing } from './support.js';

type Outcome = Record<string, string | number>;

function start(data: object): Promise<Outcome> {
  const worker = new Worker(new URL('./ring-worker.mjs', import.meta.url), { workerData: data });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker ended with ${code} and without an answer`)));
  });
}

describe('two real threads', () => {
  it('T4 wake each other 100,000 times and lose no wake-up', async () => {
    const memory = new SharedArrayBuffer(4 * Gate.BYTES);
    const side = (index: number) => start({ role: 'pingPong', memory, index, records: 100_000 });
    expect(await Promise.all([side(0), side(1)])).toEqual([{ rounds: 100_000 }, { rounds: 100_000 }]);
  });

  it('T4 wake each other on their event loops and lose no wake-up', async () => {
    const memory = new SharedArrayBuffer(4 * Gate.BYTES);
    const side = (index: number) => start({ role: 'pingPongOnLoop', memory, index, records: 20_000 });
    expect(await Promise.all([side(0), side(1)])).toEqual([{ rounds: 20_000 }, { rounds: 20_000 }]);
  });

  it('T3 pass records of many sizes through a small ring, every byte checked, across a wrap of its words', async () => {
    const seed = 20260;
    const records = 200_000;
    const memory = new SharedArrayBuffer(3 * Gate.BYTES);
    const region = makeRing(65_536, 1, 2 ** 32 - 2 ** 23);
    const data = { region, memory, records, seed, index: 0 };
    const [produced, consumed] = await Promise.all([
      start({ ...data, role: 'produce' }),
      start({ ...data, role: 'consume' }),
    ]);
    expect(consumed, `seed ${seed}`).toEqual({ records });
    expect(produced, `seed ${seed}`).toEqual({ records });
  });

  it('are read along by an observer whose kept copies are all true', async () => {
    const seed = 977;
    const records = 150_000;
    const memory = new SharedArrayBuffer(3 * Gate.BYTES);
    const region = makeRing(4096, 1);
    const data = { region, memory, records, seed, index: 0 };
    const observing = start({ ...data, role: 'observe' });
    const [produced, consumed] = await Promise.all([
      start({ ...data, role: 'produce' }),
      start({ ...data, role: 'consume' }),
    ]);
    Atomics.store(new Int32Array(memory), (2 * Gate.BYTES) / 4, 1);
    const observed = await observing;
    expect(consumed, `seed ${seed}`).toEqual({ records });
    expect(produced, `seed ${seed}`).toEqual({ records });
    expect(observed, `seed ${seed}`).not.toHaveProperty('wrong');
    expect(observed.kept, `seed ${seed}`).toBeGreaterThan(0);
  });
});
