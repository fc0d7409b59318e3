import { describe, expect, it } from 'vitest';
import { conditionsText, pipeDepth } from '../../src/bench/settings.js';
import { SETTINGS } from './figures.js';

describe('what stands beside every figure', () => {
  const remote = { ...SETTINGS, clients: 'remote', durability: 'sync' } as const;
  const text = (syncing: number, writing: number, compressionTold = true): string =>
    conditionsText({ ...remote, joined: { compressionTold, syncing, writing } });

  it('of a cluster that runs already: what its nodes said, and what they did not say is not made up', () => {
    expect(text(3, 0)).toContain(', lz4, synced on every node, remote closed loop');
    expect(text(0, 3)).toContain(', lz4, written, not synced, on every node, remote');
    expect(text(2, 1)).toContain(', synced on 2 of 3 nodes, written, not synced, on 1 of 3 nodes, remote');
    expect(text(2, 0)).toContain(', synced on 2 of 3 nodes, durability not told on 1 of 3 nodes, remote');
    expect(text(3, 0, false)).toContain(', compression not told, synced on every node, remote');
  });

  it("'auto' is a number in the pipe, which finds none by itself", () => {
    const auto = { ...SETTINGS, depth: 'auto' } as const;
    expect(conditionsText(auto, 'cluster')).toContain('depth auto');
    expect(conditionsText(auto, 'pipe')).toContain(`depth ${pipeDepth(auto)},`);
    expect([pipeDepth(auto), pipeDepth({ depth: 3 })]).toEqual([8, 3]);
  });

  it('names threads and client processes where they are not the usual ones: other settings are never compared', () => {
    const usual = conditionsText(SETTINGS);
    expect(usual).toMatch(/in-process closed loop of 1,024$/);
    expect(conditionsText({ ...SETTINGS, threads: 'spread' })).toBe(`${usual}, threads spread`);
    const two = { ...SETTINGS, threads: { encoders: 2 } };
    expect(conditionsText(two)).toBe(`${usual}, 2 encoders`);
    expect(conditionsText(two, 'pipe'), 'the pipe has its own').not.toMatch(/encoders/);
    expect(conditionsText({ ...remote, clientProcesses: 2 })).toMatch(/, 2 × remote closed loop/);
  });
});
