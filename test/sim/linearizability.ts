/** What one client asked of one register, and what it was told. Values are numbers; a register begins at 0. */
export type RegisterOp =
  | { readonly kind: 'read'; readonly value: number }
  | { readonly kind: 'write'; readonly value: number }
  /** Compare and set: writes `value` if it finds `expected`. `found` is what it was told; undefined if it was told nothing. */
  | {
      readonly kind: 'cas';
      readonly expected: number;
      readonly value: number;
      readonly found: number | undefined;
    };

export interface Operation {
  readonly key: string;
  readonly op: RegisterOp;
  readonly invoked: number;
  /** `Infinity`: nobody knows whether it took effect, or ever will. Certainly not done: leave it out of the history. */
  readonly returned: number;
}

export interface Judgement {
  verdict: 'linearizable' | 'violation' | 'undecided';
  /** The key that decided, unless all is well. */
  key: string | undefined;
  /** Of a violation: operations that contradict each other, behind the longest part that can be explained. */
  stuck: readonly Operation[];
  /** Configurations looked at. */
  configurations: number;
}

export const INITIAL_VALUE = 0;
const BUDGET_FIRST = 2_000;
const BUDGET_GROWTH = 8;

/**
 * Whether every register behaved as if each operation had happened at one moment between its call and its return: Wing and
 * Gong's search (1993), with the configurations that led nowhere remembered, and key by key, since linearizability is local (Lowe,
 * 2017). Every key gets a small budget first, and only those that it did not decide get larger ones: a violation in one is
 * found before another has cost much.
 *
 * `budget`: configurations to look at for one key at most; beyond it that key is undecided, which is never good news.
 */
export function judge(history: readonly Operation[], budget = 500_000): Judgement {
  let open = [...byKey(history)].map(([key, operations]) => ({
    key,
    operations: settleOpen(operations),
  }));
  let configurations = 0;
  for (let limit = Math.min(BUDGET_FIRST, budget); ; limit = Math.min(limit * BUDGET_GROWTH, budget)) {
    const undecided: typeof open = [];
    for (const each of open) {
      const search = new Search(each.operations, limit);
      const verdict = search.run();
      configurations += search.configurations;
      if (verdict === 'violation') return { verdict, key: each.key, stuck: search.stuck, configurations };
      if (verdict === 'undecided') undecided.push(each);
    }
    open = undecided;
    const [first] = open;
    if (first === undefined) return { verdict: 'linearizable', key: undefined, stuck: [], configurations };
    if (limit >= budget) return { verdict: 'undecided', key: first.key, stuck: [], configurations };
  }
}

function byKey(history: readonly Operation[]): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>();
  for (const each of history) {
    const known = keys.get(each.key);
    if (known === undefined) keys.set(each.key, [each]);
    else known.push(each);
  }
  return keys;
}

const isOpen = (operation: Operation): boolean => operation.returned === Number.POSITIVE_INFINITY;

/** What an operation saw, if it counts; undefined: nothing. Of one without an answer: what it must have seen if it did anything. */
function seenBy({ op }: Operation): number | undefined {
  if (op.kind === 'read') return op.value;
  if (op.kind === 'write') return undefined;
  return op.found ?? op.expected;
}

/** What an operation leaves behind, if it counts; undefined: nothing. */
function leftBy({ op }: Operation): number | undefined {
  if (op.kind === 'read') return undefined;
  if (op.kind === 'write') return op.value;
  if (op.found !== undefined && op.found !== op.expected) return undefined;
  return op.value === op.expected ? undefined : op.value;
}

/**
 * Operations without an answer may count at any time after their call or never, and each doubles the search. Most need not:
 * - one whose value nobody saw may as well never have counted: what came after it either saw nothing or would have seen it;
 * - one whose value nobody else wrote, and somebody saw, did count, and before the first who saw it returned.
 */
function settleOpen(operations: readonly Operation[]): Operation[] {
  const answered = operations.filter((each) => !isOpen(each));
  let open = operations.filter((each) => isOpen(each) && leftBy(each) !== undefined);
  const writers = new Map<number, number>([[INITIAL_VALUE, 1]]);
  for (const each of [...answered, ...open]) {
    const value = leftBy(each);
    if (value !== undefined) writers.set(value, (writers.get(value) ?? 0) + 1);
  }
  for (;;) {
    const seenUntil = new Map<number, number>();
    for (const each of [...answered, ...open]) {
      const value = seenBy(each);
      if (value !== undefined)
        seenUntil.set(value, Math.min(each.returned, seenUntil.get(value) ?? each.returned));
    }
    const still: Operation[] = [];
    const before = answered.length;
    const wereOpen = open.length;
    for (const each of open) {
      const value = leftBy(each)!;
      const until = seenUntil.get(value);
      if (until === undefined) continue;
      if (until < Number.POSITIVE_INFINITY && writers.get(value) === 1) answered.push(counted(each, until));
      else still.push(each);
    }
    open = still;
    if (answered.length === before && open.length === wereOpen) return [...answered, ...open];
  }
}

/** An operation that certainly took effect before `until`, although nobody was told. */
function counted({ key, op, invoked }: Operation, until: number): Operation {
  const told = op.kind === 'cas' ? { ...op, found: op.expected } : op;
  // Seen before it was asked for: no order explains that, and the search will find none.
  return { key, op: told, invoked, returned: Math.max(until, invoked) };
}

interface Step {
  /** What was put into the order at this step, as a place in `#all`. */
  readonly taken: number;
  readonly stateBefore: number;
  readonly baseBefore: number;
  /** What else could have been put there. */
  readonly others: number[];
}

