import { startCluster } from '../../dist/bench/cluster.js';
import { arrived } from '../../dist/bench/measure.js';
import { sleep } from '../../dist/bench/processes.js';
import { spreadOf } from '../../dist/bench/statistics.js';
import { figure } from '../../dist/cli/bench/print.js';

/** Less for a trial. */
const SECONDS = 60;
const LEAST = 0.95;
const GROWTH_MAX_MIB = 64;
const LOOK_MS = 500;
/** After the signal, before it counts: a follower that is killed costs its leader the connection. */
const SETTLE_MS = 2000;
const STOP_TIMEOUT_MS = 120_000;
/** What it missed in a minute at full load, at the pace of catching up. */
const CATCH_UP_TIMEOUT_MS = 300_000;
const MiB = 1024 * 1024;

/** A follower that stands still, with its connections open, against one that is gone. */
export const stoppedFollowerRow = {
  name: 'stopped-follower',
  own: ['rate', 'minutes'],
  measure: `a follower stopped (SIGSTOP) at full load (--duration, ${SECONDS} s by default), against the same cluster with it killed`,
  target: `throughput ≥ ${LEAST}; the leader's RSS grows by ≤ ${GROWTH_MAX_MIB} MiB`,
  async run(context) {
    const seconds = context.seconds ?? SECONDS;
    const settings = context.settings({ payload: 1024, batchBytesMax: 256 * 1024, seconds });
    const runs = [];
    for (let run = 1; run <= context.runs; run++) {
      const killed = await without(context, settings, 'SIGKILL');
      const stopped = await without(context, settings, 'SIGSTOP');
      runs.push({ killed, stopped });
      context.output.line(
        `  run ${run}: killed ${figure(killed.rate)} entries/s, stopped ${figure(stopped.rate)}; RSS grew by ${figure(stopped.growthMiB)} MiB`,
      );
    }
    const ratio = spreadOf(runs.map(({ killed, stopped }) => stopped.rate / killed.rate));
    const growth = spreadOf(runs.map(({ stopped }) => stopped.growthMiB));
    const figures = [
      {
        name: 'throughput',
        value: ratio.median,
        low: ratio.min,
        high: ratio.max,
        met: ratio.median >= LEAST,
      },
      {
        name: 'RSS, MiB',
        value: growth.median,
        low: growth.min,
        high: growth.max,
        met: growth.median <= GROWTH_MAX_MIB,
      },
    ];
    const killedGrowth = spreadOf(runs.map(({ killed }) => killed.growthMiB)).median;
    const beside = [`with the follower killed the leader's RSS grew by ${figure(killedGrowth)} MiB`];
    return { figures, settings, beside, data: runs };
  },
};

async function without(context, settings, signal) {
  const side = await startCluster(settings, context.workspace);
  const [, victim] = side.followers;
  await side.leader.ask('load', { ...settings, groupIds: [1] });
  await sleep(settings.warmupSeconds * 1000);
  const atSignal = await side.leader.ask('sample', {});
  if (signal === 'SIGSTOP') await victim.halt(side.leader);
  else victim.signal(signal);
  await sleep(SETTLE_MS);
  const before = await side.leader.ask('sample', {});
  let most = before.rssBytes;
  let after = before;
  while (after.atMs - before.atMs < settings.seconds * 1000) {
    await sleep(LOOK_MS);
    after = await side.leader.ask('sample', {});
    if (after.failure !== undefined) throw new Error(after.failure);
    most = Math.max(most, after.rssBytes);
  }
  victim.signal('SIGCONT');
  const done = await side.leader.ask('stop', {}, STOP_TIMEOUT_MS);
  const left = signal === 'SIGKILL' ? side.followers.slice(0, 1) : side.followers;
  await arrived({ ...side, followers: left }, done, CATCH_UP_TIMEOUT_MS);
  await side.close();
  const rate = ((after.entries - before.entries) * 1000) / (after.atMs - before.atMs);
  return { rate, growthMiB: (most - atSignal.rssBytes) / MiB, completed: done };
}
