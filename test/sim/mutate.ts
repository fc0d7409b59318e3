import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { MUTANTS, type Mutant } from './mutants.js';

/** The compiled simulation that this file is part of, and the repository around it. */
const COMPILED = fileURLToPath(new URL('../..', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

interface Verdict {
  caught: boolean;
  seeds: number;
  how: string;
}

/** Runs seeds on a copy of the compiled simulation in which one text of one file is another. */
function tryMutant(mutant: Mutant, seeds: number, operations: number): Verdict {
  const copy = `${ROOT}.tmp/mutants/${mutant.hazard}`;
  const source = readFileSync(`${ROOT}${mutant.file}`, 'utf8');
  const found = source.split(mutant.find).length - 1;
  if (found !== 1)
    return { caught: false, seeds: 0, how: `its text stands ${found} times in ${mutant.file}` };
  rmSync(copy, { recursive: true, force: true });
  for (const folder of ['src', 'test'])
    cpSync(`${COMPILED}${folder}`, `${copy}/${folder}`, { recursive: true });
  const { outputText } = ts.transpileModule(
    source.replace(mutant.find, () => mutant.replace),
    {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ES2022,
        verbatimModuleSyntax: true,
      },
    },
  );
  writeFileSync(`${copy}/${mutant.file.replace(/\.ts$/, '.js')}`, outputText);
  const run = spawnSync(
    process.execPath,
    [
      `${copy}/test/sim/main.js`,
      ...['--quiet', '--seeds', String(seeds), '--operations', String(operations)],
      ...['--profile', mutant.profile ?? 'mixed'],
    ],
    { encoding: 'utf8', timeout: 600_000 },
  );
  rmSync(copy, { recursive: true, force: true });
  const last = run.stdout.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) return { caught: true, seeds: 0, how: `no answer: ${run.stderr.slice(0, 200)}` };
  const { seeds: tried, failure } = JSON.parse(last) as { seeds: number; failure?: string };
  return { caught: failure !== undefined, seeds: tried, how: (failure ?? '').split('\n')[0]! };
}

/** 0: every mutant was caught. */
function main(): number {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      operations: { type: 'string', default: '300' },
      only: { type: 'string' },
    },
  });
  const chosen = MUTANTS.filter(({ hazard }) => values.only === undefined || hazard === values.only);
  let survived = 0;
  for (const mutant of chosen) {
    const { caught, seeds, how } = tryMutant(mutant, Number(values.seeds), Number(values.operations));
    if (!caught) survived++;
    const verdict = caught ? `caught after ${seeds}` : `SURVIVED ${seeds}`;
    process.stdout.write(
      `${mutant.hazard.padEnd(6)} ${verdict.padEnd(18)} ${mutant.name}\n${' '.repeat(25)} ${how}\n`,
    );
  }
  process.stdout.write(`${chosen.length - survived} of ${chosen.length} caught\n`);
  return survived === 0 ? 0 : 1;
}

process.exitCode = main();
