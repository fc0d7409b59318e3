import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import type { TermRun } from '../../src/core/options.js';
import { TermMap } from '../../src/core/term-map.js';

function mapOf(baseIndex: number, baseTerm: number, terms: number[]): TermMap {
  const runs: TermRun[] = [];
  for (const [i, term] of terms.entries()) {
    if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: baseIndex + i + 1 });
  }
  return new TermMap({ index: baseIndex, term: baseTerm }, runs, baseIndex + terms.length);
}

describe('the term map', () => {
  it('answers for index 0, for every entry, and not beyond', () => {
    const map = mapOf(0, 0, [1, 1, 3]);
    expect([-1, 0, 1, 2, 3, 4].map((index) => map.termAt(index))).toEqual([undefined, 0, 1, 1, 3, undefined]);
    expect([map.lastIndex, map.lastTerm]).toEqual([3, 3]);
  });

  it("knows the base's term and nothing below it", () => {
    const map = mapOf(10, 4, []);
    expect([9, 10, 11].map((index) => map.termAt(index))).toEqual([undefined, 4, undefined]);
    expect([map.lastIndex, map.lastTerm]).toEqual([10, 4]);
    map.append(5, 2);
    expect([10, 11, 12, 13].map((index) => map.termAt(index))).toEqual([4, 5, 5, undefined]);
    expect(map.lastAtMost(12, 4)).toBe(10);
    expect(map.lastAtMost(12, 3)).toBe(9);
  });

  it('refuses what no log can be', () => {
    const runs = (...list: [number, number][]) => list.map(([term, firstIndex]) => ({ term, firstIndex }));
    const whole = { index: 0, term: 0 };
    expect(() => new TermMap(whole, runs([2, 1], [1, 3]), 5)).toThrow(/recovered/);
    expect(() => new TermMap(whole, runs([1, 2]), 5)).toThrow(/follows the base/);
    expect(() => new TermMap(whole, runs([1, 1], [2, 6]), 5)).toThrow(/not empty/);
    expect(() => new TermMap(whole, [], 5)).toThrow(/come together/);
    expect(() => mapOf(0, 0, [1, 2]).append(1, 1)).toThrow(/order of term/);
  });

  it('agrees with a plain list through random appends, truncations and compactions', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seededRandom(seed);
      let base = randomInteger(random, 0, 3);
      const terms = Array.from({ length: base }, () => 1);
      const map = new TermMap({ index: base, term: base === 0 ? 0 : 1 }, [], base);
      for (let step = 0; step < 40; step++) {
        if (random() < 0.3 && terms.length > base) {
          const from = randomInteger(random, base + 1, terms.length);
          terms.length = from - 1;
          map.truncate(from);
        } else if (random() < 0.1 && terms.length > base) {
          base = randomInteger(random, base + 1, terms.length);
          map.compact(base);
        } else {
          const term = (terms.at(-1) ?? 1) + randomInteger(random, 0, 2);
          const count = randomInteger(random, 1, 4);
          for (let i = 0; i < count; i++) terms.push(term);
          map.append(term, count);
        }
        const index = randomInteger(random, base, terms.length + 1);
        const story = `seed ${seed} step ${step}`;
        expect(map.termAt(base - 1), story).toBe(undefined);
        expect(map.termAt(index), story).toBe(index === 0 ? 0 : terms[index - 1]);
        const term = randomInteger(random, 1, 30);
        let expected = Math.min(index, terms.length);
        while (expected >= base && (terms[expected - 1] ?? 0) > term) expected -= 1;
        expect(map.lastAtMost(index, term), story).toBe(expected);
      }
    }
  });
});
