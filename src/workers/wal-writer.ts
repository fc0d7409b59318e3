import { assert } from '../base/assert.js';
import type { OrderId } from '../base/ids.js';
import { readBatchHeader } from '../codec/batch.js';
import { decodeConfiguration } from '../codec/configuration.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Cursor } from '../ring/cursor.js';
import type { SnapshotMark } from '../wal/group-log.js';
import type { Wal } from '../wal/wal.js';
import type { Program } from './program.js';
import { orderCodec } from './records.js';

type Order = ReturnType<typeof orderCodec.read>;

/** Bytes that one writev and one sync take at most: bounds how long the next batch waits. */
const FLUSH_BYTES_MAX = 8 * 1024 * 1024;
/** Written and not synced for so long is enough (durability `os`), ms. */
const UNSYNCED_MS_MAX = 500;
/** Records that one writev takes at most. */
const FLUSH_RECORDS_MAX = 1024;

export interface WalWriterPorts {
  wal: Wal;
  orders: RingConsumer;
  /** Own batches, from the encoder. */
  batches: RingConsumer;
  /** Of further encoders: own batches stand in the rings in turn, in the order of main's orders. Default: none. */
  moreBatches?: readonly RingConsumer[];
  /** Batches of leaders, from the receiver. */
  received: RingConsumer;
  durable: Cursor;
  /** Publishes counters and whether a spare segment is wanted; called after each flush. */
  report: (wal: Wal) => void;
  /** More is durable than `before`: wakes those who wait for that. */
  tell: (before: OrderId) => void;
  /** A ring was crowded: wakes those who may wait for room in it. */
  wake: () => void;
}

/**
 * Executes main's orders, strictly in their order: stages whatever waits, writes it with one writev and makes it
 * durable with one sync (group commit needs no timer: what arrives during a sync goes with the next).
 */
export class WalWriter implements Program {
  readonly name = 'wal-writer';
  readonly #ports: WalWriterPorts;
  /** An order taken from the ring whose batch the encoder has not published yet. */
  #waiting: Order | undefined;
  /** The newest order staged; becomes `#flushing` when a flush takes it. */
  #staged: OrderId = 0;
  #flushing: OrderId = 0;
  readonly #batches: readonly RingConsumer[];
  /** Own batches taken from the rings. */
  #ownTaken = 0;
  /** How far the rings may be given back once the flush in flight is written. */
  readonly #batchesEnd: number[];
  #receivedEnd = 0;
  /** When something was acknowledged that was only written; undefined when all is synced. Only with durability `os`. */
  #unsyncedSinceMs: number | undefined;

  constructor(ports: WalWriterPorts) {
    this.#ports = ports;
    this.#batches = [ports.batches, ...(ports.moreBatches ?? [])];
    this.#batchesEnd = this.#batches.map(() => 0);
  }

  poll(nowMs = 0): boolean {
    this.#syncBehind(nowMs);
    const advanced = this.#advance();
    const staged = this.#stage();
    const { wal } = this.#ports;
    if (this.#flushing === 0 && wal.stagedRecords > 0 && wal.flush()) {
      this.#flushing = this.#staged;
      this.#advance();
      return true;
    }
    return advanced || staged;
  }

