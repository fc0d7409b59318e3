import type { CompressionPolicy } from '../engine/options.js';

/** What the pipe has in flight where a cluster finds its depth itself. */
const PIPE_DEPTH = 8;

/** Of the nodes of a cluster that ran already; the rest of `nodes` did not answer. */
export interface Joined {
  /** Whether the leader is new enough to say what it compresses with. */
  compressionTold: boolean;
  /** Nodes that sync, and nodes that only hand over to the system. */
  syncing: number;
  writing: number;
}

/** What a cluster, or the pipe, is measured with. Printed beside every figure. */
export interface BenchSettings {
  /** Bytes of an entry, 1 … 1 MiB. */
  payload: number;
  /** Bytes of the entries: varied records, noise that nothing compresses, or the pieces of a file. */
  data: 'json' | 'random' | { file: string };
  /** Seed of the data. */
  seed: number;
  nodes: number;
  groups: number;
  /** Batches in flight; 'auto': as many as the engine finds useful, `PIPE_DEPTH` in the pipe, which finds nothing. */
  depth: number | 'auto';
  batchBytesMax: number;
  compression: CompressionPolicy;
  /** Whether every node, or the pipe, syncs what counts, or only hands it to the system. */
  durability: 'sync' | 'os';
  /** Of a cluster that ran already: what its nodes say instead of flags. What they do not say is not as it says here. */
  joined?: Joined;
  /** Of each node; several encoders by their number. */
  threads: 'auto' | 'shared' | 'spread' | { encoders: number };
  /** Entries outstanding; the bound of the open loop as well. */
  concurrency: number;
  /** Entries a second of the open loop; undefined: a closed loop, as fast as it goes. */
  rate: number | undefined;
  /** Where proposals are made: in the leader's process, or in processes of their own over the network. */
  clients: 'in-process' | 'remote';
  clientProcesses: number;
  /** How long each node's state machine works on an entry, by the clock, µs. */
  applyUs: number;
  /** Added to each direction of every link between nodes, ms. */
  linkDelayMs: number;
  warmupSeconds: number;
  seconds: number;
}

/** Batches that the pipe has in flight: it finds no depth by itself. */
export function pipeDepth({ depth }: Pick<BenchSettings, 'depth'>): number {
  return depth === 'auto' ? PIPE_DEPTH : depth;
}

/** Nothing is printed without what it was measured with. @param side leaves out what holds for the other side only */
export function conditionsText(settings: BenchSettings, side?: 'cluster' | 'pipe'): string {
  const { payload, data, nodes, groups, batchBytesMax, concurrency, rate } = settings;
  const depth = side === 'pipe' ? pipeDepth(settings) : settings.depth;
  const what = typeof data === 'string' ? data : 'of a file';
  const load =
    rate === undefined
      ? `closed loop of ${concurrency.toLocaleString('en-US')}`
      : `${rate.toLocaleString('en-US')} entries/s offered`;
  const delay = settings.linkDelayMs === 0 ? '' : `, links delayed by ${settings.linkDelayMs} ms each way`;
  const apply = settings.applyUs === 0 ? '' : `, state machine of ${settings.applyUs} µs an entry`;
  const many = groups === 1 ? '' : `, ${groups} groups`;
  const threads = side === 'pipe' ? '' : threadsText(settings);
  return (
    `${payload} B entries (${what}), ${nodes === 1 ? '1 node' : `${nodes} nodes`}${many}, batch ${batchBytesMax / 1024} KiB, depth ${depth}, ` +
    `${storedText(settings)}, ${clientsText(settings)} ${load}${delay}${apply}${threads}`
  );
}

/** Beside a depth that may be 'auto', too. */
const CODECS: Readonly<Record<BenchSettings['compression'], string>> = {
  auto: 'compression auto',
  none: 'not compressed',
  lz4: 'lz4',
  deflate: 'deflate',
};

export function storedText({ compression, durability, nodes, joined }: BenchSettings): string {
  const stored = { sync: 'synced', os: 'written, not synced,' };
  if (joined === undefined) return `${CODECS[compression]}, ${stored[durability]} on every node`;
  const { compressionTold, syncing, writing } = joined;
  const unknown = nodes - syncing - writing;
  const on = (count: number): string => (count === nodes ? 'on every node' : `on ${count} of ${nodes} nodes`);
  const told = [
    compressionTold ? CODECS[compression] : 'compression not told',
    ...(syncing === 0 ? [] : [`${stored.sync} ${on(syncing)}`]),
    ...(writing === 0 ? [] : [`${stored.os} ${on(writing)}`]),
    ...(unknown === 0 ? [] : [`durability not told ${on(unknown)}`]),
  ];
  return told.join(', ');
}

function clientsText({ clients, clientProcesses }: BenchSettings): string {
  return clients === 'in-process' ? clients : `${clientProcesses === 1 ? '' : `${clientProcesses} × `}remote`;
}

/** What everybody has by default is not said. */
function threadsText({ threads }: BenchSettings): string {
  if (threads === 'shared') return '';
  return typeof threads === 'string' ? `, threads ${threads}` : `, ${threads.encoders} encoders`;
}
