import { describe, expect, it } from 'vitest';
import { CatchUp } from '../../src/workers/catch-up.js';

const MiB = 1024 * 1024;
const MESSAGE = 256 * 1024;

/** Sends whole messages as long as it may, looking every `everyMs`. Returns how many bytes in so long. */
function run(rate: number, everyMs: number, forMs: number, grows: (ms: number) => number = () => 0): number {
  const catchUp = new CatchUp();
  let bytes = 0;
  for (let nowMs = 5000; nowMs <= 5000 + forMs; nowMs += everyMs) {
    for (
      let left = catchUp.allowance(nowMs, rate, grows(nowMs - 5000));
      left > 0;
      left -= MESSAGE, bytes += MESSAGE
    )
      catchUp.spent(MESSAGE);
  }
  return bytes;
}

describe('how fast a follower catches up', () => {
  it('keeps to its rate, however often it is asked, also when messages are larger than what is allowed at a time', () => {
    for (const everyMs of [0.1, 1, 25, 90]) {
      for (const rate of [MiB / 8, 16 * MiB, 500 * MiB]) {
        const bytes = run(rate, everyMs, 20_000);
        expect(bytes / 20, `${rate} every ${everyMs}`).toBeGreaterThan(0.98 * rate - MESSAGE);
        expect(bytes / 20, `${rate} every ${everyMs}`).toBeLessThan(1.02 * rate + MESSAGE);
      }
    }
  });

  it('is what it gains: what the leader adds meanwhile comes on top', () => {
    const added = 30 * MiB;
    const bytes = run(16 * MiB, 5, 10_000, (ms) => (added * ms) / 1000);
    expect(bytes / 10 / (46 * MiB)).toBeCloseTo(1, 1);
  });

  it('saves up a tenth of a second at the most, and one message at the least', () => {
    const catchUp = new CatchUp();
    expect(catchUp.allowance(0, 10 * MiB, 1e12), 'what was there before it began is not added').toBe(MESSAGE);
    expect(catchUp.allowance(3_600_000, 10 * MiB, 1e12)).toBe(MiB);
    expect(catchUp.allowance(3_600_000, 100, 1e12)).toBe(MESSAGE);
  });
});
