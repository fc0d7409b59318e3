import type { GroupId, OrderId } from '../base/ids.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Cursor } from '../ring/cursor.js';
import type { Gate } from '../ring/gate.js';
import type { RingProducer } from '../ring/producer.js';
import { commandCodec, orderCodec } from '../workers/records.js';
import type { OpenBytes } from './open-batch.js';
import type { Attempt, Outgoing } from './outgoing.js';
import type { ProposalSlots } from './proposal-slots.js';

type OrderRecord = Parameters<typeof orderCodec.push>[1];
type CommandRecord = Parameters<typeof commandCodec.push>[1];

export interface HubParts {
  orders: RingProducer;
  commands: RingProducer;
  proposals: RingProducer;
  slots: ProposalSlots;
  /** The applier's side of the proposal ring. */
  slotRing: RingConsumer;
  /** What one group may hold of the proposal ring and still have others make room for it, bytes. */
  shareBytes: number;
  outgoing: Outgoing;
  durable: Cursor;
  /** The newest order that a command waits for in the network thread, or waited. */
  networkAwaits: Cursor;
  /** Batches that were encoded; undefined where several encoders count for themselves. */
  encoded: Cursor | undefined;
  /** What open batches may hold. */
  openBytesMax: number;
  gates: { wal: Gate; network: Gate; encoders: readonly Gate[] };
}

/**
 * Main's side of the rings, shared by its groups: hands orders and commands over in the order in which they were
 * decided, numbers the orders engine-wide, and wakes whom it has given something to do, once a turn.
 */
export class Hub {
  readonly slots: ProposalSlots;
  /** Batches that were published in the proposal ring. */
  sealed = 0;
  /** Of all groups. */
  readonly open: OpenBytes;
  readonly #parts: HubParts;
  #newestOrder: OrderId = 0;
  /** What `networkAwaits` is to say from the next wake on. */
  #networkAwaits: OrderId = 0;
  /** Something was given to the network thread that it may see when it is woken for an order. */
  #inCompany = false;
  /** A commit was told: who waits for it has time until what it lets happen here has happened. */
  #commitTold = false;
  #wakeWal = false;
  #wakeNetwork = false;
  #wakeEncoder = false;

  constructor(parts: HubParts) {
    this.#parts = parts;
    this.slots = parts.slots;
    this.open = { bytes: 0, kept: 0, bytesMax: parts.openBytesMax };
  }

  get proposals(): RingProducer {
    return this.#parts.proposals;
  }

  get blocked(): boolean {
    return this.#parts.outgoing.blocked;
  }

  /**
   * Claims room in the proposal ring. Where the ring is full, the oldest batches in it are let go, to be read back from the log when they are due:
   * those of other groups than `group`, if that one holds no more than its share. False: it is full.
   */
  claim(byteLength: number, group: GroupId, heldBytes: number): boolean {
    if (this.#parts.proposals.claim(byteLength)) return true;
    return this.#claimFull(byteLength, group, heldBytes < this.#parts.shareBytes);
  }

  /** As `claim`, for what everything else waits for: any group's batches are let go. */
  claimUrgent(byteLength: number): boolean {
    return this.#parts.proposals.claim(byteLength) || this.#claimFull(byteLength, 0, true);
  }

  /** `spared` 0: no group is. */
  #claimFull(byteLength: number, spared: GroupId, mayLetGo: boolean): boolean {
    const { proposals, slots } = this.#parts;
    // Batches that are nobody's any more, since leadership was lost.
    if (slots.release() && proposals.claim(byteLength)) return true;
    while (mayLetGo && slots.letGo(spared, proposals.holdsFrom())) {
      if (proposals.claim(byteLength)) return true;
    }
    return false;
  }

  /** The newest order on disk. */
  durable(): OrderId {
    return this.#parts.durable.load();
  }

  /** The newest order that was given a number. */
  get newestOrder(): OrderId {
    return this.#newestOrder;
  }

  /** The number of the next order. Orders reach the ring in the order of their numbers. */
  nextOrder(): OrderId {
    return ++this.#newestOrder;
  }

  order(record: OrderRecord): void {
    this.#parts.outgoing.push(() => {
      const pushed = orderCodec.push(this.#parts.orders, record);
      // The encoder wakes the log's thread for a batch that is still to come.
      if (!pushed || record.type !== 'own' || this.#allEncoded()) this.#wakeWal = true;
      return pushed;
    });
  }

  command(record: CommandRecord): void {
    this.#parts.outgoing.push(() => {
      const pushed = commandCodec.push(this.#parts.commands, record);
      if (pushed) this.#noteCommand(record);
      else this.#wakeNetwork = true;
      return pushed;
    });
  }

  /** The network thread is woken for what it can do something about now, and for nothing that it comes by in time. */
  #noteCommand(record: CommandRecord): void {
    switch (record.type) {
      case 'applied':
        // Told with the next answer; nobody waits for it.
        break;
      case 'commit':
        this.#commitTold = true;
        break;
      case 'feed':
        if (record.urgent === 0 && this.#networkAwaits > this.durable()) this.#inCompany = true;
        else this.#wakeNetwork = true;
        break;
      case 'appendReply':
      case 'control':
        if (record.after > this.durable()) {
          this.#networkAwaits = Math.max(this.#networkAwaits, record.after);
          this.#inCompany = true;
        } else this.#wakeNetwork = true;
        break;
      default:
        this.#wakeNetwork = true;
    }
  }

  /** Something else that needs room in a ring and must keep its place among orders and commands. */
  inOrder(attempt: Attempt): void {
    this.#parts.outgoing.push(attempt);
  }

  /** A sealed batch was published in the proposal ring: takes the applier's hold on it. */
  takeSlot(): RingConsumer {
    this.sealed++;
    this.#parts.slotRing.poll();
    this.#wakeEncoder = true;
    return this.#parts.slotRing;
  }

  /** Before a turn. True: nothing is blocked. */
  flush(): boolean {
    this.#hurryCommit();
    return this.#parts.outgoing.flush();
  }

  /** `anotherTurn`: one follows at once, in which something may be sealed that a commit index can travel with. */
  wake(anotherTurn = false): void {
    const { gates } = this.#parts;
    this.#tellAwaited();
    if (!anotherTurn) this.#hurryCommit();
    if (this.#wakeEncoder) for (const gate of gates.encoders) gate.notify();
    if (this.#wakeWal) gates.wal.notify();
    if (this.#wakeNetwork) gates.network.notify();
    this.#wakeEncoder = false;
    this.#wakeWal = false;
    this.#wakeNetwork = false;
  }

  #hurryCommit(): void {
    this.#wakeNetwork ||= this.#commitTold;
    this.#commitTold = false;
  }

  /** The order may have become durable before it was said that somebody waits for it: then nobody else wakes the network thread. */
  #tellAwaited(): void {
    if (!this.#inCompany) return;
    this.#inCompany = false;
    this.#parts.networkAwaits.store(this.#networkAwaits);
    if (this.#networkAwaits <= this.durable()) this.#wakeNetwork = true;
  }

  /** The encoder counts before it wakes: what it has not counted when an order was pushed it wakes for afterwards. */
  #allEncoded(): boolean {
    const { encoded } = this.#parts;
    return encoded === undefined || encoded.load() >= this.sealed;
  }
}
