import type { Clock } from './clock.js';
import { type KeptOpen, KeptRoom } from './kept-room.js';
import type { NearSlots } from './near-slots.js';
import type { OpenBatch, OpenBytes } from './open-batch.js';
import type { Config } from './options.js';

/** Entries of a group that wait for their commit: each may have a promise, which takes memory of its own. */
const UNCOMMITTED_ENTRIES_MAX = 1 << 20;

/** Share of the bytes that is kept for remote clients at a time: for all that wait, where one needs less. There may be few turns in which one is given it. */
const KEPT_SHARE = 1 / 16;

/** An entry is wide that has so many times the bytes of those that are held, and so are several at once: others find their room where little is left. */
const WIDE_TIMES = 4;

/** For how many tries room is kept for a proposal that was refused, if it comes again when it was told to. */
const ASKED_TRIES = 4;

export interface GroupRoomParts {
  readonly config: Config;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly near: NearSlots;
  readonly open: OpenBatch;
  /** Of all groups. */
  readonly held: OpenBytes;
}

/** How much a group may hold that is not committed and applied, and for whom room that comes free is kept. */
export class GroupRoom {
  readonly #parts: GroupRoomParts;
  /** What is kept, all in all. */
  readonly #reserved = { bytes: 0, entries: 0 };
  /** For the remote client's entries that wait, so that callers in this process do not take whatever a commit frees. */
  readonly #kept: KeptRoom;
  /** For the widest proposal that was refused of late, until it comes again. */
  readonly #asked: KeptRoom;
  /** Its bytes, and when it is waited for no longer, ms. */
  #askedBytes = 0;
  #askedUntilMs = 0;

  constructor(parts: GroupRoomParts) {
    this.#parts = parts;
    this.#kept = new KeptRoom(parts.held, this.#reserved);
    this.#asked = new KeptRoom(parts.held, this.#reserved);
  }

  /** A remote client's entries wait for the open batch to be sealed, which this was in the way of. */
  get keptOpen(): KeptOpen | undefined {
    return this.#kept.keptOpen;
  }

  /** Which bound so much more would go beyond. Where nothing is held, anything may come. */
  excess(packedBytes: number, entries: number, keptBytes = this.#reserved.bytes): string | undefined {
    const { near, open } = this.#parts;
    const { uncommittedBytesMax } = this.#parts.config;
    const used = near.bytes + open.length + keptBytes;
    if (used > 0 && used + packedBytes > uncommittedBytesMax)
      return `${used} bytes are ${this.#uses} (uncommittedBytesMax ${uncommittedBytesMax})`;
    const waiting = near.entries + open.count + this.#reserved.entries;
    if (waiting > 0 && waiting + entries > UNCOMMITTED_ENTRIES_MAX)
      return `${waiting} entries are ${this.#uses} (at most ${UNCOMMITTED_ENTRIES_MAX})`;
    const growth = open.growth(packedBytes, entries);
    return growth > 0 ? this.#excessMemory(growth) : undefined;
  }

  /** What fills a group, in words for who proposes. */
  get #uses(): string {
    const held = 'not committed and applied yet';
    return this.#reserved.bytes === 0 ? held : `${held}, or kept for others who wait`;
  }

  #excessMemory(growth: number): string | undefined {
    const { bytes, kept, bytesMax } = this.#parts.held;
    if (bytes + kept + growth <= bytesMax) return undefined;
    return `open batches hold ${bytes + kept} bytes (${bytesMax} of memory.budgetBytes are for them)`;
  }

  // — remote clients ————————————————————————————————————————————————————————————————————————————————————————————————

  /** Whether there is room for a remote client's entries. Half of the bytes is enough for any, so that as much is left to others. */
  hasPacked(packedBytes: number, entries: number): boolean {
    // Of what is kept for a refused proposal only its own size: the rest is there for a ring to have room.
    if (this.excess(Math.min(packedBytes, this.#half), entries, this.#askedBytes) !== undefined) return false;
    const growth = this.#parts.open.growth(packedBytes, entries);
    return growth === 0 || this.#excessMemory(growth) === undefined;
  }

  /** A remote client's entries wait for room: what comes is kept for them, until they are tried again. */
  keepPacked(packedBytes: number, entries: number, keptOpen: KeptOpen | undefined): void {
    const { near, open } = this.#parts;
    const share = KEPT_SHARE * this.#parts.config.uncommittedBytesMax;
    const bytes = Math.min(Math.max(packedBytes, share), this.#half);
    const growth = open.growth(packedBytes, entries);
    this.#kept.keep({ bytes, entries, growth, keptOpen }, near.finishedBytes);
  }

  usedPacked(bytes: number): void {
    this.#kept.used(bytes, this.#parts.near.finishedBytes);
  }

  /** No remote client's entries wait. */
  forgoPacked(): void {
    this.#kept.forgo();
  }

  get #half(): number {
    return this.#parts.config.uncommittedBytesMax / 2;
  }

  // — wide proposals of callers in this process —————————————————————————————————————————————————————————————————————

  /**
   * A proposal was refused, to come again in `retryAfterMs`. Where others take whatever comes free, a bit at a time, it is never enough for a wide one. So that
   * much is kept for it, or one as wide; for some tries, then it is the turn of others.
   */
  keepAsked(packedBytes: number, entries: number, retryAfterMs: number): void {
    const { near, clock } = this.#parts;
    const isWide = entries > 1 || packedBytes * near.entries > WIDE_TIMES * near.bytes;
    if (!isWide || packedBytes < this.#askedBytes) return;
    const nowMs = clock.nowMs();
    const room = { bytes: this.#bytesFor(packedBytes, entries), entries, growth: 0, keptOpen: undefined };
    if (room.bytes === 0 || !this.#asked.keep(room, near.finishedBytes)) return;
    this.#askedBytes = packedBytes;
    if (nowMs > this.#askedUntilMs) this.#askedUntilMs = nowMs + ASKED_TRIES * retryAfterMs;
  }

  /** What has to be kept for so much to be taken. Where it is not the bound that is reached but a ring is full, that much has to come free as well: of this group, if it holds as much. */
  #bytesFor(packedBytes: number, entries: number): number {
    const { config, near, open } = this.#parts;
    if (this.excess(packedBytes, entries) !== undefined) return packedBytes;
    return near.bytes < packedBytes ? 0 : packedBytes + config.uncommittedBytesMax - near.bytes - open.length;
  }

  /** Gives what is kept for a refused proposal to one that is as wide. False: nothing is, or it is not. */
  giveAsked(packedBytes: number): boolean {
    if (this.#askedBytes === 0 || packedBytes < this.#askedBytes) return false;
    this.#forgoAsked();
    return true;
  }

  usedAsked(bytes: number): void {
    this.#asked.used(bytes, this.#parts.near.finishedBytes);
    this.#askedUntilMs = 0;
  }

  /** A tick of time has passed. */
  tick(): void {
    if (this.#askedBytes === 0 || this.#parts.clock.nowMs() <= this.#askedUntilMs) return;
    this.usedAsked(this.#askedBytes);
    this.#forgoAsked();
  }

  #forgoAsked(): void {
    this.#asked.forgo();
    this.#askedBytes = 0;
  }
}
