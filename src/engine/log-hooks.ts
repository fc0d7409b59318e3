import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import type { RecoveredState } from '../core/options.js';
import type { Order } from '../core/ready.js';
import type { StateMachine } from './state-machine.js';

/** Tells a state machine that wants to know what enters its log, and what is taken out of it again (E4, jraft). */
export class LogHooks {
  readonly #group: GroupId;
  readonly #machine: Pick<StateMachine, 'preCommit' | 'rollback'>;
  /** What it has not been told of yet. */
  #untold: Order[] = [];
  #telling = false;

  /** Undefined: the state machine has none. */
  static of(
    group: GroupId,
    machine: StateMachine,
    recovered: RecoveredState,
    applied: LogIndex,
  ): LogHooks | undefined {
    const { preCommit, rollback } = machine;
    if (preCommit === undefined && rollback === undefined) return undefined;
    return new LogHooks(group, machine, recovered, applied);
  }

  /** Tells of what the log holds already behind `applied`: the state machine of a new process has forgotten it. */
  constructor(group: GroupId, machine: StateMachine, recovered: RecoveredState, applied: LogIndex) {
    this.#group = group;
    this.#machine = machine;
    const { termRuns, lastIndex } = recovered;
    for (const [at, { term, firstIndex }] of termRuns.entries()) {
      const first = Math.max(firstIndex, applied + 1);
      const end = termRuns[at + 1]?.firstIndex ?? lastIndex + 1;
      if (first < end) this.#entered(term, first, end - first);
    }
  }

  /**
   * The core has ordered these, and they are on their way to the log. What a hook proposes meanwhile is told of after what was there before it. Once
   * a hook has thrown, nothing more is told.
   */
  take(orders: readonly Order[]): void {
    this.#untold.push(...orders);
    if (this.#telling) return;
    this.#telling = true;
    while (this.#untold.length > 0) for (const order of this.#untold.splice(0)) this.#tell(order);
    this.#telling = false;
  }

  #tell(order: Order): void {
    switch (order.type) {
      case 'own':
        this.#entered(order.batch.term, order.batch.firstIndex, order.batch.count);
        break;
      case 'append':
        this.#entered(order.header.term, order.header.firstIndex, order.header.count);
        break;
      case 'truncate':
        this.#left(order.from);
        break;
      case 'snapshot':
        if (!order.keepsSuffix) this.#left(order.index + 1);
        break;
      default:
    }
  }

  #entered(term: Term, firstIndex: LogIndex, count: number): void {
    this.#guarded(firstIndex, () =>
      this.#machine.preCommit?.({ group: this.#group, term, firstIndex, count }),
    );
  }

  #left(from: LogIndex): void {
    this.#guarded(from, () => this.#machine.rollback?.({ group: this.#group, from }));
  }

  #guarded(index: LogIndex, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw new RaftlineError(
        ErrorCode.StateMachineFailed,
        `group ${this.#group}: a hook of the state machine failed at entry ${index}: ${reason}`,
        { group: this.#group, index },
        thrown,
      );
    }
  }
}
