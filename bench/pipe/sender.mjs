import { parentPort, workerData } from 'node:worker_threads';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, writeBatchHead } from '../../dist/codec/batch.js';
import { loadCompression } from '../../dist/codec/compression.js';
import { RingConsumer, RingProducer } from '../../dist/ring/byte-ring.js';
import { GrpcTransport } from '../../dist/transport/grpc.js';
import { afterEvents, cursorOf, gateOf } from './memory.mjs';

/**
 * The pipe's encoder and network on one thread, as in the engine on two cores: compresses a batch once, gives it to the
 * sync thread and sends it to both followers, with `depth` messages in flight to each.
 */
const CODEC_LZ4 = 1;
/** Messages that may wait for a follower's window before the pipe as a whole waits for that follower. */
const UNSENT_MAX = 64;
const SLEEP_MS = 1000;

const { memory, ports, depth, batchBytesMax, compression } = workerData;
const lz4 = compression === 'lz4' ? loadCompression('auto') : undefined;
const proposals = new RingConsumer(memory.rings.proposals, 0);
const batches = new RingProducer(memory.rings.batches);
const gates = { own: gateOf(memory, 'sender'), sync: gateOf(memory, 'sync'), main: gateOf(memory, 'main') };
const stop = cursorOf(memory, 'stop');
const counters = {
  batches: cursorOf(memory, 'batches'),
  rawBytes: cursorOf(memory, 'rawBytes'),
  storedBytes: cursorOf(memory, 'storedBytes'),
};
const counted = { batches: 0, rawBytes: 0, storedBytes: 0 };
const transport = new GrpcTransport({
  messageBytesMax: batchBytesMax + 1024 * 1024,
  queuedBytesMax: 16 * 1024 * 1024,
});
const followers = ports.map((port, at) => connect(port, cursorOf(memory, `acked${at}`)));

function connect(port, acked) {
  const stream = transport.connect(`127.0.0.1:${port}`, 'append');
  const follower = { stream, acked, unsent: [], inflight: [] };
  stream.onMessage = (bytes) => {
    const index = Number(bytes.readBigUInt64LE(0));
    const { inflight } = follower;
    let done = 0;
    while (done < inflight.length && inflight[done] <= index) done++;
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

/** Stores the batch; no checksum. Returns its length. */
function encode() {
  const { bytes, offset, length } = proposals;
  const target = batches.bytes;
  const at = batches.offset;
  const rawLength = length - BATCH_PAYLOAD_OFFSET;
  const payload = bytes.subarray(offset + BATCH_PAYLOAD_OFFSET, offset + length);
  const room = target.subarray(at + BATCH_PAYLOAD_OFFSET, at + length);
  const stored = lz4 === undefined || rawLength < 256 ? 0 : lz4.compressLz4(payload, room);
  if (stored === 0) room.set(payload);
  const header = readBatchHeader(bytes, offset);
  if (stored > 0) header.codec = CODEC_LZ4;
  header.byteLength = BATCH_PAYLOAD_OFFSET + (stored || rawLength);
  writeBatchHead(target, at, header);
  counted.batches++;
  counted.rawBytes += length;
  counted.storedBytes += header.byteLength;
  return header;
}

function takeBatch() {
  if (followers.some(({ unsent }) => unsent.length >= UNSENT_MAX)) return false;
  if (!proposals.pending() || !batches.fits(BATCH_PAYLOAD_OFFSET + batchBytesMax) || !proposals.poll()) {
    return false;
  }
  batches.claim(proposals.length);
  const { byteLength, firstIndex, count } = encode();
  const from = batches.offset;
  batches.publish(byteLength);
  gates.sync.notify();
  proposals.release();
  // The slot is overwritten at the next claim at the earliest, and gRPC reads late: one copy for both followers.
  const message = Buffer.allocUnsafe(byteLength);
  batches.bytes.copy(message, 0, from, from + byteLength);
  for (const { unsent } of followers) unsent.push({ message, lastIndex: firstIndex + count - 1 });
  return true;
}

function send({ stream, unsent, inflight }) {
  let sent = 0;
  while (sent < unsent.length && inflight.length < depth && stream.send(unsent[sent].message)) {
    inflight.push(unsent[sent].lastIndex);
    sent++;
  }
  unsent.splice(0, sent);
  return sent > 0;
}

function poll() {
  let worked = false;
  for (let taken = 0; taken < 4 && takeBatch(); taken++) worked = true;
  for (const follower of followers) {
    if (follower.unsent.length > 0 && send(follower)) worked = true;
  }
  if (worked) for (const name of Object.keys(counters)) counters[name].store(counted[name]);
  return worked;
}

async function run() {
  const keepAlive = setInterval(() => {}, 60_000);
  const look = () => poll() || stop.load() !== 0;
  parentPort.postMessage('ready');
  while (stop.load() === 0) {
    if (poll()) await afterEvents();
    else await gates.own.sleepAsync(look, SLEEP_MS);
  }
  clearInterval(keepAlive);
  transport.close();
}

await run();
