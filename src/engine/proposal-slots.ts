import type { GroupId, LogIndex, Term } from '../base/ids.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Waiters } from './waiters.js';

/** A sealed batch of this leader, still in the proposal ring, raw: what the applier needs of it and who waits for it. */
export interface ProposalSlot {
  readonly group: GroupId;
  readonly term: Term;
  readonly firstIndex: LogIndex;
  readonly count: number;
  readonly kind: number;
  readonly flags: number;
  /** The payload in the ring. */
  readonly start: number;
  readonly end: number;
  readonly ringEnd: number;
  readonly waiters: Waiters;
  /** The applier has no more use for it. */
  done: boolean;
}

/**
 * The applier's hold on the proposal ring: slots of all groups in ring order. The ring is given back up to the first
 * slot that is still wanted.
 */
export class ProposalSlots {
  readonly #ring: RingConsumer;
  #slots: ProposalSlot[] = [];
  #head = 0;

  constructor(ring: RingConsumer) {
    this.#ring = ring;
  }

  get bytes(): Buffer {
    return this.#ring.bytes;
  }

  add(slot: ProposalSlot): void {
    this.#slots.push(slot);
  }

  /** Gives back what is done at the front. Returns whether the ring has more room now. */
  release(): boolean {
    let end = -1;
    while (this.#head < this.#slots.length && this.#slots[this.#head]!.done) {
      end = this.#slots[this.#head]!.ringEnd;
      this.#head++;
    }
    if (end < 0) return false;
    this.#ring.releaseTo(end);
    if (this.#head > 256 || this.#head === this.#slots.length) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
    return true;
  }

  /** The oldest slot that still holds the ring. */
  oldest(): ProposalSlot | undefined {
    return this.#slots[this.#head];
  }
}
