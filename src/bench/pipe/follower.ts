import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { copyBytes } from '../../base/copy.js';
import { readBatchHeader } from '../../codec/batch.js';
import { RingProducer } from '../../ring/byte-ring.js';
import type { Cursor } from '../../ring/cursor.js';
import type { Gate } from '../../ring/gate.js';
import { GrpcTransport } from '../../transport/grpc.js';
import type { MessageStream } from '../../transport/transport.js';
import { serveParent } from '../child.js';
import type { NodeSample } from '../node.js';
import { createPipeMemory, cursorOf, gateOf, type PipeMemory } from './memory.js';
import type { SyncSettings } from './sync.js';

/** A follower of the pipe: receives on this thread, syncs on another, and says how far once it is synced. */
export interface PipeFollowerSettings {
  directory: string;
  batchBytesMax: number;
  windowBytes: number;
  durability: 'sync' | 'os';
}

class Follower {
  readonly #ring: RingProducer;
  readonly #gates: { main: Gate; sync: Gate };
  readonly #synced: Cursor;
  readonly #stop: Cursor;
  readonly #syncs: Cursor;
  readonly #transport: GrpcTransport;
  readonly #worker: Worker;
  #received = 0;
  #receivedBytes = 0;

  constructor(memory: PipeMemory, { directory, batchBytesMax, durability }: PipeFollowerSettings) {
    this.#ring = new RingProducer(memory.rings.batches);
    this.#gates = { main: gateOf(memory, 'main'), sync: gateOf(memory, 'sync') };
    this.#synced = cursorOf(memory, 'synced');
    this.#stop = cursorOf(memory, 'stop');
    this.#syncs = cursorOf(memory, 'syncs');
    const workerData: SyncSettings = { memory, file: join(directory, 'pipe'), wakes: ['main'], durability };
    this.#worker = new Worker(new URL('./sync.js', import.meta.url), { workerData });
    this.#transport = new GrpcTransport({
      messageBytesMax: batchBytesMax + 1024 * 1024,
      queuedBytesMax: 16 * 1024 * 1024,
    });
  }

  async listen(): Promise<{ port: number }> {
    const { port } = await this.#transport.listen('127.0.0.1:0', (_lane, stream) => {
      stream.onMessage = (bytes) => this.#take(bytes);
      stream.onClose = () => {};
      void this.#acknowledge(stream);
    });
    return { port };
  }

  sample(): Partial<NodeSample> {
    return { entries: this.#synced.load(), digest: this.#receivedBytes, syncs: this.#syncs.load() };
  }

  async close(): Promise<void> {
    this.#stop.store(1);
    this.#gates.sync.notify();
    this.#gates.main.kick();
    this.#transport.close();
    await new Promise((resolve) => this.#worker.once('exit', resolve));
  }

  #take(bytes: Buffer): void {
    if (!this.#ring.claim(bytes.length)) throw new Error('pipe: a follower received more than its window');
    copyBytes(bytes, this.#ring.bytes, this.#ring.offset);
    this.#ring.publish(bytes.length);
    this.#gates.sync.notify();
    const { firstIndex, count } = readBatchHeader(bytes, 0);
    if (firstIndex !== this.#received + 1)
      throw new Error(`pipe: expected index ${this.#received + 1}, received ${firstIndex}`);
    this.#received += count;
    this.#receivedBytes += bytes.length;
  }

  async #acknowledge(stream: MessageStream): Promise<void> {
    let told = 0;
    const look = (): boolean => this.#synced.load() !== told || this.#stop.load() !== 0;
    while (this.#stop.load() === 0) {
      const now = this.#synced.load();
      if (now !== told) {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(BigInt(now));
        stream.send(bytes);
        told = now;
      }
      await this.#gates.main.sleepAsync(look);
    }
  }
}

let follower: Follower | undefined;
const own = serveParent({
  open: (settings: PipeFollowerSettings) => {
    follower = new Follower(createPipeMemory(settings.windowBytes), settings);
    return follower.listen();
  },
  sample: () => ({ ...own(), ...follower!.sample() }),
  close: () => follower?.close(),
});
