import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import { type Random, seededRandom } from '../../src/base/prng.js';
import { Chance } from './chance.js';
import type { MemberOperator } from './member-operator.js';
import type { SimNetwork } from './network.js';
import type { SimNode } from './node.js';
import { canCut, closeLinks, directionsOf, openLinks, type Partition } from './partitions.js';
import type { Fault, Incident } from './profiles.js';
import type { FaultEvent } from './scenario.js';
import type { Scheduler } from './scheduler.js';
import { GOOD_MOOD } from './snapshot-store.js';

/** Processes that ended by themselves come back after a while. */
const DOWN_MS_MAX = 5000;
/** How long a roaming fault stays at one link. */
const ROAMING_MS = 300;
/** So that it comes between two other events, in every repetition. */
const URGE_DELAY_MS = 0.01;
/** A week, to either side. */
const WALL_JUMP_MS = 7 * 24 * 3_600_000;

export interface FaultsParts {
  scheduler: Scheduler;
  network: SimNetwork;
  nodes: readonly SimNode[];
  /** One for each group. */
  operators: readonly MemberOperator[];
  faults: readonly FaultEvent[];
  /** Of what is done beyond `faults`. */
  random: Random;
}

/** Does to a cluster what its scenario says, until told to stop; then mends everything. */
export class Faults {
  /** How often each kind was done. */
  readonly done = new Map<Fault, number>();
  /** What was done to help the run on: with these in its scenario the same happens without any help. */
  readonly urged: FaultEvent[] = [];
  readonly #parts: FaultsParts;
  readonly #scheduler: Scheduler;
  readonly #network: SimNetwork;
  readonly #nodes: readonly SimNode[];
  readonly #urges: Chance;
  #stopped = false;

  constructor(parts: FaultsParts) {
    this.#parts = parts;
    this.#scheduler = parts.scheduler;
    this.#network = parts.network;
    this.#nodes = parts.nodes;
    this.#urges = new Chance(parts.random);
    for (const fault of parts.faults) this.#later(fault);
  }

  /** The node's process is gone: it comes back after a while, or soon once the faults have ended. */
  restartLater(node: SimNode, downMs?: number): void {
    const scheduler = this.#scheduler;
    const delayMs = this.#stopped ? 200 : (downMs ?? scheduler.between(50, DOWN_MS_MAX));
    scheduler.after(delayMs, () => {
      if (!node.up) node.boot();
    });
  }

  /** Does one of `kinds` right away: the run lacks what follows from it. */
  urge(kinds: readonly Incident[]): void {
    const chance = this.#urges;
    const atMs = this.#scheduler.nowMs + URGE_DELAY_MS;
    const fault = { atMs, kind: chance.pick(kinds), forMs: chance.integer(1000, 4000), seed: chance.seed() };
    this.urged.push(fault);
    this.#later(fault);
  }

  /** Mends links and disks, ends stalls, starts what is down. */
  stop(): void {
    this.#stopped = true;
    const { nodes, network } = { nodes: this.#nodes, network: this.#network };
    for (const a of nodes) {
      a.clock.runAt(a.clock.ownRate);
      a.disk.mood.failing = 0;
      a.disk.mood.stuckUntilMs = 0;
      a.disk.mood.delayMs = 0.1;
      a.disk.mood.jitterMs = 0.4;
      a.disk.faults = {};
      Object.assign(a.snapshots.mood, GOOD_MOOD);
      if (!a.up) this.restartLater(a);
    }
    network.mend();
  }

  #later(fault: FaultEvent): void {
    this.#scheduler.at(fault.atMs, () => {
      if (this.#stopped) return;
      const { kind } = fault;
      if (!this.#do(fault, new Chance(seededRandom(fault.seed)))) return;
      this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
    });
  }

