import type { GroupId, OrderId } from '../base/ids.js';
import { type BatchHeader, BatchKind } from '../base/messages.js';
import type { ProposedBatch, Ready } from '../core/ready.js';
import type { Hub } from './hub.js';
import type { Snapshots } from './snapshots.js';

type Order = Ready['orders'][number];

export interface OrdersParts {
  readonly group: GroupId;
  readonly hub: Hub;
  readonly snapshots: Snapshots | undefined;
  /** Puts a batch without data into the proposal ring. False: it is full. */
  readonly publishOwn: (batch: ProposedBatch) => boolean;
}

/** What the core of one group wants written, on its way to the log. */
export class Orders {
  readonly #parts: OrdersParts;
  readonly #numbers = new OrderMap();

  constructor(parts: OrdersParts) {
    this.#parts = parts;
  }

  /** The engine's number for a group's order; 0 when it is durable already. */
  globalOf(own: OrderId): OrderId {
    return this.#numbers.globalOf(own);
  }

  /** The group's newest order that is durable now, or 0 when none became so. */
  durable(global: OrderId): OrderId {
    return this.#numbers.durable(global);
  }

  /** `received`: heads of batches that stand in the receive ring, in order; each is written or dropped, in order. */
  give(orders: readonly Order[], received: readonly BatchHeader[]): void {
    const { group, hub } = this.#parts;
    let taken = 0;
    for (const order of orders) {
      if (order.type === 'append') {
        while (received[taken] !== order.header) {
          hub.order({ type: 'drop', group });
          taken++;
        }
        taken++;
      }
      this.#give(order);
    }
    for (; taken < received.length; taken++) hub.order({ type: 'drop', group });
  }

  #give(order: Order): void {
    const { group, hub, snapshots, publishOwn } = this.#parts;
    const global = hub.nextOrder();
    this.#numbers.add(order.id, global);
    switch (order.type) {
      case 'own': {
        const { batch } = order;
        if (batch.kind !== BatchKind.Data) hub.inOrder(() => publishOwn(batch));
        const { firstIndex, term } = batch;
        hub.order({ type: 'own', order: global, group, firstIndex, term });
        break;
      }
      case 'append': {
        const { firstIndex, term } = order.header;
        hub.order({ type: 'received', order: global, group, firstIndex, term });
        break;
      }
      case 'truncate':
        hub.order({ type: 'truncate', order: global, group, from: order.from });
        break;
      case 'hardState': {
        const { term, vote } = order.hardState;
        hub.order({ type: 'hardState', order: global, group, term, vote });
        break;
      }
      case 'snapshot':
        snapshots?.order(order, global);
        break;
    }
  }
}

/** Maps a group's own order numbers to engine-wide ones, until they are durable. */
export class OrderMap {
  /** Pairs of (group's, engine's), ascending in both. */
  #pending: { own: OrderId; global: OrderId }[] = [];
  #head = 0;

  add(own: OrderId, global: OrderId): void {
    this.#pending.push({ own, global });
  }

  /** The engine's number for a group's order; 0 when it is durable already. */
  globalOf(own: OrderId): OrderId {
    for (let at = this.#pending.length - 1; at >= this.#head; at--) {
      const pair = this.#pending[at]!;
      if (pair.own === own) return pair.global;
      if (pair.own < own) break;
    }
    return 0;
  }

  /** The group's newest order that is durable now, or 0 when none became so. */
  durable(global: OrderId): OrderId {
    let own = 0;
    while (this.#head < this.#pending.length && this.#pending[this.#head]!.global <= global) {
      own = this.#pending[this.#head]!.own;
      this.#head++;
    }
    if (this.#head > 256 || this.#head === this.#pending.length) {
      this.#pending.splice(0, this.#head);
      this.#head = 0;
    }
    return own;
  }
}
