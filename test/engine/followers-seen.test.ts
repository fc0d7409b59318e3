import { describe, expect, it } from 'vitest';
import { FollowersSeen } from '../../src/engine/followers-seen.js';

const FLOW = { depth: 8, roundTripMs: 1, durableMs: 2 };

describe('what a leader has heard of its followers', () => {
  it('keeps the newest that was applied within a session, and starts anew in the next', () => {
    const seen = new FollowersSeen();
    const applied = (session: number, said: number): number => {
      seen.note(2, { ...FLOW, session, applied: said });
      return seen.of(2).applied;
    };
    expect([applied(3, 10), applied(3, 8), applied(3, 12)]).toEqual([10, 10, 12]);
    expect(applied(2, 99), 'an earlier session has nothing to say').toBe(12);
    expect(applied(4, 1), 'it was started again').toBe(1);
    expect(seen.of(3).applied).toBe(0);
    seen.forget();
    expect(seen.of(2).applied).toBe(0);
  });
});
