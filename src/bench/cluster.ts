import { CompressionLevel } from '../base/messages.js';
import { freePorts } from './free-ports.js';
import { sharesOf } from './load-report.js';
import type { NodeSettings } from './node.js';
import { type Parts, startSide } from './parts.js';
import { type Child, until, type Workspace } from './processes.js';
import type { RemoteSettings } from './remote.js';
import type { BenchSettings } from './settings.js';
import type { Side } from './side.js';

const MiB = 1024 * 1024;
const START_TIMEOUT_MS = 30_000;
/** How often a link is passed, at most, until a leader streams to its followers. */
const START_PASSES = 40;
const CLUSTER = 'bench';
/** Node 1 is elected, and nobody stands for election because a loaded machine starved somebody for a second. */
const FIRST_ELECTION = { timeoutMsMin: 500, timeoutMsMax: 600, heartbeatIntervalMs: 100 };
const OTHER_ELECTION = { timeoutMsMin: 4000, timeoutMsMax: 6000, heartbeatIntervalMs: 100 };
/** How often links are passed within an election timeout: a campaign that is repeated after half of it has its answers by then. */
const ELECTION_PASSES = { first: 6, other: 12 };
/** What the engine lets a group hold, unless the load needs more. */
const UNCOMMITTED_BYTES = { min: 16 * MiB, max: 1024 * MiB };
const RING_BYTES = { min: 16 * MiB, max: 512 * MiB };
const BUDGET_BYTES = 16 * 1024 * MiB;
/** What the client's option allows. */
const CLIENT_BYTES = { min: MiB / 16, max: 1024 * MiB };
/** More than what packing adds to an entry of a session. */
const PACKED_EXTRA_BYTES = 32;
/** What the engine holds in a batch by itself, and what its option allows. */
const BATCH_ENTRIES = { min: 16_384, max: 1_048_576 };
const INFLIGHT_BYTES = { min: 4 * MiB, max: 256 * MiB };

export const groupIdsOf = ({ groups }: BenchSettings): number[] =>
  Array.from({ length: groups }, (_, at) => at + 1);

/** The window of a client that keeps so many entries outstanding; its bytes are packed ones. */
export function clientWindow(entriesMax: number, payload: number): { entriesMax: number; bytesMax: number } {
  const bytesMax = within(CLIENT_BYTES, entriesMax * (payload + PACKED_EXTRA_BYTES));
  return { entriesMax, bytesMax };
}

/** Real processes over loopback, every batch synced on each, all of them applying. */
export function startCluster(settings: BenchSettings, workspace: Workspace): Promise<Side> {
  return startSide(workspace, (parts) => startNodes(settings, parts));
}

/** With a delay each node is reached by the others through a proxy of its own. */
async function startNodes(settings: BenchSettings, parts: Parts): Promise<Omit<Side, 'close'>> {
  const ids = Array.from({ length: settings.nodes }, (_, at) => at + 1);
  const ports = await freePorts(ids.length);
  const seen = await parts.delayed(settings.linkDelayMs, ports);
  const peers = Object.fromEntries(ids.map((id, at) => [id, `127.0.0.1:${seen[at]}`]));
  const directories = ids.map((id) => parts.directory(`node-${id}`));
  const nodes = ids.map((id) => parts.fork(`node-${id}`, './node.js'));
  await Promise.all(
    nodes.map((node, at) =>
      node.ask('open', nodeSettings(settings, ids[at]!, directories[at]!, peers, ports[at]!)),
    ),
  );
  const timeoutMs = START_TIMEOUT_MS + START_PASSES * settings.linkDelayMs;
  const found = await until('a leader with its followers', timeoutMs, () => findLeader(nodes));
  const { leader, threads, address } = found;
  if (settings.compression === 'deflate')
    await leader.ask('allowCompression', { level: CompressionLevel.Deflate });
  const servers = Object.fromEntries(ids.map((id, at) => [id, `127.0.0.1:${ports[at]}`]));
  const clients = settings.clients === 'remote' ? await startClients(settings, parts, servers) : [];
  return {
    name: 'cluster',
    threads,
    leader,
    leaderAddress: address,
    followers: nodes.filter((node) => node !== leader),
    loaders: settings.clients === 'remote' ? clients : [leader],
  };
}

function nodeSettings(
  settings: BenchSettings,
  id: number,
  directory: string,
  peers: Record<number, string>,
  port: number,
): NodeSettings {
  const { depth, batchBytesMax, compression, threads, applyUs } = settings;
  const { batchEntriesMax, inflightBytesMax, ringBytes, uncommittedBytesMax } = nodeBounds(settings);
  return {
    id,
    cluster: CLUSTER,
    directory,
    listen: `127.0.0.1:${port}`,
    peers,
    groupIds: groupIdsOf(settings),
    // Depth and bytes of a batch are to be what limits the pipeline, and not some other bound.
    pipeline: { depth, batchBytesMax, batchEntriesMax, inflightBytesMax },
    compression,
    durability: settings.durability,
    threads,
    // The budget is to be no bound of what is measured, either.
    memory: { ringBytes, budgetBytes: BUDGET_BYTES },
    uncommittedBytesMax,
    applyUs,
    election: electionOf(id, settings.linkDelayMs),
  };
}

export function electionOf(id: number, linkDelayMs: number): NonNullable<NodeSettings['election']> {
  const { timeoutMsMin, timeoutMsMax, ...rest } = id === 1 ? FIRST_ELECTION : OTHER_ELECTION;
  const longerMs = (id === 1 ? ELECTION_PASSES.first : ELECTION_PASSES.other) * linkDelayMs;
  return { ...rest, timeoutMsMin: timeoutMsMin + longerMs, timeoutMsMax: timeoutMsMax + longerMs };
}

/** Room for a load, as far as the engine's options allow. */
export function nodeBounds({
  concurrency,
  payload,
  batchBytesMax,
}: Pick<BenchSettings, 'concurrency' | 'payload' | 'batchBytesMax'>) {
  const outstanding = concurrency * (payload + 4);
  return {
    batchEntriesMax: within(BATCH_ENTRIES, Math.ceil(batchBytesMax / (payload + 4))),
    inflightBytesMax: within(INFLIGHT_BYTES, 2 * outstanding),
    ringBytes: within(RING_BYTES, 2 * outstanding),
    uncommittedBytesMax: within(UNCOMMITTED_BYTES, 4 * outstanding),
  };
}

function within({ min, max }: { min: number; max: number }, value: number): number {
  return Math.max(min, Math.min(max, value));
}

async function findLeader(nodes: readonly Child[]) {
  const answers = await Promise.all(
    nodes.map((node) => node.ask<{ threads: Side['threads']; address: string } | undefined>('ready')),
  );
  const at = answers.findIndex((answer) => answer !== undefined);
  return at < 0 ? undefined : { leader: nodes[at]!, ...answers[at]! };
}

async function startClients(
  settings: BenchSettings,
  parts: Parts,
  servers: Record<number, string>,
): Promise<Child[]> {
  const { clientProcesses, concurrency, payload } = settings;
  const clients = Array.from({ length: clientProcesses }, (_, at) =>
    parts.fork(`client-${at + 1}`, './remote.js'),
  );
  const open: Omit<RemoteSettings, 'entriesMax' | 'bytesMax'> = {
    servers,
    cluster: CLUSTER,
    groupIds: groupIdsOf(settings),
  };
  const shares = sharesOf(concurrency, clientProcesses);
  await Promise.all(
    clients.map((client, at) => client.ask('open', { ...open, ...clientWindow(shares[at]!, payload) })),
  );
  return clients;
}
