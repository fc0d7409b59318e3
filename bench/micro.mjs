import { Bench } from 'tinybench';
import { machine } from './machine.mjs';
import { codecCases } from './micro-codec.mjs';
import { coreCases, ringCases, walCases } from './micro-engine.mjs';
import { Workspace } from './processes.mjs';
import { conditions, figure, MB, print, printMachine, printTable, writeJson } from './report.mjs';

const TIME_MS = 1000;
const SHORT_MS = 300;

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {number} bytes that one call works on, 0 where that means nothing
 * @property {number} entries that one call works on, likewise
 * @property {() => void} run
 */

/** The parts of the engine, one by one, with tinybench. */
export async function micro(settings, short = false) {
  const workspace = new Workspace({ parent: settings.dir });
  const about = machine(workspace.root);
  print(`micro: parts one by one; batches as in ${conditions(settings)}`);
  if (!short) printMachine(about);
  const cases = [
    ...ringCases(),
    ...codecCases(settings),
    ...coreCases(settings),
    ...walCases((name) => workspace.directory(name)),
  ];
  const bench = new Bench({ time: short ? SHORT_MS : TIME_MS, warmupTime: short ? 100 : 250, throws: true });
  for (const { name, run } of cases) bench.add(name, run);
  await bench.run();
  const results = cases.map((one) => resultOf(one, bench.getTask(one.name).result));
  printTable(
    ['', 'median', 'p99', '±', 'MB/s', 'an entry'],
    results.map(({ name, medianMs, p99Ms, marginPercent, mbPerSecond, nsPerEntry }) => [
      name,
      time(medianMs),
      time(p99Ms),
      `${marginPercent.toFixed(1)} %`,
      mbPerSecond === 0 ? '' : figure(mbPerSecond),
      nsPerEntry === 0 ? '' : `${nsPerEntry.toFixed(1)} ns`,
    ]),
  );
  writeJson(short ? undefined : settings.json, { benchmark: 'micro', machine: about, settings, results });
}

function resultOf({ name, bytes, entries }, { latency }) {
  const { p50, p99, rme, samplesCount } = latency;
  return {
    name,
    medianMs: p50,
    p99Ms: p99,
    /** Of the mean, at 95 %. */
    marginPercent: rme,
    samples: samplesCount,
    mbPerSecond: bytes === 0 ? 0 : bytes / MB / (p50 / 1000),
    nsPerEntry: entries === 0 ? 0 : (p50 * 1e6) / entries,
  };
}

function time(ms) {
  if (ms < 0.001) return `${(ms * 1e6).toFixed(0)} ns`;
  return ms < 1 ? `${(ms * 1000).toFixed(2)} µs` : `${ms.toFixed(2)} ms`;
}
