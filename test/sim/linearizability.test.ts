import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import { Chance } from './chance.js';
import { INITIAL_VALUE, type Judgement, judge, type Operation, type RegisterOp } from './linearizability.js';

const NEVER = Number.POSITIVE_INFINITY;
type Line = [invoked: number, returned: number, op: RegisterOp];

const read = (value: number): RegisterOp => ({ kind: 'read', value });
const write = (value: number): RegisterOp => ({ kind: 'write', value });
const cas = (expected: number, value: number, found?: number): RegisterOp => ({
  kind: 'cas',
  expected,
  value,
  found,
});
const history = (lines: readonly Line[], key = 'x'): Operation[] =>
  lines.map(([invoked, returned, op]) => ({ key, op, invoked, returned }));
const verdict = (lines: readonly Line[]): Judgement['verdict'] => judge(history(lines)).verdict;

/** Every order of every choice of open operations, nothing remembered, nothing left out. */
function isExplained(left: readonly Operation[], state = INITIAL_VALUE): boolean {
  if (left.every((each) => each.returned === NEVER)) return true;
  return left.some((each) => {
    if (left.some((other) => other !== each && other.returned < each.invoked)) return false;
    const after = next(each.op, state);
    return (
      after !== undefined &&
      isExplained(
        left.filter((other) => other !== each),
        after,
      )
    );
  });
}

/** The state behind an operation; undefined: it cannot have been answered so. */
function next(op: RegisterOp, state: number): number | undefined {
  if (op.kind === 'read') return op.value === state ? state : undefined;
  if (op.kind === 'write') return op.value;
  if (op.found !== undefined && op.found !== state) return undefined;
  return state === op.expected ? op.value : state;
}

const GOOD: Record<string, Line[]> = {
  'nothing happened': [],
  'a read of what was never written': [[0, 1, read(0)]],
  'one after the other': [
    [0, 1, write(1)],
    [2, 3, read(1)],
    [4, 5, write(2)],
    [6, 7, read(2)],
  ],
  'a read beside a write may see either: the old value': [
    [0, 10, write(1)],
    [2, 3, read(0)],
  ],
  'a read beside a write may see either: the new value': [
    [0, 10, write(1)],
    [2, 3, read(1)],
  ],
  'two writes at the same time, in either order': [
    [0, 10, write(1)],
    [0, 10, write(2)],
    [11, 12, read(1)],
    [13, 14, read(1)],
  ],
  'a write that nobody heard of never counted': [
    [0, NEVER, write(1)],
    [5, 6, read(0)],
    [50, 60, read(0)],
  ],
  'a write that nobody heard of counts long after': [
    [0, NEVER, write(1)],
    [5, 6, read(0)],
    [50, 60, read(1)],
  ],
  'a write that nobody heard of overwrites a later one': [
    [0, NEVER, write(1)],
    [5, 6, write(2)],
    [7, 8, read(2)],
    [9, 10, read(1)],
  ],
  'a compare-and-set that was lost counted once': [
    [0, NEVER, cas(0, 1)],
    [5, 6, cas(1, 2, 1)],
    [7, 8, read(2)],
  ],
  'two lost compare-and-sets in a row': [
    [0, NEVER, cas(0, 1)],
    [0, NEVER, cas(1, 2)],
    [5, 6, read(2)],
  ],
  'a compare-and-set that found something else': [
    [0, 1, write(1)],
    [2, 3, cas(0, 5, 1)],
    [4, 5, read(1)],
  ],
  'the same value written twice': [
    [0, 1, write(1)],
    [2, 3, write(2)],
    [4, 5, read(2)],
    [6, 7, write(1)],
    [8, 9, read(1)],
  ],
  'long operations around short ones': [
    [0, 100, write(3)],
    [1, 99, read(2)],
    [2, 5, write(1)],
    [6, 9, read(1)],
    [10, 20, write(2)],
    [30, 40, read(3)],
  ],
};

