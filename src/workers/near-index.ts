import { copyBytes } from '../base/copy.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../codec/batch.js';
import type { RingObserver } from '../ring/observer.js';

/** Where a batch stands in the ring. */
export interface NearBatch {
  firstIndex: LogIndex;
  lastIndex: LogIndex;
  term: Term;
  prevTerm: Term;
  position: number;
  byteLength: number;
}

/** Slots that the head of a list may waste before the list is compacted. */
const COMPACT_AT = 1024;

/**
 * What of each group is still near, that is in the batch ring (own batches) or the receive ring (a leader's): a list per
 * group, ascending and without gaps, of one term (that of the newest leadership; older ones are read from the log, where
 * truncations are known).
 *
 * It never holds the ring: a batch may be overwritten at any time, so whoever copies one asks `holds` afterwards.
 */
export class NearIndex {
  readonly #ring: RingObserver;
  readonly #gaps: boolean;
  readonly #groups = new Map<GroupId, { head: number; batches: NearBatch[]; grown: number }>();
  /** A batch's head, out of the producer's reach: what is being overwritten may not even be readable as one. */
  readonly #head = Buffer.alloc(BATCH_PAYLOAD_OFFSET);

  /** `gaps`: the ring holds only some of the batches; the others are in rings of their own. */
  constructor(ring: RingObserver, gaps = false) {
    this.#gaps = gaps;
    this.#ring = ring;
  }

  /** Takes in what has been published since the last call. */
  follow(): boolean {
    let found = false;
    const ring = this.#ring;
    while (ring.poll()) {
      found = true;
      ring.bytes.copy(this.#head, 0, ring.offset, ring.offset + BATCH_PAYLOAD_OFFSET);
      if (!ring.holds(ring.position)) continue;
      const header = readBatchHeader(this.#head, 0);
      this.#add(header.group, {
        firstIndex: header.firstIndex,
        lastIndex: header.firstIndex + header.count - 1,
        term: header.term,
        prevTerm: header.prevTerm,
        position: ring.position,
        byteLength: header.byteLength,
      });
    }
    return found;
  }

  /** The batch of `term` that contains `index`, if it is near. */
  find(group: GroupId, term: Term, index: LogIndex): NearBatch | undefined {
    const list = this.#groups.get(group);
    if (list === undefined) return undefined;
    this.#forget(list);
    const { batches } = list;
    let low = list.head;
    let high = batches.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const batch = batches[middle]!;
      if (batch.lastIndex < index) low = middle + 1;
      else if (batch.firstIndex > index) high = middle - 1;
      else return batch.term === term ? batch : undefined;
    }
    return undefined;
  }

  /** Bytes of all batches of the group that were ever seen in the ring. */
  grown(group: GroupId): number {
    return this.#groups.get(group)?.grown ?? 0;
  }

  /** Copies a batch to `target`. False: it was overwritten meanwhile, and what was copied is worth nothing. */
  copy(batch: NearBatch, target: Buffer, at: number): boolean {
    const ring = this.#ring;
    if (!ring.at(batch.position)) return false;
    copyBytes(ring.bytes.subarray(ring.offset, ring.offset + batch.byteLength), target, at);
    return ring.holds(batch.position);
  }

  /** The batch where it stands, or undefined if it was overwritten. Only for the thread that writes to the ring, until it does. */
  view(batch: NearBatch): Buffer | undefined {
    const ring = this.#ring;
    if (!ring.at(batch.position) || !ring.holds(batch.position)) return undefined;
    return ring.bytes.subarray(ring.offset, ring.offset + batch.byteLength);
  }

  #add(group: GroupId, batch: NearBatch): void {
    let list = this.#groups.get(group);
    if (list === undefined) {
      list = { head: 0, batches: [], grown: 0 };
      this.#groups.set(group, list);
    }
    const last = list.batches[list.batches.length - 1];
    if (last !== undefined && !this.#continues(last, batch)) {
      list.head = 0;
      list.batches.length = 0;
    }
    list.batches.push(batch);
    list.grown += batch.byteLength;
    this.#forget(list);
  }

  #continues(last: NearBatch, next: NearBatch): boolean {
    const gap = next.firstIndex - last.lastIndex - 1;
    return last.term === next.term && (gap === 0 || (this.#gaps && gap > 0));
  }

  /** Drops what the ring no longer holds. */
  #forget(list: { head: number; batches: NearBatch[] }): void {
    const { batches } = list;
    while (list.head < batches.length && !this.#ring.holds(batches[list.head]!.position)) list.head++;
    if (list.head < COMPACT_AT && list.head < batches.length) return;
    batches.splice(0, list.head);
    list.head = 0;
  }
}
