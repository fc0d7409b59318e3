import { type Random, randomInteger } from '../../src/base/prng.js';

/** Draws from one source of numbers. */
export class Chance {
  constructor(readonly random: Random) {}

  /** A number from [min, max). */
  between(min: number, max: number): number {
    return min + this.random() * (max - min);
  }

  /** A whole number from [min, max]. */
  integer(min: number, max: number): number {
    return randomInteger(this.random, min, max);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list];
    for (let at = mixed.length - 1; at > 0; at--) {
      const other = this.integer(0, at);
      [mixed[at], mixed[other]] = [mixed[other]!, mixed[at]!];
    }
    return mixed;
  }

  /** The time until the next of something that comes every `meanMs` on average and remembers nothing. */
  wait(meanMs: number): number {
    return -Math.log(1 - this.random()) * meanMs;
  }

  /** A seed for somebody who draws on their own. */
  seed(): number {
    return this.integer(1, 2 ** 31);
  }
}
