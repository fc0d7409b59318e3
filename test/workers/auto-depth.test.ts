import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import { AutoDepth } from '../../src/workers/auto-depth.js';

/** What a unit meets on its way: a line, a disk at its end that takes units one after the other, and the way back. */
interface Line {
  oneWayMs: number;
  /** Between two units that come out of it. */
  serviceMs: number;
  /** That each unit takes in the end, besides. */
  syncMs: number;
  /** Of the one-way time, drawn anew for each unit; order is kept. */
  jitterMs: number;
}

/** A leader that always has more to send, over one line, with a clock of its own. */
class World {
  nowMs = 1000;
  done = 0;
  line: Line;
  readonly auto: AutoDepth;
  readonly #random = seededRandom(7);
  /** Of units under way, oldest first. */
  #underWay: { sentMs: number; backMs: number }[] = [];
  #outMs = 0;
  #backMs = 0;

  constructor(line: Line, headroom: number) {
    this.line = line;
    this.auto = new AutoDepth(headroom);
  }

  /** Units a second, and how long one took on average, over so long. */
  run(forMs: number): { rate: number; latencyMs: number } {
    const endMs = this.nowMs + forMs;
    let units = 0;
    let sumMs = 0;
    while (this.nowMs < endMs) {
      while (this.#underWay.length < this.auto.depth) this.#send();
      this.auto.limited();
      const { sentMs, backMs } = this.#underWay.shift()!;
      this.nowMs = Math.max(this.nowMs, backMs);
      this.auto.done(sentMs, this.nowMs);
      units++;
      sumMs += this.nowMs - sentMs;
    }
    return { rate: (units * 1000) / forMs, latencyMs: sumMs / units };
  }

  #send(): void {
    const { oneWayMs, serviceMs, syncMs, jitterMs } = this.line;
    const jitter = () => this.#random() * jitterMs;
    this.#outMs = Math.max(this.#outMs, this.nowMs + oneWayMs + jitter()) + serviceMs;
    this.#backMs = Math.max(this.#backMs, this.#outMs + syncMs + oneWayMs + jitter());
    this.#underWay.push({ sentMs: this.nowMs, backMs: this.#backMs });
  }
}

/** Units that a line holds without any of them waiting. */
const held = ({ oneWayMs, serviceMs, syncMs }: Line): number =>
  (2 * oneWayMs + serviceMs + syncMs) / serviceMs;

const LINES: readonly [string, Line][] = [
  ['one machine', { oneWayMs: 0.05, serviceMs: 0.5, syncMs: 0.2, jitterMs: 0 }],
  ['a fast disk, 5 ms away', { oneWayMs: 5, serviceMs: 0.5, syncMs: 0.2, jitterMs: 0 }],
  ['20 ms away', { oneWayMs: 20, serviceMs: 0.5, syncMs: 0.2, jitterMs: 0 }],
  ['a slow disk that syncs many at a time', { oneWayMs: 0.1, serviceMs: 1, syncMs: 12, jitterMs: 0 }],
  ['20 ms away, unsteady', { oneWayMs: 20, serviceMs: 0.5, syncMs: 0.2, jitterMs: 0.5 }],
];

describe('the depth found', () => {
  it.each(LINES)('%s: what the line holds and a few more, all of the throughput', (_, line) => {
    for (const headroom of [1, 2, 4]) {
      const world = new World(line, headroom);
      world.run(5000);
      const { rate, latencyMs } = world.run(10_000);
      const full = 1000 / line.serviceMs;
      expect(rate, `headroom ${headroom}`).toBeGreaterThan(0.95 * full);
      const least = held(line) * line.serviceMs + line.jitterMs;
      expect(latencyMs, `headroom ${headroom}`).toBeLessThan(1.12 * least + 2.2 * headroom * line.serviceMs);
    }
  });
});

describe('the depth follows', () => {
  const near: Line = { oneWayMs: 0.1, serviceMs: 0.5, syncMs: 0.2, jitterMs: 0.05 };
  const far: Line = { ...near, oneWayMs: 20 };

  it('from below and from above: a line that gets longer and shorter again', () => {
    const world = new World(near, 1);
    world.run(5000);
    expect(world.auto.depth).toBeLessThan(6);
    world.line = far;
    const beginning = world.run(1000);
    expect(beginning.rate, 'fewer, but never none').toBeGreaterThan(20);
    world.run(6000);
    expect(world.run(5000).rate).toBeGreaterThan(0.95 * 2000);
    expect(world.auto.depth).toBeGreaterThan(held(far));
    expect(world.auto.depth).toBeLessThan(1.2 * held(far));
    world.line = near;
    world.run(15_000);
    expect(world.auto.depth, 'halved span by span: the queue hid how short the line is').toBeLessThan(8);
    expect(world.run(5000).rate).toBeGreaterThan(0.95 * 2000);
  });

  it('a disk at the other end that gets slower and faster again', () => {
    const world = new World(far, 2);
    world.run(10_000);
    const before = world.auto.depth;
    world.line = { ...far, serviceMs: 8 };
    world.run(10_000);
    expect(world.auto.depth, 'what such a disk can use').toBeLessThan(1.2 * held(world.line) + 4);
    expect(world.run(5000).rate).toBeGreaterThan(0.95 * 125);
    world.line = far;
    world.run(10_000);
    expect(world.run(5000).rate).toBeGreaterThan(0.95 * 2000);
    expect(Math.abs(world.auto.depth - before)).toBeLessThan(0.2 * before);
  });

  it('not the moods of a busy machine: threads that come late to most units are no queue', () => {
    const auto = new AutoDepth(1);
    const random = seededRandom(3);
    let sum = 0;
    const underWay: number[] = [];
    for (let atMs = 0, units = 0; units < 5000; ) {
      while (underWay.length < auto.depth) underWay.push(atMs);
      auto.limited();
      const sentMs = underWay.shift()!;
      atMs = Math.max(atMs, sentMs + 40 * (1 + 3 * random()));
      auto.done(sentMs, atMs);
      units++;
      sum += auto.depth;
    }
    expect(sum / 5000).toBeGreaterThan(3.5);
  });

  it('nothing where nobody waits for room: a quiet follower says nothing of what it could take', () => {
    const auto = new AutoDepth(1);
    for (let atMs = 0; atMs < 20_000; atMs += 10) auto.done(atMs - 9, atMs);
    expect([auto.depth >= 4, auto.depth <= 8, auto.shortestMs]).toEqual([true, true, 9]);
  });

  it('is 1 at the least and 1,024 at the most, whatever the times are', () => {
    const times: ((at: number) => number)[] = [
      () => 0,
      () => 9,
      () => 1e9,
      (at) => at % 2,
      (at) => 1e6 / (at + 1),
    ];
    for (const latencyMs of times) {
      const auto = new AutoDepth(1);
      for (let at = 0; at < 5000; at++) {
        auto.limited();
        auto.done(at - latencyMs(at), at);
        expect(auto.depth).toBeGreaterThanOrEqual(1);
        expect(auto.depth).toBeLessThanOrEqual(1024);
        expect(Number.isInteger(auto.depth)).toBe(true);
      }
    }
  });
});
