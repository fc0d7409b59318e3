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
  /** Batches in flight; 'auto': as many as the engine finds useful. */
  depth: number | 'auto';
  batchBytesMax: number;
  compression: 'lz4' | 'none';
  /** Whether every node, or the pipe, syncs what counts, or only hands it to the system. */
  durability: 'sync' | 'os';
  threads: 'auto' | 'shared' | 'spread';
  /** Entries outstanding; the bound of the open loop as well. */
  concurrency: number;
  /** Entries a second of the open loop; undefined: a closed loop, as fast as it goes. */
  rate: number | undefined;
  /** Where proposals are made: in the leader's process, or in processes of their own over the network. */
  clients: 'in-process' | 'remote';
  clientProcesses: number;
  /** Processor time that each node's state machine spends on an entry, µs. */
  applyUs: number;
  /** Added to each direction of every link between nodes, ms. */
  linkDelayMs: number;
  warmupSeconds: number;
  seconds: number;
}

/** Nothing is printed without what it was measured with. */
export function conditionsText(settings: BenchSettings): string {
  const { payload, data, nodes, groups, depth, batchBytesMax, compression, concurrency, rate } = settings;
  const what = typeof data === 'string' ? data : 'of a file';
  const load =
    rate === undefined
      ? `closed loop of ${concurrency.toLocaleString('en-US')}`
      : `${rate.toLocaleString('en-US')} entries/s offered`;
  const delay = settings.linkDelayMs === 0 ? '' : `, links delayed by ${settings.linkDelayMs} ms each way`;
  const apply = settings.applyUs === 0 ? '' : `, state machine of ${settings.applyUs} µs an entry`;
  const many = groups === 1 ? '' : `, ${groups} groups`;
  return (
    `${payload} B entries (${what}), ${nodes} nodes${many}, batch ${batchBytesMax / 1024} KiB, depth ${depth}, ` +
    `${compression}, ${settings.durability === 'sync' ? 'synced' : 'written, not synced,'} on every node, ${settings.clients} ${load}${delay}${apply}`
  );
}
