import { RaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import type { ReadPolicy } from '../../src/engine/options.js';
import { must } from './broken.js';
import { isOpen, type Writer } from './clients.js';
import type { History } from './history.js';
import type { SimNode } from './node.js';
import { commandBytes, type RegisterCommand, type Registers } from './registers.js';
import type { Scheduler } from './scheduler.js';

const KEYS = 3;
const OUTSTANDING_MAX = 12;
/** Turns of a main thread that a read may stay open behind its time. */
const LATE_TURNS_MAX = 20;
/** Twice the longest election timeout, and a tick, ms of the node's own clock. */
const READ_PATIENCE_MS = 2 * 1000 + 100;

export interface RegisterClientParts {
  group: GroupId;
  scheduler: Scheduler;
  history: History;
  registers: Registers;
  nodes: readonly SimNode[];
  everyMs: number;
  burst: number;
  policies: readonly ReadPolicy[];
  fail: (thrown: unknown) => void;
}

interface OpenRead {
  node: SimNode;
  life: number;
  deadlineMs: number;
  lateTurns: number;
}

/** Reads, writes and compares-and-sets a few registers on the nodes themselves, several at a time. */
export class RegisterClient implements Writer {
  answered = 0;
  refused = 0;
  readonly #parts: RegisterClientParts;
  readonly #reads = new Set<OpenRead>();
  /** What it last saw in each register. */
  readonly #seen: number[] = Array.from({ length: KEYS }, () => 0);
  #number = 0;
  #outstanding = 0;
  #stopped = false;

  constructor(
    readonly writer: number,
    parts: RegisterClientParts,
  ) {
    this.#parts = parts;
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Reads without an answer. */
  get open(): number {
    return this.#reads.size;
  }

  /** H66: a read ends in bounded time. The main thread of `node` has run. */
  turned(node: SimNode): void {
    for (const read of this.#reads) {
      if (read.node !== node || node.clock.nowMs() <= read.deadlineMs) continue;
      must(read.life === node.lives, () => `a read outlived its process on ${node.host}`);
      must(++read.lateTurns < LATE_TURNS_MAX, () => `a read on ${node.host} has no answer in time`);
    }
  }

  #later(): void {
    const { scheduler, everyMs, burst } = this.#parts;
    scheduler.after(scheduler.wait(everyMs), () => {
      if (this.#stopped) return;
      for (let left = scheduler.integer(1, burst); left > 0; left--)
        if (this.#outstanding < OUTSTANDING_MAX) this.#ask();
      this.#later();
    });
  }

  #ask(): void {
    const { scheduler, nodes, group } = this.#parts;
    const up = nodes.filter((node) => node.up);
    if (up.length === 0) return;
    const leading = up.filter((node) => node.leads(group));
    const node = scheduler.pick(leading.length > 0 && scheduler.chance(0.7) ? leading : up);
    const key = scheduler.integer(0, KEYS - 1);
    const kind = scheduler.random();
    this.#onMain(node, () => {
      if (kind < 0.55) this.#read(node, key);
      else this.#change(node, key, kind < 0.8);
    });
  }

  /** Somebody inside the process: their call waits while its main thread stands still. */
  #onMain(node: SimNode, run: () => void): void {
    const { scheduler } = this.#parts;
    const { lives } = node;
    const stalledMs = node.mainStalledMs();
    if (stalledMs <= 0) run();
    else scheduler.after(stalledMs, () => node.up && node.lives === lives && this.#onMain(node, run));
  }

  #read(node: SimNode, key: number): void {
    const { group, registers, scheduler, policies, fail } = this.#parts;
    const invoked = registers.now();
    const read = {
      node,
      life: node.lives,
      deadlineMs: node.clock.nowMs() + READ_PATIENCE_MS,
      lateTurns: 0,
    };
    const over = (): void => {
      this.#reads.delete(read);
      this.#outstanding--;
    };
    const refused = (): void => {
      over();
      this.refused++;
    };
    this.#reads.add(read);
    this.#outstanding++;
    const answered = (): void => {
      over();
      try {
        must(read.life === node.lives, () => `a read was answered by ${node.host} after its end`);
        const value = registers.valueOn(node, key);
        this.#seen[key] = value;
        this.answered++;
        registers.add(key, { kind: 'read', value }, invoked, registers.now());
      } catch (thrown) {
        fail(thrown);
      }
    };
    try {
      node.turn!.calls.read(group, { policy: scheduler.pick(policies) }, answered, refused);
    } catch (thrown) {
      refused();
      if (!(thrown instanceof RaftlineError)) throw thrown;
    }
  }

  #change(node: SimNode, key: number, blindly: boolean): void {
    const { group, registers, history } = this.#parts;
    const number = ++this.#number;
    // No value is ever written twice.
    const value = this.writer * 2 ** 20 + number;
    const command: RegisterCommand = blindly
      ? { kind: 'write', value }
      : { kind: 'cas', expected: this.#seen[key]!, value, found: undefined };
    const bytes = history.entry(this.writer, number, commandBytes(key, command));
    const invoked = registers.now();
    this.#outstanding++;
    const refused = (error: unknown): void => {
      this.#outstanding--;
      if (!(error instanceof RaftlineError)) throw error;
      if (isOpen(error)) {
        history.leaveOpen(this.writer, number);
        registers.add(key, command, invoked, Number.POSITIVE_INFINITY);
      } else history.refuse(this.writer, number, error.code);
    };
    try {
      node.turn!.calls.proposeMany(group, [bytes], {
        resolve: ({ index, term, results }) => {
          this.#outstanding--;
          const found = Buffer.from(results![0]!).readUInt32LE(0);
          const told = command.kind === 'cas' ? { ...command, found } : command;
          this.#seen[key] = told.kind === 'cas' && found !== told.expected ? found : value;
          history.acknowledge(this.writer, number, index, term);
          registers.add(key, told, invoked, registers.now());
        },
        reject: refused,
      });
    } catch (thrown) {
      refused(thrown);
    }
  }
}
