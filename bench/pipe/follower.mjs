import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { readBatchHeader } from '../../dist/codec/batch.js';
import { RingProducer } from '../../dist/ring/byte-ring.js';
import { GrpcTransport } from '../../dist/transport/grpc.js';
import { ownSample, serveParent } from '../child.mjs';
import { createPipeMemory, cursorOf, gateOf } from './memory.mjs';

/** A follower of the pipe: receives on this thread, syncs on another, and says how far once it is synced. */
const SLEEP_MS = 1000;

const memory = createPipeMemory();
const ring = new RingProducer(memory.rings.batches);
const gates = { main: gateOf(memory, 'main'), sync: gateOf(memory, 'sync') };
const synced = cursorOf(memory, 'synced');
const syncs = cursorOf(memory, 'syncs');
const stop = cursorOf(memory, 'stop');
let transport;
let worker;
let received = 0;
let receivedBytes = 0;

function take(bytes) {
  if (!ring.claim(bytes.length)) throw new Error('pipe: a follower received more than its window');
  ring.bytes.set(bytes, ring.offset);
  ring.publish(bytes.length);
  gates.sync.notify();
  const { firstIndex, count } = readBatchHeader(bytes, 0);
  if (firstIndex !== received + 1)
    throw new Error(`pipe: expected index ${received + 1}, received ${firstIndex}`);
  received += count;
  receivedBytes += bytes.length;
}

async function acknowledge(stream) {
  let told = 0;
  const look = () => synced.load() !== told || stop.load() !== 0;
  while (stop.load() === 0) {
    const now = synced.load();
    if (now !== told) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(now));
      stream.send(bytes);
      told = now;
    }
    await gates.main.sleepAsync(look, SLEEP_MS);
  }
}

const { rssMax } = serveParent({
  async open({ directory, batchBytesMax }) {
    worker = new Worker(new URL('./sync.mjs', import.meta.url), {
      workerData: { memory, file: join(directory, 'pipe'), wakes: ['main'] },
    });
    transport = new GrpcTransport({
      messageBytesMax: batchBytesMax + 1024 * 1024,
      queuedBytesMax: 16 * 1024 * 1024,
    });
    const listener = await transport.listen('127.0.0.1:0', (_lane, stream) => {
      stream.onMessage = take;
      stream.onClose = () => {};
      void acknowledge(stream);
    });
    return { port: listener.port };
  },
  sample() {
    return {
      ...ownSample(),
      entries: synced.load(),
      digest: receivedBytes,
      rssMax: rssMax(),
      syncs: syncs.load(),
    };
  },
  async close() {
    stop.store(1);
    gates.sync.notify();
    gates.main.kick();
    transport?.close();
    if (worker !== undefined) await new Promise((resolve) => worker.once('exit', resolve));
  },
});
