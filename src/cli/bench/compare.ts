import { readResults } from '../../bench/results.js';
import { Arguments, type CommandShape, usageError } from '../arguments.js';
import { ExitCode } from '../failure.js';
import { Output } from '../output.js';
import { printChanges } from './print.js';

export const benchCompareShape: CommandShape = {
  name: 'bench compare',
  summary: 'says how two files of results differ, and how sure that is',
  positional: 'NEW',
  flags: [
    { name: 'base', value: 'OLD', required: true, help: 'what NEW is held against' },
    { name: 'help', help: 'show this' },
  ],
  notes: [
    'Both are files that --json of bench cluster, limit or sweep wrote. What was not measured with the same settings is left out.',
    'A quotient comes with a 95 % interval from a bootstrap over the runs, and a verdict from four runs of each up.',
  ],
};

export async function benchCompare(args: readonly string[]): Promise<ExitCode> {
  const given = new Arguments(benchCompareShape, args);
  if (given.positional === undefined) throw usageError('expected the file NEW, received nothing more');
  const [base, changed] = [readResults(given.text('base')!), readResults(given.positional)];
  const output = new Output();
  output.line(
    `${base.machine.commit} of ${base.machine.at} → ${changed.machine.commit} of ${changed.machine.at}`,
  );
  printChanges(output, base, changed);
  await output.flushed();
  return ExitCode.Done;
}
