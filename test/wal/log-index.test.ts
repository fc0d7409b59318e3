import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { type Location, SharedLogIndex } from '../../src/wal/log-index.js';
import { makeIndex } from './log-tools.js';

const SPACING = 64 * 1024;

/** The anchors of a group below `last`, found through the public door. */
function anchorsOf(index: SharedLogIndex, group: number, last: number): Location[] {
  const found: Location[] = [];
  for (let at = 1; at <= last; ) {
    const location = index.locate(group, at);
    if (location === undefined) break;
    found.push(location);
    if (location.next === undefined) break;
    at = location.next.firstIndex;
  }
  return found;
}

describe('the shared index', () => {
  it('knows nothing at first, nothing of strange groups, and nothing beyond what was written', () => {
    const index = makeIndex([4]);
    expect([index.locate(4, 1), index.locate(9, 1), index.writtenLast(9)]).toEqual([undefined, undefined, 0]);
    index.append(9, 1, 5, { segment: 1, offset: 96, bytes: 100 });
    index.append(4, 1, 5, { segment: 1, offset: 96, bytes: 100 });
    expect(index.locate(4, 5)?.anchor).toMatchObject({ firstIndex: 1, segment: 1, offset: 96 });
    expect([index.locate(4, 6), index.writtenLast(4), index.writtenLast(9)]).toEqual([undefined, 5, 0]);
  });

  it('holds an anchor for each 64 KiB; when they run out, every second goes and the spacing doubles', () => {
    const index = makeIndex([1], 8);
    const gaps = (last: number): number[] =>
      anchorsOf(index, 1, last).map(({ anchor, next }) => (next?.firstIndex ?? last + 1) - anchor.firstIndex);
    let last = 0;
    const grow = (anchors: number): void => {
      for (let i = 0; i < anchors; i += 1) {
        last += 1;
        index.append(1, last, last, { segment: 1, offset: last * 8, bytes: SPACING });
      }
    };
    grow(8);
    expect(gaps(last)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    grow(1);
    expect(gaps(last)).toEqual([2, 2, 2, 1, 1, 1]);
    grow(1000);
    const found = anchorsOf(index, 1, last);
    expect(found.length).toBeGreaterThanOrEqual(4);
    expect(found.length).toBeLessThanOrEqual(8);
    for (const { anchor } of found) expect(anchor.offset).toBe(anchor.firstIndex * 8);
    expect(index.writtenLast(1)).toBe(1009);
  });

  it('T3 holds indexes up to 2^53 − 1 and offsets and segments of 32 bits', () => {
    const index = makeIndex([1, 2]);
    const first = Number.MAX_SAFE_INTEGER - 5;
    index.append(2, first, first + 5, { segment: 0xffff_ffff, offset: 0xffff_fff8, bytes: 100 });
    const anchor = { firstIndex: first, segment: 0xffff_ffff, offset: 0xffff_fff8, crossesTruncation: false };
    expect(index.locate(2, first + 5)).toMatchObject({ anchor, writtenLast: Number.MAX_SAFE_INTEGER });
    expect(index.locate(2, first - 1)).toBeUndefined();
    expect(index.locate(1, 1)).toBeUndefined();
  });

  it('puts an anchor at the first batch behind a truncation, however near; if that goes, the stretch is marked', () => {
    const index = makeIndex([1], 4);
    const add = (first: number, offset: number): void =>
      index.append(1, first, first, { segment: 1, offset, bytes: 10 });
    for (let i = 1; i <= 9; i += 1) add(i, i * 8);
    index.truncate(1, 5);
    expect(index.writtenLast(1)).toBe(4);
    expect(index.locate(1, 5)).toBeUndefined();
    add(5, 800);
    const [before, behind] = anchorsOf(index, 1, 5);
    expect(before).toMatchObject({ anchor: { firstIndex: 1, crossesTruncation: false }, truncations: 1 });
    expect(behind).toMatchObject({ anchor: { firstIndex: 5, offset: 800 }, truncations: 1 });
    for (const from of [6, 7, 8]) {
      add(from, 800 + from * 16);
      index.truncate(1, from);
      add(from, 808 + from * 16);
    }
    const crossing = anchorsOf(index, 1, 8).map(({ anchor }) => [
      anchor.firstIndex,
      anchor.crossesTruncation,
    ]);
    expect(crossing).toEqual([
      [1, true],
      [6, false],
      [7, false],
      [8, false],
    ]);
  });

  it('T4 a reader that looks while the table is being changed gets no answer, not half a one', () => {
    const memory = new SharedArrayBuffer(SharedLogIndex.bytesFor(1, 8));
    const writer = new SharedLogIndex(memory, 0, [1], 8);
    const reader = new SharedLogIndex(memory, 0, [1], 8);
    writer.append(1, 1, 3, { segment: 1, offset: 96, bytes: 10 });
    expect(reader.locate(1, 2)?.anchor.offset).toBe(96);
    const words = new Int32Array(memory);
    Atomics.add(words, 0, 1);
    expect(reader.locate(1, 2)).toBeUndefined();
    expect(reader.writtenLast(1)).toBe(3);
    Atomics.add(words, 0, 1);
    expect(reader.locate(1, 2)?.anchor.offset).toBe(96);
  });

  it('always leads to the last anchor at or before an index, against a plain list (seeds 1 to 50)', () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = seededRandom(seed);
      const index = makeIndex([1], randomInteger(random, 4, 12));
      let offsets = new Map<number, number>();
      let last = 0;
      for (let step = 1; step < 300; step += 1) {
        if (last > 0 && random() < 0.1) {
          const from = randomInteger(random, Math.max(1, last - 20), last);
          index.truncate(1, from);
          offsets = new Map([...offsets].filter(([first]) => first < from));
          last = from - 1;
        }
        offsets.set(last + 1, step * 8);
        index.append(1, last + 1, last + 1, {
          segment: 1,
          offset: step * 8,
          bytes: randomInteger(random, 1, 2 * SPACING),
        });
        last += 1;
        const at = randomInteger(random, 1, last);
        const location = index.locate(1, at);
        const story = `seed ${seed}, step ${step}, index ${at} of ${last}`;
        expect(location?.anchor.firstIndex, story).toBeLessThanOrEqual(at);
        expect(location?.next?.firstIndex ?? last + 1, story).toBeGreaterThan(at);
        expect(location?.anchor.offset, story).toBe(offsets.get(location!.anchor.firstIndex));
      }
    }
  });
});
