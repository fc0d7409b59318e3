import { describe, expect, it } from 'vitest';
import { batchAt, makeWorld } from './replicator-world.js';

const GROUPS = [1, 2, 3, 4, 5, 6, 7, 8];
const BATCHES = 20;

/** Eight groups whose batches lie between each other's in the leader's log; the follower has none of them. */
async function makeBehind(options: {
  depth?: number;
  catchUpBytesPerSecond?: number;
  entryBytes?: number;
  receiveWindowBytes?: number;
}) {
  const { depth = 64, entryBytes = 30_000 } = options;
  const world = await makeWorld({
    ...options,
    depth,
    inflightBytesMax: 1 << 22,
    groups: GROUPS,
    segmentBytes: 1 << 24,
  });
  let written = 0;
  for (let firstIndex = 1; firstIndex <= BATCHES; firstIndex++) {
    for (const group of GROUPS) {
      const batch = batchAt(firstIndex, { group, entryBytes, fill: group * firstIndex });
      world.write(batch, group);
      written += batch.length;
    }
  }
  for (const group of GROUPS) {
    world.replicator.open({ group, session: 1, term: 3, prevIndex: 0, prevTerm: 0 });
    world.heard();
    world.reply({ group, term: 3, match: 0 });
  }
  for (const group of GROUPS) world.replicator.stream({ group, session: 1, next: 1 });
  const had = new Map(GROUPS.map((group) => [group, 0]));
  return {
    world,
    written,
    had,
    /** What the follower has heard since the last call is counted. */
    hear() {
      for (const { group, prevIndex, batches } of world.heard()) {
        expect(prevIndex, 'nothing is left out').toBe(had.get(group));
        had.set(group, prevIndex + batches);
      }
    },
    answer(group: number, match = had.get(group)!) {
      world.reply({ group, term: 3, kind: 'received', match });
    },
    isDone: (group: number) => had.get(group) === BATCHES,
  };
}

