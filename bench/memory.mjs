import { startCluster } from './cluster.mjs';
import { machine } from './machine.mjs';
import { arrived } from './measure.mjs';
import { sleep, Workspace } from './processes.mjs';
import { conditions, figure, MB, print, printMachine, printTable, writeJson } from './report.mjs';

const LEADER_LIMIT_BYTES = 400 * MB;
/** Below a rate of 1 MB/s something is wrong. */
const BYTES_PER_MS_MIN = 1000;
const PROGRESS_MS = 5000;

/** RSS of every node while the leader replicates so many gigabytes. @returns {Promise<boolean>} within the limit */
export async function memory(settings) {
  const workspace = new Workspace({ parent: settings.dir });
  const about = machine(workspace.root);
  const entriesMax = Math.ceil((settings.gb * 1e9) / settings.payload);
  print(`memory: ${settings.gb} GB in ${entriesMax} entries, ${conditions(settings)}`);
  printMachine(about);
  const side = await startCluster(settings, workspace);
  const nodes = [side.leader, ...side.followers];
  const before = await Promise.all(nodes.map((node) => node.ask('sample', {})));
  const startedMs = performance.now();
  const { payload, outstanding, seed } = settings;
  await side.leader.ask('load', { payload, outstanding, seed, entriesMax });
  const timeoutMs = 30_000 + (entriesMax * payload) / BYTES_PER_MS_MIN;
  const finished = side.leader.ask('finish', {}, timeoutMs);
  const { completed } = await shown(finished, side.leader, entriesMax);
  const seconds = (performance.now() - startedMs) / 1000;
  await arrived(side, completed);
  const after = await Promise.all(nodes.map((node) => node.ask('sample', {})));
  await side.close();
  const peaks = after.map(({ rssMax }) => rssMax);
  const names = ['leader', 'follower', 'follower'];
  print(
    `\n${figure((entriesMax * payload) / MB / seconds)} MB/s, ${figure(completed / seconds)} entries/s, ${figure(seconds)} s`,
  );
  printTable(
    ['node', 'RSS before, MB', 'highest, MB', 'at the end, MB'],
    nodes.map((_, at) => [
      names[at],
      ...[before[at].rssBytes, peaks[at], after[at].rssBytes].map((bytes) => (bytes / MB).toFixed(0)),
    ]),
  );
  const within = peaks[0] <= LEADER_LIMIT_BYTES;
  print(`\nlimit for the leader: ${LEADER_LIMIT_BYTES / MB} MB: ${within ? 'kept' : 'EXCEEDED'}`);
  const result = { seconds, completed, before, after, peaks, limitBytes: LEADER_LIMIT_BYTES, within };
  writeJson(settings.json, { benchmark: 'memory', machine: about, settings, result });
  return within;
}

/** Shows how far the leader is until it has finished. */
async function shown(finished, leader, entriesMax) {
  for (;;) {
    const reply = await Promise.race([finished, sleep(PROGRESS_MS)]);
    if (reply !== undefined) return reply;
    const { entries, rssBytes } = await leader.ask('sample', {});
    print(`  ${((100 * entries) / entriesMax).toFixed(0)} %, leader ${(rssBytes / MB).toFixed(0)} MB`);
  }
}
