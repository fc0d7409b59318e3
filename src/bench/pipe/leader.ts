import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { serveParent } from '../child.js';
import { type DataSettings, makePool } from '../data.js';
import { LoadRunner, type LoadSettings } from '../load-report.js';
import type { NodeSample } from '../node.js';
import { createPipeMemory, cursorOf, gateOf, type PipeMemory } from './memory.js';
import { Proposer } from './proposer.js';
import type { SenderSettings } from './sender.js';
import type { SyncSettings } from './sync.js';

/** The pipe's leader: client and proposals on the main thread, one thread that compresses and sends, one that syncs. */
export interface PipeLeaderSettings extends Omit<SenderSettings, 'memory'> {
  directory: string;
  windowBytes: number;
  durability: 'sync' | 'os';
}

let memory: PipeMemory | undefined;
let proposer: Proposer | undefined;
let workers: Worker[] = [];
const load = new LoadRunner();

async function open({ directory, windowBytes, durability, ...settings }: PipeLeaderSettings): Promise<void> {
  memory = createPipeMemory(windowBytes);
  const syncData: SyncSettings = { memory, file: join(directory, 'pipe'), wakes: ['main'], durability };
  const senderData: SenderSettings = { memory, ...settings };
  const sync = new Worker(new URL('./sync.js', import.meta.url), { workerData: syncData });
  const sender = new Worker(new URL('./sender.js', import.meta.url), { workerData: senderData });
  workers = [sync, sender];
  await new Promise((resolve) => sender.once('message', resolve));
  proposer = new Proposer(memory, settings.depth, settings.batchBytesMax);
  const stop = cursorOf(memory, 'stop');
  void proposer.run(() => stop.load() !== 0);
}

function pipeSample(args: { latencies?: boolean }): NodeSample {
  const read = (name: 'syncs' | 'batches' | 'rawBytes' | 'storedBytes'): number =>
    cursorOf(memory!, name).load();
  const storedBytes = read('storedBytes');
  return {
    ...own(),
    ...load.report(args.latencies === true),
    entries: proposer!.committed,
    digest: storedBytes,
    syncs: read('syncs'),
    bytesWritten: storedBytes,
    batches: read('batches'),
    rawBytes: read('rawBytes'),
    storedBytes,
    terms: 0,
  };
}

async function close(): Promise<void> {
  if (memory === undefined) return;
  const ended = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  cursorOf(memory, 'stop').store(1);
  for (const name of ['main', 'sync', 'sender'] as const) gateOf(memory, name).notify();
  await Promise.all(ended);
}

const own = serveParent({
  open,
  load: (settings: LoadSettings & DataSettings) =>
    load.start((bytes) => proposer!.propose(bytes), makePool(settings), settings),
  sample: pipeSample,
  stop: () => load.stop(),
  finish: () => load.finish(),
  close,
});
