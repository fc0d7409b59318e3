import type { GroupId, LogIndex, Term } from '../base/ids.js';
import type { NearBatch, NearIndex } from './near-index.js';

/** Where a leader's own batches are looked for before the disk: one ring, or one for each of several encoders. */
export type Near = Pick<NearIndex, 'follow' | 'find' | 'copy' | 'grown'>;

interface RingedBatch extends NearBatch {
  readonly ring: NearIndex;
}

/**
 * What is near where several encoders take batches in turn: each has a ring of its own, so that each index has gaps, and any batch
 * is in one of them.
 */
export class NearRings implements Near {
  readonly #rings: readonly NearIndex[];

  constructor(rings: readonly NearIndex[]) {
    this.#rings = rings;
  }

  follow(): boolean {
    let found = false;
    for (const ring of this.#rings) found = ring.follow() || found;
    return found;
  }

  find(group: GroupId, term: Term, index: LogIndex): RingedBatch | undefined {
    for (const ring of this.#rings) {
      const batch = ring.find(group, term, index);
      if (batch !== undefined) return { ...batch, ring };
    }
    return undefined;
  }

  copy(batch: RingedBatch, target: Buffer, at: number): boolean {
    return batch.ring.copy(batch, target, at);
  }

  grown(group: GroupId): number {
    return this.#rings.reduce((sum, ring) => sum + ring.grown(group), 0);
  }
}
