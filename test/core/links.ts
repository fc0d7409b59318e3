import { type Random, randomInteger } from '../../src/base/prng.js';

/** Which node hears which: every direction on its own. */
export class Links {
  readonly #cut = new Set<string>();

  carries(from: number, to: number): boolean {
    return !this.#cut.has(`${from}>${to}`);
  }

  cut(from: number, to: number): this {
    this.#cut.add(`${from}>${to}`);
    return this;
  }

  cutBoth(a: number, b: number): this {
    return this.cut(a, b).cut(b, a);
  }

  /** Two sides, a bridge between two sides, a node that is deaf or mute, or one link that fails. */
  static broken(random: Random, size: number): Links {
    const links = new Links();
    const node = randomInteger(random, 1, size);
    const kind = randomInteger(random, 0, 4);
    const others = Array.from({ length: size }, (_, i) => i + 1).filter((id) => id !== node);
    if (kind === 0) {
      for (const other of others) links.cut(other, node);
    } else if (kind === 1) {
      for (const other of others) links.cut(node, other);
    } else if (kind === 2) {
      links.cutBoth(node, others[randomInteger(random, 0, others.length - 1)] as number);
    } else {
      // The bridge is on both sides.
      const bridge = kind === 3 ? node : 0;
      const side = new Map(others.map((id) => [id, randomInteger(random, 0, 1)]));
      if (bridge === 0) side.set(node, randomInteger(random, 0, 1));
      for (const [a, sideOfA] of side) {
        for (const [b, sideOfB] of side) if (sideOfA !== sideOfB) links.cut(a, b);
      }
    }
    return links;
  }
}
