import type { OpenBytes } from './open-batch.js';

/** Why a batch cannot be sealed: main has decided more than it could hand over, there is no room for it, or leadership is being handed over. */
export type KeptOpen = 'blocked' | 'ringFull' | 'transferring';

/** What somebody who waits for room in a group needs. */
export interface Room {
  /** Of `uncommittedBytesMax`. */
  readonly bytes: number;
  readonly entries: number;
  /** By how much the open batch's memory has to grow, bytes. */
  readonly growth: number;
  /** What kept the open batch from being sealed, where that was needed. */
  readonly keptOpen: KeptOpen | undefined;
}

/**
 * Room of one group that is kept for who waits for it: for everybody else it is as if it was used. So nobody who is quicker takes all that comes; and
 * by turns, so that others go on as well: as much as was taken may come free for them before any is kept again.
 */
export class KeptRoom {
  bytes = 0;
  entries = 0;
  /** Who waits needs the open batch sealed, and this was in the way: nobody else seals it for want of room before. */
  keptOpen: KeptOpen | undefined;
  #growth = 0;
  /** How much has come free when it is the turn of who waits again, bytes ever. */
  #turnAtBytes = 0;
  /** Of all groups. */
  readonly #open: OpenBytes;

  constructor(open: OpenBytes) {
    this.#open = open;
  }

  /** Nothing is kept now. `freedBytes`: ever, as in `used`. */
  keep({ bytes, entries, growth, keptOpen }: Room, freedBytes: number): void {
    if (freedBytes < this.#turnAtBytes) return;
    this.bytes = bytes;
    this.entries = entries;
    this.keptOpen = keptOpen;
    this.#growth = growth;
    this.#open.kept += growth;
  }

  /** Who may have room kept was given so much. */
  used(bytes: number, freedBytes: number): void {
    this.#turnAtBytes = Math.max(this.#turnAtBytes, freedBytes) + bytes;
  }

  forgo(): void {
    this.bytes = 0;
    this.entries = 0;
    this.keptOpen = undefined;
    this.#open.kept -= this.#growth;
    this.#growth = 0;
  }
}
