import { writeFileSync } from 'node:fs';
import { startCluster } from '../dist/bench/cluster.js';
import { arrived } from '../dist/bench/measure.js';
import { sleep, Workspace } from '../dist/bench/processes.js';
import { conditionsText } from '../dist/bench/settings.js';
import {
  BenchArguments,
  CONCURRENCY_FLAG,
  LOAD_FLAGS,
  OUTPUT_FLAGS,
  POINT_FLAGS,
} from '../dist/cli/bench/flags.js';
import { figure, printMachine } from '../dist/cli/bench/print.js';
import { Output } from '../dist/cli/output.js';
import { table } from '../dist/cli/table.js';
import { checkoutHelp } from './help.mjs';

const MB = 1e6;
const LEADER_LIMIT_BYTES = 400 * MB;
/** Below a rate of 1 MB/s something is wrong. */
const BYTES_PER_MS_MIN = 1000;
const PROGRESS_MS = 5000;
const PAYLOAD = 1024;
/** What has a default of its own, or no meaning where a number of bytes is replicated once. */
const OTHERWISE = new Set(['payload', 'duration', 'warmup', 'runs', 'compare']);

const SHAPE = {
  name: 'memory',
  summary:
    "RSS of every node while the leader replicates so many gigabytes; fails above 400 MB of the leader's",
  flags: [
    { name: 'gb', value: 'N', help: 'gigabytes (default 1)' },
    { name: 'payload', value: 'BYTES', help: `bytes of an entry (default ${PAYLOAD})` },
    ...[...POINT_FLAGS, CONCURRENCY_FLAG, ...LOAD_FLAGS, ...OUTPUT_FLAGS].filter(
      ({ name }) => !OTHERWISE.has(name),
    ),
  ],
  notes: [],
};

/** Sets the exit code to 1 when the leader's memory goes above the limit. */
export async function memory(args) {
  const output = new Output();
  if (args.includes('--help')) return output.write(checkoutHelp(SHAPE));
  const given = new BenchArguments(SHAPE, args);
  const point = given.point();
  const payload = given.text('payload') === undefined ? PAYLOAD : point.payload;
  const settings = given.settings({ ...point, payload });
  const bytes = (given.integer('gb', 1, 100) ?? 1) * 1e9;
  const json = given.resultsFile();
  const workspace = new Workspace(given.directory(), given.profileDirectory());
  try {
    const machine = printMachine(output, workspace.root);
    output.line(`memory: ${figure(bytes / MB)} MB, ${conditionsText(settings)}`);
    const result = await replicate(output, settings, workspace, Math.ceil(bytes / payload));
    printResult(output, result, bytes);
    if (json !== undefined)
      writeFileSync(
        json,
        `${JSON.stringify({ benchmark: 'memory', machine, settings, ...result }, undefined, 2)}\n`,
      );
    if (!result.within) process.exitCode = 1;
  } finally {
    workspace.dispose();
  }
}

async function replicate(output, settings, workspace, entriesMax) {
  const side = await startCluster(settings, workspace);
  const nodes = [side.leader, ...side.followers];
  const sampled = () => Promise.all(nodes.map((node) => node.ask('sample', {})));
  const before = await sampled();
  const startedMs = performance.now();
  await side.leader.ask('load', { ...settings, groupIds: [1], entriesMax });
  const timeoutMs = 30_000 + (entriesMax * settings.payload) / BYTES_PER_MS_MIN;
  const completed = await shown(output, side.leader.ask('finish', {}, timeoutMs), side.leader, entriesMax);
  const seconds = (performance.now() - startedMs) / 1000;
  await arrived(side, completed);
  const after = await sampled();
  await side.close();
  const within = after[0].rssMax <= LEADER_LIMIT_BYTES;
  return { seconds, completed, before, after, limitBytes: LEADER_LIMIT_BYTES, within };
}

/** Shows how far the leader is until it has finished. */
async function shown(output, finished, leader, entriesMax) {
  for (;;) {
    const reply = await Promise.race([finished, sleep(PROGRESS_MS)]);
    if (reply !== undefined) return reply;
    const { entries, rssBytes } = await leader.ask('sample', {});
    output.line(`  ${((100 * entries) / entriesMax).toFixed(0)} %, leader ${(rssBytes / MB).toFixed(0)} MB`);
  }
}

function printResult(output, { seconds, completed, before, after, within }, bytes) {
  const rates = `${figure(bytes / MB / seconds)} MB/s, ${figure(completed / seconds)} entries/s, ${figure(seconds)} s`;
  const rows = after.map((end, at) => [
    at === 0 ? 'leader' : 'follower',
    ...[before[at].rssBytes, end.rssMax, end.rssBytes].map((value) => (value / MB).toFixed(0)),
  ]);
  output.line(`\n${rates}\n${table([['node', 'RSS before, MB', 'highest, MB', 'at the end, MB'], ...rows])}`);
  output.line(`\nlimit for the leader: ${LEADER_LIMIT_BYTES / MB} MB: ${within ? 'kept' : 'EXCEEDED'}`);
}
