import { sleep, until } from './processes.mjs';

const CATCH_UP_TIMEOUT_MS = 30_000;

/**
 * Loads one side for `warmup` + `seconds`, then sees to it that all of it arrived everywhere.
 *
 * @param {{ name: string, leader: any, followers: any[], threads: unknown }} side
 * @param {import('./settings.mjs').Settings} settings
 */
export async function measure(side, settings) {
  const { leader, followers } = side;
  const { payload, outstanding, seed } = settings;
  await leader.ask('load', { payload, outstanding, seed });
  await sleep(settings.warmup * 1000);
  const all = [leader, ...followers];
  const before = await Promise.all(all.map((node) => node.ask('sample', {})));
  await sleep(settings.seconds * 1000);
  const after = await Promise.all(all.map((node) => node.ask('sample', { latencies: 'report' })));
  const { completed } = await leader.ask('stop', {}, CATCH_UP_TIMEOUT_MS);
  await arrived(side, completed);
  return summary(side, settings, before, after);
}

/** Every follower has all entries, and the same: a run that lost or doubled one is no result. */
export async function arrived(side, completed) {
  const all = [side.leader, ...side.followers];
  const samples = await until(`${completed} entries on every node`, CATCH_UP_TIMEOUT_MS, async () => {
    const found = await Promise.all(all.map((node) => node.ask('sample', {})));
    return found.every(({ entries }) => entries >= completed) ? found : undefined;
  });
  for (const { entries, digest } of samples) {
    if (entries !== completed || digest !== samples[0].digest) {
      throw new Error(
        `${side.name}: expected ${completed} entries with digest ${samples[0].digest} on every node, received ${entries} with ${digest}`,
      );
    }
  }
}

function summary(side, settings, before, after) {
  const [first, last] = [before[0], after[0]];
  if (last.failure !== undefined) throw new Error(`${side.name}: ${last.failure}`);
  if (first.term !== last.term) throw new Error(`${side.name}: the leader changed during the run`);
  const seconds = (last.atMs - first.atMs) / 1000;
  const rate = (name) => (last[name] - first[name]) / seconds;
  const entriesPerSecond = rate('entries');
  const batches = last.batches - first.batches;
  return {
    side: side.name,
    entriesPerSecond,
    mbPerSecond: (entriesPerSecond * settings.payload) / 1e6,
    p50Ms: last.latencies.p50Ms,
    p99Ms: last.latencies.p99Ms,
    batchesPerSecond: rate('batches'),
    entriesPerBatch: batches === 0 ? 0 : (last.entries - first.entries) / batches,
    compressionRatio: (last.rawBytes - first.rawBytes) / Math.max(1, last.storedBytes - first.storedBytes),
    syncsPerSecond: before.map((sample, at) => perSecond(sample, after[at], 'syncs')),
    /** Cores kept busy, by node; the leader first. */
    cpu: before.map((sample, at) => perSecond(sample, after[at], 'cpuMs') / 1000),
    /** Processor time of all nodes together for one entry, µs: moves less than the rates when others use the machine. */
    cpuUsPerEntry:
      (before.reduce((sum, sample, at) => sum + perSecond(sample, after[at], 'cpuMs'), 0) * 1000) /
      entriesPerSecond,
    rssBytes: after.map(({ rssBytes }) => rssBytes),
    /** Entries that each follower had still to take at the end of the window. */
    behind: after.slice(1).map(({ entries }) => Math.max(0, last.entries - entries)),
    overloaded: last.overloaded - first.overloaded,
    seconds,
  };
}

function perSecond(before, after, name) {
  return ((after[name] - before[name]) * 1000) / (after.atMs - before.atMs);
}