const BAD: Record<string, Line[]> = {
  'a stale read': [
    [0, 1, write(1)],
    [2, 3, write(2)],
    [4, 5, read(1)],
  ],
  'H67 a stale read by a leader that was paused': [
    [0, 1, write(1)],
    [2, 3, read(1)],
    [4, 5, write(2)],
    [6, 7, read(2)],
    [8, 9, read(1)],
  ],
  'a lost update': [
    [0, 1, write(1)],
    [2, 3, read(0)],
  ],
  'a read from the future': [
    [0, 1, read(7)],
    [2, 3, write(7)],
  ],
  'a read of what nobody wrote': [
    [0, 1, write(1)],
    [2, 3, read(2)],
  ],
  'reads that go back while a write is under way': [
    [0, 100, write(1)],
    [10, 20, read(1)],
    [30, 40, read(0)],
  ],
  'a lost write that counts twice': [
    [0, NEVER, write(1)],
    [5, 6, read(1)],
    [7, 8, write(2)],
    [9, 10, read(1)],
  ],
  'a lost write that counts before it was asked for': [
    [0, 1, read(1)],
    [5, NEVER, write(1)],
  ],
  'a lost compare-and-set that counts twice': [
    [0, NEVER, cas(0, 1)],
    [5, 6, cas(1, 0, 1)],
    [7, 8, read(1)],
  ],
  'two compare-and-sets that both won': [
    [0, 10, cas(0, 1, 0)],
    [0, 10, cas(0, 2, 0)],
  ],
  'a compare-and-set that won against the wrong value': [
    [0, 1, write(5)],
    [2, 3, cas(0, 1, 0)],
  ],
  'a compare-and-set that lost and counted all the same': [
    [0, 1, write(5)],
    [2, 3, cas(0, 1, 5)],
    [4, 5, read(1)],
  ],
  'two readers who saw two writes in different orders': [
    [0, 100, write(1)],
    [0, 100, write(2)],
    [10, 20, read(1)],
    [30, 40, read(2)],
    [50, 60, read(1)],
  ],
  'H69 a write that counted although its client was told no': [[5, 6, read(9)]],
};

describe('the judge of registers', () => {
  for (const [name, lines] of Object.entries(GOOD)) {
    it(`explains: ${name}`, () => {
      expect(verdict(lines)).toBe('linearizable');
      expect(isExplained(history(lines))).toBe(true);
    });
  }

  for (const [name, lines] of Object.entries(BAD)) {
    it(`finds: ${name}`, () => {
      expect(verdict(lines)).toBe('violation');
      expect(isExplained(history(lines))).toBe(false);
    });
  }

  it('finds the one bad register among many good ones, and says which, and what it could not explain', () => {
    const all = [
      ...history(GOOD['long operations around short ones']!, 'a'),
      ...history(BAD['a stale read']!, 'b'),
      ...history(GOOD['one after the other']!, 'c'),
    ];
    const { verdict, key, stuck } = judge(all);
    expect({ verdict, key, stuck: stuck.map(({ op }) => op) }).toEqual({
      verdict: 'violation',
      key: 'b',
      stuck: [write(2), read(1)],
    });
  });

  it('keeps registers apart: what is bad in one is good in two', () => {
    expect(verdict(BAD['a stale read']!)).toBe('violation');
    const apart = [
      ...history([[0, 1, write(1)]], 'a'),
      ...history([[2, 3, write(2)]], 'b'),
      ...history([[4, 5, read(1)]], 'a'),
    ];
    expect(judge(apart).verdict).toBe('linearizable');
  });
});

/** Every way in which calls and returns of `count` operations can lie in time. */
function arrangements(count: number): [number, number][][] {
  const all: [number, number][][] = [];
  const place = (order: number[]): void => {
    if (order.length === 2 * count) {
      const times = Array.from({ length: count }, (_, at): [number, number] => [
        order.indexOf(at),
        order.lastIndexOf(at),
      ]);
      all.push(times);
      return;
    }
    for (let at = 0; at < count; at++) {
      if (order.filter((each) => each === at).length < 2) place([...order, at]);
    }
  };
  place([]);
  return all;
}

