import { describe, expect, it } from 'vitest';
import { quorumIndex, voteResult } from '../../src/core/quorum.js';

const index = (voters: number[], votersOutgoing: number[], matches: number[]) =>
  quorumIndex({ voters, votersOutgoing }, (id) => matches[id - 1] ?? 0);

/** Every set of ids 1 … size, the empty one too. */
function subsets(size: number): number[][] {
  return Array.from({ length: 1 << size }, (_, bits) =>
    Array.from({ length: size }, (_, i) => i + 1).filter((id) => bits & (1 << (id - 1))),
  );
}

/** Every way to give `size` places one of `values`. */
function combinations<V>(values: V[], size: number): V[][] {
  if (size === 0) return [[]];
  return combinations(values, size - 1).flatMap((rest) => values.map((value) => [...rest, value]));
}

/** The slow truth: the highest index that more than half of the voters hold. */
function naiveIndex(voters: number[], matches: number[]): number {
  for (let at = 9; at > 0; at--) {
    if (2 * voters.filter((id) => (matches[id - 1] ?? 0) >= at).length > voters.length) return at;
  }
  return 0;
}

type Vote = boolean | undefined;

/** The slow truth: whichever way those who are silent may yet vote, look at how it ends. */
function naiveResult(halves: number[][], votes: Vote[]): string {
  const silent = votes.flatMap((vote, i) => (vote === undefined ? [i] : []));
  const ends = combinations([true, false], silent.length).map((later) => {
    const final = votes.map((vote, i) => vote ?? later[silent.indexOf(i)]);
    return halves.every((half) => 2 * half.filter((id) => final[id - 1]).length > half.length);
  });
  if (ends.every((won) => won)) return 'won';
  return ends.some((won) => won) ? 'pending' : 'lost';
}

describe('quorum arithmetic', () => {
  it('E2 the commit index is what the majority holds', () => {
    expect(index([1, 2, 3], [], [5, 7, 9])).toBe(7);
    expect(index([1, 2, 3, 4, 5], [], [1, 2, 3, 4, 5])).toBe(3);
    expect(index([1, 2], [], [4, 9])).toBe(4);
    expect(index([1], [], [6])).toBe(6);
  });

  it('H35 compares large indexes as numbers, not as 32 bits or as text', () => {
    expect(index([1, 2, 3], [], [2 ** 40, 9, 2 ** 33])).toBe(2 ** 33);
    expect(index([1, 2, 3], [], [9, 100, 10])).toBe(10);
  });

  it('H35 every majority of up to five voters agrees with counting', () => {
    for (let size = 1; size <= 5; size++) {
      const voters = Array.from({ length: size }, (_, i) => i + 1);
      for (const matches of combinations([0, 1, 2, 5], size)) {
        expect(index(voters, [], matches), `${matches}`).toBe(naiveIndex(voters, matches));
      }
    }
  });

  it('H35 every joint configuration of four nodes agrees with counting', () => {
    for (const voters of subsets(4).filter((set) => set.length > 0)) {
      for (const outgoing of subsets(4)) {
        for (const matches of combinations([0, 1, 4], 4)) {
          const halves = [voters, outgoing].filter((half) => half.length > 0);
          const expected = Math.min(...halves.map((half) => naiveIndex(half, matches)));
          expect(index(voters, outgoing, matches), `${voters}|${outgoing}: ${matches}`).toBe(expected);
        }
      }
    }
  });

  it('H35 every election of four nodes, joint or not, ends as it must', () => {
    for (const voters of subsets(4).filter((set) => set.length > 0)) {
      for (const votersOutgoing of subsets(4)) {
        for (const votes of combinations<Vote>([undefined, true, false], 4)) {
          const cast = new Map(votes.flatMap((vote, i) => (vote === undefined ? [] : [[i + 1, vote]])));
          const halves = [voters, votersOutgoing].filter((half) => half.length > 0);
          expect(voteResult({ voters, votersOutgoing }, cast), `${voters}|${votersOutgoing}: ${votes}`).toBe(
            naiveResult(halves, votes),
          );
        }
      }
    }
  });

  it('nobody decides without voters', () => {
    expect(() => index([], [1], [3])).toThrow(/voters/);
    expect(() => voteResult({ voters: [], votersOutgoing: [] }, new Map())).toThrow(/voters/);
  });
});
