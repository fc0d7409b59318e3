import type { LogIndex, Term } from '../base/ids.js';
import type { ProposalSlot } from './proposal-slots.js';

/** Slots that the list's head may waste before it is compacted. */
const COMPACT_AT = 256;

/**
 * One group's own sealed batches that are not applied yet, in log order: what the applier takes from the proposal ring,
 * and who waits for it.
 */
export class NearSlots {
  #slots: ProposalSlot[] = [];
  #head = 0;
  /** Last indexes of batches that were sealed and may not be committed yet, ascending. */
  #sealed: LogIndex[] = [];
  /** Payload bytes held. */
  bytes = 0;

  add(slot: ProposalSlot): void {
    this.#slots.push(slot);
    this.#sealed.push(lastIndexOf(slot));
    this.bytes += slot.end - slot.start;
  }

  first(): ProposalSlot | undefined {
    return this.#slots[this.#head];
  }

  /** Takes the first one out; its place in the ring is given back once the caller is `done` with it. */
  shift(): void {
    this.#head++;
    if (this.#head < COMPACT_AT && this.#head < this.#slots.length) return;
    this.#slots.splice(0, this.#head);
    this.#head = 0;
  }

  /** The applier has no more use for a slot. */
  finish(slot: ProposalSlot): void {
    slot.done = true;
    this.bytes -= slot.end - slot.start;
  }

  /** Sealed batches beyond `commit`: what the depth of the pipeline counts. */
  uncommitted(commit: LogIndex): number {
    const sealed = this.#sealed;
    let committed = 0;
    while (committed < sealed.length && sealed[committed]! <= commit) committed++;
    if (committed > 0) sealed.splice(0, committed);
    return sealed.length;
  }

  /** Takes out every slot that is not of `term`. */
  takeOthers(term: Term): ProposalSlot[] {
    const slots = this.#slots.slice(this.#head);
    this.#slots = slots.filter((slot) => slot.term === term);
    this.#head = 0;
    this.#sealed = this.#slots.map(lastIndexOf);
    return slots.filter((slot) => slot.term !== term);
  }
}

function lastIndexOf(slot: ProposalSlot): LogIndex {
  return slot.firstIndex + slot.count - 1;
}
