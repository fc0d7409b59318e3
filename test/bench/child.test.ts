import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { loopDelayMs } from '../../src/bench/child.js';

describe('the delay of an event loop', () => {
  it('that was blocked all the time is all of the time', () => {
    const delays = monitorEventLoopDelay({ resolution: 2 });
    delays.enable();
    const startMs = performance.now();
    while (performance.now() < startMs + 200);
    expect(loopDelayMs(delays, 200)).toBe(198);
    delays.disable();
  });
});