  /** False: it makes no sense now. */
  #do({ kind, forMs }: FaultEvent, chance: Chance): boolean {
    const node = chance.pick(this.#nodes);
    const operator = chance.pick(this.#parts.operators);
    switch (kind) {
      case 'breakStream':
        this.#say(kind);
        return this.#network.breakOne();
      case 'slowLink':
        return this.#slowLink(forMs, chance);
      case 'powerCut':
      case 'kill':
      case 'threadDeath':
      case 'crashInStart':
        return this.#crash(kind, node, forMs, chance);
      case 'killLeader': {
        const leader = this.#nodes.find((each) => each.leads(operator.group));
        return leader !== undefined && this.#crash('kill', leader, forMs, chance);
      }
      case 'slowDisk':
      case 'stuckDisk':
      case 'failingDisk':
      case 'fullDisk':
        return this.#disk(kind, node, forMs, chance);
      case 'stallMain':
      case 'stallThread':
      case 'stallNode':
        return this.#stall(kind, node, forMs, chance);
      case 'clockSpeed':
      case 'wallJump':
        return this.#clock(kind, node, forMs, chance);
      case 'transfer':
        return this.#transfer(operator.group, node);
      case 'slowSnapshots':
      case 'failingSnapshots':
        return this.#snapshots(kind, node, forMs, chance);
      case 'addLearner':
      case 'addVoter':
      case 'promoteLearner':
      case 'removeMember':
      case 'removeLeader':
      case 'exchangeSet':
      case 'loseDirectory':
      case 'compressionLevel':
        return operator.do(kind, forMs, chance);
      default:
        return this.#part(kind, operator.group, forMs, chance);
    }
  }

  #snapshots(
    kind: 'slowSnapshots' | 'failingSnapshots',
    node: SimNode,
    forMs: number,
    chance: Chance,
  ): boolean {
    const { mood } = node.snapshots;
    this.#say(`${kind} ${node.host} for ${forMs} ms`);
    if (kind === 'slowSnapshots') mood.slowMs = chance.between(20, 3000);
    else mood.failing = 0.4;
    this.#scheduler.after(forMs, () => Object.assign(mood, GOOD_MOOD));
    return true;
  }

