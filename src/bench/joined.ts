import { ErrorCode, RaftlineError } from '../base/errors.js';
import { CompressionLevel } from '../base/messages.js';
import { RaftlineClient } from '../client/client.js';
import type { EngineStatus } from '../engine/status.js';
import { clientWindow, groupIdsOf } from './cluster.js';
import { depthOf } from './depth.js';
import { Histogram } from './histogram.js';
import { type LoadReport, sharesOf } from './load-report.js';
import { CATCH_UP_TIMEOUT_MS, cpuUsPerEntry, type RunResult } from './measure.js';
import { type Child, sleep, until, type Workspace } from './processes.js';
import type { RemoteSettings } from './remote.js';
import type { BenchSettings } from './settings.js';
import { arrivedEverywhere, requireUndisturbed, type Told, watched } from './undisturbed.js';

const LEADER_TIMEOUT_MS = 20_000;

/** Servers of a cluster that runs already, by node id. */
export type Servers = Readonly<Record<number, string>>;

interface Look {
  loaders: (LoadReport & { atMs: number })[];
  nodes: Told;
}

/**
 * What the nodes say of themselves stands beside the figures instead of what flags would say: the leader of the first group, and of their disks all.
 * @throws RaftlineError `RAFTLINE_TIMEOUT` when no node of `servers` leads the first group, `RAFTLINE_GROUP_UNKNOWN` when it does not host the others
 */
export async function joinedSettings(settings: BenchSettings, servers: Servers): Promise<BenchSettings> {
  const client = new RaftlineClient({ servers: { ...servers } });
  try {
    const { statuses, leader, group } = await findLeader(client, groupIdsOf(settings), servers);
    const { depth, batchBytesMax } = group.pipeline;
    const { voters, learners, compressionLevel } = group.configuration;
    const syncing = statuses.filter(({ disk }) => disk.durability === 'sync').length;
    const writing = statuses.filter(({ disk }) => disk.durability === 'os').length;
    return {
      ...settings,
      ...{ nodes: voters.length + learners.length, depth, batchBytesMax },
      compression: withinLevel(leader.compression, compressionLevel),
      durability: writing > syncing ? 'os' : 'sync',
      threads: threadsOf(leader),
      joined: { compressionTold: leader.compression !== undefined, syncing, writing },
    };
  } finally {
    client.close();
  }
}

/** Of the first of `groupIds`, all of which the node that leads it must host. */
async function findLeader(client: RaftlineClient, groupIds: readonly number[], servers: Servers) {
  const [first] = groupIds;
  const addresses = Object.values(servers);
  let silent: readonly string[] = [];
  const look = async () => {
    const answers = await Promise.allSettled(addresses.map((address) => client.status(address)));
    silent = addresses.filter((_, at) => answers[at]!.status === 'rejected');
    const statuses = answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? [answer.value as EngineStatus] : [],
    );
    for (const leader of statuses) {
      const group = leader.groups.find((each) => each.group === first && each.role === 'leader');
      if (group !== undefined) return { statuses, leader, group };
    }
    return undefined;
  };
  const found = await until(`a leader of group ${first} at --peer`, LEADER_TIMEOUT_MS, look).catch(
    (thrown: RaftlineError) => {
      if (silent.length === 0) throw thrown;
      const message = `${thrown.message}; no answer from ${silent.join(', ')}`;
      throw new RaftlineError(thrown.code, message, { silent: silent.join(', ') }, thrown);
    },
  );
  const hosted = found.leader.groups.map(({ group }) => group);
  const missing = groupIds.filter((group) => !hosted.includes(group));
  if (missing.length === 0) return found;
  const message = `groups ${groupIds.join(', ')}: node ${found.leader.id} hosts ${hosted.join(', ')}`;
  throw new RaftlineError(ErrorCode.GroupUnknown, message, { received: missing.join(', ') });
}

/** What a policy comes to, as far as the group allows. */
function withinLevel(
  policy: EngineStatus['compression'] = 'auto',
  level: number,
): BenchSettings['compression'] {
  if (level < CompressionLevel.Lz4) return 'none';
  return policy === 'deflate' && level < CompressionLevel.Deflate ? 'lz4' : policy;
}

/** As an option would say it. */
function threadsOf({ threads }: EngineStatus): BenchSettings['threads'] {
  const workers = Object.values(threads);
  const encoders = workers.filter((programs) => programs.every((name) => name.startsWith('encoder'))).length;
  if (encoders > 1) return { encoders };
  return encoders === 1 ? 'spread' : 'shared';
}

/**
 * Loads a running cluster over the network. Processor time is that of the nodes' whole processes; where one of them does not answer, or is too old to
 * tell it, it stays out of the result. The delay of an event loop is that since the node started.
 * @throws RaftlineError when nodes or leaders were not the same throughout, or a node does not hold in the end what was acknowledged
 */
