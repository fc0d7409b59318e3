// The other threads of threads.test.ts. Imports the built files: Node 20 runs no TypeScript.
import { parentPort, workerData } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { RingConsumer, RingObserver, RingProducer } from '../../dist/ring/byte-ring.js';
import { Cursor } from '../../dist/ring/cursor.js';
import { Gate } from '../../dist/ring/gate.js';

/** Far beyond any stall of a loaded machine: a sleep this long is a lost wake-up. */
const LOST_MS = 15_000;
/** Bytes that the producer claims and does not use. */
const SPARE = 48;
const { role, region, memory, records, seed, index } = workerData;

/** Lengths that repeat from the seed on both sides; most small, some near the largest. */
function lengths() {
  const max = region.capacity / 2 - 8 - SPARE;
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const small = 8 + (state >>> 24);
    return state % 50 === 0 ? Math.max(small, (state >>> 8) % max) : small;
  };
}

function gates() {
  return { data: new Gate(memory, 0), room: new Gate(memory, Gate.BYTES) };
}

function produce() {
  const producer = new RingProducer(region);
  const { data, room } = gates();
  const nextLength = lengths();
  let length = 0;
  const hasRoom = () => producer.fits(length + SPARE);
  const claim = () => {
    while (!producer.claim(length + SPARE)) {
      if (!room.sleep(hasRoom, LOST_MS)) return false;
    }
    return true;
  };
  for (let sequence = 0; sequence < records; sequence++) {
    length = nextLength();
    if (!claim()) return { lost: 'room', sequence };
    if (sequence % 17 === 0) {
      producer.bytes.fill(0xee, producer.offset, producer.offset + length + SPARE);
      producer.abandon();
      if (!claim()) return { lost: 'room', sequence };
    }
    const { bytes, offset } = producer;
    bytes.fill(sequence & 0xff, offset + 8, offset + length);
    bytes.writeUInt32LE(sequence, offset);
    bytes.writeUInt32LE(crc32(bytes.subarray(offset + 8, offset + length), sequence), offset + 4);
    producer.publish(length);
    data.notify();
  }
  return { records };
}

function checked(bytes, offset, length, sequence) {
  const sum = crc32(bytes.subarray(offset + 8, offset + length), sequence);
  return bytes.readUInt32LE(offset) === sequence && bytes.readUInt32LE(offset + 4) === sum;
}

function consume() {
  const consumer = new RingConsumer(region, index);
  const { data, room } = gates();
  const nextLength = lengths();
  const hasData = () => consumer.pending();
  for (let sequence = 0; sequence < records; ) {
    for (let batch = 0; batch < 16 && consumer.poll(); batch++) {
      if (consumer.length !== nextLength()) return { wrong: 'length', sequence };
      if (!checked(consumer.bytes, consumer.offset, consumer.length, sequence))
        return { wrong: 'bytes', sequence };
      sequence++;
    }
    consumer.release();
    room.notify();
    if (sequence < records && !data.sleep(hasData, LOST_MS)) return { lost: 'data', sequence };
  }
  return { records };
}

/** Reads along without holding anybody; every copy that holds must be right. */
function observe() {
  const observer = new RingObserver(region);
  const copy = Buffer.alloc(region.capacity);
  let kept = 0;
  let thrownAway = 0;
  let seen = -1;
  const stopped = new Int32Array(memory, 2 * Gate.BYTES, 1);
  for (;;) {
    // Asked before the poll: what was published before the stop is still read.
    const last = Atomics.load(stopped, 0) === 1;
    if (!observer.poll()) {
      if (last) return { kept, thrownAway, overruns: observer.overruns };
      continue;
    }
    observer.bytes.copy(copy, 0, observer.offset, observer.offset + observer.length);
    if (!observer.holds(observer.position)) {
      thrownAway++;
      continue;
    }
    const sequence = copy.readUInt32LE(0);
    if (sequence <= seen) return { wrong: 'order', sequence, seen };
    if (!checked(copy, 0, observer.length, sequence)) return { wrong: 'bytes', sequence };
    seen = sequence;
    kept++;
  }
}

/** One side of a ping-pong: sleeps for every single answer. `index` 0 serves. */
async function pingPong(onLoop) {
  const own = new Gate(memory, index * Gate.BYTES);
  const peer = new Gate(memory, (1 - index) * Gate.BYTES);
  const ownCount = new Cursor(memory, (2 + index) * Gate.BYTES);
  const peerCount = new Cursor(memory, (3 - index) * Gate.BYTES);
  for (let round = 1; round <= records; round++) {
    if (index === 0) {
      ownCount.store(round);
      peer.notify();
    }
    const answered = () => peerCount.load() >= round;
    while (!answered()) {
      if (!onLoop) {
        if (!own.sleep(answered, LOST_MS) && !answered()) return { lost: 'ping', round };
        continue;
      }
      const began = process.hrtime.bigint();
      const late = setTimeout(() => own.kick(), LOST_MS);
      await own.sleepAsync(answered);
      clearTimeout(late);
      if (process.hrtime.bigint() - began > BigInt(LOST_MS) * 1_000_000n) return { lost: 'ping', round };
    }
    if (index === 1) {
      ownCount.store(round);
      peer.notify();
    }
  }
  return { rounds: records };
}

const roles = {
  produce,
  consume,
  observe,
  pingPong: () => pingPong(false),
  pingPongOnLoop: () => pingPong(true),
};
// A referenced handle: a sleeping gate keeps no worker alive.
const alive = setInterval(() => {}, 60_000);
parentPort.postMessage(await roles[role]());
clearInterval(alive);
