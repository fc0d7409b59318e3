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
  /** Its place in the ring is held for the applier. Once it is not, the payload is to be had from the log only. */
  kept: boolean;
}

/**
 * The applier's hold on the proposal ring: slots of all groups in ring order. The ring is given back up to the first
 * slot that is still kept.
 */
export class ProposalSlots {
  readonly #ring: RingConsumer;
  #slots: ProposalSlot[] = [];
  #head = 0;
  /** What the state machine is being given now: while it reads, it may propose to another group, which must not write there. */
  inUse: ProposalSlot | undefined;

  constructor(ring: RingConsumer) {
    this.#ring = ring;
  }

  get bytes(): Buffer {
    return this.#ring.bytes;
  }

  add(slot: ProposalSlot): void {
    this.#slots.push(slot);
  }

  /** Gives back what is kept no more at the front. Returns whether the ring has more room now. */
  release(): boolean {
    let end = -1;
    while (this.#head < this.#slots.length && !this.#slots[this.#head]!.kept) {
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

  /**
   * Gives the oldest slot's place back although it was not applied. False: there is none, it is in use or belongs to the group `spared`, or it is
   * not what holds the ring up: somebody holds it from `heldFrom` on already.
   */
  letGo(spared: GroupId, heldFrom: number): boolean {
    const oldest = this.#slots[this.#head];
    if (oldest === undefined || oldest === this.inUse) return false;
    if (oldest.group === spared || heldFrom < this.#ring.heldFrom) return false;
    oldest.kept = false;
    return this.release();
  }
}
