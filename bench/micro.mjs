import { writeFileSync } from 'node:fs';
import { seededRandom } from '../dist/base/prng.js';
import { differenceNotes } from '../dist/bench/machine.js';
import { Workspace } from '../dist/bench/processes.js';
import { kindText, noResult, readJson } from '../dist/bench/results.js';
import { compareRuns, intervalText, nothingShown, spreadOf } from '../dist/bench/statistics.js';
import { usageError } from '../dist/cli/arguments.js';
import { BenchArguments, LOAD_FLAGS, OUTPUT_FLAGS, POINT_FLAGS } from '../dist/cli/bench/flags.js';
import { figure, printMachine } from '../dist/cli/bench/print.js';
import { Output } from '../dist/cli/output.js';
import { table } from '../dist/cli/table.js';
import { checkoutHelp } from './help.mjs';

const BENCHMARK = 'micro';
const VERSION = 1;
const RUN_TIMEOUT_MS = 600_000;
const SHARED = new Set(['payload', 'batch', 'data', 'seed', 'runs', 'dir', 'json', 'compare', 'help']);

const SHAPE = {
  name: 'micro',
  summary: 'the parts of the engine one by one: ring, codec, both LZ4s, checksum, core, log',
  flags: [
    ...[...POINT_FLAGS, ...LOAD_FLAGS, ...OUTPUT_FLAGS].filter(({ name }) => SHARED.has(name)),
    { name: 'time', value: 'MS', help: 'that each part is measured in each run (default 300)' },
    { name: 'only', value: 'TEXT', help: 'parts whose name holds this' },
  ],
  notes: [
    '--runs is 5 unless given; each run is a process of its own, so that none inherits what the compiler learnt.',
  ],
};

const COMPARE_SHAPE = {
  name: 'compare',
  summary: 'how every part of NEW differs from that of OLD, two files that micro --json wrote',
  positional: 'OLD NEW',
  flags: [{ name: 'help', help: 'show this' }],
  notes: [],
};

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {number} bytes that one call works on, 0 where that means nothing
 * @property {number} entries that one call works on, likewise
 * @property {{ medianMs: number, p99Ms: number, marginPercent: number, samples: number }[]} runs
 */

/** Measures every part in several processes, one after the other. */
export async function micro(args) {
  const output = new Output();
  if (args.includes('--help')) return output.write(checkoutHelp(SHAPE));
  const given = new BenchArguments(SHAPE, args);
  const { payload, data, seed, batchBytesMax } = given.settings(given.point());
  const settings = {
    ...{ payload, data, seed, batchBytesMax },
    timeMs: given.integer('time', 10, 60_000) ?? 300,
    only: given.text('only') ?? '',
  };
  const base = given.text('compare');
  const before = base === undefined ? undefined : readMicro(base);
  if (before !== undefined) requireAlike(before, settings, settings.only);
  const json = given.resultsFile();
  const runs = given.text('runs') === undefined ? 5 : given.runs();
  const workspace = new Workspace(given.directory());
  try {
    const machine = printMachine(output, workspace.root);
    output.line(`${conditionsOf(settings)}; ${runs} runs in processes of their own, medians\n`);
    const parts = await measureParts(workspace, settings, runs);
    output.line(partsTable(parts));
    const results = { benchmark: BENCHMARK, version: VERSION, machine, settings, parts };
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
    if (before !== undefined) printComparison(output, before, results);
  } finally {
    workspace.dispose();
  }
}

/** `compare OLD NEW`: two files that `micro --json` wrote. */
export function compareMicro(args) {
  if (args.includes('--help')) return new Output().write(checkoutHelp(COMPARE_SHAPE));
  const [base, changed] = args;
  if (args.length !== 2 || args.some((arg) => arg.startsWith('--')))
    throw usageError(
      `expected two files of micro, OLD and NEW, received ${args.length === 0 ? 'nothing' : `'${args.join(' ')}'`}`,
    );
  const [before, after] = [readMicro(base), readMicro(changed)];
  requireAlike(before, after.settings);
  printComparison(new Output(), before, after);
}

