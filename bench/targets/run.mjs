import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { Workspace } from '../../dist/bench/processes.js';
import { failed } from '../../dist/bench/run.js';
import { conditionsText } from '../../dist/bench/settings.js';
import { usageError } from '../../dist/cli/arguments.js';
import { BenchArguments, CONCURRENCY_FLAG, LOAD_FLAGS, OUTPUT_FLAGS } from '../../dist/cli/bench/flags.js';
import { figure, printMachine } from '../../dist/cli/bench/print.js';
import { Output } from '../../dist/cli/output.js';
import { table } from '../../dist/cli/table.js';
import { checkoutHelp } from '../help.mjs';
import { machineFigures, machineText } from './machine.mjs';
import { ROWS } from './rows.mjs';

const RUNS = 5;
const SECONDS = 5;
const MINUTES = 30;

export const targetsShape = {
  name: 'targets',
  summary: 'what the engine is to reach, row by row: measure, target, measured, spread',
  flags: [
    {
      name: 'row',
      value: 'NAME',
      repeated: true,
      help: `one of ${ROWS.map(({ name }) => name).join(', ')} (default: all)`,
    },
    { name: 'minutes', value: 'N', help: `of rows that take long (default ${MINUTES})` },
    { name: 'depth', value: 'N|auto', help: "instead of the rows' own" },
    CONCURRENCY_FLAG,
    ...LOAD_FLAGS,
    ...OUTPUT_FLAGS.filter(({ name }) => name !== 'compare'),
  ],
  notes: [
    `Five runs of each side unless --runs says otherwise, each of 5 s (stopped-follower: 60 s) after 30 s of warm-up unless --duration and --warmup do; the exit code is 1 when a target was missed.`,
  ],
};

export async function targets(args) {
  const output = new Output();
  if (args.includes('--help')) return output.write(checkoutHelp(targetsShape));
  const given = new BenchArguments(targetsShape, args);
  const rows = rowsOf(given.texts('row'));
  refuseFlags(given, rows);
  const json = given.resultsFile();
  const workspace = new Workspace(given.directory(), given.profileDirectory());
  try {
    const machine = printMachine(output, workspace.root);
    const simple = await machineFigures(workspace);
    output.line(machineText(simple));
    const context = contextOf(given, output, workspace);
    await runRows(rows, context, (outcomes) => {
      printOutcomes(output, outcomes, simple);
      const results = { benchmark: 'targets', machine, simple, outcomes };
      if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
      if (outcomes.some(({ met }) => !met)) process.exitCode = 1;
    });
  } finally {
    workspace.dispose();
  }
}

function rowsOf(names) {
  const unknown = names.find((name) => !ROWS.some((row) => row.name === name));
  if (unknown === undefined) return ROWS.filter(({ name }) => names.length === 0 || names.includes(name));
  throw usageError(
    `--row: expected one of ${ROWS.map(({ name }) => name).join(', ')}, received '${unknown}'`,
  );
}

/** Before anything is measured: flags that mean nothing, or would only seem to count. */
export function refuseFlags(given, rows) {
  const { compression } = given.settings(given.point());
  const unheeded = rows[0].own.find(
    (flag) => given.text(flag) && rows.every(({ own }) => own.includes(flag)),
  );
  if (unheeded !== undefined)
    throw usageError(`--${unheeded}: no notice is taken of it by ${rows.map(({ name }) => name).join(', ')}`);
  const piped = rows.find(({ codecs }) => codecs?.includes(compression) === false);
  if (piped !== undefined)
    throw usageError(
      `--compression: expected one of ${piped.codecs.join(', ')} for ${piped.name}, received '${compression}'`,
    );
}

export function contextOf(given, output, workspace) {
  const point = given.point();
  const seconds = given.text('duration') === undefined ? undefined : given.settings(point).seconds;
  return {
    output,
    workspace,
    runs: given.text('runs') === undefined ? RUNS : given.runs(),
    minutes: given.integer('minutes', 1, 10_000) ?? MINUTES,
    rate: given.integer('rate', 1, 100_000_000),
    depth: given.text('depth') === undefined ? undefined : point.depth,
    seconds,
    settings: ({ nodes, ...asked }) => {
      const settings = given.settings({ ...point, ...asked }, nodes);
      return { ...settings, seconds: seconds ?? SECONDS, rate: undefined, ...asked };
    },
  };
}

/** One after the other. `onEnd` gets the outcomes, those before a row that fails as well. */
export async function runRows(rows, context, onEnd) {
  const outcomes = [];
  try {
    for (const row of rows) {
      const outcome = await runRow(row, context).catch((thrown) => {
        throw failed(`row ${row.name}`, thrown);
      });
      outcomes.push(outcome);
    }
  } finally {
    if (outcomes.length > 0) onEnd(outcomes);
  }
}

async function runRow({ name, measure, target, run }, context) {
  context.output.line(`\n== ${name}: ${measure}; target ${target}\n`);
  const load = loadavg()[0];
  const outcome = await run(context);
  const met = outcome.figures.every((each) => each.met);
  return { name, measure, target, met, load: [load, loadavg()[0]], ...outcome };
}

function figureText({ missing, value, low, high }) {
  return missing ?? `${figure(value)} (${figure(low)}–${figure(high)})`;
}

export function printOutcomes(output, outcomes, simple) {
  output.line('');
  const rows = outcomes.flatMap(({ measure, target, figures }) =>
    figures.map((each, at) => [
      at === 0 ? measure : '',
      target,
      `${each.name}: ${figureText(each)}`,
      each.met ? 'met' : 'MISSED',
    ]),
  );
  output.line(table([['measure', 'target', 'measured (spread)', ''], ...rows]));
  for (const { name, settings, beside, load } of outcomes) {
    const shown = load.map((value) => value.toFixed(1)).join(' → ');
    output.line(
      `\n${name}: ${conditionsText(settings)}; ${settings.seconds} s each after ${settings.warmupSeconds} s; load ${shown}`,
    );
    for (const line of beside) output.line(`  ${line}`);
  }
  output.line(`\n${machineText(simple)}`);
}
