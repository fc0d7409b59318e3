import type { OrderId } from '../base/ids.js';
import type { Order, Outbound, SessionCommand } from './ready.js';

/** What piles up between two calls of `ready()`. */
export class Outbox {
  orders: Order[] = [];
  messages: Outbound[] = [];
  sessions: SessionCommand[] = [];
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
    return this.orders.length === 0 && this.messages.length === 0 && this.sessions.length === 0;
  }

  /** Hands over what is there, and starts anew. */
  take(): { orders: Order[]; messages: Outbound[]; sessions: SessionCommand[] } {
    const { orders, messages, sessions } = this;
    this.orders = [];
    this.messages = [];
    this.sessions = [];
    return { orders, messages, sessions };
  }
}
