import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import { must } from './broken.js';
import { INITIAL_VALUE, judge, type Operation, type RegisterOp } from './linearizability.js';
import type { SimNode } from './node.js';

/** What tells a command to a register from any other entry, behind the head that every entry has. */
const MARK = 0x5245_4731;
const MARK_OFFSET = 8;
const COMMAND_BYTES = 24;
const KIND_WRITE = 1;
const KIND_CAS = 2;

export type RegisterCommand = Exclude<RegisterOp, { kind: 'read' }>;

/** A command as what fills an entry. */
export function commandBytes(key: number, command: RegisterCommand): Buffer {
  const bytes = Buffer.alloc(COMMAND_BYTES);
  bytes.writeUInt32LE(MARK, 0);
  bytes.writeUInt32LE(command.kind === 'write' ? KIND_WRITE : KIND_CAS, 4);
  bytes.writeUInt32LE(key, 8);
  bytes.writeUInt32LE(command.value, 12);
  bytes.writeUInt32LE(command.kind === 'cas' ? command.expected : 0, 16);
  return bytes;
}

/** What a snapshot has. */
interface Written {
  values: [key: number, value: number][];
  inner: string;
}

/** The registers of every node, as its state machine has them, and what clients did at them. */
export class Registers {
  /** Keys whose history was too hard to judge. */
  undecided = 0;
  readonly #values = new Map<SimNode, Map<number, number>>();
  readonly #history: Operation[] = [];
  /** Every call and every return has a moment of its own, in the order in which they happen. */
  #moment = 0;

  /** A process begins: its state machine knows nothing yet. */
  begin(node: SimNode): void {
    this.#values.set(node, new Map());
  }

  /** What the state machine of `node` holds now. */
  valueOn(node: SimNode, key: number): number {
    return this.#values.get(node)?.get(key) ?? INITIAL_VALUE;
  }

  /** A state machine that keeps registers beside what `inner` does. Answers a command with what it found. */
  around(node: SimNode, inner: SnapshotMachine): SnapshotMachine {
    return {
      apply: (batch) => {
        inner.apply(batch);
        const results: (Uint8Array | undefined)[] = [];
        batch.forEach((bytes, _index, position) => {
          results[position] = this.#apply(node, bytes);
        });
        return results;
      },
      takeSnapshot: () => {
        const values = [...this.#values.get(node)!];
        return Buffer.from(JSON.stringify({ values, inner: Buffer.from(inner.takeSnapshot()).toString() }));
      },
      restoreSnapshot: (state) => {
        const found = JSON.parse(Buffer.from(state).toString()) as Written;
        this.#values.set(node, new Map(found.values));
        inner.restoreSnapshot(Buffer.from(found.inner));
      },
    };
  }

  now(): number {
    return ++this.#moment;
  }

  /** An operation is over; `returned` Infinity: and nobody knows how. Those that certainly did nothing are not told. */
  add(key: number, op: RegisterOp, invoked: number, returned: number): void {
    this.#history.push({ key: `r${key}`, op, invoked, returned });
  }

  get operations(): number {
    return this.#history.length;
  }

  /** Holds what clients were told against what registers do. */
  check(budget?: number): void {
    const { verdict, key, stuck } = judge(this.#history, budget);
    must(verdict !== 'violation', () => `register ${key} is not linearizable: ${stuck.map(tell).join('; ')}`);
    if (verdict === 'undecided') this.undecided++;
  }

  #apply(node: SimNode, bytes: Uint8Array): Uint8Array | undefined {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.length !== MARK_OFFSET + COMMAND_BYTES || view.readUInt32LE(MARK_OFFSET) !== MARK)
      return undefined;
    const key = view.readUInt32LE(MARK_OFFSET + 8);
    const value = view.readUInt32LE(MARK_OFFSET + 12);
    const expected = view.readUInt32LE(MARK_OFFSET + 16);
    const found = this.valueOn(node, key);
    const sets = view.readUInt32LE(MARK_OFFSET + 4) === KIND_WRITE || found === expected;
    if (sets) this.#values.get(node)!.set(key, value);
    const answer = Buffer.alloc(4);
    answer.writeUInt32LE(found);
    return answer;
  }
}

function tell({ op, invoked, returned }: Operation): string {
  const when = `[${invoked}, ${returned === Number.POSITIVE_INFINITY ? 'never' : returned}]`;
  if (op.kind === 'read') return `${when} read ${op.value}`;
  if (op.kind === 'write') return `${when} write ${op.value}`;
  return `${when} ${op.expected} to ${op.value} found ${op.found ?? '?'}`;
}