/** @throws unless `before` was measured with `settings`, and holds a part whose name holds `only` */
function requireAlike(before, settings, only = '') {
  const [from, to] = [before.settings, settings].map(conditionsOf);
  if (from !== to) throw usageError(`nothing was measured alike: expected ${to}, received ${from}`);
  const names = before.parts.map(({ name }) => name);
  if (!names.some((name) => name.includes(only)))
    throw usageError(
      `--only: expected a part that was measured then, of ${names.join('; ')}, received '${only}'`,
    );
}

async function measureParts(workspace, settings, runs) {
  /** @type {Map<string, Part>} */
  const parts = new Map();
  for (let run = 1; run <= runs; run++) {
    const child = workspace.fork(`micro-${run}`, new URL('./micro-run.mjs', import.meta.url).href);
    const directory = workspace.directory(`micro-${run}`);
    const { names, measured } = await child.ask('measure', { ...settings, directory }, RUN_TIMEOUT_MS);
    await workspace.close([child], [directory]);
    if (measured.length === 0)
      throw usageError(`--only: expected a part of ${names.join('; ')}, received '${settings.only}'`);
    for (const { name, bytes, entries, ...figures } of measured) {
      const part = parts.get(name) ?? { name, bytes, entries, runs: [] };
      part.runs.push(figures);
      parts.set(name, part);
    }
  }
  return [...parts.values()];
}

/** @param {Part[]} parts */
function partsTable(parts) {
  const rows = parts.map(({ name, bytes, entries, runs }) => {
    const { median, min, max } = spreadOf(runs.map(({ medianMs }) => medianMs));
    const p99 = spreadOf(runs.map(({ p99Ms }) => p99Ms)).median;
    const rate = bytes === 0 ? '' : figure(bytes / 1e6 / (median / 1000));
    const perEntry = entries === 0 ? '' : `${((median * 1e6) / entries).toFixed(1)} ns`;
    return [name, `${timeText(median)} (${timeText(min)}–${timeText(max)})`, timeText(p99), rate, perEntry];
  });
  return table([['', 'a call (lowest–highest run)', 'p99', 'MB/s', 'an entry'], ...rows]);
}

function printComparison(output, before, after) {
  const rows = after.parts.flatMap(({ name, runs }) => {
    const old = before.parts.find((part) => part.name === name);
    if (old === undefined) return [];
    const medians = [old.runs, runs].map((each) => each.map(({ medianMs }) => medianMs));
    const quotient = compareRuns(...medians, seededRandom(1));
    const { ratio, significant } = quotient;
    const interval = intervalText(quotient);
    const verdict = significant ? (ratio < 1 ? 'faster' : 'slower') : nothingShown(quotient);
    const times = medians.map((each) => timeText(spreadOf(each).median)).join(' → ');
    return [[name, times, `${ratio.toFixed(3)}${interval && ` (${interval})`}`, verdict]];
  });
  if (rows.length === 0) throw usageError('expected two files with some part in both, received none');
  output.line(
    `\n${conditionsOf(after.settings)}: ${before.machine.commit} → ${after.machine.commit}; below 1 is faster\n`,
  );
  for (const note of differenceNotes(before.machine, after.machine)) output.line(`${note}\n`);
  output.line(table([['', 'a call', 'new / old (95 %)', ''], ...rows]));
}

/** @returns what `micro --json` wrote */
function readMicro(file) {
  const refuse = (why) => noResult(file, BENCHMARK, why);
  const results = readJson(file, refuse);
  const isOurs = results?.benchmark === BENCHMARK && results.version === VERSION;
  if (isOurs && results.machine && results.settings && Array.isArray(results.parts)) return results;
  throw refuse(`received ${kindText(results)}`);
}

function conditionsOf({ payload, data, seed, batchBytesMax, timeMs }) {
  const what = typeof data === 'string' ? data : data.file;
  return `${payload} B entries (${what}, seed ${seed}), batch ${batchBytesMax / 1024} KiB, ${timeMs} ms a part`;
}

function timeText(ms) {
  if (ms < 0.001) return `${(ms * 1e6).toFixed(0)} ns`;
  return ms < 1 ? `${(ms * 1000).toFixed(2)} µs` : `${ms.toFixed(2)} ms`;
}
