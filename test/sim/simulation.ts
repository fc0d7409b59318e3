import { toRaftlineError } from '../../src/base/errors.js';
import { seededRandom } from '../../src/base/prng.js';
import { decodeEnvelope } from '../../src/codec/envelope.js';
import type { TraceEvent } from '../../src/core/trace-event.js';
import { TraceModel } from '../core/trace-model.js';
import { Broken, must } from './broken.js';
import { Checks, isFault } from './checks.js';
import { LocalWriter, RemoteWriter, type Writer } from './clients.js';
import { Faults } from './faults.js';
import { History } from './history.js';
import { SimNetwork } from './network.js';
import { GROUP, type NodeEvents, SimNode } from './node.js';
import { Patience } from './patience.js';
import type { Fault } from './profiles.js';
import { RegisterClient } from './register-client.js';
import { Registers } from './registers.js';
import { drawScenario, type Scenario, type ScenarioOptions } from './scenario.js';
import { Scheduler } from './scheduler.js';
import type { SimSnapshotStore } from './snapshot-store.js';
import { tellMessage, tellNodes } from './trace.js';

/** How long a healthy cluster may take to be one again, simulated ms. */
const CONVERGENCE_MS = 60_000;
const CONVERGENCE_LOOK_MS = 50;
/** Every fault ends by itself within ten seconds, so a cluster that takes nothing for so long has stopped for good. */
const STANDSTILL_MS = 300_000;
/** How often a run that lacks leaderships or restarts is helped on, simulated ms, and how many times. */
const URGE_MS = 4000;
const URGES_MAX = 100;

export interface RunReport {
  seed: number;
  scenario: Scenario;
  /** Of everything that happened, in its order. */
  hash: number;
  steps: number;
  simulatedMs: number;
  nodes: number;
  acknowledged: number;
  refused: number;
  unknown: number;
  leaderChanges: number;
  restarts: number;
  /** Linearizable reads that were answered, and that were refused. */
  reads: number;
  readsRefused: number;
  /** Histories of registers that were too hard to judge. */
  undecided: number;
  /** Own snapshots that were saved, and received ones, on all nodes. */
  snapshots: { saved: number; received: number };
  faults: ReadonlyMap<Fault, number>;
  /** What was broken; undefined when all was well. */
  failure: string | undefined;
  /** The last things that happened, for a run that failed. */
  trace: readonly string[];
}

/** A whole cluster, from its scenario. */
class Simulation {
  readonly #scenario: Scenario;
  readonly #scheduler: Scheduler;
  readonly #network: SimNetwork;
  readonly #nodes: SimNode[] = [];
  readonly #history = new History();
  readonly #registers = new Registers();
  readonly #readers: RegisterClient[] = [];
  readonly #checks: Checks;
  /** What Raft allows, step by step. */
  readonly #model: TraceModel;
  readonly #patience = new Patience();
  readonly #faults: Faults;
  readonly #writers: Writer[] = [];
  #failure: string | undefined;
  #progress = { acknowledged: 0, atMs: 0 };
  #urge = { times: 0, atMs: 0 };

