import { spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { numbersInTests } from '../house/hazards.js';
import { readRepository } from '../house/tree.js';
import { MUTANTS, type Mutant, mutate, numbersOf } from './mutants.js';

/** The compiled simulation that this file is part of, and the repository around it. */
const COMPILED = fileURLToPath(new URL('../..', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const RUN_MS_MAX = 600_000;

interface Verdict {
  caught: boolean;
  /** Seeds, or tests that failed. */
  count: number;
  how: string;
}

/** Tries a mutant in a copy of what it lives in. */
type Trial = (mutant: Mutant, copy: string) => Promise<Verdict>;

interface Finished {
  stdout: string;
  stderr: string;
  code: number | null;
}

function run(args: string[], cwd: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, timeout: RUN_MS_MAX });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (part: Buffer) => (stdout += part));
    child.stderr.on('data', (part: Buffer) => (stderr += part));
    child.on('error', reject);
    child.on('close', (code) => resolve({ stdout, stderr, code }));
  });
}

const compiled = (source: string): string =>
  ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ES2022,
      verbatimModuleSyntax: true,
    },
  }).outputText;

function fresh(copy: string, from: string, parts: readonly string[]): void {
  rmSync(copy, { recursive: true, force: true });
  for (const part of parts) cpSync(`${from}${part}`, `${copy}/${part}`, { recursive: true });
}

/** Runs seeds on a copy of the compiled simulation, until one fails. `profile`: instead of the one that the mutant names. */
function bySeeds(seeds: number, operations: number, profile: string | undefined): Trial {
  return async (mutant, copy) => {
    fresh(copy, COMPILED, ['src', 'test']);
    const source = readFileSync(`${ROOT}${mutant.file}`, 'utf8');
    writeFileSync(`${copy}/${mutant.file.replace(/\.ts$/, '.js')}`, compiled(mutate(mutant, source)));
    const bounds = ['--seeds', String(seeds), '--operations', String(operations)];
    const faults = ['--profile', profile ?? mutant.profile ?? 'mixed'];
    const { stdout, stderr } = await run([`${copy}/test/sim/main.js`, '--quiet', ...bounds, ...faults], ROOT);
    const last = stdout.trim().split('\n').at(-1) ?? '';
    if (!last.startsWith('{')) return { caught: false, count: 0, how: unanswered(stderr) };
    const { seeds: tried, failure } = JSON.parse(last) as { seeds: number; failure?: string };
    return { caught: failure !== undefined, count: tried, how: (failure ?? '').split('\n')[0]! };
  };
}

/** Runs the tests whose names carry the mutant's numbers, on a copy of the sources; each number must fail. */
function byTests(): Trial {
  const numbered = numbersInTests(readRepository(ROOT));
  return async (mutant, copy) => {
    fresh(copy, ROOT, ['src', 'test', 'dist', 'docs', 'package.json', 'tsconfig.json', 'vitest.config.ts']);
    const mutated = mutate(mutant, readFileSync(`${ROOT}${mutant.file}`, 'utf8'));
    writeFileSync(`${copy}/${mutant.file}`, mutated);
    // Threads and processes of a test run what was built.
    const built = `${copy}/${mutant.file.replace(/^src/, 'dist').replace(/\.ts$/, '.js')}`;
    if (existsSync(built)) writeFileSync(built, compiled(mutated));
    let failed = 0;
    let how = '';
    for (const number of numbersOf(mutant)) {
      const verdict = await runNumber(number, [...(numbered.get(number) ?? [])], copy);
      if (!verdict.caught) return { ...verdict, how: `${number}: ${verdict.how}` };
      failed += verdict.count;
      how ||= verdict.how;
    }
    return { caught: true, count: failed, how };
  };
}

async function runNumber(number: string, named: string[], copy: string): Promise<Verdict> {
  const stories = named.some((file) => file.endsWith('.txt')) ? ['test/core/scripts.test.ts'] : [];
  // What several files share is named in none of them: all of its floor is tried.
  const own = named.filter((file) => !file.endsWith('.txt'));
  const tests = [...own.map((file) => (file.endsWith('.test.ts') ? file : `${dirname(file)}/`)), ...stories];
  if (tests.length === 0) return { caught: false, count: 0, how: 'no test carries it' };
  const vitest = `${ROOT}node_modules/vitest/vitest.mjs`;
  const chosen = ['-t', `\\b${number}\\b`, '--reporter=json', '--maxWorkers=1'];
  const { stdout, stderr } = await run([vitest, 'run', ...tests, ...chosen], copy);
  const start = stdout.indexOf('{');
  return start < 0 ? { caught: false, count: 0, how: unanswered(stderr) } : failuresIn(stdout.slice(start));
}

/** Neither caught nor survived: the trial itself went wrong. */
function unanswered(stderr: string): string {
  const lines = stderr.split('\n');
  return `no answer: ${lines.find((line) => line.includes('Error')) ?? lines[0]}`;
}

function failuresIn(json: string): Verdict {
  const report = JSON.parse(json) as {
    testResults: { assertionResults: { status: string; fullName: string }[] }[];
  };
  const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = results.filter(({ status }) => status === 'failed');
  return { caught: failed.length > 0, count: failed.length, how: failed[0]?.fullName ?? '' };
}

/** 0: every mutant was caught. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      operations: { type: 'string', default: '300' },
      only: { type: 'string' },
      profile: { type: 'string' },
      tests: { type: 'boolean', default: false },
      jobs: { type: 'string', default: '2' },
    },
  });
  const only = values.only?.split(',');
  const fits = ({ id, profile }: Mutant): boolean =>
    only === undefined ? values.tests || profile !== undefined : only.includes(id);
  const chosen = MUTANTS.filter(fits);
  const unknown = (only ?? []).filter((id) => !MUTANTS.some((mutant) => mutant.id === id));
  if (unknown.length > 0) {
    process.stderr.write(`--only: there is no mutant ${unknown.join(', ')} (docs/hazards.md lists them)\n`);
    return 2;
  }
  const { seeds, operations, profile } = values;
  const trial = values.tests ? byTests() : bySeeds(Number(seeds), Number(operations), profile);
  const waiting = [...chosen];
  const caught: Mutant[] = [];
  const work = async (job: number): Promise<void> => {
    const copy = `${ROOT}.tmp/mutants/${process.pid}-${job}`;
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const verdict = await trial(mutant, copy);
      if (verdict.caught) caught.push(mutant);
      process.stdout.write(describe(mutant, verdict, values.tests ? 'tests' : 'seeds'));
    }
    rmSync(copy, { recursive: true, force: true });
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, (_, job) => work(job)));
  const numbers = new Set(caught.flatMap(numbersOf));
  const where = values.tests ? 'by the tests' : 'in the simulator';
  process.stdout.write(`${caught.length} of ${chosen.length} caught: ${numbers.size} numbers ${where}\n`);
  return caught.length === chosen.length ? 0 : 1;
}

function describe({ id, name }: Mutant, { caught, count, how }: Verdict, unit: string): string {
  const by = unit === 'seeds' ? `caught after ${count}` : `caught by ${count}`;
  const verdict = caught ? by : `SURVIVED ${count} ${unit}`;
  return `${id.padEnd(6)} ${verdict.padEnd(18)} ${name}\n${' '.repeat(25)} ${how}\n`;
}

process.exitCode = await main();
