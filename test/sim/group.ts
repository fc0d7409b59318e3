import type { GroupId } from '../../src/base/ids.js';
import type { TraceEvent } from '../../src/core/trace-event.js';
import type { ReadPolicy } from '../../src/engine/options.js';
import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import { TraceModel } from '../core/trace-model.js';
import { must } from './broken.js';
import { Checks } from './checks.js';
import { LocalWriter, RemoteWriter, type Writer } from './clients.js';
import { History } from './history.js';
import { MemberOperator } from './member-operator.js';
import type { SimNetwork } from './network.js';
import type { SimNode } from './node.js';
import { Patience } from './patience.js';
import { RegisterClient } from './register-client.js';
import { Registers } from './registers.js';
import type { ClientPlan } from './scenario.js';
import type { Scheduler } from './scheduler.js';

export interface GroupParts {
  id: GroupId;
  scheduler: Scheduler;
  network: SimNetwork;
  nodes: readonly SimNode[];
  /** The first members. */
  founders: readonly number[];
  /** There are no other groups. */
  alone: boolean;
  reads: ReadPolicy;
  fail: (thrown: unknown) => void;
}

/** One group of the cluster, seen from outside: its clients, whoever changes its members, and what is held against each other. */
export class SimGroup {
  readonly id: GroupId;
  readonly history = new History();
  readonly registers = new Registers();
  readonly readers: RegisterClient[] = [];
  readonly checks: Checks;
  readonly operator: MemberOperator;
  /** What Raft allows, step by step. */
  readonly #model: TraceModel;
  readonly #patience: Patience;
  /** Data directories of each node up to now. */
  readonly #directories = new Map<SimNode, number>();
  readonly #parts: GroupParts;
  readonly #writers: Writer[] = [];

  constructor(parts: GroupParts) {
    const { id, nodes, scheduler, alone, reads, fail } = parts;
    this.#parts = parts;
    this.id = id;
    this.#patience = new Patience(reads === 'lease');
    this.#model = new TraceModel({ checkQuorum: true, lease: reads === 'lease' });
    this.checks = new Checks(id, alone, nodes, this.history);
    this.history.appliedAt = (index) => this.checks.appliedAt(index);
    const { committed } = this.checks.configurations;
    this.operator = new MemberOperator({ group: id, scheduler, nodes, alone, committed, fail });
  }

  machineOf(node: SimNode): SnapshotMachine {
    return this.registers.around(node, this.checks.machineOf(node));
  }

  startClients(plans: readonly ClientPlan[]): void {
    const { scheduler, network, nodes, reads, fail, founders } = this.#parts;
    const shared = {
      group: this.id,
      scheduler,
      history: this.history,
      network,
      nodes,
      servers: founders,
      fail,
    };
    for (const [at, { kind, group, ...pace }] of plans.entries()) {
      if (group !== this.id) continue;
      const parts = { ...shared, ...pace };
      if (kind === 'registers') {
        const policies = reads === 'lease' ? (['lease', 'lease', 'readIndex'] as const) : [reads];
        const client = new RegisterClient(at + 1, { ...parts, policies, registers: this.registers });
        this.#writers.push(client);
        this.readers.push(client);
      } else {
        const Kind = kind === 'local' ? LocalWriter : RemoteWriter;
        this.#writers.push(new Kind(at + 1, parts));
      }
    }
  }

  stopClients(): void {
    for (const writer of this.#writers) writer.stop();
  }

  /** The main thread of `node` has run. */
  turned(node: SimNode): void {
    this.checks.afterTurn(node);
    for (const client of this.readers) client.turned(node);
  }

  /** The core of `node` has taken a step. */
  traced(node: SimNode, event: TraceEvent): void {
    const directories = this.#directories.get(node) ?? 1;
    // Whoever comes back without a disk is somebody else.
    if (directories !== node.directories) this.#model.forget(node.id);
    this.#directories.set(node, node.directories);
    this.#model.take(event);
    const [fault] = this.#model.faults;
    must(fault === undefined, () => fault ?? '');
    this.#patience.take(node, event);
    const { role, term, commitTerm } = event.state;
    must(
      role !== 'leader' || commitTerm === term || !node.replica(this.id).leaseHolds,
      () => `the lease of ${node.host} holds before anything of its term ${term} is committed (H65)`,
    );
    if (!event.sends.some(({ message }) => message.type === 'heartbeat')) return;
    const status = node.replica(this.id).status();
    const handsOver = status.transferTo !== 0;
    this.#patience.handsOver(
      node,
      status.transferTo,
      handsOver ? node.turn!.counters().health.diskStalledMs : 0,
    );
    this.checks.counted(node, status);
  }

  /** What keeps it from being as good as new; undefined: it is. */
  notConverged(): string | undefined {
    const missing = this.checks.notConverged();
    if (missing !== undefined) return missing;
    if (this.history.open > 0) return `${this.history.open} operations are open`;
    if (this.operator.open > 0) return `${this.operator.open} changes of members are open`;
    const reads = this.readers.reduce((sum, { open }) => sum + open, 0);
    return reads > 0 ? `${reads} reads are open` : undefined;
  }

  /** Proposes one entry on whoever leads. */
  writeOnce(): void {
    const { scheduler, nodes } = this.#parts;
    const pace = { everyMs: 1, burst: 1 };
    const writer = new LocalWriter(1000, {
      group: this.id,
      scheduler,
      history: this.history,
      nodes,
      ...pace,
    });
    writer.stop();
    const leader = nodes.find((node) => node.leads(this.id));
    must(leader !== undefined, () => 'a healthy cluster has no leader any more');
    writer.proposeOn(leader);
  }

  /** Holds what clients were told against what became of it. */
  checkAtEnd(): void {
    this.history.checkAtEnd();
    this.registers.check();
  }
}
