import type { GroupId } from '../base/ids.js';

/** One turn in so many goes to who has waited the longest, the others to who stands furthest back. */
const IN_ORDER = 4;
/** Who has had no room for so long is not waited for any more, ms. */
const HELD_MS_MAX = 200;

interface Standing {
  /** Where in the log its reading goes on, to be compared with others'. */
  place: number;
  /** More has to be read from the disk for it; else it is held: what there is for it has no room now. */
  waits: boolean;
  /** It was given nothing since. */
  sinceMs: number;
  /** How many turns had been given when it was last looked for. */
  turn: number;
}

/**
 * For which of many groups the log is read on. Their records lie between each other's in one log, and what was read stands in one window, through which
 * all of them are looked for before anything else is read. So who stands furthest back comes first, and a stretch is read once for all that are
 * equally far. Groups do not wait for each other all the same: now and then the turn is that of who has waited the longest, however far ahead of the others it stands; and
 * whoever has no room for what was read is waited for, a moment after each read, and later has it read again.
 */
export class ReadTurns {
  readonly #standings = new Map<GroupId, Standing>();
  readonly #holdMs: number;
  #turns = 0;
  /** When the last turn was given. */
  #turnMs = Number.NEGATIVE_INFINITY;

  /** `holdMs`: how long after a turn the next one waits for who has no room for what was read. */
  constructor(holdMs: number) {
    this.#holdMs = holdMs;
  }

  /** More has to be read from the disk before there is anything for it. */
  waits(group: GroupId, place: number, nowMs: number): void {
    const sinceMs = this.#standings.get(group)?.sinceMs ?? nowMs;
    this.#standings.set(group, { place, waits: true, sinceMs, turn: this.#turns });
  }

  /** It has something to read, and no room for it now. */
  held(group: GroupId, nowMs: number): void {
    const { place = 0, sinceMs = nowMs } = this.#standings.get(group) ?? {};
    this.#standings.set(group, { place, waits: false, sinceMs, turn: this.#turns });
  }

  /** It was given something, or there is nothing for it. */
  done(group: GroupId): void {
    this.#standings.delete(group);
  }

  /** Nothing was read since it was found that more has to be. */
  stillWaits(group: GroupId): boolean {
    const known = this.#standings.get(group);
    return known?.waits === true && known.turn === this.#turns;
  }

  /** Whose turn it is; undefined: nobody's now. */
  next(nowMs: number): GroupId | undefined {
    if (nowMs - this.#turnMs < this.#holdMs && this.#holdsSomebody(nowMs)) return undefined;
    const inOrder = this.#turns % IN_ORDER !== IN_ORDER - 1;
    const group = this.#first(({ place, sinceMs }) => (inOrder ? place : sinceMs));
    if (group === undefined) return undefined;
    this.#turns++;
    this.#turnMs = nowMs;
    return group;
  }

  /** When the next turn is due that waits for somebody without room. */
  dueMs(nowMs: number): number {
    const dueMs = this.#turnMs + this.#holdMs;
    return dueMs > nowMs && this.#holdsSomebody(nowMs) ? dueMs : Number.POSITIVE_INFINITY;
  }

  #holdsSomebody(nowMs: number): boolean {
    for (const { waits, sinceMs } of this.#standings.values())
      if (!waits && nowMs - sinceMs < HELD_MS_MAX) return true;
    return false;
  }

  /** Of those that wait, the one of the lowest rank. */
  #first(rankOf: (standing: Standing) => number): GroupId | undefined {
    let first: { group: GroupId; rank: number } | undefined;
    for (const [group, standing] of this.#standings) {
      const rank = rankOf(standing);
      if (standing.waits && rank < (first?.rank ?? Number.POSITIVE_INFINITY)) first = { group, rank };
    }
    return first?.group;
  }
}