export async function measureJoined(
  settings: BenchSettings,
  servers: Servers,
  workspace: Workspace,
): Promise<RunResult> {
  const { clientProcesses, concurrency, payload, rate, data, seed } = settings;
  const clients = Array.from({ length: clientProcesses }, (_, at) =>
    workspace.fork(`client-${at + 1}`, './remote.js'),
  );
  const shares = sharesOf(concurrency, clientProcesses);
  const load = { payload, data, rate: rate && rate / clientProcesses };
  try {
    const open = (share: number): RemoteSettings => ({
      servers: { ...servers },
      groupIds: groupIdsOf(settings),
      ...clientWindow(share, payload),
    });
    await Promise.all(clients.map((client, at) => client.ask('open', open(shares[at]!))));
    await Promise.all(
      clients.map((client, at) => client.ask('load', { ...load, concurrency: shares[at], seed: seed + at })),
    );
    return await measureLoaded(settings, clients, servers);
  } finally {
    await workspace.close(clients, []);
  }
}

async function measureLoaded(
  settings: BenchSettings,
  clients: readonly Child[],
  servers: Servers,
): Promise<RunResult> {
  const groupIds = groupIdsOf(settings);
  const ask = () => askNodes(clients, servers);
  await sleep(settings.warmupSeconds * 1000);
  const before = await look(clients, ask);
  requireAnswers(settings, before.nodes);
  const last = await watched(before.nodes, settings.seconds * 1000, groupIds, ask);
  const after = await look(clients, ask);
  requireUndisturbed(last, after.nodes, groupIds);
  await Promise.all(clients.map((client) => client.ask('stop', {}, CATCH_UP_TIMEOUT_MS)));
  await arrivedEverywhere(after.nodes, groupIds, ask, CATCH_UP_TIMEOUT_MS);
  return summary(settings, before, after);
}

/** A node that never answered is left out: the cluster may well work without it. One that did is said to take part. */
function requireAnswers({ joined }: BenchSettings, nodes: Told): void {
  const expected = joined === undefined ? 0 : joined.syncing + joined.writing;
  const silent = [...nodes.keys()].filter((address) => nodes.get(address) === undefined);
  if (nodes.size - silent.length >= expected) return;
  const message = `--peer: expected answers of ${expected} nodes, as at first, received none from ${silent.join(', ')}`;
  throw new RaftlineError(ErrorCode.Unreachable, message, { silent: silent.join(', ') });
}

async function look(clients: readonly Child[], ask: () => Promise<Told>): Promise<Look> {
  const [loaders, nodes] = await Promise.all([
    Promise.all(clients.map((client) => client.ask<Look['loaders'][0]>('sample', { latencies: true }))),
    ask(),
  ]);
  return { loaders, nodes };
}

async function askNodes([asker]: readonly Child[], servers: Servers): Promise<Told> {
  const answers = Object.values(servers).map(async (address) => {
    const status = await asker!.ask<EngineStatus>('status', { address }).catch(() => undefined);
    return [address, status] as const;
  });
  return new Map(await Promise.all(answers));
}

function leads({ groups }: EngineStatus): boolean {
  return groups.some(({ role }) => role === 'leader');
}

function appliedBy({ groups }: EngineStatus): number {
  return groups.reduce((sum, { appliedIndex }) => sum + appliedIndex, 0);
}

function summary(settings: BenchSettings, before: Look, after: Look): RunResult {
  const failure = after.loaders.find((loader) => loader.failure !== undefined)?.failure;
  if (failure !== undefined) throw new RaftlineError(ErrorCode.Internal, failure);
  const seconds = (after.loaders[0]!.atMs - before.loaders[0]!.atMs) / 1000;
  const latencies = new Histogram();
  let completed = 0;
  let overloaded = 0;
  after.loaders.forEach((loader, at) => {
    completed += loader.completed - before.loaders[at]!.completed;
    overloaded += loader.overloaded - before.loaders[at]!.overloaded;
    if (loader.latencies !== undefined) latencies.add(loader.latencies);
  });
  const nodes = [...after.nodes]
    .flatMap(([address, end]) => {
      const start = before.nodes.get(address);
      return start === undefined || end === undefined ? [] : [{ start, end }];
    })
    .sort((a, b) => Number(leads(b.end)) - Number(leads(a.end)));
  const sum = (of: (status: EngineStatus) => number): number =>
    nodes.reduce((total, { start, end }) => total + of(end) - of(start), 0);
  const batches = sum(({ encoder }) => encoder.batches);
  const cores = nodes.map(({ start, end }) => (end.cpuMs - start.cpuMs) / 1000 / seconds);
  const known = cores.length === settings.nodes && cores.every(Number.isFinite);
  return {
    side: 'cluster',
    seconds,
    entriesPerSecond: completed / seconds,
    mbPerSecond: (completed * settings.payload) / seconds / 1e6,
    latency: latencies.percentiles(),
    batchesPerSecond: batches / seconds,
    entriesPerBatch: batches === 0 ? 0 : completed / batches,
    compressionRatio:
      sum(({ encoder }) => encoder.rawBytes) /
      Math.max(
        1,
        sum(({ encoder }) => encoder.storedBytes),
      ),
    syncsPerSecond: nodes.map(({ start, end }) => (end.disk.syncs - start.disk.syncs) / seconds),
    cores: known ? cores : [],
    cpuUsPerEntry: known ? cpuUsPerEntry(cores, completed / seconds) : 0,
    rssBytes: nodes.map(({ end }) => end.rssBytes),
    loopDelayP99Ms: nodes.map(({ end }) => end.health.loop.delayMsP99),
    behind: nodes.slice(1).map(({ end }) => Math.max(0, appliedBy(nodes[0]!.end) - appliedBy(end))),
    overloaded,
    ...depthOf(nodes[0]?.end.groups[0]),
  };
}
