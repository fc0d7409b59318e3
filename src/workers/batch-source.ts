import { copyBytes } from '../base/copy.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { lastIndexOf } from '../base/messages.js';
import type { LogReader } from '../wal/log-reader.js';
import type { NearBatch } from './near-index.js';
import type { Near } from './near-rings.js';

/** Batches in one message at most. */
const BATCHES_MAX = 64;

/** A run of whole batches, ready to be copied into a message. */
export interface BatchRun {
  prevIndex: LogIndex;
  prevTerm: Term;
  lastIndex: LogIndex;
  lastTerm: Term;
  count: number;
  byteLength: number;
  /** It was read from the disk. */
  far: boolean;
  /** False: a near batch was overwritten while it was copied; ask the source again. */
  copyTo(target: Buffer, at: number): boolean;
}

/**
 * Where a follower's batches come from: **near** (the batch ring of this leadership), or **far** (the log on disk, as
 * stored). A slow follower falls from near to far by itself, and holds nothing while it does. What is **too far**, gone from the
 * log, looks like what is not there yet: the core has closed the session of whoever needs it before it let it go (H48).
 */
export class BatchSource {
  readonly #near: Near;
  readonly #far: LogReader;
  /** Whether what `next` gave last ends where it does, or is nothing, for want of a further fill. */
  wantsFill = false;

  constructor(near: Near, far: LogReader) {
    this.#near = near;
    this.#far = far;
  }

  /**
   * Whole batches, starting with the one that contains `from`, up to `bytesMax`, or `farBytesMax` if they are read from
   * the disk (one always, but none where that is not above 0). Undefined: not there yet, or not now. `fillsMax`: how often something may be read from
   * the disk for it; where more would have been needed `wantsFill` says so.
   * @throws RaftlineError `RAFTLINE_LOG_DAMAGED` when our own disk gives back something else than was written.
   */
  next(
    group: GroupId,
    term: Term,
    from: LogIndex,
    bytesMax: number,
    farBytesMax = bytesMax,
    fillsMax?: number,
  ): BatchRun | undefined {
    this.wantsFill = false;
    const near = this.#nearRun(group, term, from, bytesMax);
    if (near !== undefined || farBytesMax <= 0) return near;
    const far = this.#farRun(group, term, from, Math.min(bytesMax, farBytesMax), fillsMax);
    this.wantsFill = this.#far.wantsFill;
    return far;
  }

  /** Where in the log the reading for a group stands, to be compared with others'. */
  farPlaceOf(group: GroupId): number {
    return this.#far.placeOf(group);
  }

  /** The batch that contains `from` is there, and near. */
  isNear(group: GroupId, term: Term, from: LogIndex): boolean {
    return this.#near.find(group, term, from) !== undefined;
  }

  /** Bytes of all batches that this node has ever sealed in the group. */
  grown(group: GroupId): number {
    return this.#near.grown(group);
  }

  #nearRun(group: GroupId, term: Term, from: LogIndex, bytesMax: number): BatchRun | undefined {
    const first = this.#near.find(group, term, from);
    if (first === undefined) return undefined;
    const batches: NearBatch[] = [first];
    let byteLength = first.byteLength;
    let last = first;
    while (batches.length < BATCHES_MAX) {
      const next = this.#near.find(group, term, last.lastIndex + 1);
      if (next === undefined || byteLength + next.byteLength > bytesMax) break;
      batches.push(next);
      byteLength += next.byteLength;
      last = next;
    }
    const copyTo = (target: Buffer, at: number): boolean => {
      let to = at;
      for (const batch of batches) {
        if (!this.#near.copy(batch, target, to)) return false;
        to += batch.byteLength;
      }
      return true;
    };
    const prevIndex = first.firstIndex - 1;
    const { lastIndex } = last;
    const count = batches.length;
    return {
      prevIndex,
      prevTerm: first.prevTerm,
      lastIndex,
      lastTerm: term,
      count,
      byteLength,
      far: false,
      copyTo,
    };
  }

  /** Nothing of a later term: then this leadership is over, and main has not closed its session yet (A9, H24). */
  #farRun(
    group: GroupId,
    term: Term,
    from: LogIndex,
    bytesMax: number,
    fillsMax?: number,
  ): BatchRun | undefined {
    const read = this.#far.read(group, from, Number.MAX_SAFE_INTEGER, bytesMax, fillsMax);
    if (read === undefined) return undefined;
    const headers = read.headers.filter((header) => header.term <= term);
    if (headers.length === 0) return undefined;
    const batches = read.batches.slice(0, headers.length);
    const first = headers[0]!;
    const last = headers[headers.length - 1]!;
    const copyTo = (target: Buffer, at: number): boolean => {
      let to = at;
      for (const batch of batches) {
        copyBytes(batch, target, to);
        to += batch.length;
      }
      return true;
    };
    return {
      prevIndex: first.firstIndex - 1,
      prevTerm: first.prevTerm,
      lastIndex: lastIndexOf(last),
      lastTerm: last.term,
      count: batches.length,
      byteLength: batches.reduce((sum, batch) => sum + batch.length, 0),
      far: true,
      copyTo,
    };
  }
}
