import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Bench } from 'tinybench';
import { serveParent } from '../dist/bench/child.js';
import { codecCases } from './micro-codec.mjs';
import { coreCases, ringCases, walCases } from './micro-engine.mjs';

const WARMUP_PART = 0.3;

/** One run of the micro benchmarks, in a process of its own: the names of all parts, and the figures of those that are wanted. */
async function measure({ directory, timeMs, only, ...settings }) {
  const directoryOf = (name) => {
    const path = join(directory, name);
    mkdirSync(path);
    return path;
  };
  const all = [...ringCases(), ...codecCases(settings), ...coreCases(settings), ...walCases(directoryOf)];
  const cases = all.filter(({ name }) => name.includes(only));
  const names = all.map(({ name }) => name);
  if (cases.length === 0) return { names, measured: [] };
  const bench = new Bench({ time: timeMs, warmupTime: WARMUP_PART * timeMs, throws: true });
  for (const { name, run } of cases) bench.add(name, run);
  await bench.run();
  const measured = cases.map(({ name, bytes, entries }) => {
    const { p50, p99, rme, samplesCount } = bench.getTask(name).result.latency;
    return { name, bytes, entries, medianMs: p50, p99Ms: p99, marginPercent: rme, samples: samplesCount };
  });
  return { names, measured };
}

serveParent({ measure, close: () => {} });
