import { describe, expect, it } from 'vitest';
import { ApplySlices } from '../../src/engine/apply-slices.js';

/** Sources with so many batches each, which take so long, ms, and answer so many callers. */
function makeSlices(...sources: { batches: number; ms: number; answers?: number }[]) {
  const clock = { ms: 100, nowMs: () => clock.ms };
  const left = sources.map(({ batches }) => batches);
  const applied: number[] = [];
  const slices = new ApplySlices(
    sources.map(({ ms, answers = 0 }, at) => () => {
      if (left[at] === 0) return undefined;
      left[at]!--;
      clock.ms += ms;
      applied.push(at);
      return answers;
    }),
    clock,
  );
  /** What one turn applies, and from where. */
  const turn = () => {
    slices.run();
    return applied.splice(0);
  };
  return { slices, clock, left, turn };
}

describe('what a turn applies', () => {
  it('is everything there is, if that takes no longer than a slice, and it says whether there was anything', () => {
    const { slices, turn, left } = makeSlices({ batches: 3, ms: 0.5 }, { batches: 4, ms: 0.5 });
    expect(turn()).toEqual([0, 0, 0, 1, 1, 1, 1]);
    expect(slices.run()).toBe(false);
    left[1] = 1;
    expect(slices.run()).toBe(true);
  });

  it('is what takes 4 ms, and the batch that it is at then', () => {
    const { turn } = makeSlices({ batches: 9, ms: 1.5 });
    expect(turn().length).toBe(3);
    expect(turn().length).toBe(3);
  });

  it('is no more than 1,024 answers, but for one batch', () => {
    const { turn } = makeSlices({ batches: 9, ms: 0, answers: 400 }, { batches: 1, ms: 0, answers: 2000 });
    expect(turn()).toEqual([0, 0, 0]);
    expect(turn(), 'where the turn before ended').toEqual([1]);
    expect(turn()).toEqual([0, 0, 0]);
  });

  it('is 2 ms of each while the others have something, counted from its own first', () => {
    const much = { batches: 99, ms: 0.25 };
    const { turn } = makeSlices({ batches: 3, ms: 0.5 }, much, much);
    expect(turn()).toEqual([...Array<number>(3).fill(0), ...Array<number>(8).fill(1), 2, 2]);
  });

  it('is also what became due only by what was applied', () => {
    const applied: string[] = [];
    const due = { near: false, fed: true };
    const take = (name: 'near' | 'fed'): number | undefined => {
      if (!due[name]) return undefined;
      due[name] = false;
      applied.push(name);
      return 0;
    };
    const near = () => take('near');
    const fed = () => {
      const answered = take('fed');
      // What follows it is near.
      if (answered !== undefined) due.near = true;
      return answered;
    };
    new ApplySlices([near, fed], { nowMs: () => 0 }).run();
    expect(applied).toEqual(['fed', 'near']);
  });

  it('lets one that is slow have a batch at a time, with the inbox in between, and the others all that they have', () => {
    const slow = { batches: 99, ms: 6 };
    const { turn, left } = makeSlices(slow, { batches: 0, ms: 0.1 }, slow, { batches: 0, ms: 0.1 });
    for (let round = 0; round < 20; round++) {
      left[1] = 10;
      left[3] = 10;
      const turns = [turn(), turn(), turn()];
      for (const each of turns) expect(each.filter((at) => at === 0 || at === 2).length).toBe(1);
      expect([left[1], left[3]]).toEqual([0, 0]);
    }
    expect(left[0]! - left[2]!, 'the slow ones have their turn, too').toBe(0);
  });

  it('is shared by time where all have more than enough', () => {
    const { turn } = makeSlices({ batches: 1000, ms: 0.1 }, { batches: 1000, ms: 1 });
    const all = Array.from({ length: 10 }, turn).flat();
    const ms = [0, 1].map((source) => all.filter((at) => at === source).length * (source === 0 ? 0.1 : 1));
    expect(ms[0]! / ms[1]!).toBeGreaterThan(0.8);
    expect(ms[0]! / ms[1]!).toBeLessThan(1.25);
  });
});
