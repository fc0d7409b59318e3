import { memory } from './memory.mjs';
import { micro } from './micro.mjs';
import { ratio } from './ratio.mjs';
import { print } from './report.mjs';
import { FLAGS, parseSettings } from './settings.mjs';

const COMMANDS = {
  ratio: 'the cluster against a bare pipe, in one run (docs/benchmarks.md)',
  micro: 'parts of the engine, one by one',
  memory: "the leader's memory while it replicates --gb gigabytes; exit code 1 above 400 MB",
};

function usage() {
  print(
    'npm run bench [-- ratio | micro | memory] [flags]      without a command: ratio, and micro in short\n',
  );
  for (const [name, help] of Object.entries(COMMANDS)) print(`  ${name.padEnd(14)} ${help}`);
  print();
  for (const [name, { value, help }] of Object.entries(FLAGS)) {
    print(`  --${name.padEnd(12)} ${help}${value === undefined ? '' : ` (default ${value})`}`);
  }
}

/** @returns {Promise<number>} exit code */
async function main(args) {
  if (args.includes('--help')) {
    usage();
    return 0;
  }
  const { commands, settings } = parseSettings(args);
  const [command] = commands;
  if (commands.length > 1 || (command !== undefined && !(command in COMMANDS))) {
    throw new Error(`expected one of ${Object.keys(COMMANDS).join(', ')}, received ${commands.join(' ')}`);
  }
  if (command === 'memory') {
    const payloadGiven = args.some((arg) => arg.startsWith('--payload'));
    const memorySettings = payloadGiven ? settings : parseSettings([...args, '--payload', '1024']).settings;
    return (await memory(memorySettings)) ? 0 : 1;
  }
  if (command !== 'micro') await ratio(settings);
  if (command === undefined) print();
  if (command !== 'ratio') await micro(settings, command === undefined);
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`bench: ${error.stack ?? error}\n`);
    process.exit(1);
  },
);
