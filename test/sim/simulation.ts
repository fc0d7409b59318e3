import { toRaftlineError } from '../../src/base/errors.js';
import { seededRandom } from '../../src/base/prng.js';
import { decodeEnvelope } from '../../src/codec/envelope.js';
import { Broken } from './broken.js';
import { isFault } from './checks.js';
import { Faults } from './faults.js';
import { SimGroup } from './group.js';
import { SimNetwork } from './network.js';
import { type NodeEvents, SimNode } from './node.js';
import { makeReport, type RunReport } from './report.js';
import { drawScenario, type Scenario, type ScenarioOptions } from './scenario.js';
import { Scheduler } from './scheduler.js';
import type { SimSnapshotStore } from './snapshot-store.js';
import { tellMessage, tellNodes } from './trace.js';

/** How long a healthy cluster may take to be one again, simulated ms. */
const CONVERGENCE_MS = 60_000;
const CONVERGENCE_LOOK_MS = 50;
/** A cluster in which all is well keeps its leaders for so long, whoever was removed from it or lost its directory. */
const PEACE_MS = 4000;
/** Every fault ends by itself within ten seconds, so a cluster that takes nothing for so long has stopped for good. */
const STANDSTILL_MS = 300_000;
/** After how many events somebody looks whether it is enough. */
const LOOK_STEPS = 8;
/** How often a run that lacks leaderships or restarts is helped on, simulated ms, and for how long. */
const URGE_MS = 4000;
const URGING_MS_MAX = 400_000;

/** A whole cluster, from its scenario. */
class Simulation {
  readonly #scenario: Scenario;
  readonly #scheduler: Scheduler;
  readonly #network: SimNetwork;
  readonly #nodes: SimNode[] = [];
  readonly #byHost = new Map<string, SimNode>();
  readonly #groups: readonly SimGroup[];
  readonly #faults: Faults;
  #failure: string | undefined;
  #progress = { acknowledged: 0, atMs: 0 };
  #urge = { sinceMs: 0, atMs: 0 };

