import { describe, expect, it } from 'vitest';
import { BATCH_ENTRIES_CEILING } from '../../src/base/limits.js';
import { ApplyPace } from '../../src/engine/apply-pace.js';
import { Engine, leads, single, temporaryDirectory } from './world.js';

describe('the pace of a state machine', () => {
  it('is no bound while nothing is known or nothing takes time', () => {
    const pace = new ApplyPace();
    expect(pace.batchEntriesInTime).toBe(BATCH_ENTRIES_CEILING);
    pace.note(1000, 0);
    expect(pace.batchEntriesInTime).toBe(BATCH_ENTRIES_CEILING);
  });

  it('is what 6 ms take, of late: it follows a machine that gets slower or faster, and goes no lower than 16', () => {
    const pace = new ApplyPace();
    for (let batch = 0; batch < 100; batch++) pace.note(200, 4);
    expect(pace.batchEntriesInTime).toBeCloseTo(300, -1);
    for (let batch = 0; batch < 50; batch++) pace.note(200, 40);
    expect(pace.batchEntriesInTime).toBeLessThan(50);
    for (let batch = 0; batch < 10; batch++) pace.note(10, 1000);
    expect(pace.batchEntriesInTime).toBe(16);
    // Few entries of a quiet time, each with all the cost of a batch, are soon outweighed under load.
    for (let batch = 0; batch < 10; batch++) pace.note(5000, 1);
    expect(pace.batchEntriesInTime).toBeGreaterThan(16);
    for (let batch = 0; batch < 200; batch++) pace.note(5000, 1);
    expect(pace.batchEntriesInTime).toBeGreaterThan(10_000);
  });

  it('one pause does not make a fast machine a slow one for long', () => {
    const pace = new ApplyPace();
    for (let batch = 0; batch < 50; batch++) pace.note(2000, 0.5);
    pace.note(2000, 60);
    expect(pace.batchEntriesInTime, 'still more than a thousand').toBeGreaterThan(1000);
  });
});

it('a leader seals no batch that its state machine would take long for, so its main thread comes round; proposeMany keeps its one batch', async () => {
  const directory = temporaryDirectory();
  const sizes: number[] = [];
  let last = 0;
  const machine = {
    apply(batch: { count: number; forEach: (visit: (bytes: Uint8Array, index: number) => void) => void }) {
      sizes.push(batch.count);
      const endMs = performance.now() + batch.count;
      while (performance.now() < endMs);
      batch.forEach((_, index) => {
        expect(index).toBeGreaterThan(last);
        last = index;
      });
      return undefined;
    },
  };
  const engine = await Engine.open({
    ...single(directory.path, machine),
  });
  try {
    await leads(engine);
    const group = engine.group(1);
    for (let round = 0; round < 5; round++) await group.propose(Buffer.from('x'));
    sizes.length = 0;
    // 1 ms an entry: 16 is as low as it goes.
    await Promise.all(Array.from({ length: 320 }, () => group.propose(Buffer.from('x'))));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(320);
    expect(Math.max(...sizes)).toBe(16);
    sizes.length = 0;
    const { index, count } = await group.proposeMany(Array.from({ length: 40 }, () => Buffer.from('y')));
    expect([count, sizes, index + 39]).toEqual([40, [40], last]);
  } finally {
    await engine.close();
    directory.remove();
  }
});