  #part(kind: Partition, group: GroupId, forMs: number, chance: Chance): boolean {
    const directions = directionsOf(kind, group, this.#nodes, chance);
    if (directions.length === 0) return false;
    const cut = canCut(kind) && chance.chance(0.5);
    const names = directions.map(([from, to]) => `${from.host}>${to.host}`).join(' ');
    this.#say(`${kind} ${cut ? 'cuts' : 'holds'} ${names} for ${forMs} ms`);
    closeLinks(this.#network, directions, cut);
    const stayMs = kind === 'roamingLink' ? Math.min(ROAMING_MS, forMs) : forMs;
    this.#scheduler.after(stayMs, () => {
      openLinks(this.#network, directions);
      if (!this.#stopped && forMs > stayMs) this.#part(kind, group, forMs - stayMs, chance);
    });
    return true;
  }

  #slowLink(forMs: number, chance: Chance): boolean {
    const [a, b] = chance.shuffled(this.#nodes);
    if (a === undefined || b === undefined) return false;
    this.#say(`slow ${a.host}>${b.host} for ${forMs} ms`);
    const link = this.#network.link(a.host, b.host);
    link.delayMs = chance.between(0, 120);
    link.jitterMs = chance.between(0, 120);
    this.#scheduler.after(forMs, () => {
      Object.assign(link, link.own);
    });
    return true;
  }

  #crash(
    kind: 'powerCut' | 'kill' | 'threadDeath' | 'crashInStart',
    node: SimNode,
    downMs: number,
    chance: Chance,
  ): boolean {
    if (!node.up) return false;
    this.#say(`${kind} ${node.host} for ${downMs} ms`);
    if (kind === 'threadDeath') {
      node.dieInside();
      return true;
    }
    const crash = (): void => this.#crashNow(kind, node, downMs, chance);
    if (chance.chance(0.4)) node.disk.aimAt(chance.chance(0.75) ? 'write' : 'name', crash);
    else crash();
    return true;
  }

  #crashNow(kind: 'powerCut' | 'kill' | 'crashInStart', node: SimNode, downMs: number, chance: Chance): void {
    if (!node.up || this.#stopped) return;
    if (kind === 'kill') {
      node.kill();
      if (chance.chance(0.5)) {
        this.#cutAfterStart(node, downMs, chance);
        return;
      }
    } else node.cutPower();
    // The disk counts the operations that change something; the next start does about a dozen.
    if (kind === 'crashInStart') node.disk.faults.crashAt = node.disk.operations + chance.integer(1, 14);
    this.restartLater(node, downMs);
  }

  /** What a killed process left in the system's memory is found by the next one, and must not be built upon before it is synced. */
  #cutAfterStart(node: SimNode, downMs: number, chance: Chance): void {
    const scheduler = this.#scheduler;
    scheduler.after(chance.between(1, 30), () => {
      node.boot();
      scheduler.after(chance.between(0, 3), () => {
        if (!node.up) return;
        node.cutPower();
        this.restartLater(node, downMs);
      });
    });
  }

  #disk(
    kind: 'slowDisk' | 'stuckDisk' | 'failingDisk' | 'fullDisk',
    node: SimNode,
    forMs: number,
    chance: Chance,
  ): boolean {
    const { mood } = node.disk;
    this.#say(`${kind} ${node.host} for ${forMs} ms`);
    if (kind === 'stuckDisk') {
      mood.stuckUntilMs = this.#scheduler.nowMs + forMs;
      return true;
    }
    if (kind === 'slowDisk') {
      mood.delayMs = chance.between(0, 30);
      mood.jitterMs = chance.between(0, 200);
    } else if (kind === 'failingDisk') mood.failing = 0.2;
    else node.disk.faults = { capacity: node.disk.used() + chance.integer(0, 4096) };
    this.#scheduler.after(forMs, () => {
      mood.failing = 0;
      mood.delayMs = 0.1;
      mood.jitterMs = 0.4;
      node.disk.faults = {};
    });
    return true;
  }

  #stall(
    kind: 'stallMain' | 'stallThread' | 'stallNode',
    node: SimNode,
    forMs: number,
    chance: Chance,
  ): boolean {
    const { process } = node;
    if (process === undefined) return false;
    this.#say(`${kind} ${node.host} for ${forMs} ms`);
    const untilMs = this.#scheduler.nowMs + forMs;
    if (kind !== 'stallThread') process.main.stalledUntilMs = untilMs;
    if (kind === 'stallMain') return true;
    const all = process.workers;
    for (const thread of kind === 'stallNode' ? all : [chance.pick(all)]) thread.stalledUntilMs = untilMs;
    return true;
  }

  /** Whoever thinks that it leads is asked to hand over to `target`, up or down, near or far behind. */
  #transfer(group: GroupId, target: SimNode): boolean {
    const leaders = this.#nodes.filter((each) => each.leads(group));
    for (const leader of leaders) {
      this.#say(`transfer from ${leader.host} to ${target.host}`);
      try {
        leader.turn!.calls.transferLeadership(group, target.id);
      } catch (thrown) {
        // To itself, or while another transfer is under way.
        if (!(thrown instanceof RaftlineError) || thrown.code === ErrorCode.Internal) throw thrown;
        this.#say(thrown.message);
      }
    }
    return leaders.length > 0;
  }

  #clock(kind: 'clockSpeed' | 'wallJump', node: SimNode, forMs: number, chance: Chance): boolean {
    const { clock } = node;
    if (kind === 'wallJump') {
      const byMs = Math.round(chance.between(-1, 1) * WALL_JUMP_MS);
      this.#say(`the wall clock of ${node.host} jumps by ${byMs} ms`);
      clock.jumpWall(byMs);
      return true;
    }
    const rate = chance.between(...node.clockRates);
    this.#say(`the clock of ${node.host} runs at ${rate.toFixed(3)} for ${forMs} ms`);
    clock.runAt(rate);
    this.#scheduler.after(forMs, () => clock.runAt(clock.ownRate));
    return true;
  }

  #say(what: string): void {
    this.#scheduler.say('fault', what);
  }
}
