import type { LogIndex, Term } from '../base/ids.js';
import type { ProposalSlot } from './proposal-slots.js';

/** Slots that the list's head may waste before it is compacted. */
const COMPACT_AT = 256;

/**
 * One group's own sealed batches that are not applied yet, in log order: what the applier takes from the proposal ring,
 * and who waits for it. Those that the ring keeps no more, if there are any, come first.
 */
export class NearSlots {
  #slots: ProposalSlot[] = [];
  #head = 0;
  /** Nothing before it is kept by the ring, as far as is known. */
  #kept = 0;
  /** Batches that were sealed and may not be committed yet, ascending. */
  #sealed: { readonly lastIndex: LogIndex; readonly sealedMs: number }[] = [];
  /** Payload bytes and entries held. */
  bytes = 0;
  entries = 0;
  /** Payload bytes that were held and are no more, ever. */
  finishedBytes = 0;

  add(slot: ProposalSlot, sealedMs: number): void {
    this.#slots.push(slot);
    this.#sealed.push({ lastIndex: lastIndexOf(slot), sealedMs });
    this.bytes += slot.end - slot.start;
    this.entries += slot.count;
  }

  first(): ProposalSlot | undefined {
    return this.#slots[this.#head];
  }

  /** The first one that the ring still keeps. What is before it has to be read back. */
  firstKept(): ProposalSlot | undefined {
    if (this.#kept < this.#head) this.#kept = this.#head;
    while (this.#slots[this.#kept]?.kept === false) this.#kept++;
    return this.#slots[this.#kept];
  }

  /** Takes the first one out; its place in the ring is given back once the caller is `done` with it. */
  shift(): void {
    this.#head++;
    if (this.#head < COMPACT_AT && this.#head < this.#slots.length) return;
    this.#slots.splice(0, this.#head);
    this.#kept = Math.max(0, this.#kept - this.#head);
    this.#head = 0;
  }

  /** The applier has no more use for a slot. */
  finish(slot: ProposalSlot): void {
    slot.kept = false;
    const bytes = slot.end - slot.start;
    this.bytes -= bytes;
    this.finishedBytes += bytes;
    this.entries -= slot.count;
  }

  /** When the oldest batch that is not committed was sealed. */
  get oldestSealedMs(): number | undefined {
    return this.#sealed[0]?.sealedMs;
  }

  /** Sealed batches that are not committed: what the depth of the pipeline counts. */
  get uncommitted(): number {
    return this.#sealed.length;
  }

  /** Takes out what is committed, and tells when it was sealed. */
  committed(commit: LogIndex, done: (sealedMs: number) => void): void {
    const sealed = this.#sealed;
    let count = 0;
    while (count < sealed.length && sealed[count]!.lastIndex <= commit) done(sealed[count++]!.sealedMs);
    if (count > 0) sealed.splice(0, count);
  }

  /** Takes out every slot that is not of `term`. */
  takeOthers(term: Term): ProposalSlot[] {
    const slots = this.#slots.slice(this.#head);
    this.#slots = slots.filter((slot) => slot.term === term);
    this.#head = 0;
    this.#kept = 0;
    const left = this.#slots.length === 0 ? undefined : this.#slots[0]!.firstIndex;
    this.#sealed = this.#sealed.filter(({ lastIndex }) => left !== undefined && lastIndex >= left);
    return slots.filter((slot) => slot.term !== term);
  }
}

function lastIndexOf(slot: ProposalSlot): LogIndex {
  return slot.firstIndex + slot.count - 1;
}
