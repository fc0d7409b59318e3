import { ERA_WORD, LINE_WORDS, LOW_WORD } from './layout.js';

/** Bytes in an era: half of what the low word can tell apart. */
const ERA_BYTES = 2 ** 31;

/**
 * A ring position in shared memory; one writer, any readers. A position counts bytes since the ring's birth, never
 * wraps, and is a multiple of 8, so that a number holds it exactly up to 2^56 (two years at 1 GB/s).
 *
 * Two words hold it. `low` is the position modulo 2^32, and all that somebody needs who is known to be less than
 * 2^31 away: the producer and its consumers. `era` counts half wraps, for those who may have looked away for longer:
 * observers, and threads that attach later. The top bit of `low` repeats the lowest bit of `era`, which tells a
 * reader between the two stores of the writer what it sees.
 */
export class PositionCell {
  private readonly words: Int32Array;
  private readonly low: number;
  private readonly era: number;
  /** Invariant of the writer: the first position of the era after the stored one. */
  private nextEra: number;

  /** `words` spans the region; `line` counts from its start. */
  constructor(words: Int32Array, line: number) {
    this.words = words;
    this.low = line * LINE_WORDS + LOW_WORD;
    this.era = line * LINE_WORDS + ERA_WORD;
    this.nextEra = (Atomics.load(words, this.era) + 1) * ERA_BYTES;
  }

  /** Sets any position. Only before others read the cell. */
  reset(position: number): void {
    this.enterEra(position);
    Atomics.store(this.words, this.low, position | 0);
  }

  /** Moves the position up by less than 2^31. Everything written before is visible to whoever reads it. */
  store(position: number): void {
    if (position >= this.nextEra) this.enterEra(position);
    Atomics.store(this.words, this.low, position | 0);
  }

  /**
   * As `store`, and plain writes that follow stay behind it. A sequentially consistent store alone lets them pass on
   * processors with one-way barriers; a load of the same word after it does not.
   */
  storeBeforeWrites(position: number): void {
    this.store(position);
    Atomics.load(this.words, this.low);
  }

  /** The position, however far it moved since anybody looked. */
  load(): number {
    const { words } = this;
    for (;;) {
      const era = Atomics.load(words, this.era);
      const low = Atomics.load(words, this.low);
      if (Atomics.load(words, this.era) !== era) continue;
      // The era is stored first: where the shared bit differs, `low` is still in the era before.
      const eraOfLow = (era & 1) === low >>> 31 ? era : era - 1;
      return eraOfLow * ERA_BYTES + (low & 0x7fff_ffff);
    }
  }

  /** The position, known to be within 2^31 of `known`, by its distance. */
  loadNear(known: number): number {
    return known + ((Atomics.load(this.words, this.low) - (known | 0)) | 0);
  }

  private enterEra(position: number): void {
    const era = Math.floor(position / ERA_BYTES);
    this.nextEra = (era + 1) * ERA_BYTES;
    Atomics.store(this.words, this.era, era);
  }
}
