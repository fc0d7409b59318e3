import { Chance } from './chance.js';

interface Event {
  readonly atMs: number;
  /** Which of two events at the same time comes first. */
  readonly order: number;
  /** Emptied when the event is taken back. */
  run: (() => void) | undefined;
}

const TRACE_LINES = 400;

/**
 * Time, chance and the one list of things to come. Nothing in a simulation happens but the next event of this list, so a
 * run is a function of its seed.
 */
export class Scheduler extends Chance {
  nowMs = 0;
  /** Whether messages are kept for people to read, too. */
  detailed = false;
  /** Events that happened. */
  steps = 0;
  /** Something was put off to the end of its turn (a microtask): it must happen before the next event does. */
  unsettled = false;
  /** Two runs are the same exactly if this is. */
  hash = 0;
  readonly #heap: Event[] = [];
  readonly #trace: string[] = [];
  #order = 0;

  /** Calls `run` once, `delayMs` from now. Returns what takes it back; late or twice is fine. */
  after(delayMs: number, run: () => void): () => void {
    return this.at(this.nowMs + Math.max(0, delayMs), run);
  }

  /** As `after`, at a time that is not over. */
  at(atMs: number, run: () => void): () => void {
    const event: Event = { atMs, order: ++this.#order, run };
    push(this.#heap, event);
    return () => {
      event.run = undefined;
    };
  }

  /** Lets the next event happen. False: there is none. */
  step(): boolean {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      if (event.run === undefined) continue;
      this.nowMs = event.atMs;
      this.steps++;
      const { run } = event;
      event.run = undefined;
      run();
      return true;
    }
  }

  /** Takes a fact into the hash; cheap, for what happens all the time. */
  note(fact: number): void {
    let mixed = Math.imul(this.hash ^ (fact | 0), 0x9e37_79b1);
    mixed ^= mixed >>> 15;
    this.hash = (Math.imul(mixed, 0x85eb_ca77) ^ (this.nowMs * 1024)) >>> 0;
  }

  /** Keeps a line for people to read when the run fails. */
  say(who: string, what: string): void {
    for (let at = 0; at < what.length; at++) this.note(what.charCodeAt(at));
    this.#write(who, what);
  }

  /** As `say`, where everything is wanted: changes nothing of the run. */
  detail(who: string, what: () => string): void {
    if (this.detailed) this.#write(who, what());
  }

  #write(who: string, what: string): void {
    this.#trace.push(`${this.nowMs.toFixed(3).padStart(12)}  ${who.padEnd(8)} ${what}`);
    if (this.#trace.length >= 2 * TRACE_LINES) this.#trace.splice(0, TRACE_LINES);
  }

  /** The last lines that were said. */
  trace(lines: number): string[] {
    return this.#trace.slice(-lines);
  }
}

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
