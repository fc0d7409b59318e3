import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import type { Compressor } from '../codec/compressor.js';
import { encodeBatch, encodedBytesMax } from '../codec/encoder.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Cursor } from '../ring/cursor.js';
import type { RingProducer } from '../ring/producer.js';
import type { Program } from './program.js';

/** Batches that one poll encodes at most, and payload, unless one batch alone is larger: its neighbours on the thread, heartbeats among them, get their turn. */
const BATCHES_PER_POLL = 4;
const BYTES_PER_POLL = 1024 * 1024;

/** Which batches are this encoder's: those whose number, counted from 0 over all that are proposed, leaves `at` when divided by `of`. */
export interface Share {
  readonly at: number;
  readonly of: number;
}

export interface EncoderPorts {
  /** Default: all. */
  share?: Share;
  proposals: RingConsumer;
  batches: RingProducer;
  /** Undefined: batches are stored as they are. */
  compressor: Compressor | undefined;
  counters: {
    batches: Cursor;
    compressions: Cursor;
    compressed: Cursor;
    rawBytes: Cursor;
    storedBytes: Cursor;
  };
  /** Wakes the wal-writer and the replicators. */
  wake: () => void;
  /** Wakes main, which may have been waiting for room in the ring of proposals. */
  wakeMain: () => void;
}

/**
 * Makes a batch's bytes, once in the whole cluster: compresses, adds the checksum, publishes in proposal order. Several encoders take
 * batches in turn and publish in a ring each; whoever reads them takes the rings in the same turn.
 */
export class Encoder implements Program {
  readonly name = 'encoder';
  readonly #ports: EncoderPorts;
  /** The proposal polled last still waits for room in the batch ring. */
  #waiting = false;
  readonly #share: Share;
  /** Proposals polled. */
  #polled = 0;
  #batches = 0;
  #rawBytes = 0;
  #storedBytes = 0;

  constructor(ports: EncoderPorts) {
    this.#ports = ports;
    this.#share = ports.share ?? { at: 0, of: 1 };
  }

  poll(): boolean {
    const { proposals } = this.#ports;
    let encoded = 0;
    let passed = 0;
    let crowded = false;
    const upTo = this.#rawBytes + BYTES_PER_POLL;
    while (encoded < BATCHES_PER_POLL && this.#rawBytes < upTo) {
      if (!this.#waiting && !proposals.poll()) break;
      crowded ||= proposals.crowded();
      if (!this.#waiting && !this.#isMine()) {
        proposals.release();
        passed++;
        continue;
      }
      this.#waiting = !this.#encode(proposals);
      if (this.#waiting) break;
      encoded++;
    }
    if (encoded + passed === 0) return false;
    if (encoded > 0) {
      this.#count();
      this.#ports.wake();
    }
    if (crowded) this.#ports.wakeMain();
    return true;
  }

  close(): void {}

  /** Whether the proposal polled just now is to be encoded here. */
  #isMine(): boolean {
    const { at, of } = this.#share;
    return this.#polled++ % of === at;
  }

  /** False: the batch ring is full; the proposal keeps its slot and main feels the back-pressure in its ring. */
  #encode(proposals: RingConsumer): boolean {
    const { batches, compressor } = this.#ports;
    const rawLength = proposals.length - BATCH_PAYLOAD_OFFSET;
    if (!batches.claim(encodedBytesMax(rawLength))) return false;
    const length = encodeBatch(proposals.bytes, proposals.offset, batches.bytes, batches.offset, compressor);
    batches.publish(length);
    proposals.release();
    this.#batches++;
    this.#rawBytes += proposals.length;
    this.#storedBytes += length;
    return true;
  }

  #count(): void {
    const { counters, compressor } = this.#ports;
    counters.batches.store(this.#batches);
    counters.compressions.store(compressor?.compressions ?? 0);
    counters.compressed.store(compressor?.kept ?? 0);
    counters.rawBytes.store(this.#rawBytes);
    counters.storedBytes.store(this.#storedBytes);
  }
}
