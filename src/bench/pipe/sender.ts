import { parentPort, workerData } from 'node:worker_threads';
import { copyBytes } from '../../base/copy.js';
import type { BatchHeader } from '../../base/messages.js';
import { Codec } from '../../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, writeBatchHead } from '../../codec/batch.js';
import { loadCompression } from '../../codec/compression.js';
import { RingConsumer, RingProducer } from '../../ring/byte-ring.js';
import type { Cursor } from '../../ring/cursor.js';
import { GrpcTransport } from '../../transport/grpc.js';
import type { MessageStream } from '../../transport/transport.js';
import { afterEvents, cursorOf, gateOf, type PipeMemory } from './memory.js';

/**
 * The pipe's encoder and network on one thread, as in the engine on two cores: compresses a batch once, gives it to the
 * sync thread and sends it to both followers, with `depth` messages in flight to each.
 */
export interface SenderSettings {
  memory: PipeMemory;
  addresses: readonly string[];
  depth: number;
  batchBytesMax: number;
  compression: 'lz4' | 'none';
}

/** Messages that may wait for a follower's window before the pipe as a whole waits for that follower. */
const UNSENT_MAX = 64;
const SLEEP_MS = 1000;
/** As the engine's: smaller batches are not compressed. */
const COMPRESSED_BYTES_MIN = 256;

interface Follower {
  stream: MessageStream;
  acked: Cursor;
  unsent: { message: Buffer; lastIndex: number }[];
  /** Last indexes of the messages in flight, ascending. */
  inflight: number[];
}

const { memory, addresses, depth, batchBytesMax, compression } = workerData as SenderSettings;
const lz4 = compression === 'lz4' ? loadCompression('auto') : undefined;
const proposals = new RingConsumer(memory.rings.proposals, 0);
const batches = new RingProducer(memory.rings.batches);
const gates = { own: gateOf(memory, 'sender'), sync: gateOf(memory, 'sync'), main: gateOf(memory, 'main') };
const stop = cursorOf(memory, 'stop');
const COUNTED = ['batches', 'rawBytes', 'storedBytes'] as const;
const counters = COUNTED.map((name) => ({ name, cursor: cursorOf(memory, name) }));
const counted = { batches: 0, rawBytes: 0, storedBytes: 0 };
const transport = new GrpcTransport({
  messageBytesMax: batchBytesMax + 1024 * 1024,
  queuedBytesMax: Math.max(16 * 1024 * 1024, 2 * depth * batchBytesMax),
});
const followers = addresses.map((address, at) =>
  connect(address, cursorOf(memory, at === 0 ? 'acked0' : 'acked1')),
);

function connect(address: string, acked: Cursor): Follower {
  const stream = transport.connect(address, 'append');
  const follower: Follower = { stream, acked, unsent: [], inflight: [] };
  stream.onMessage = (bytes) => {
    const index = Number(bytes.readBigUInt64LE(0));
    const { inflight } = follower;
    let done = 0;
    while (done < inflight.length && inflight[done]! <= index) done++;
    inflight.splice(0, done);
    acked.store(index);
    gates.main.notify();
    gates.own.kick();
  };
  stream.onClose = (cause) => {
    if (stop.load() === 0) throw cause;
  };
  return follower;
}

/** Stores the batch; no checksum. */
function encode(): BatchHeader {
  const { bytes, offset, length } = proposals;
  const target = batches.bytes;
  const at = batches.offset;
  const rawLength = length - BATCH_PAYLOAD_OFFSET;
  const payload = bytes.subarray(offset + BATCH_PAYLOAD_OFFSET, offset + length);
  const room = target.subarray(at + BATCH_PAYLOAD_OFFSET, at + length);
  const stored = lz4 === undefined || rawLength < COMPRESSED_BYTES_MIN ? 0 : lz4.compressLz4(payload, room);
  if (stored === 0) copyBytes(payload, room, 0);
  const codec = stored > 0 ? Codec.Lz4 : Codec.None;
  const byteLength = BATCH_PAYLOAD_OFFSET + (stored || rawLength);
  const header = { ...readBatchHeader(bytes, offset), codec, byteLength };
  writeBatchHead(target, at, header);
  counted.batches++;
  counted.rawBytes += length;
  counted.storedBytes += header.byteLength;
  return header;
}

function takeBatch(): boolean {
  if (followers.some(({ unsent }) => unsent.length >= UNSENT_MAX)) return false;
  const room = BATCH_PAYLOAD_OFFSET + batchBytesMax;
  if (!proposals.pending() || !batches.fits(room) || !proposals.poll()) return false;
  batches.claim(proposals.length);
  const { byteLength, firstIndex, count } = encode();
  const from = batches.offset;
  batches.publish(byteLength);
  gates.sync.notify();
  proposals.release();
  // The slot is overwritten at the next claim at the earliest, and gRPC reads late: one copy for both followers.
  const message = Buffer.allocUnsafe(byteLength);
  copyBytes(batches.bytes.subarray(from, from + byteLength), message, 0);
  for (const { unsent } of followers) unsent.push({ message, lastIndex: firstIndex + count - 1 });
  return true;
}

function send({ stream, unsent, inflight }: Follower): boolean {
  let sent = 0;
  while (sent < unsent.length && inflight.length < depth && stream.send(unsent[sent]!.message)) {
    inflight.push(unsent[sent]!.lastIndex);
    sent++;
  }
  unsent.splice(0, sent);
  return sent > 0;
}

function poll(): boolean {
  let worked = false;
  for (let taken = 0; taken < 4 && takeBatch(); taken++) worked = true;
  for (const follower of followers) {
    if (follower.unsent.length > 0 && send(follower)) worked = true;
  }
  if (worked) for (const { name, cursor } of counters) cursor.store(counted[name]);
  return worked;
}

async function run(): Promise<void> {
  const looks = setInterval(() => gates.own.kick(), SLEEP_MS);
  const look = (): boolean => poll() || stop.load() !== 0;
  parentPort?.postMessage('ready');
  while (stop.load() === 0) {
    await (gates.own.sleepAsync(look) ?? afterEvents());
  }
  clearInterval(looks);
  transport.close();
}

await run();
