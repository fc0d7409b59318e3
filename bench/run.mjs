import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { toRaftlineError } from '../dist/base/errors.js';
import { usageError } from '../dist/cli/arguments.js';
import { ExitCode, exitCodeOf } from '../dist/cli/failure.js';
import { memory } from './memory.mjs';
import { compareMicro, micro } from './micro.mjs';
import { profile } from './profile.mjs';
import { targets } from './targets/run.mjs';

/** `npm run bench -- COMMAND`: `raftline bench` with a checkout's defaults, and what needs the tools of a checkout. */
const COMMANDS = {
  micro: { run: micro, help: 'the parts one by one, with tinybench (also without a command)' },
  ratio: { run: ratio, help: 'the cluster against the bare pipe: raftline bench cluster --with-limit' },
  targets: {
    run: (args) => targets(withDefaults(args, { warmup: WARMUP_SECONDS })),
    help: 'what the engine is to reach, row by row',
  },
  profile: { run: profile, help: 'one run of the cluster with a CPU profile of every thread, summed up' },
  memory: { run: memory, help: 'memory of every node while --gb gigabytes are replicated' },
  compare: {
    run: compareMicro,
    measures: false,
    help: 'OLD NEW, two files of micro (for others: raftline bench compare)',
  },
};
/** Data directories are made on the checkout's disk: the system's temporary directory often is memory. */
const DIRECTORY = fileURLToPath(new URL('../.tmp', import.meta.url));
/** What runs a few hundred times a second, as most of a follower does, is compiled for good only then. */
const WARMUP_SECONDS = '30';
/** Short names that a hand has learnt. */
const RENAMED = { '--seconds': '--duration', '--outstanding': '--concurrency' };

function usage() {
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(9)} ${help}`);
  const text = `npm run bench -- COMMAND [flags]      COMMAND --help tells its flags\n\n${lines.join('\n')}\n`;
  process.stdout.write(text);
}

/** Runs as if it had been called as the installed command. */
async function ratio(args) {
  // The pipe cannot find a depth: both sides have the same window.
  const given = withDefaults(args, { duration: '5', runs: '3', depth: '8', warmup: WARMUP_SECONDS });
  process.argv.splice(2, process.argv.length, 'bench', 'cluster', '--with-limit', ...given);
  await import('../dist/cli/main.js');
}

function withDefaults(args, defaults) {
  const given = new Set(args.map((arg) => arg.split('=')[0]));
  const missing = Object.entries(defaults).filter(([name]) => !given.has(`--${name}`));
  return [...args, ...missing.flatMap(([name, value]) => [`--${name}`, value])];
}

async function run(name, args) {
  const command = COMMANDS[name];
  if (command === undefined)
    throw usageError(`expected one of ${Object.keys(COMMANDS).join(', ')}, received '${name}'`);
  const given = args.map((arg) => arg.replace(/^--\w+/, (flag) => RENAMED[flag] ?? flag));
  mkdirSync(DIRECTORY, { recursive: true });
  await command.run(command.measures === false ? given : withDefaults(given, { dir: DIRECTORY }));
}

const words = process.argv.slice(2);
if (words[0] === '--help') usage();
else {
  // Flags without a command are those of micro.
  const [name, ...args] = words[0]?.startsWith('--') === false ? words : ['micro', ...words];
  try {
    await run(name, args);
  } catch (thrown) {
    const error = toRaftlineError(thrown);
    // A flag that makes no sense needs no stack.
    const usage = exitCodeOf(error) === ExitCode.Usage;
    process.stderr.write(`bench ${name}: ${usage ? error.message : error.stack}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
