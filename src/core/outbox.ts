import type { OrderId } from '../base/ids.js';
import type { Order, Outbound, ReadState, SessionCommand, SnapshotCommand } from './ready.js';

/** What a Ready takes over. */
interface Output {
  orders: Order[];
  messages: Outbound[];
  sessions: SessionCommand[];
  readStates: ReadState[];
  readsFailed: number[];
  snapshots: SnapshotCommand[];
}

/** What piles up between two calls of `ready()`. */
export class Outbox implements Output {
  orders: Order[] = [];
  messages: Outbound[] = [];
  sessions: SessionCommand[] = [];
  readStates: ReadState[] = [];
  readsFailed: number[] = [];
  snapshots: SnapshotCommand[] = [];
  #newestOrder: OrderId = 0;

  /** The newest order that was issued, also if it has been taken already; 0 before the first. */
  get newestOrder(): OrderId {
    return this.#newestOrder;
  }

  nextOrder(): OrderId {
    this.#newestOrder += 1;
    return this.#newestOrder;
  }

  get isEmpty(): boolean {
    const { orders, messages, sessions, readStates, readsFailed, snapshots } = this;
    return [orders, messages, sessions, readStates, readsFailed, snapshots].every(
      (list) => list.length === 0,
    );
  }

  /** Hands over what is there, and starts anew. */
  take(): Output {
    const { orders, messages, sessions, readStates, readsFailed, snapshots } = this;
    this.orders = [];
    this.messages = [];
    this.sessions = [];
    this.readStates = [];
    this.readsFailed = [];
    this.snapshots = [];
    return { orders, messages, sessions, readStates, readsFailed, snapshots };
  }
}
