import { BatchKind, Codec } from '../../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, writeBatchHead } from '../../codec/batch.js';
import { packEntry, packedEntryBytes } from '../../codec/entries.js';
import { RingProducer } from '../../ring/byte-ring.js';
import type { Cursor } from '../../ring/cursor.js';
import type { Gate } from '../../ring/gate.js';
import { afterEvents, batchRoom, cursorOf, gateOf, type PipeMemory } from './memory.js';

const BATCH_ENTRIES_MAX = 16_384;

type Resolve = (index: number) => void;

/** The pipe's main thread: one promise per entry, copied once into shared memory; resolved when two of three have synced. */
export class Proposer {
  committed = 0;
  readonly #ring: RingProducer;
  readonly #gates: { main: Gate; sender: Gate };
  readonly #own: Cursor;
  readonly #followers: readonly [Cursor, Cursor];
  readonly #batchBytesMax: number;
  readonly #depth: number;
  /** Bytes and waiters of the open batch, which stands in its slot of the ring already. */
  #length = 0;
  #waiters: Resolve[] = [];
  /** Sealed and not covered by two syncs, oldest first. */
  readonly #uncommitted: { lastIndex: number; waiters: Resolve[] }[] = [];
  #lastIndex = 0;

  constructor(memory: PipeMemory, depth: number, batchBytesMax: number) {
    this.#ring = new RingProducer(memory.rings.proposals);
    this.#gates = { main: gateOf(memory, 'main'), sender: gateOf(memory, 'sender') };
    this.#own = cursorOf(memory, 'synced');
    this.#followers = [cursorOf(memory, 'acked0'), cursorOf(memory, 'acked1')];
    this.#depth = depth;
    this.#batchBytesMax = batchBytesMax;
  }

  propose(bytes: Buffer): Promise<number> {
    return new Promise((resolve) => this.#add(bytes, resolve));
  }

  async run(stopped: () => boolean): Promise<void> {
    const look = (): boolean => this.#due() > this.committed || this.#sealable() || stopped();
    while (!stopped()) {
      if (this.#turn()) await afterEvents();
      else await this.#gates.main.sleepAsync(look);
    }
  }

  #add(bytes: Buffer, resolve: Resolve): void {
    const packed = packedEntryBytes(bytes.length, false);
    const full = this.#length + packed > this.#batchBytesMax || this.#waiters.length >= BATCH_ENTRIES_MAX;
    if (this.#waiters.length > 0 && full) this.#seal();
    if (this.#waiters.length === 0 && !this.#ring.claim(batchRoom(Math.max(this.#batchBytesMax, packed)))) {
      throw new Error('pipe: the ring is full; lower --concurrency');
    }
    const start = this.#ring.offset + BATCH_PAYLOAD_OFFSET;
    this.#length = packEntry(this.#ring.bytes, start + this.#length, bytes) - start;
    this.#waiters.push(resolve);
    // The first of a batch may have come while the thread slept.
    if (this.#waiters.length === 1) this.#gates.main.kick();
  }

  #seal(): void {
    const count = this.#waiters.length;
    const form = {
      formatVersion: 1,
      group: 1,
      kind: BatchKind.Data,
      flags: 0,
      term: 1,
      prevTerm: 1,
      codec: Codec.None,
    };
    const rawLength = this.#length;
    const byteLength = BATCH_PAYLOAD_OFFSET + rawLength;
    const sizes = { rawLength, byteLength, checksum: 0, leaderTimeMs: 0 };
    const firstIndex = this.#lastIndex + 1;
    writeBatchHead(this.#ring.bytes, this.#ring.offset, { ...form, ...sizes, firstIndex, count });
    this.#ring.publish(byteLength);
    this.#lastIndex += count;
    this.#uncommitted.push({ lastIndex: this.#lastIndex, waiters: this.#waiters });
    this.#waiters = [];
    this.#length = 0;
    this.#gates.sender.notify();
  }

  #sealable(): boolean {
    return this.#waiters.length > 0 && this.#uncommitted.length < this.#depth;
  }

  /** Own sync and at least one follower's. */
  #due(): number {
    const [first, second] = this.#followers;
    return Math.min(this.#own.load(), Math.max(first.load(), second.load()));
  }

  #turn(): boolean {
    const due = this.#due();
    let done = 0;
    while (done < this.#uncommitted.length && this.#uncommitted[done]!.lastIndex <= due) {
      const { waiters } = this.#uncommitted[done]!;
      for (let at = 0; at < waiters.length; at++) waiters[at]!(this.committed + 1 + at);
      this.committed += waiters.length;
      done++;
    }
    if (done > 0) this.#uncommitted.splice(0, done);
    const sealable = this.#sealable();
    if (sealable) this.#seal();
    return done > 0 || sealable;
  }
}
