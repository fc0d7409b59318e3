import { describe, expect, it } from 'vitest';
import { BATCH_ENTRIES_CEILING } from '../../src/base/limits.js';
import { ApplyPace } from '../../src/engine/apply-pace.js';
import { Engine, leads, single, temporaryDirectory, until } from './world.js';

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

  it('is what 12 ms take where other groups wait behind what is fed, and may be nothing, as it is before anything is known', () => {
    const pace = new ApplyPace();
    expect(pace.fedEntriesInTime).toBe(0);
    pace.note(1000, 0);
    expect(pace.fedEntriesInTime).toBe(BATCH_ENTRIES_CEILING);
    for (let batch = 0; batch < 100; batch++) pace.note(200, 4);
    expect(pace.fedEntriesInTime).toBeCloseTo(600, -1);
    for (let batch = 0; batch < 100; batch++) pace.note(10, 1000);
    expect(pace.fedEntriesInTime).toBe(0);
  });

  it('is what 2 ms take where the machine is given a part: 16 at first, never four times more than before, and one at the least', () => {
    const pace = new ApplyPace();
    const parts: number[] = [];
    for (let part = 0; part < 5; part++) {
      parts.push(pace.partEntries);
      pace.note(pace.partEntries, 0);
    }
    expect(parts).toEqual([16, 64, 256, 1024, 4096]);
    for (let part = 0; part < 100; part++) pace.note(200, 4);
    expect(pace.partEntries).toBeCloseTo(100, -1);
    for (let part = 0; part < 100; part++) pace.note(10, 1000);
    expect(pace.partEntries).toBe(1);
  });

  it('one pause does not make a fast machine a slow one for long', () => {
    const pace = new ApplyPace();
    for (let batch = 0; batch < 50; batch++) pace.note(2000, 0.5);
    pace.note(2000, 60);
    expect(pace.batchEntriesInTime, 'still more than a thousand').toBeGreaterThan(1000);
  });
});

/** Takes `entryMs` for each entry; notes how many it is given at a time, and that they come in order, each once. */
function slowMachine(entryMs: number) {
  const state = { sizes: [] as number[], last: 0, entryMs };
  const apply = (batch: {
    count: number;
    forEach: (visit: (bytes: Uint8Array, index: number) => void) => void;
  }) => {
    state.sizes.push(batch.count);
    const endMs = performance.now() + batch.count * state.entryMs;
    while (performance.now() < endMs);
    batch.forEach((_, index) => {
      expect(index).toBeGreaterThan(state.last);
      state.last = index;
    });
    return undefined;
  };
  return { state, apply };
}

it('a leader seals no batch that its state machine would take long for; proposeMany keeps its one batch, which the machine is given in parts', async () => {
  const directory = temporaryDirectory();
  const { state, apply } = slowMachine(1);
  const engine = await Engine.open({ ...single(directory.path, { apply }) });
  try {
    await leads(engine);
    const group = engine.group(1);
    for (let round = 0; round < 5; round++) await group.propose(Buffer.from('x'));
    const { batches: before } = engine.status().encoder;
    await Promise.all(Array.from({ length: 320 }, () => group.propose(Buffer.from('x'))));
    // 1 ms an entry: 16 is as low as it goes.
    expect(engine.status().encoder.batches - before).toBeGreaterThanOrEqual(20);
    state.sizes.length = 0;
    const { index, count } = await group.proposeMany(Array.from({ length: 40 }, () => Buffer.from('y')));
    expect([count, index + 39]).toEqual([40, state.last]);
    expect(state.sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
    expect(Math.max(...state.sizes)).toBeLessThan(16);
  } finally {
    await engine.close();
    directory.remove();
  }
});

it('a state machine that is slow, of which nothing is known yet, is given 16 entries of what is read back and then fewer: the main thread comes round', async () => {
  const directory = temporaryDirectory();
  const { state, apply } = slowMachine(0);
  const options = single(directory.path, { apply });
  const first = await Engine.open(options);
  await leads(first);
  const { index } = await first.group(1).proposeMany(Array.from({ length: 300 }, () => Buffer.from('y')));
  await first.close();
  expect(index + 299).toBe(state.last);
  Object.assign(state, { last: 0, entryMs: 1 });
  state.sizes.length = 0;
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const second = await Engine.open(options);
  try {
    await leads(second);
    turns = 0;
    await until('all of it is applied', () => state.last >= index + 299);
    expect(state.sizes[0]).toBeLessThanOrEqual(16);
    expect(Math.max(...state.sizes.slice(1))).toBeLessThan(16);
    expect(turns, 'in between').toBeGreaterThan(10);
  } finally {
    clearInterval(timer);
    await second.close();
    directory.remove();
  }
});

it('what is read back stays where it is until the machine has had the last part of it, though the ring is small and more is to come', async () => {
  const directory = temporaryDirectory();
  const seen: number[] = [];
  const state = { entryMs: 0 };
  const apply = (batch: { count: number; forEach: (visit: (bytes: Uint8Array) => void) => void }) => {
    batch.forEach((bytes) => {
      const endMs = performance.now() + state.entryMs;
      while (performance.now() < endMs);
      const entry = Buffer.from(bytes);
      const number = entry.readUInt32LE(0);
      expect([entry.length, entry.readUInt32LE(1196)]).toEqual([1200, number]);
      seen.push(number);
    });
    return undefined;
  };
  const small = { memory: { ringBytes: 1 << 20 }, entryBytesMax: 1 << 16 };
  const options = single(directory.path, { apply }, small);
  const numbered = (number: number): Buffer => {
    const entry = Buffer.alloc(1200);
    entry.writeUInt32LE(number, 0);
    entry.writeUInt32LE(number, 1196);
    return entry;
  };
  const first = await Engine.open(options);
  await leads(first);
  for (let batch = 0; batch < 12; batch++) {
    await first.group(1).proposeMany(Array.from({ length: 200 }, (_, at) => numbered(200 * batch + at)));
  }
  await first.close();
  seen.length = 0;
  state.entryMs = 0.1;
  const second = await Engine.open(options);
  try {
    await leads(second);
    await until('all of it is applied', () => seen.length >= 2400);
    expect(seen).toEqual(Array.from({ length: 2400 }, (_, number) => number));
  } finally {
    await second.close();
    directory.remove();
  }
});
