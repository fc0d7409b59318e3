import { seededRandom } from '../../src/base/prng.js';
import { crc32 } from '../../src/codec/checksum.js';
import { Chance } from './chance.js';

/** What a link does all through a run, as a network may: each direction of each link at a rate of its own. */
export const LINK_FAULTS = ['loss', 'duplication', 'reordering', 'delay'] as const;
export type LinkFault = (typeof LINK_FAULTS)[number];

/** The highest rate of any direction: chances for one message; for `delay` ms. Absent: not at all. */
export type LinkPlan = Partial<Readonly<Record<LinkFault, number>>>;

/** What one direction of one link does to what passes. */
export interface LinkState {
  /** Delay of each message, ms: the least, and how much is added at most. */
  delayMs: number;
  jitterMs: number;
  /** Nothing passes and nothing breaks: a black hole. What was sent passes later. */
  held: boolean;
  /** Nothing passes, connecting fails. */
  cut: boolean;
  /** Chances for one message. */
  loss: number;
  duplication: number;
  reordering: number;
  /** How it delays while no fault says otherwise. */
  readonly own: { readonly delayMs: number; readonly jitterMs: number };
}

const DELAY_MS = 0.2;
const JITTER_MS = 0.3;

/** The directions of all links, made as they are asked for. What one of them is like depends on its name and the seed alone. */
export class Links {
  readonly #links = new Map<string, LinkState>();
  readonly #seed: number;
  #plan: LinkPlan;

  constructor(seed: number, plan: LinkPlan) {
    this.#seed = seed;
    this.#plan = plan;
  }

  of(from: string, to: string): LinkState {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = this.#make(name);
      this.#links.set(name, link);
    }
    return link;
  }

  /** From now on nothing is lost, doubled, or overtaken, and everything is open. */
  mend(): void {
    this.#plan = this.#plan.delay === undefined ? {} : { delay: this.#plan.delay };
    for (const link of this.#links.values()) {
      Object.assign(link, { ...link.own, loss: 0, duplication: 0, reordering: 0, held: false, cut: false });
    }
  }

  #make(name: string): LinkState {
    const chance = new Chance(seededRandom(this.#seed ^ crc32(Buffer.from(name))));
    // Most directions are much better than the worst.
    const draw = (most = 0): number => most * chance.random() ** 2;
    const { loss, duplication, reordering, delay } = this.#plan;
    const own = { delayMs: DELAY_MS + draw(delay), jitterMs: JITTER_MS + draw(delay) };
    return {
      ...{ ...own, own, held: false, cut: false },
      ...{ loss: draw(loss), duplication: draw(duplication), reordering: draw(reordering) },
    };
  }
}