  constructor(scenario: Scenario, detailed: boolean) {
    this.#scenario = scenario;
    const scheduler = new Scheduler(seededRandom(~scenario.seed));
    scheduler.detailed = detailed;
    this.#scheduler = scheduler;
    this.#network = new SimNetwork(scheduler);
    this.#checks = new Checks(this.#nodes, this.#history);
    this.#model = new TraceModel({ checkQuorum: true, lease: scenario.reads === 'lease' });
    this.#history.appliedAt = (index) => this.#checks.appliedAt(index);
    this.#makeNodes();
    const nodes = new Map(this.#nodes.map((node) => [node.host, node]));
    this.#network.stalledMs = (host) => nodes.get(host)?.stalledMs() ?? 0;
    this.#network.guard = (host, run) => {
      const node = nodes.get(host);
      if (node !== undefined) return node.guard(run);
      scheduler.unsettled = true;
      run();
    };
    this.#network.tap = ({ host, remoteHost, lane, dialled }, bytes) => {
      if (lane !== 'client') scheduler.detail(`${host}>${remoteHost}`, () => tellMessage(lane, bytes));
      // Appends say nothing of their sender's disk, and are the bulk of what is sent.
      if (lane !== 'control' && (lane !== 'append' || dialled)) return;
      const node = nodes.get(host);
      if (node !== undefined) this.#overhear(node, bytes);
    };
    this.#faults = new Faults(scheduler, this.#network, this.#nodes, scenario.faults);
  }

  async run(): Promise<RunReport> {
    for (const node of this.#nodes) this.#scheduler.after(this.#scheduler.between(0, 300), () => node.boot());
    this.#startWriters();
    await this.#goOn(() => this.#hasEnough());
    this.#scheduler.say('sim', 'the faults end');
    this.#faults.stop();
    for (const writer of this.#writers) writer.stop();
    await this.#converge();
    if (this.#failure === undefined && !this.#spent()) await this.#writeOnceMore();
    if (this.#failure === undefined && !this.#spent()) this.#guard(() => this.#history.checkAtEnd());
    if (this.#failure === undefined) this.#guard(() => this.#registers.check());
    for (const node of this.#nodes) node.kill();
    return this.#report();
  }

  #makeNodes(): void {
    const scheduler = this.#scheduler;
    const ids = this.#scenario.nodes.map((_, at) => at + 1);
    const stores = new Map<number, SimSnapshotStore>();
    const events: NodeEvents = {
      turned: (node) => {
        scheduler.note(node.id);
        this.#guard(() => this.#checks.afterTurn(node));
        for (const client of this.#readers) this.#guard(() => client.turned(node));
      },
      died: (node, error) => {
        scheduler.say(node.host, `ended: ${error.code} ${error.message}`);
        if (isFault(error)) this.#fail(`${node.host} ended: ${error.stack ?? error.message}`);
        this.#faults.restartLater(node);
      },
      recovered: (node) => {
        scheduler.say(node.host, `life ${node.lives} begins with ${node.durable.lastIndex} entries`);
        this.#registers.begin(node);
        this.#guard(() => this.#checks.recovered(node));
      },
      durable: (node) => scheduler.note(node.durable.lastIndex),
      leadership: (node, role, term, leader) =>
        scheduler.say(node.host, `${role} in term ${term}${leader === 0 ? '' : `, n${leader} leads`}`),
      machine: (node) => this.#registers.around(node, this.#checks.machineOf(node)),
      traced: (node, event) => this.#guard(() => this.#traced(node, event)),
    };
    for (const [at, plan] of this.#scenario.nodes.entries()) {
      const parts = {
        ...plan,
        reads: this.#scenario.reads,
        id: at + 1,
        ids,
        compaction: this.#scenario.compaction,
        stores,
        scheduler,
        network: this.#network,
        seed: scheduler.seed(),
        events,
      };
      this.#nodes.push(new SimNode(parts));
    }
  }

  #startWriters(): void {
    const parts = {
      scheduler: this.#scheduler,
      history: this.#history,
      network: this.#network,
      nodes: this.#nodes,
      fail: (thrown: unknown): void => this.#failBy(thrown),
    };
    const { clients, reads } = this.#scenario;
    for (const [at, { kind, ...pace }] of clients.entries()) {
      if (kind === 'registers') {
        const policies = reads === 'lease' ? (['lease', 'lease', 'readIndex'] as const) : [reads];
        const client = new RegisterClient(at + 1, {
          ...{ ...parts, ...pace, policies },
          registers: this.#registers,
        });
        this.#writers.push(client);
        this.#readers.push(client);
        continue;
      }
      const Kind = kind === 'local' ? LocalWriter : RemoteWriter;
      this.#writers.push(new Kind(at + 1, { ...parts, ...pace }));
    }
  }

  /** Lets events happen until `done`, or something is broken. */
  async #goOn(done: () => boolean): Promise<void> {
    while (this.#failure === undefined && !done()) {
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

  /** Whether the run has had its operations; one that gets no further has failed. */
  #hasEnough(): boolean {
    const { acknowledged } = this.#history;
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
    if (nowMs < this.#urge.atMs) return true;
    if (this.#urge.times === URGES_MAX) this.#fail(`${URGES_MAX} faults led to too few leaders or restarts`);
    this.#urge = { times: this.#urge.times + 1, atMs: nowMs + URGE_MS };
    this.#faults.urge(few ? ['kill'] : unseating);
    return true;
  }

  #leaderChanges(): number {
    return Math.max(0, this.#checks.leaders.size - 1);
  }

  #restarts(): number {
    return this.#nodes.reduce((sum, node) => sum + Math.max(0, node.lives - 1), 0);
  }

  async #converge(): Promise<void> {
    const untilMs = this.#scheduler.nowMs + CONVERGENCE_MS;
    for (;;) {
      const lookAtMs = this.#scheduler.nowMs + CONVERGENCE_LOOK_MS;
      await this.#goOn(() => this.#scheduler.nowMs >= lookAtMs);
      if (this.#failure !== undefined) return;
      let missing: string | undefined;
      this.#guard(() => {
        missing = this.#checks.notConverged();
        if (missing === undefined && this.#history.open > 0)
          missing = `${this.#history.open} operations are open`;
        const reads = this.#readers.reduce((sum, { open }) => sum + open, 0);
        if (missing === undefined && reads > 0) missing = `${reads} reads are open`;
      });
      if (missing === undefined || this.#spent()) return;
      if (this.#scheduler.nowMs > untilMs) this.#fail(`no convergence: ${missing}`);
    }
  }

  async #writeOnceMore(): Promise<void> {
    const { acknowledged } = this.#history;
    const leader = this.#nodes.find((node) => node.turn!.replica(GROUP).role === 'leader')!;
    const parts = {
      scheduler: this.#scheduler,
      history: this.#history,
      nodes: this.#nodes,
      everyMs: 1,
      burst: 1,
    };
    const writer = new LocalWriter(1000, parts);
    writer.stop();
    writer.proposeOn(leader);
    const untilMs = this.#scheduler.nowMs + 5000;
    await this.#goOn(() => this.#history.acknowledged > acknowledged || this.#scheduler.nowMs > untilMs);
    if (this.#history.acknowledged === acknowledged) this.#fail('a healthy cluster took no fresh write');
    await this.#converge();
  }

  #traced(node: SimNode, event: TraceEvent): void {
    this.#model.take(event);
    const [fault] = this.#model.faults;
    must(fault === undefined, () => fault ?? '');
    this.#patience.take(node, event);
    if (!event.sends.some(({ message }) => message.type === 'heartbeat')) return;
    const status = node.turn!.replica(GROUP).status();
    this.#patience.handsOver(node, status.transferTo);
    this.#checks.counted(node, status);
  }

  /** What a node says on the wire must be on its disk, and it may never contradict it. */
  #overhear(node: SimNode, bytes: Buffer): void {
    const { envelope } = decodeEnvelope(bytes);
    if (envelope.type === 'appendReply' && envelope.kind === 'durable') {
      this.#guard(() => this.#checks.acknowledged(node, envelope.term, envelope.match));
    }
    if (envelope.type !== 'control') return;
    const { message } = envelope;
    const { type, term, from, to } = message;
    if (type === 'voteReply' && message.granted && !message.preVote) {
      this.#guard(() => this.#checks.voted(node, term, to));
    }
    if (type === 'vote' && !message.preVote) this.#guard(() => this.#checks.voted(node, term, from));
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
    for (const line of tellNodes(this.#nodes)) this.#scheduler.detail('sim', () => line);
    this.#scheduler.say('sim', `FAILED ${failure}`);
  }

  #report(): RunReport {
    const { acknowledged, refused, unknown } = this.#history;
    return {
      seed: this.#scenario.seed,
      scenario: this.#scenario,
      hash: this.#scheduler.hash,
      steps: this.#scheduler.steps,
      simulatedMs: this.#scheduler.nowMs,
      nodes: this.#nodes.length,
      acknowledged,
      refused,
      unknown,
      leaderChanges: this.#leaderChanges(),
      restarts: this.#restarts(),
      reads: this.#readers.reduce((sum, client) => sum + client.answered, 0),
      readsRefused: this.#readers.reduce((sum, client) => sum + client.refused, 0),
      undecided: this.#registers.undecided,
      snapshots: {
        saved: this.#nodes.reduce((sum, node) => sum + node.snapshots.saved, 0),
        received: this.#nodes.reduce((sum, node) => sum + node.snapshots.received, 0),
      },
      faults: this.#faults.done,
      failure: this.#failure,
      trace: this.#failure === undefined ? [] : this.#scheduler.trace(80),
    };
  }
}

/** Runs a scenario to its end, or to the first broken promise. Never throws for what it finds. `detailed`: messages stand in its trace. */
export function run(scenario: Scenario, detailed = false): Promise<RunReport> {
  return new Simulation(scenario, detailed).run();
}

export function runSeed(options: ScenarioOptions): Promise<RunReport> {
  return run(drawScenario(options));
}
