#!/usr/bin/env node
import { createRequire } from 'node:module';
import { ErrorCode, toRaftlineError } from '../base/errors.js';
import { append, appendShape } from './append.js';
import { type CommandShape, helpOf, usageError } from './arguments.js';
import { benchCluster, benchClusterShape, benchLimit, benchLimitShape } from './bench/cluster.js';
import { benchCompare, benchCompareShape } from './bench/compare.js';
import { benchSweep, benchSweepShape } from './bench/sweep.js';
import { demo, demoShape } from './demo/demo.js';
import { ExitCode, exitCodeOf, oneLine } from './failure.js';
import {
  compression,
  compressionShape,
  memberAdd,
  memberAddShape,
  memberList,
  memberListShape,
  memberPromote,
  memberPromoteShape,
  memberRemove,
  memberRemoveShape,
  transfer,
  transferShape,
} from './member.js';
import { note, Output, silenceBrokenStderr } from './output.js';
import { serve, serveShape } from './serve.js';
import { status, statusShape } from './status.js';
import { tail, tailShape } from './tail.js';

interface Command {
  shape: CommandShape;
  run(args: readonly string[]): Promise<ExitCode>;
}

const COMMANDS: readonly Command[] = [
  { shape: serveShape, run: serve },
  { shape: appendShape, run: append },
  { shape: tailShape, run: tail },
  { shape: statusShape, run: status },
  { shape: memberListShape, run: memberList },
  { shape: memberAddShape, run: memberAdd },
  { shape: memberPromoteShape, run: memberPromote },
  { shape: memberRemoveShape, run: memberRemove },
  { shape: transferShape, run: transfer },
  { shape: compressionShape, run: compression },
  { shape: demoShape, run: demo },
  { shape: benchClusterShape, run: benchCluster },
  { shape: benchLimitShape, run: benchLimit },
  { shape: benchSweepShape, run: benchSweep },
  { shape: benchCompareShape, run: benchCompare },
];

function overview(commands: readonly Command[]): string {
  const names = commands.map(({ shape }) => shape.name);
  const width = Math.max(...names.map((name) => name.length));
  return [
    'raftline: Raft log replication',
    '',
    'usage: raftline COMMAND [flags]',
    '',
    ...commands.map(({ shape }) => `  ${shape.name.padEnd(width)}  ${shape.summary}`),
    '',
    'raftline COMMAND --help tells more; raftline --version prints the version.',
    '',
  ].join('\n');
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}

/** The command that the arguments begin with; a name may be of two words (`member add`). */
function commandOf(args: readonly string[]): Command | undefined {
  return COMMANDS.find(({ shape }) => shape.name.split(' ').every((word, at) => args[at] === word));
}

/** Commands of two words that begin with `name`. */
function familyOf(name: string | undefined): Command[] {
  return COMMANDS.filter(({ shape }) => shape.name.startsWith(`${name} `));
}

async function main(args: readonly string[]): Promise<ExitCode> {
  const [name, second] = args;
  const family = familyOf(name);
  if (name === '--help' || name === 'help') new Output().write(overview(COMMANDS));
  else if (name === '--version') new Output().line(version());
  else if (family.length > 0 && second === '--help') new Output().write(overview(family));
  else {
    const command = commandOf(args);
    if (command === undefined) throw usageError(unknownCommand(args));
    const rest = args.slice(command.shape.name.split(' ').length);
    if (!rest.includes('--help')) return command.run(rest);
    new Output().write(helpOf(command.shape));
  }
  return ExitCode.Done;
}

function unknownCommand(args: readonly string[]): string {
  const [name, second] = args;
  const family = familyOf(name).map(({ shape }) => shape.name);
  if (family.length === 0) {
    const names = COMMANDS.map(({ shape }) => shape.name);
    return `expected a command (${names.join(', ')}), received ${name === undefined ? 'nothing' : `'${name}'`}`;
  }
  return `expected ${family.join(', ')}, received ${second === undefined ? 'nothing more' : `'${second}'`}`;
}

silenceBrokenStderr();
const args = process.argv.slice(2);
try {
  const code = await main(args);
  // An output that failed has set it already.
  process.exitCode ||= code;
} catch (thrown) {
  const error = toRaftlineError(thrown);
  const found = commandOf(args);
  const command = found === undefined ? '' : ` ${found.shape.name}`;
  const hint = error.code === ErrorCode.UsageInvalid ? ` (see raftline${command} --help)` : '';
  note(`raftline${command}: ${oneLine(error)}${hint}`);
  process.exitCode = exitCodeOf(error);
}