describe('against every order tried by brute force', () => {
  const KINDS: { op: RegisterOp; open?: true }[] = [
    { op: read(0) },
    { op: read(1) },
    { op: read(2) },
    { op: write(1) },
    { op: write(2) },
    { op: write(1), open: true },
    { op: cas(0, 1, 0) },
    { op: cas(1, 2, 1) },
    { op: cas(1, 2, 0) },
    { op: cas(0, 1), open: true },
    { op: cas(1, 0), open: true },
  ];

  it('agrees on all histories of three operations', () => {
    const times = arrangements(3);
    const seen = { linearizable: 0, violation: 0, undecided: 0 };
    for (const a of KINDS) {
      for (const b of KINDS) {
        for (const c of KINDS) {
          for (const when of times) {
            const lines = [a, b, c].map(({ op, open }, at): Line => {
              const [invoked, returned] = when[at]!;
              return [invoked, open ? NEVER : returned, op];
            });
            const mine = verdict(lines);
            seen[mine]++;
            if ((mine === 'linearizable') !== isExplained(history(lines)))
              throw new Error(`${mine}, wrongly: ${JSON.stringify(lines)}`);
          }
        }
      }
    }
    expect(seen.undecided).toBe(0);
    expect(seen.violation).toBeGreaterThan(10_000);
    expect(seen.linearizable).toBeGreaterThan(10_000);
  });

  it('agrees on random histories of up to seven operations, with values written more than once', () => {
    const chance = new Chance(seededRandom(20));
    const seen = { linearizable: 0, violation: 0, undecided: 0 };
    for (let round = 0; round < 20_000; round++) {
      const values = chance.integer(1, 4);
      const value = (): number => chance.integer(0, values);
      const lines = Array.from({ length: chance.integer(3, 7) }, (): Line => {
        const invoked = chance.integer(0, 20);
        const open = chance.chance(0.25);
        const returned = open ? NEVER : invoked + chance.integer(0, 8);
        const kind = chance.random();
        if (kind < 0.4 && !open) return [invoked, returned, read(value())];
        if (kind < 0.7) return [invoked, returned, write(value())];
        return [invoked, returned, open ? cas(value(), value()) : cas(value(), value(), value())];
      });
      const mine = verdict(lines);
      seen[mine]++;
      if ((mine === 'linearizable') !== isExplained(history(lines)))
        throw new Error(`${mine}, wrongly: ${JSON.stringify(lines)}`);
    }
    expect(seen.undecided).toBe(0);
    expect(seen.violation).toBeGreaterThan(2_000);
    expect(seen.linearizable).toBeGreaterThan(2_000);
  });
});

/** What `clients` did at one register that is as it should be; of the writes some were never answered. */
function realHistory(chance: Chance, clients: number, operations: number, key = 'x'): Operation[] {
  const planned: { at: number; run: () => void }[] = [];
  const done: Operation[] = [];
  let state = INITIAL_VALUE;
  let value = 0;
  for (let client = 0; client < clients; client++) {
    let nowMs = chance.between(0, 10);
    for (let n = 0; n < operations / clients; n++) {
      const invoked = nowMs;
      const lost = chance.chance(0.05);
      const at = invoked + chance.between(0, lost ? 500 : 20);
      const returned = lost ? NEVER : at + chance.between(0, 20);
      nowMs = (lost ? invoked + 40 : returned) + chance.between(0, 5);
      const kind = chance.random();
      const mine = ++value;
      planned.push({
        at,
        run: () => {
          let op: RegisterOp;
          if (kind < 0.5) {
            if (lost) return;
            op = read(state);
          } else if (kind < 0.8) op = write(mine);
          else {
            const expected = chance.chance(0.7) ? state : chance.integer(0, value);
            op = lost ? cas(expected, mine) : cas(expected, mine, state);
          }
          // Of what nobody was told, a half never counted.
          if (!lost || chance.chance(0.5)) state = next(op, state)!;
          done.push({ key, op, invoked, returned });
        },
      });
    }
  }
  for (const { run } of planned.sort((a, b) => a.at - b.at)) run();
  return done;
}

describe('large histories', () => {
  it('explains 20,000 operations of 12 clients at 5 registers within a few configurations each', () => {
    const chance = new Chance(seededRandom(5));
    const all = ['a', 'b', 'c', 'd', 'e'].flatMap((key) => realHistory(chance, 12, 4_000, key));
    const { verdict, configurations } = judge(all);
    expect(verdict).toBe('linearizable');
    expect(configurations).toBeLessThan(3 * all.length);
  });

  it('finds one stale read among thousands', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const chance = new Chance(seededRandom(seed));
      const all = realHistory(chance, 8, 2_000);
      const reads = all.filter(({ op }) => op.kind === 'read');
      const late = reads[Math.floor(reads.length * chance.between(0.3, 0.9))]!;
      const early = reads.findLast(
        ({ op, returned }) => returned < late.invoked - 200 && op.kind === 'read' && op.value !== 0,
      )!;
      const at = all.indexOf(late);
      all[at] = { ...late, op: early.op };
      expect(judge(all).verdict, `seed ${seed}`).toBe('violation');
    }
  });

  it('says undecided where its budget ends, and never good', () => {
    // Around in a circle, many at once: the end is always 0, but there are many ways to get there.
    const circle = (count: number): Operation[] =>
      history([
        ...Array.from({ length: count }, (_, at): Line => [0, 100, cas(at % 3, (at + 1) % 3, at % 3)]),
        [200, 201, read(1)],
      ]);
    expect(judge(circle(24), 5_000).verdict).toBe('undecided');
    expect(judge(circle(9), 50).verdict).toBe('undecided');
    expect(judge(circle(9), 5_000).verdict).toBe('violation');
  });
});
