import type { OrderId } from '../base/ids.js';
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
  outgoing: Outgoing;
  durable: Cursor;
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
  #wakeWal = false;
  #wakeNetwork = false;
  #wakeEncoder = false;

  constructor(parts: HubParts) {
    this.#parts = parts;
    this.slots = parts.slots;
    this.open = { bytes: 0, bytesMax: parts.openBytesMax };
  }

  get proposals(): RingProducer {
    return this.#parts.proposals;
  }

  get blocked(): boolean {
    return this.#parts.outgoing.blocked;
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
      this.#wakeWal = true;
      return orderCodec.push(this.#parts.orders, record);
    });
  }

  command(record: CommandRecord): void {
    this.#parts.outgoing.push(() => {
      // How far was applied is told with the next answer; nobody waits for it.
      if (record.type !== 'applied') this.#wakeNetwork = true;
      return commandCodec.push(this.#parts.commands, record);
    });
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

  /** True: nothing is blocked. */
  flush(): boolean {
    return this.#parts.outgoing.flush();
  }

  wake(): void {
    const { gates } = this.#parts;
    if (this.#wakeEncoder) for (const gate of gates.encoders) gate.notify();
    if (this.#wakeWal) gates.wal.notify();
    if (this.#wakeNetwork) gates.network.notify();
    this.#wakeEncoder = false;
    this.#wakeWal = false;
    this.#wakeNetwork = false;
  }
}
