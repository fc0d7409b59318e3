import { describe, expect, it } from 'vitest';
import { cpuUsPerEntry } from '../../src/bench/measure.js';
import { printRun } from '../../src/cli/bench/print.js';
import type { Output } from '../../src/cli/output.js';
import { runOf, SETTINGS } from './figures.js';

function printed(...[settings, result]: [typeof SETTINGS, ReturnType<typeof runOf>]): string {
  const lines: string[] = [];
  printRun({ line: (text: string) => lines.push(text) } as unknown as Output, settings, 1, result);
  return lines.join('\n');
}

describe('a printed run', () => {
  it('has the figures of every node', () => {
    const text = printed(SETTINGS, runOf(1000, 2));
    expect(text).toContain('3 nodes');
    expect(text).toContain('latency p50 1.00 p90 1.60 p99 2.00 p99.9 3.00 max 4.0 ms (1,000 samples)');
    expect(text).toContain('depth 7, to followers 5/6');
    expect(text).toContain('entries behind 0/0/0');
  });

  it('of one node says nothing of followers that are not there', () => {
    const run = runOf(1000, 2);
    const alone = { ...run, behind: [], depth: { batches: 7, messages: [] } };
    const text = printed({ ...SETTINGS, nodes: 1 }, alone);
    expect(text).toContain('1 node,');
    expect(text).toMatch(/depth 7$/m);
    expect(text).toMatch(/entries behind 0$/m);
  });

  it('without an entry in its window has neither latency nor processor time an entry', () => {
    const run = runOf(0, 0);
    const cost = cpuUsPerEntry([0.1, 0.05, 0.05], 0);
    const text = printed(SETTINGS, { ...run, latency: { ...run.latency, samples: 0 }, cpuUsPerEntry: cost });
    expect(text).toContain('latency not known (0 samples)');
    expect(text).toContain('CPU not known');
    expect(cpuUsPerEntry([0.1, 0.05, 0.05], 0.5)).toBeCloseTo(400_000);
  });
});
