import type { GroupId } from '../base/ids.js';

/** Who has waited so long, and is not in a hurry, has a turn out of order, ms. */
const PATIENCE_MS = 1000;
/** One turn in so many, at the most, is out of order. */
const IN_ORDER = 4;

interface Standing {
  /** Where in the log its reading goes on, to be compared with others'. */
  place: number;
  /** More has to be read from the disk for it; else it is held: what there is for it has no room now. */
  waits: boolean;
  sinceMs: number;
  /** Somebody waits for what is to be read. */
  hurries: boolean;
  /** How many turns had been given when it was last looked for. */
  turn: number;
}

/**
 * For which of many groups the log is read on. Their records lie between each other's in one log, and what was read stands in one window, through which
 * all of them are looked for before anything else is read. So who stands furthest back comes first, and a stretch is read once for all that are
 * equally far. Whoever has no room for a moment is waited for, since everything would be read again for him; for longer he is not, and who stands far ahead of all
 * others does not wait for them for ever either.
 */
export class ReadTurns {
  readonly #standings = new Map<GroupId, Standing>();
  readonly #holdMs: number;
  #turns = 0;

  /** `holdMs`: how long the others wait for a group that has no room for what is read. */
  constructor(holdMs: number) {
    this.#holdMs = holdMs;
  }

  /** More has to be read from the disk before there is anything for it. */
  waits(group: GroupId, place: number, nowMs: number, hurries = false): void {
    this.#stand(group, place, true, nowMs, hurries);
  }

  /** It has something to read, and no room for it now. */
  held(group: GroupId, place: number, nowMs: number): void {
    this.#stand(group, place, false, nowMs, false);
  }

  /** Nothing was read since it was found that more has to be. */
  stillWaits(group: GroupId): boolean {
    const known = this.#standings.get(group);
    return known?.waits === true && known.turn === this.#turns;
  }

  /** It was given something, or there is nothing for it. */
  done(group: GroupId): void {
    this.#standings.delete(group);
  }

  /** Whose turn it is; undefined: nobody's now. */
  next(nowMs: number): GroupId | undefined {
    const longest = this.#turns % IN_ORDER === 0 ? this.#longestWaiting(nowMs) : undefined;
    const group = longest ?? this.#furthestBack(nowMs);
    if (group !== undefined) this.#turns++;
    return group;
  }

  #stand(group: GroupId, place: number, waits: boolean, nowMs: number, hurries: boolean): void {
    const known = this.#standings.get(group);
    const sinceMs = known?.waits === waits ? known.sinceMs : nowMs;
    this.#standings.set(group, { place, waits, sinceMs, hurries, turn: this.#turns });
  }

  #furthestBack(nowMs: number): GroupId | undefined {
    let first: { group: GroupId; place: number } | undefined;
    let heldAt = Number.POSITIVE_INFINITY;
    for (const [group, { place, waits, sinceMs }] of this.#standings) {
      if (waits && place < (first?.place ?? Number.POSITIVE_INFINITY)) first = { group, place };
      if (!waits && nowMs - sinceMs < this.#holdMs) heldAt = Math.min(heldAt, place);
    }
    return first === undefined || heldAt < first.place ? undefined : first.group;
  }

  #longestWaiting(nowMs: number): GroupId | undefined {
    let longest: { group: GroupId; sinceMs: number } | undefined;
    for (const [group, { waits, sinceMs, hurries }] of this.#standings) {
      if (!waits || (!hurries && nowMs - sinceMs < PATIENCE_MS)) continue;
      if (sinceMs < (longest?.sinceMs ?? Number.POSITIVE_INFINITY)) longest = { group, sinceMs };
    }
    return longest?.group;
  }
}