  constructor(scenario: Scenario, detailed: boolean) {
    this.#scenario = scenario;
    const scheduler = new Scheduler(seededRandom(~scenario.seed));
    scheduler.detailed = detailed;
    this.#scheduler = scheduler;
    const network = new SimNetwork(scheduler, scenario.seed, scenario.links);
    this.#network = network;
    const { groups, nodes: plans, reads } = scenario;
    const founders = plans.flatMap(({ joins }, at) => (joins ? [] : [at + 1]));
    const fail = (thrown: unknown): void => this.#failBy(thrown);
    const nodes = this.#nodes;
    const alone = groups.length === 1;
    this.#groups = groups.map(
      (id) => new SimGroup({ id, scheduler, network, nodes, founders, alone, reads, fail }),
    );
    this.#makeNodes(founders);
    this.#connect();
    const operators = this.#groups.map(({ operator }) => operator);
    const random = seededRandom(scenario.seed + 1);
    this.#faults = new Faults({ scheduler, network, nodes, operators, faults: scenario.faults, random });
  }

  async run(): Promise<RunReport> {
    for (const node of this.#nodes) this.#scheduler.after(this.#scheduler.between(0, 300), () => node.boot());
    for (const group of this.#groups) group.startClients(this.#scenario.clients);
    await this.#goOn(() => this.#hasEnough());
    this.#scheduler.say('sim', 'the faults end');
    this.#faults.stop();
    for (const group of this.#groups) group.stopClients();
    await this.#converge();
    if (this.#goesOn()) await this.#keepPeace();
    if (this.#goesOn()) await this.#writeOnceMore();
    if (this.#goesOn()) for (const group of this.#groups) this.#guard(() => group.checkAtEnd());
    for (const node of this.#nodes) node.kill();
    return this.#report();
  }

  #makeNodes(founders: readonly number[]): void {
    const scheduler = this.#scheduler;
    const { nodes, groups, reads, compaction } = this.#scenario;
    const stores = new Map<number, SimSnapshotStore>();
    const events = this.#nodeEvents();
    const shared = { founders, groups, reads, compaction, stores, scheduler, network: this.#network, events };
    for (const [at, { clockRate, encoders }] of nodes.entries()) {
      const node = new SimNode({ ...shared, clockRate, encoders, id: at + 1, seed: scheduler.seed() });
      this.#nodes.push(node);
      this.#byHost.set(node.host, node);
    }
  }

  #nodeEvents(): NodeEvents {
    const scheduler = this.#scheduler;
    const groups = this.#groups;
    return {
      turned: (node) => {
        scheduler.note(node.id);
        for (const group of groups) this.#guard(() => group.turned(node));
      },
      died: (node, error) => {
        scheduler.say(node.host, `ended: ${error.code} ${error.message}`);
        if (isFault(error)) this.#fail(`${node.host} ended: ${error.stack ?? error.message}`);
        this.#faults.restartLater(node);
      },
      recovered: (node) => {
        for (const { id, registers, checks } of groups) {
          const { lastIndex } = node.durable(id);
          scheduler.say(node.host, `life ${node.lives} begins with ${lastIndex} entries in group ${id}`);
          registers.begin(node);
          this.#guard(() => checks.recovered(node));
        }
      },
      durable: (node) => {
        for (const { id } of groups) scheduler.note(node.durable(id).lastIndex);
      },
      leadership: (node, { group, role, term, leader }) => {
        const who = leader === 0 ? '' : `, n${leader} leads`;
        scheduler.say(node.host, `${role} in term ${term} of group ${group}${who}`);
      },
      machine: (node, group) => this.#group(group).machineOf(node),
      traced: (node, event) => this.#guard(() => this.#group(event.group).traced(node, event)),
    };
  }

  #connect(): void {
    const { network, scheduler } = { network: this.#network, scheduler: this.#scheduler };
    const nodes = this.#byHost;
    network.stalledMs = (host) => nodes.get(host)?.stalledMs() ?? 0;
    network.guard = (host, run) => {
      const node = nodes.get(host);
      if (node !== undefined) return node.guard(run);
      scheduler.unsettled = true;
      run();
    };
    network.tap = ({ host, remoteHost, lane, dialled }, bytes) => {
      if (lane !== 'client') scheduler.detail(`${host}>${remoteHost}`, () => tellMessage(lane, bytes));
      // Appends say nothing of their sender's disk, and are the bulk of what is sent.
      if (lane !== 'control' && (lane !== 'append' || dialled)) return;
      const node = nodes.get(host);
      if (node !== undefined) this.#overhear(node, bytes);
    };
  }

  #group(id: number): SimGroup {
    return this.#groups.find((group) => group.id === id)!;
  }

  /** Lets events happen until `done`, or something is broken. */
  async #goOn(done: () => boolean): Promise<void> {
    while (this.#failure === undefined && (this.#scheduler.steps % LOOK_STEPS !== 0 || !done())) {
      if (this.#spent()) return;
      try {
        if (!this.#scheduler.step()) return;
      } catch (thrown) {
        this.#failBy(thrown);
      }
      if (!this.#scheduler.unsettled) continue;
      this.#scheduler.unsettled = false;
      await undefined;
    }
  }

  /** The events that it may have are over: whatever is missing does not count as a failure. */
  #spent(): boolean {
    const { steps } = this.#scenario;
    return steps > 0 && this.#scheduler.steps >= steps;
  }

  #goesOn(): boolean {
    return this.#failure === undefined && !this.#spent();
  }

  #acknowledged(): number {
    let sum = 0;
    for (const { history } of this.#groups) sum += history.acknowledged;
    return sum;
  }

  /** Whether the run has had its operations; one that gets no further has failed. */
  #hasEnough(): boolean {
    const acknowledged = this.#acknowledged();
    const { nowMs } = this.#scheduler;
    if (acknowledged !== this.#progress.acknowledged) this.#progress = { acknowledged, atMs: nowMs };
    else if (nowMs - this.#progress.atMs > STANDSTILL_MS)
      this.#fail(`nothing was acknowledged for ${STANDSTILL_MS} ms`);
    return acknowledged >= this.#scenario.operations && !this.#lacks();
  }

  /** Whether the run is still short of changes of leader or restarts; then something is done about it now and again. */
  #lacks(): boolean {
    const { leaderChanges, restarts, unseating } = this.#scenario;
    const few = this.#restarts() < restarts;
    if (!few && this.#leaderChanges() >= leaderChanges) return false;
    const { nowMs } = this.#scheduler;
    this.#urge.sinceMs ||= nowMs;
    if (nowMs - this.#urge.sinceMs > URGING_MS_MAX)
      this.#fail(`there are too few leaders or restarts after ${URGING_MS_MAX} ms with more and more faults`);
    if (nowMs < this.#urge.atMs || unseating.length === 0) return true;
    this.#urge.atMs = nowMs + URGE_MS;
    this.#faults.urge(few ? ['killLeader'] : unseating);
    return true;
  }

  #leaderChanges(): number {
    return this.#groups.reduce((sum, { checks }) => sum + Math.max(0, checks.leaders.size - 1), 0);
  }

  #restarts(): number {
    return this.#nodes.reduce((sum, node) => sum + Math.max(0, node.lives - 1), 0);
  }

  async #converge(): Promise<void> {
    const untilMs = this.#scheduler.nowMs + CONVERGENCE_MS;
    for (;;) {
      await this.#wait(CONVERGENCE_LOOK_MS);
      if (this.#failure !== undefined) return;
      let missing: string | undefined;
      this.#guard(() => {
        for (const group of this.#groups) missing ??= group.notConverged();
      });
      if (missing === undefined || this.#spent()) return;
      if (this.#scheduler.nowMs > untilMs) this.#fail(`no convergence: ${missing}`);
    }
  }

  #wait(ms: number): Promise<void> {
    const untilMs = this.#scheduler.nowMs + ms;
    return this.#goOn(() => this.#scheduler.nowMs >= untilMs);
  }

  /** H60: nobody disturbs a cluster that has no fault. */
  async #keepPeace(): Promise<void> {
    const before = this.#groups.map(({ checks }) => checks.leaderTerm);
    await this.#wait(PEACE_MS);
    const after = this.#groups.map(({ checks }) => checks.leaderTerm);
    if (this.#goesOn() && after.some((term, at) => term !== before[at]))
      this.#fail(`a healthy cluster went from term ${before} to ${after}`);
  }

  async #writeOnceMore(): Promise<void> {
    const before = this.#acknowledged();
    for (const group of this.#groups) this.#guard(() => group.writeOnce());
    const untilMs = this.#scheduler.nowMs + 5000;
    const enough = before + this.#groups.length;
    await this.#goOn(() => this.#acknowledged() >= enough || this.#scheduler.nowMs > untilMs);
    if (this.#acknowledged() < enough) this.#fail('a healthy cluster took no fresh write');
    await this.#converge();
  }

  /** What a node says on the wire must be on its disk, and it may never contradict it. */
  #overhear(node: SimNode, bytes: Buffer): void {
    const { envelope } = decodeEnvelope(bytes);
    if (envelope.type === 'appendReply' && envelope.kind === 'durable') {
      const { checks } = this.#group(envelope.group);
      this.#guard(() => checks.acknowledged(node, envelope.term, envelope.match));
    }
    if (envelope.type !== 'control') return;
    const { message } = envelope;
    const { type, group, term, from, to } = message;
    if (type === 'voteReply' && message.granted && !message.preVote) {
      this.#guard(() => this.#group(group).checks.voted(node, term, to));
    }
    if (type === 'vote' && !message.preVote)
      this.#guard(() => this.#group(group).checks.voted(node, term, from));
  }

  #guard(look: () => void): void {
    try {
      look();
    } catch (thrown) {
      this.#failBy(thrown);
    }
  }

  #failBy(thrown: unknown): void {
    if (thrown instanceof Broken) this.#fail(thrown.message);
    else this.#fail(toRaftlineError(thrown).stack ?? String(thrown));
  }

  /** The first failure counts. */
  #fail(failure: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    for (const { id } of this.#groups)
      for (const line of tellNodes(id, this.#nodes)) this.#scheduler.detail('sim', () => line);
    this.#scheduler.say('sim', `FAILED ${failure}`);
  }

  #report(): RunReport {
    return makeReport({
      scenario: this.#scenario,
      scheduler: this.#scheduler,
      network: this.#network,
      nodes: this.#nodes,
      groups: this.#groups,
      faults: this.#faults,
      leaderChanges: this.#leaderChanges(),
      restarts: this.#restarts(),
      failure: this.#failure,
    });
  }
}

/** Runs a scenario to its end, or to the first broken promise. Never throws for what it finds. `detailed`: messages stand in its trace. */
export function run(scenario: Scenario, detailed = false): Promise<RunReport> {
  return new Simulation(scenario, detailed).run();
}

export function runSeed(options: ScenarioOptions): Promise<RunReport> {
  return run(drawScenario(options));
}