/** The search for one key: puts operations into an order, one by one, and goes back where none fits. */
class Search {
  configurations = 0;
  stuck: readonly Operation[] = [];
  /** Those with an answer by their calls, then those without. */
  readonly #all: readonly Operation[];
  readonly #answered: number;
  readonly #budget: number;
  readonly #done: Uint8Array;
  /** Where the search had a choice: what was in the order, and the state that it left. */
  readonly #known = new Set<string>();
  /** By value: how many answered operations that are not in the order yet saw it, and how many could still leave it. */
  readonly #wanted = new Map<number, number>();
  readonly #offered = new Map<number, number>();
  /** Every answered operation before it is in the order. */
  #base = 0;
  #state = INITIAL_VALUE;
  /** How many answered ones are in the order. */
  #ordered = 0;
  #deepest = -1;

  constructor(operations: readonly Operation[], budget: number) {
    const byCall = operations.toSorted((a, b) => a.invoked - b.invoked);
    const answered = byCall.filter((each) => !isOpen(each));
    this.#all = [...answered, ...byCall.filter(isOpen)];
    this.#answered = answered.length;
    this.#budget = budget;
    this.#done = new Uint8Array(this.#all.length);
    for (let place = 0; place < this.#all.length; place++) this.#count(place, 1);
  }

  run(): Judgement['verdict'] {
    const steps: Step[] = [];
    let candidates = this.#candidates();
    while (this.#ordered < this.#answered) {
      const next = candidates.shift();
      if (next === undefined) {
        const last = steps.pop();
        if (last === undefined) return 'violation';
        this.#takeBack(last);
        candidates = last.others;
        continue;
      }
      if (++this.configurations > this.#budget) return 'undecided';
      const stateBefore = this.#state;
      steps.push({ taken: next, stateBefore, baseBefore: this.#base, others: candidates });
      this.#take(next);
      // Overwritten too early: somebody still has to see what nobody can bring back.
      const lost = this.#state !== stateBefore && this.#wants(stateBefore) && !this.#offers(stateBefore);
      candidates = lost ? [] : this.#candidates();
      if (candidates.length > 1 && !this.#isNew()) candidates = [];
    }
    return 'linearizable';
  }

  /** What may come next: asked for before anything that is not in the order yet returned, and true in this state. */
  #candidates(): number[] {
    const candidates: number[] = [];
    let returned = Number.POSITIVE_INFINITY;
    let at = this.#base;
    for (; at < this.#answered && this.#all[at]!.invoked <= returned; at++) {
      if (this.#done[at] === 1) continue;
      const operation = this.#all[at]!;
      returned = Math.min(returned, operation.returned);
      if (!this.#fits(operation)) continue;
      if (this.#isHarmless(operation)) return [at];
      candidates.push(at);
    }
    if (this.#ordered > this.#deepest) this.#noteStuck(at);
    candidates.sort((a, b) => this.#all[a]!.returned - this.#all[b]!.returned);
    for (let open = this.#answered; open < this.#all.length; open++) {
      const operation = this.#all[open]!;
      if (this.#done[open] === 0 && operation.invoked <= returned && this.#fits(operation))
        candidates.push(open);
    }
    return candidates;
  }

  #fits(operation: Operation): boolean {
    const seen = seenBy(operation);
    return seen === undefined || seen === this.#state;
  }

  /** Whether putting it here loses nothing: it changes nothing, or only what nobody will see to what nobody will see. */
  #isHarmless(operation: Operation): boolean {
    const left = leftBy(operation);
    if (left === undefined) return true;
    return (
      this.#answered === this.#all.length &&
      operation.op.kind === 'write' &&
      !this.#wants(left) &&
      !this.#wants(this.#state)
    );
  }

  #wants(value: number): boolean {
    return (this.#wanted.get(value) ?? 0) > 0;
  }

  #offers(value: number): boolean {
    return (this.#offered.get(value) ?? 0) > 0;
  }

  #count(place: number, by: 1 | -1): void {
    const operation = this.#all[place]!;
    const seen = place < this.#answered ? seenBy(operation) : undefined;
    if (seen !== undefined) this.#wanted.set(seen, (this.#wanted.get(seen) ?? 0) + by);
    const left = leftBy(operation);
    if (left !== undefined) this.#offered.set(left, (this.#offered.get(left) ?? 0) + by);
  }

  #noteStuck(end: number): void {
    this.#deepest = this.#ordered;
    const left = this.#all.slice(0, this.#answered).filter((_, at) => this.#done[at] === 0);
    const last = this.#all[end - 1]?.invoked ?? 0;
    // What would have to come next, and what first has to see what is there now.
    this.stuck = left.filter((each) => each.invoked <= last || seenBy(each) === this.#state);
  }

  #take(place: number): void {
    this.#done[place] = 1;
    this.#count(place, -1);
    this.#state = leftBy(this.#all[place]!) ?? this.#state;
    if (place < this.#answered) this.#ordered++;
    while (this.#base < this.#answered && this.#done[this.#base] === 1) this.#base++;
  }

  #takeBack({ taken, stateBefore, baseBefore }: Step): void {
    this.#done[taken] = 0;
    this.#count(taken, 1);
    this.#state = stateBefore;
    this.#base = baseBefore;
    if (taken < this.#answered) this.#ordered--;
  }

  /** Whether the search was never before at this choice. */
  #isNew(): boolean {
    let name = `${this.#state} ${this.#base}`;
    let left = this.#ordered - this.#base;
    for (let at = this.#base; left > 0; at++) {
      if (this.#done[at] === 0) continue;
      left--;
      name += ` ${at}`;
    }
    for (let at = this.#answered; at < this.#all.length; at++) if (this.#done[at] === 1) name += ` ${at}`;
    if (this.#known.has(name)) return false;
    this.#known.add(name);
    return true;
  }
}
