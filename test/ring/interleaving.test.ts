import { describe, expect, it } from 'vitest';
import { RingConsumer, RingObserver, RingProducer } from '../../src/ring/byte-ring.js';
import { makeRing } from './support.js';

/*
 * All reachable states of a tiny ring. Sizes are multiples of 1024 bytes, so the ring stands at one of four places and
 * the states are finite once positions are taken relative to the lap. Every step is compared with plain queues.
 */

const CAPACITY = 4096;
const CLAIMS = [1016, 2040];

interface Entry {
  position: number;
  end: number;
  length: number;
}

interface Reader {
  next: number;
  released: number;
}

/** What should be so, in plain numbers. */
interface Model {
  head: number;
  claimedTo: number;
  claim: { position: number; length: number } | undefined;
  entries: Entry[];
  consumers: Reader[];
  observer: number;
}

/** A byte that tells this place of this lap from the same place of every other lap near it. */
function stamp(position: number, index: number): number {
  return (Math.floor(position / 1024) * 31 + index * 7) & 0xff;
}

class World {
  readonly region;
  readonly shared: Buffer;
  readonly producer: RingProducer;
  readonly consumers: RingConsumer[];
  readonly observer: RingObserver;
  model: Model;

  constructor(consumers: number) {
    this.region = makeRing(CAPACITY, consumers);
    this.shared = Buffer.from(this.region.memory);
    this.producer = new RingProducer(this.region);
    this.consumers = Array.from({ length: consumers }, (_, index) => new RingConsumer(this.region, index));
    this.observer = new RingObserver(this.region);
    this.model = {
      head: 0,
      claimedTo: 0,
      claim: undefined,
      entries: [],
      consumers: this.consumers.map(() => ({ next: 0, released: 0 })),
      observer: 0,
    };
  }

  get parties(): object[] {
    return [this.producer, ...this.consumers, this.observer];
  }

  save(): () => void {
    const bytes = Buffer.from(this.shared);
    const fields = this.parties.map((party) => ({ ...party }));
    const model = structuredClone(this.model);
    return () => {
      bytes.copy(this.shared);
      this.parties.forEach((party, index) => {
        Object.assign(party, fields[index]);
      });
      this.model = structuredClone(model);
    };
  }

  /** The state with the past taken off: private caches count, since they decide what is looked at again. */
  key(withObserver: boolean): string {
    const base = Math.floor(this.model.head / CAPACITY) * CAPACITY;
    const near = (position: number): number => Math.max(position - base, -2 * CAPACITY);
    const fields = (party: object, names: string[]): number[] =>
      names.map((name) => near((party as Record<string, number>)[name]!));
    const { head, claim, claimedTo, entries } = this.model;
    const needed = Math.min(...this.model.consumers.map((reader) => reader.released));
    return JSON.stringify(
      [
        near(head),
        claim,
        near(claimedTo),
        entries.filter((entry) => entry.end > needed).map((entry) => near(entry.position)),
        fields(this.producer, ['releasedSeen']),
        this.consumers.map((consumer) => fields(consumer, ['next', 'publishedSeen', 'releasedTo'])),
        withObserver ? fields(this.observer, ['next', 'publishedSeen']) : [],
      ],
      (name, value) => (name === 'position' ? near(value as number) : value),
    );
  }
}

function expectContent(world: World, reader: RingConsumer | RingObserver, entry: Entry): void {
  const seen = [reader.position, reader.end, reader.length, reader.offset];
  const wanted = [entry.position, entry.end, entry.length, (entry.position % CAPACITY) + 8];
  if (String(seen) !== String(wanted)) expect(seen).toEqual(wanted);
  for (let i = 0; i < entry.length; i += 97) {
    if (reader.bytes[reader.offset + i] !== stamp(entry.position, i)) {
      expect.fail(
        `byte ${i} of the record at ${entry.position} is of another record; head ${world.model.head}`,
      );
    }
  }
}

function claim(world: World, length: number): void {
  const { model, producer } = world;
  const room = CAPACITY - (model.head % CAPACITY);
  const position = length + 8 <= room ? model.head : model.head + room;
  const end = position + length + 8;
  const fits = end - Math.min(...model.consumers.map((reader) => reader.released)) <= CAPACITY;
  const before = fits ? undefined : Buffer.from(world.shared);
  if (producer.fits(length) !== fits) expect.fail(`fits(${length}) at ${model.head} should be ${fits}`);
  if (producer.claim(length) !== fits) expect.fail(`claim(${length}) at ${model.head} should be ${fits}`);
  if (before !== undefined) {
    expect(before.equals(world.shared)).toBe(true);
    return;
  }
  expect(producer.position).toBe(position);
  for (let i = 0; i < length; i++) producer.bytes[producer.offset + i] = stamp(position, i);
  model.claim = { position, length };
  model.claimedTo = Math.max(model.claimedTo, end);
}

