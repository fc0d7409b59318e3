import { describe, expect, it } from 'vitest';
import { Backoff } from '../../src/transport/backoff.js';

describe('backoff by rank', () => {
  it('A10 is on after 1 unreachable or remote error', () => {
    for (const kind of ['unreachable', 'remote'] as const) {
      const backoff = new Backoff();
      expect(backoff.on).toBe(false);
      expect(backoff.failed(kind)).toBe(200);
      expect(backoff.on).toBe(true);
    }
  });

  it('A10 is on after 11 timeouts or network errors, not after 10', () => {
    for (const kind of ['timeout', 'network'] as const) {
      const backoff = new Backoff();
      for (let failures = 1; failures <= 10; failures += 1) expect(backoff.failed(kind)).toBe(0);
      expect(backoff.on).toBe(false);
      expect(backoff.failed(kind)).toBe(200);
      expect(backoff.on).toBe(true);
    }
  });

  it('A10 E5 delays 200, 400, 800, 1000, 1000 ms', () => {
    const backoff = new Backoff();
    const delays = Array.from({ length: 6 }, () => backoff.failed('unreachable'));
    expect(delays).toEqual([200, 400, 800, 1000, 1000, 1000]);
  });

  it('A10 E5 any success clears the rank and the delays', () => {
    const backoff = new Backoff();
    for (let n = 0; n < 4; n += 1) backoff.failed('unreachable');
    backoff.succeeded();
    expect(backoff.on).toBe(false);
    for (let n = 0; n < 10; n += 1) expect(backoff.failed('timeout')).toBe(0);
    expect(backoff.failed('timeout')).toBe(200);
  });

  it('takes its delays from options, and says what the next one would be', () => {
    const backoff = new Backoff({ delayMsMin: 10, delayMsMax: 25 });
    const seen: number[][] = [];
    for (let n = 0; n < 4; n += 1) seen.push([backoff.upcomingDelayMs, backoff.failed('remote')]);
    expect(seen).toEqual([
      [10, 10],
      [20, 20],
      [25, 25],
      [25, 25],
    ]);
  });
});