describe('the replicator, for a follower that is behind in many groups', () => {
  it('reads what lies between each other’s records once for all that are equally far', async () => {
    const { world, written, hear, answer, isDone } = await makeBehind({});
    for (let rounds = 0; !GROUPS.every(isDone); rounds++) {
      expect(rounds, 'no group comes to a stand').toBeLessThan(100);
      world.now += 10;
      hear();
      for (const group of GROUPS) answer(group);
    }
    expect(world.bytesRead / written).toBeLessThan(1.5);
  });

  it('waits for who has no room for a moment, and so reads nothing again for it', async () => {
    const { world, written, had, hear, answer, isDone } = await makeBehind({ depth: 2 });
    const late: [number, number][] = [];
    for (let rounds = 0; !GROUPS.every(isDone); rounds++) {
      expect(rounds).toBeLessThan(2000);
      world.now += 1;
      hear();
      for (const group of GROUPS) if (group !== 5) answer(group);
      late.push([world.now, had.get(5)!]);
      while (late[0]![0] <= world.now - 3) answer(5, late.shift()![1]);
    }
    expect(world.bytesRead / written).toBeLessThan(1.5);
  });

  it('for longer it waits for nobody: one whose acknowledgements are late holds up only itself', async () => {
    const { world, had, hear, answer, isDone } = await makeBehind({ depth: 2 });
    const others = GROUPS.filter((group) => group !== 5);
    const late: [number, number][] = [];
    const startMs = world.now;
    while (!others.every(isDone)) {
      world.now += 5;
      expect(world.now - startMs).toBeLessThan(500);
      hear();
      for (const group of others) answer(group);
      late.push([world.now, had.get(5)!]);
      while (late[0]![0] <= world.now - 100) answer(5, late.shift()![1]);
    }
    expect(had.get(5)).toBeLessThan(BATCHES);
  });

  it('one that lacks little at the end of the log does not wait until another has caught up with it', async () => {
    const catchUpBytesPerSecond = 1024 * 1024;
    const { world, written, had, hear, answer, isDone } = await makeBehind({ catchUpBytesPerSecond });
    for (const group of GROUPS) world.replicator.closeSession({ group, session: 1 });
    world.replicator.open({ group: 1, session: 2, term: 3, prevIndex: 0, prevTerm: 0 });
    world.replicator.open({ group: 8, session: 2, term: 3, prevIndex: BATCHES - 2, prevTerm: 3 });
    had.set(8, BATCHES - 2);
    world.heard();
    for (const group of [1, 8]) {
      world.reply({ group, session: 2, term: 3, match: had.get(group)! });
      world.replicator.stream({ group, session: 2, next: had.get(group)! + 1 });
    }
    const startMs = world.now;
    while (!isDone(8)) {
      world.now += 10;
      expect(world.now - startMs).toBeLessThan(300);
      hear();
      answer(1);
    }
    expect(had.get(1), 'which takes longer').toBeLessThan(BATCHES);
    expect(world.bytesRead).toBeLessThan(2 * written);
  });

  it('does not wait for one of which nothing is heard', async () => {
    const { world, written, had, hear, answer, isDone } = await makeBehind({ depth: 2 });
    const others = GROUPS.filter((group) => group !== 5);
    const { replicator } = world;
    for (let rounds = 0; !others.every(isDone); rounds++) {
      expect(rounds).toBeLessThan(90);
      world.now += 10;
      hear();
      for (const group of others) answer(group);
    }
    expect(had.get(5)).toBeLessThan(BATCHES / 2);
    expect(world.bytesRead / written).toBeLessThan(2);
    replicator.closeSession({ group: 5, session: 1 });
  });

  it('H39 sends all groups together no more from the disk than one alone may be sent', async () => {
    const catchUpBytesPerSecond = 1024 * 1024;
    const { world, written, hear, answer, isDone } = await makeBehind({ catchUpBytesPerSecond });
    hear();
    const startMs = world.now;
    while (!GROUPS.every(isDone)) {
      world.now += 10;
      expect(world.now - startMs).toBeLessThan(10_000);
      hear();
      for (const group of GROUPS) answer(group);
    }
    const seconds = (world.now - startMs) / 1000;
    expect(written / seconds).toBeLessThan(1.2 * catchUpBytesPerSecond);
    expect(written / seconds).toBeGreaterThan(0.8 * catchUpBytesPerSecond);
    expect(world.bytesRead / written).toBeLessThan(1.5);
  });

  it.each([true, false])(
    'goes on for the others when sessions end while the log is to be read on for them (closed: %s)',
    async (closed) => {
      const { world, hear, answer, isDone } = await makeBehind({ entryBytes: 60_000 });
      world.now += 10;
      world.replicator.poll(world.now);
      for (const group of GROUPS.slice(0, 4)) {
        if (closed) world.replicator.closeSession({ group, session: 1 });
        else world.reply({ group, term: 4, kind: 'refused', match: 0 });
      }
      const others = GROUPS.slice(4);
      for (let rounds = 0; !others.every(isDone); rounds++) {
        expect(rounds).toBeLessThan(100);
        hear();
        for (const group of others) answer(group);
        world.now += 10;
      }
      expect(isDone(1)).toBe(false);
    },
  );

  it('reads nothing while the network holds as much as it may, and sleeps', async () => {
    const { world, written, hear, answer, isDone } = await makeBehind({
      entryBytes: 80_000,
      receiveWindowBytes: 1,
    });
    const pollFor = (ms: number) => {
      for (const endMs = world.now + ms; world.now < endMs; world.now++) {
        let polls = 0;
        while (world.replicator.poll(world.now)) expect(polls++).toBeLessThan(50);
      }
    };
    pollFor(100);
    const before = world.bytesRead;
    pollFor(500);
    expect(world.bytesRead - before).toBe(0);
    for (let rounds = 0; !GROUPS.every(isDone); rounds++) {
      expect(rounds).toBeLessThan(200);
      hear();
      for (const group of GROUPS) answer(group);
      world.now += 10;
    }
    expect(world.bytesRead / written).toBeLessThan(2);
  });
});