function publish(world: World, length: number): void {
  const { position } = world.model.claim!;
  world.producer.publish(length);
  const entry = { position, length, end: position + 8 + length };
  const { model } = world;
  model.entries = [...model.entries, entry].filter((old) => old.end > entry.end - 2 * CAPACITY);
  model.head = entry.end;
  model.claim = undefined;
}

function poll(world: World, index: number): void {
  const consumer = world.consumers[index]!;
  const reader = world.model.consumers[index]!;
  const entry = world.model.entries.find((candidate) => candidate.position >= reader.next);
  if (consumer.poll() !== (entry !== undefined)) expect.fail(`poll of consumer ${index} at ${reader.next}`);
  if (entry === undefined) return;
  expectContent(world, consumer, entry);
  reader.next = entry.end;
}

function release(world: World, index: number, all: boolean): void {
  const consumer = world.consumers[index]!;
  const reader = world.model.consumers[index]!;
  if (all) {
    consumer.release();
    reader.released = reader.next;
  } else {
    const first = world.model.entries.find((entry) => entry.end > reader.released)!;
    consumer.releaseTo(first.end);
    reader.released = first.end;
  }
}

function observe(world: World): void {
  const { model, observer } = world;
  const overrun = model.observer < model.head && model.claimedTo - model.observer > CAPACITY;
  const overruns = observer.overruns;
  if (overrun) model.observer = Math.min(...model.consumers.map((reader) => reader.released));
  const entry = model.entries.find((candidate) => candidate.position >= model.observer);
  if (observer.poll() !== (entry !== undefined)) expect.fail(`poll of the observer at ${model.observer}`);
  expect(observer.overruns - overruns).toBe(overrun ? 1 : 0);
  if (entry === undefined) return;
  expectContent(world, observer, entry);
  model.observer = entry.end;
}

/** Questions that change nothing: what is free, and what each side may still read by position. */
function ask(world: World): void {
  const { model, producer, observer } = world;
  const oldest = Math.min(...model.consumers.map((reader) => reader.released));
  expect([producer.holdsFrom(), producer.freeBytes()]).toEqual([oldest, CAPACITY - (model.head - oldest)]);
  for (const entry of model.entries) {
    const intact = model.claimedTo - entry.position <= CAPACITY;
    if (observer.at(entry.position) !== intact)
      expect.fail(`observer.at(${entry.position}) should be ${intact}`);
    if (intact) expectContent(world, observer, entry);
    world.consumers.forEach((consumer, index) => {
      const held = entry.position >= model.consumers[index]!.released;
      if (consumer.at(entry.position) !== held)
        expect.fail(`consumer.at(${entry.position}) should be ${held}`);
      if (held) expectContent(world, consumer, entry);
    });
  }
}

function steps(world: World, withObserver: boolean): (() => void)[] {
  const all: (() => void)[] = [];
  const open = world.model.claim;
  if (open === undefined) {
    for (const length of CLAIMS) all.push(() => claim(world, length));
  } else {
    all.push(() => publish(world, open.length));
    if (open.length > 1016) all.push(() => publish(world, 1016));
    all.push(() => {
      world.producer.abandon();
      world.model.claim = undefined;
    });
  }
  world.model.consumers.forEach((reader, index) => {
    all.push(() => poll(world, index));
    if (reader.next === reader.released) return;
    all.push(() => release(world, index, true));
    all.push(() => release(world, index, false));
  });
  if (withObserver) all.push(() => observe(world));
  return all;
}

/** Walks every reachable state, up to `statesMax`; returns how many there were. */
function explore(consumers: number, withObserver: boolean, statesMax: number): number {
  const world = new World(consumers);
  const seen = new Set([world.key(withObserver)]);
  const open = [world.save()];
  for (let restore = open.shift(); restore !== undefined; restore = open.shift()) {
    restore();
    const count = steps(world, withObserver).length;
    for (let index = 0; index < count; index++) {
      restore();
      steps(world, withObserver)[index]!();
      const key = world.key(withObserver);
      if (seen.has(key)) continue;
      seen.add(key);
      expect(seen.size, 'the states are finite').toBeLessThan(statesMax);
      open.push(world.save());
      ask(world);
    }
  }
  return seen.size;
}

describe('every interleaving of whole steps', () => {
  it('of a producer and one consumer equals a plain queue', () => {
    expect(explore(1, false, 10_000)).toBeGreaterThan(1000);
  });

  it('of a producer, a consumer and an observer equals a plain queue', () => {
    expect(explore(1, true, 100_000)).toBeGreaterThan(10_000);
  });

  it('of a producer and two consumers equals a plain queue', () => {
    expect(explore(2, false, 100_000)).toBeGreaterThan(10_000);
  });
});
