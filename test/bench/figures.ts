import type { MachineFacts } from '../../src/bench/machine.js';
import type { RunResult } from '../../src/bench/measure.js';
import type { Measured, Results } from '../../src/bench/results.js';
import type { BenchSettings } from '../../src/bench/settings.js';

/** Results that nobody measured, for tests of what is made of results. */
export const SETTINGS: BenchSettings = {
  payload: 128,
  data: 'json',
  seed: 1,
  nodes: 3,
  groups: 1,
  depth: 8,
  batchBytesMax: 262_144,
  compression: 'lz4',
  durability: 'sync',
  threads: 'shared',
  concurrency: 1024,
  rate: undefined,
  clients: 'in-process',
  clientProcesses: 1,
  applyUs: 0,
  linkDelayMs: 0,
  warmupSeconds: 1,
  seconds: 1,
};

export function runOf(entriesPerSecond: number, p99Ms: number): RunResult {
  return {
    side: 'cluster',
    seconds: 1,
    entriesPerSecond,
    mbPerSecond: (entriesPerSecond * 128) / 1e6,
    latency: {
      samples: 1000,
      meanMs: p99Ms / 2,
      p50Ms: p99Ms / 2,
      p90Ms: p99Ms * 0.8,
      p99Ms,
      p999Ms: p99Ms * 1.5,
      maxMs: p99Ms * 2,
    },
    batchesPerSecond: 100,
    entriesPerBatch: entriesPerSecond / 100,
    compressionRatio: 3.7,
    syncsPerSecond: [100, 90, 90],
    cores: [1, 0.5, 0.5],
    cpuUsPerEntry: 4,
    rssBytes: [2e8, 1e8, 1e8],
    loopDelayP99Ms: [1, 1, 1],
    behind: [0, 0],
    overloaded: 0,
    depth: { batches: 7, messages: [5, 6] },
  };
}

/** One point for each, with the runs' entries a second and p99. */
export function measuredAt(
  changes: Partial<BenchSettings>,
  ...runs: (readonly [number, number])[]
): Measured {
  const cluster = runs.map(([entries, p99]) => runOf(entries, p99));
  return { settings: { ...SETTINGS, ...changes }, threads: {}, cluster, pipe: [] };
}

export const MACHINE: MachineFacts = {
  node: 'v20.0.0',
  system: 'linux',
  cpu: 'a processor',
  cores: 2,
  memoryBytes: 8e9,
  fileSystem: 'ext4',
  loadAverage: [0.5, 0.4, 0.3],
  raftline: '0.1.0',
  commit: 'abc1234',
  at: '2026-01-01T00:00:00.000Z',
};

export function resultsOf(measured: Measured[], machine: Partial<MachineFacts> = {}): Results {
  return {
    benchmark: 'sweep',
    version: 1,
    machine: { ...MACHINE, ...machine },
    compressibility: {},
    measured,
  };
}
