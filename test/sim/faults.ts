import type { SimNetwork } from './network.js';
import { GROUP, type SimNode } from './node.js';
import type { Fault, Plan } from './profiles.js';
import type { Scheduler } from './scheduler.js';

/** Processes that are down come back by themselves after a while. */
const DOWN_MS_MAX = 5000;

/** Does to a cluster what its plan says, until told to stop; then mends everything. */
export class Faults {
  /** How often each kind was done. */
  readonly done = new Map<Fault, number>();
  readonly #scheduler: Scheduler;
  readonly #network: SimNetwork;
  readonly #nodes: readonly SimNode[];
  #stopped = false;

  constructor(scheduler: Scheduler, network: SimNetwork, nodes: readonly SimNode[], plan: Plan) {
    this.#scheduler = scheduler;
    this.#network = network;
    this.#nodes = nodes;
    for (const [kind, meanMs] of plan.meanMs) this.#later(kind, meanMs);
  }

  /** The node's process is gone: it comes back after a while, or soon once the faults have ended. */
  restartLater(node: SimNode): void {
    const scheduler = this.#scheduler;
    const delayMs = this.#stopped ? 200 : scheduler.between(50, DOWN_MS_MAX);
    scheduler.after(delayMs, () => {
      if (!node.up) node.boot();
    });
  }

