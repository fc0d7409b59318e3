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
  /** Who waits needs the open batch sealed, and this was in the way: nobody else seals it for want of room before. */
  keptOpen: KeptOpen | undefined;
  #bytes = 0;
  #entries = 0;
  #growth = 0;
  /** How much has come free when it is the turn of who waits again, bytes ever. */
  #turnAtBytes = 0;
  /** Of all groups. */
  readonly #open: OpenBytes;
  /** Of all who wait in this group. */
  readonly #reserved: { bytes: number; entries: number };

  constructor(open: OpenBytes, reserved: { bytes: number; entries: number }) {
    this.#open = open;
    this.#reserved = reserved;
  }

  /** In place of what was kept. `freedBytes`: ever, as in `used`. False: it is the turn of others. */
  keep({ bytes, entries, growth, keptOpen }: Room, freedBytes: number): boolean {
    if (freedBytes < this.#turnAtBytes) return false;
    this.keptOpen = keptOpen;
    this.#set(bytes, entries, growth);
    return true;
  }

  /** Who may have room kept was given so much. */
  used(bytes: number, freedBytes: number): void {
    this.#turnAtBytes = Math.max(this.#turnAtBytes, freedBytes) + bytes;
  }

  forgo(): void {
    this.keptOpen = undefined;
    this.#set(0, 0, 0);
  }

  #set(bytes: number, entries: number, growth: number): void {
    this.#reserved.bytes += bytes - this.#bytes;
    this.#reserved.entries += entries - this.#entries;
    this.#open.kept += growth - this.#growth;
    this.#bytes = bytes;
    this.#entries = entries;
    this.#growth = growth;
  }
}
