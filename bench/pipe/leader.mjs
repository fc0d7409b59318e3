import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { BATCH_PAYLOAD_OFFSET, writeBatchHead } from '../../dist/codec/batch.js';
import { packEntry, packedEntryBytes } from '../../dist/codec/entries.js';
import { RingProducer } from '../../dist/ring/byte-ring.js';
import { ownSample, serveParent } from '../child.mjs';
import { makePool } from '../data.mjs';
import { ClosedLoop } from '../load.mjs';
import { afterEvents, batchRoom, createPipeMemory, cursorOf, gateOf } from './memory.mjs';

/** The pipe's main thread: one promise per entry, copied once into shared memory; resolved when two of three have synced. */
const BATCH_ENTRIES_MAX = 16_384;
const SLEEP_MS = 1000;

class Pipe {
  #ring;
  #gates;
  #cursors;
  #batchBytesMax;
  #depth;
  /** Bytes and waiters of the open batch, which stands in its slot of the ring already. */
  #length = 0;
  #waiters = [];
  /** Sealed and not covered by two syncs, oldest first. */
  #uncommitted = [];
  #lastIndex = 0;
  committed = 0;

  constructor(memory, { depth, batchBytesMax }) {
    this.#ring = new RingProducer(memory.rings.proposals);
    this.#gates = { main: gateOf(memory, 'main'), sender: gateOf(memory, 'sender') };
    this.#cursors = ['synced', 'acked0', 'acked1'].map((name) => cursorOf(memory, name));
    this.#depth = depth;
    this.#batchBytesMax = batchBytesMax;
  }

  propose(bytes) {
    return new Promise((resolve) => this.#add(bytes, resolve));
  }

  async run(stopped) {
    const look = () => this.#due() > this.committed || this.#sealable() || stopped();
    while (!stopped()) {
      if (this.#turn()) await afterEvents();
      else await this.#gates.main.sleepAsync(look, SLEEP_MS);
    }
  }

  #add(bytes, resolve) {
    const packed = packedEntryBytes(bytes.length, false);
    const full = this.#length + packed > this.#batchBytesMax || this.#waiters.length >= BATCH_ENTRIES_MAX;
    if (this.#waiters.length > 0 && full) this.#seal();
    if (this.#waiters.length === 0 && !this.#ring.claim(batchRoom(Math.max(this.#batchBytesMax, packed)))) {
      throw new Error('pipe: the ring is full; lower --outstanding');
    }
    const start = this.#ring.offset + BATCH_PAYLOAD_OFFSET;
    this.#length = packEntry(this.#ring.bytes, start + this.#length, bytes) - start;
    this.#waiters.push(resolve);
  }

  #seal() {
    const count = this.#waiters.length;
    const form = { formatVersion: 1, group: 1, kind: 1, flags: 0, term: 1, prevTerm: 1, codec: 0 };
    const rawLength = this.#length;
    const byteLength = BATCH_PAYLOAD_OFFSET + rawLength;
    const sizes = { rawLength, byteLength, checksum: 0, leaderTimeMs: Date.now() };
    const firstIndex = this.#lastIndex + 1;
    writeBatchHead(this.#ring.bytes, this.#ring.offset, { ...form, ...sizes, firstIndex, count });
    this.#ring.publish(byteLength);
    this.#lastIndex += count;
    this.#uncommitted.push({ lastIndex: this.#lastIndex, waiters: this.#waiters });
    this.#waiters = [];
    this.#length = 0;
    this.#gates.sender.notify();
  }

  #sealable() {
    return this.#waiters.length > 0 && this.#uncommitted.length < this.#depth;
  }

  /** Own sync and at least one follower's. */
  #due() {
    const [own, first, second] = this.#cursors;
    return Math.min(own.load(), Math.max(first.load(), second.load()));
  }

  #turn() {
    const due = this.#due();
    let done = 0;
    while (done < this.#uncommitted.length && this.#uncommitted[done].lastIndex <= due) {
      const { waiters } = this.#uncommitted[done];
      for (let at = 0; at < waiters.length; at++) waiters[at](this.committed + 1 + at);
      this.committed += waiters.length;
      done++;
    }
    if (done > 0) this.#uncommitted.splice(0, done);
    const sealable = this.#sealable();
    if (sealable) this.#seal();
    return done > 0 || sealable;
  }
}

const memory = createPipeMemory();
const stop = cursorOf(memory, 'stop');
const counters = ['syncs', 'batches', 'rawBytes', 'storedBytes'].map((name) => [
  name,
  cursorOf(memory, name),
]);
let pipe;
let loop;
let workers = [];

const { rssMax } = serveParent({
  async open({ directory, ports, depth, batchBytesMax, compression }) {
    const sync = new Worker(new URL('./sync.mjs', import.meta.url), {
      workerData: { memory, file: join(directory, 'pipe'), wakes: ['main'] },
    });
    const sender = new Worker(new URL('./sender.mjs', import.meta.url), {
      workerData: { memory, ports, depth, batchBytesMax, compression },
    });
    workers = [sync, sender];
    await new Promise((resolve) => sender.once('message', resolve));
    pipe = new Pipe(memory, { depth, batchBytesMax });
    void pipe.run(() => stop.load() !== 0);
  },
  load({ payload, seed, outstanding }) {
    const pool = makePool({ payload, seed });
    loop = new ClosedLoop({ propose: (bytes) => pipe.propose(bytes), pool, outstanding });
    loop.start();
    gateOf(memory, 'main').notify();
  },
  sample({ latencies }) {
    const sample = { ...ownSample(), entries: pipe.committed, rssMax: rssMax(), overloaded: 0 };
    for (const [name, cursor] of counters) sample[name] = cursor.load();
    sample.digest = sample.storedBytes;
    sample.failure = loop?.failure?.stack;
    if (latencies === 'report') sample.latencies = loop?.latencies();
    loop?.forgetLatencies();
    return sample;
  },
  async stop() {
    loop.stop();
    await loop.ended;
    if (loop.failure !== undefined) throw loop.failure;
    return { completed: loop.completed };
  },
  async close() {
    const ended = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    stop.store(1);
    for (const name of ['main', 'sync', 'sender']) gateOf(memory, name).notify();
    await Promise.all(ended);
  },
});