  /** Mends links and disks, ends stalls, starts what is down. */
  stop(): void {
    this.#stopped = true;
    const { nodes, network } = { nodes: this.#nodes, network: this.#network };
    for (const a of nodes) {
      for (const b of nodes) if (a !== b) this.#mend(a, b);
      a.disk.mood.failing = 0;
      a.disk.mood.stuckUntilMs = 0;
      a.disk.mood.delayMs = 0.1;
      a.disk.mood.jitterMs = 0.4;
      a.disk.faults = {};
      if (!a.up) this.restartLater(a);
    }
    for (const a of nodes) for (const b of nodes) network.release(a.host, b.host);
  }

  #later(kind: Fault, meanMs: number): void {
    const scheduler = this.#scheduler;
    scheduler.after(-Math.log(1 - scheduler.random()) * meanMs, () => {
      if (this.#stopped) return;
      if (this.#doNow(kind)) this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
      this.#later(kind, meanMs);
    });
  }

  /** False: it makes no sense now. */
  #doNow(kind: Fault): boolean {
    const scheduler = this.#scheduler;
    const node = scheduler.pick(this.#nodes);
    scheduler.say('fault', `${kind} ${node.host}`);
    switch (kind) {
      case 'breakStream':
        return this.#network.breakOne();
      case 'split':
      case 'oneWay':
      case 'bridge':
      case 'oneLink':
      case 'isolateLeader':
        return this.#part(kind);
      case 'slowLink':
        return this.#slowLink();
      case 'powerCut':
      case 'kill':
      case 'threadDeath':
      case 'crashInStart':
        return this.#crash(kind, node);
      case 'slowDisk':
      case 'stuckDisk':
      case 'failingDisk':
      case 'fullDisk':
        return this.#disk(kind, node);
      case 'stallMain':
      case 'stallThread':
      case 'stallNode':
        return this.#stall(kind, node);
    }
  }

  #part(kind: 'split' | 'oneWay' | 'bridge' | 'oneLink' | 'isolateLeader'): boolean {
    const scheduler = this.#scheduler;
    const nodes = this.#shuffled();
    if (nodes.length < 2) return false;
    const half = scheduler.integer(1, nodes.length - 1);
    const [a, b, c] = nodes as [SimNode, SimNode, SimNode | undefined];
    let pairs: [SimNode, SimNode][] = [];
    if (kind === 'split') pairs = this.#between(nodes.slice(0, half), nodes.slice(half));
    else if (kind === 'oneWay' || kind === 'oneLink') pairs = [[a, b]];
    else if (kind === 'bridge') {
      if (c === undefined) return false;
      // `a` hears everybody; the two sides do not hear each other.
      pairs = this.#between(
        nodes.slice(1, 1 + Math.ceil((nodes.length - 1) / 2)),
        nodes.slice(1 + Math.ceil((nodes.length - 1) / 2)),
      );
    } else {
      const leader = nodes.find((each) => each.up && each.turn!.replica(GROUP).role === 'leader');
      if (leader === undefined) return false;
      pairs = this.#between(
        [leader],
        nodes.filter((each) => each !== leader),
      );
    }
    const cut = scheduler.chance(0.5);
    const oneWay = kind === 'oneWay';
    for (const [from, to] of pairs) this.#close(from, to, cut && !oneWay, oneWay);
    scheduler.after(this.#duration(8000), () => {
      for (const [from, to] of pairs) this.#mend(from, to);
    });
    return true;
  }

  #between(left: readonly SimNode[], right: readonly SimNode[]): [SimNode, SimNode][] {
    return left.flatMap((a) => right.map((b): [SimNode, SimNode] => [a, b]));
  }

  #close(a: SimNode, b: SimNode, cut: boolean, oneWay: boolean): void {
    const forth = this.#network.link(a.host, b.host);
    const back = this.#network.link(b.host, a.host);
    if (!cut) {
      forth.held = true;
      if (!oneWay) back.held = true;
      return;
    }
    forth.cut = true;
    back.cut = true;
    this.#network.breakStreams(a.host, b.host);
  }

  #mend(a: SimNode, b: SimNode): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const link = this.#network.link(from.host, to.host);
      link.held = false;
      link.cut = false;
      if (this.#stopped) {
        link.delayMs = 0.2;
        link.jitterMs = 0.3;
      }
      this.#network.release(from.host, to.host);
    }
  }

  #slowLink(): boolean {
    const scheduler = this.#scheduler;
    const [a, b] = this.#shuffled();
    if (a === undefined || b === undefined) return false;
    const link = this.#network.link(a.host, b.host);
    link.delayMs = scheduler.between(0, 120);
    link.jitterMs = scheduler.between(0, 120);
    scheduler.after(this.#duration(10_000), () => {
      link.delayMs = 0.2;
      link.jitterMs = 0.3;
    });
    return true;
  }

  #crash(kind: 'powerCut' | 'kill' | 'threadDeath' | 'crashInStart', node: SimNode): boolean {
    if (!node.up) return false;
    if (kind === 'threadDeath') {
      node.dieInside();
      return true;
    }
    if (this.#scheduler.chance(0.4)) {
      node.disk.aimAt(this.#scheduler.chance(0.75) ? 'write' : 'name', () => this.#crashNow(kind, node));
    } else this.#crashNow(kind, node);
    return true;
  }

  #crashNow(kind: 'powerCut' | 'kill' | 'crashInStart', node: SimNode): void {
    if (!node.up || this.#stopped) return;
    if (kind === 'kill') {
      node.kill();
      if (this.#scheduler.chance(0.5)) {
        this.#cutAfterStart(node);
        return;
      }
    } else node.cutPower();
    // The disk counts the operations that change something; the next start does about a dozen.
    if (kind === 'crashInStart')
      node.disk.faults.crashAt = node.disk.operations + this.#scheduler.integer(1, 14);
    this.restartLater(node);
  }

  /** What a killed process left in the system's memory is found by the next one, and must not be built upon before it is synced. */
  #cutAfterStart(node: SimNode): void {
    const scheduler = this.#scheduler;
    scheduler.after(scheduler.between(1, 30), () => {
      node.boot();
      scheduler.after(scheduler.between(0, 3), () => {
        if (!node.up) return;
        node.cutPower();
        this.restartLater(node);
      });
    });
  }

  #disk(kind: 'slowDisk' | 'stuckDisk' | 'failingDisk' | 'fullDisk', node: SimNode): boolean {
    const scheduler = this.#scheduler;
    const { mood } = node.disk;
    const forMs = this.#duration(8000);
    if (kind === 'stuckDisk') {
      mood.stuckUntilMs = scheduler.nowMs + forMs;
      return true;
    }
    if (kind === 'slowDisk') {
      mood.delayMs = scheduler.between(0, 30);
      mood.jitterMs = scheduler.between(0, 200);
    } else if (kind === 'failingDisk') mood.failing = 0.2;
    else node.disk.faults = { capacity: node.disk.used() + scheduler.integer(0, 4096) };
    scheduler.after(forMs, () => {
      mood.failing = 0;
      mood.delayMs = 0.1;
      mood.jitterMs = 0.4;
      node.disk.faults = {};
    });
    return true;
  }

  #stall(kind: 'stallMain' | 'stallThread' | 'stallNode', node: SimNode): boolean {
    const { threads } = node;
    if (threads === undefined) return false;
    const scheduler = this.#scheduler;
    const untilMs = scheduler.nowMs + this.#duration(10_000);
    if (kind !== 'stallThread') node.mainStalledUntilMs = untilMs;
    if (kind === 'stallMain') return true;
    const all = [threads.wal, threads.network, threads.encoder].filter((thread) => thread !== undefined);
    for (const thread of kind === 'stallNode' ? all : [scheduler.pick(all)]) thread.stalledUntilMs = untilMs;
    return true;
  }

  /** Mostly short, at times long; at most `maxMs`. */
  #duration(maxMs: number): number {
    return 20 * (maxMs / 20) ** this.#scheduler.random();
  }

  #shuffled(): SimNode[] {
    const nodes = [...this.#nodes];
    for (let at = nodes.length - 1; at > 0; at--) {
      const other = this.#scheduler.integer(0, at);
      [nodes[at], nodes[other]] = [nodes[other]!, nodes[at]!];
    }
    return nodes;
  }
}