  close(): void {
    // Whoever ends in order loses nothing.
    if (this.#flushing === 0) this.#ports.wal.syncWritten();
    this.#ports.wal.close();
  }

  /** What the system has taken is synced now and then, so that a loss of power costs little. */
  #syncBehind(nowMs: number): void {
    const { wal } = this.#ports;
    if (this.#flushing !== 0) return;
    if (!wal.hasUnsynced) this.#unsyncedSinceMs = undefined;
    else if (this.#unsyncedSinceMs === undefined) this.#unsyncedSinceMs = nowMs;
    else if (nowMs - this.#unsyncedSinceMs >= UNSYNCED_MS_MAX) wal.syncWritten();
  }

  /** Moves the flush in flight on: first its ring slots come back, then its orders are durable. */
  #advance(): boolean {
    if (this.#flushing === 0) return false;
    const { wal, received, durable, tell, wake } = this.#ports;
    let moved = false;
    let crowded = false;
    for (;;) {
      const state = wal.poll();
      if (state !== 'written' && state !== 'durable') break;
      moved = true;
      crowded ||= received.crowded();
      for (const [at, batches] of this.#batches.entries()) {
        crowded ||= batches.crowded();
        batches.releaseTo(this.#batchesEnd[at]!);
      }
      received.releaseTo(this.#receivedEnd);
      if (state === 'written') continue;
      const before = durable.load();
      durable.store(this.#flushing);
      this.#flushing = 0;
      this.#ports.report(wal);
      tell(before);
      break;
    }
    if (crowded) wake();
    return moved;
  }

  /**
   * Stages orders while no flush is in flight (a flush takes all that is staged, and ring slots are given back by how
   * far staging has come).
   */
  #stage(): boolean {
    if (this.#flushing !== 0) return false;
    const { wal, orders } = this.#ports;
    let staged = false;
    while (wal.stagedBytes < FLUSH_BYTES_MAX && wal.stagedRecords < FLUSH_RECORDS_MAX) {
      if (this.#waiting === undefined) {
        if (!orders.poll()) break;
        const order = orderCodec.read(orders);
        // It is executed after its place in the ring has been given back.
        this.#waiting = order.body.length === 0 ? order : { ...order, body: Buffer.from(order.body) };
        orders.release();
      }
      if (!this.#execute(this.#waiting)) break;
      this.#waiting = undefined;
      staged = true;
    }
    return staged;
  }

  /** False: the batch that the order names is not there yet. */
  #execute(order: Order): boolean {
    const { wal, received } = this.#ports;
    switch (order.type) {
      case 'own': {
        const turn = this.#ownTaken % this.#batches.length;
        const batches = this.#batches[turn]!;
        if (!batches.poll()) return false;
        this.#ownTaken++;
        this.#stageBatch(order, batches);
        this.#batchesEnd[turn] = batches.end;
        break;
      }
      case 'received':
        assert(received.poll(), 'a batch ordered to be written stands in the receive ring');
        this.#stageBatch(order, received);
        this.#receivedEnd = received.end;
        break;
      case 'drop':
        assert(received.poll(), 'a batch ordered to be dropped stands in the receive ring');
        this.#receivedEnd = received.end;
        if (wal.stagedRecords === 0) {
          received.releaseTo(received.end);
          this.#ports.wake();
        }
        return true;
      case 'truncate':
        wal.stageTruncate(order.group, order.from);
        break;
      case 'hardState':
        wal.stageHardState(order.group, { term: order.term, vote: order.vote });
        break;
      case 'snapshot':
        wal.stageSnapshotMark(order.group, markOf(order));
        break;
    }
    this.#staged = order.order;
    return true;
  }

  #stageBatch(order: { group: number; firstIndex: number; term: number }, ring: RingConsumer): void {
    const header = readBatchHeader(ring.bytes, ring.offset);
    const same =
      header.group === order.group && header.firstIndex === order.firstIndex && header.term === order.term;
    assert(
      same,
      `the batch in the ring (${header.group}/${header.firstIndex}@${header.term}) is the ordered one`,
    );
    this.#ports.wal.stageBatch(order.group, ring.bytes.subarray(ring.offset, ring.offset + ring.length));
  }
}

function markOf(order: Extract<Order, { type: 'snapshot' }>): SnapshotMark {
  const { index, term, configurationIndex, configurationTerm, body: bytes } = order;
  const at = { index: configurationIndex, term: configurationTerm };
  const configuration = { ...at, bytes, configuration: decodeConfiguration(bytes) };
  return { index, term, keepsSuffix: order.keepsSuffix === 1, configuration };
}
