import type { GroupId } from '../../src/base/ids.js';
import { seededRandom } from '../../src/base/prng.js';
import type { Config } from '../../src/engine/options.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import { SimDisk } from './disk.js';
import { SimNetwork } from './network.js';
import { configOf, settingsOf } from './node-config.js';
import { SimProcess } from './process.js';
import { Scheduler } from './scheduler.js';
import { SimClock } from './sim-clock.js';

const PATIENCE_MS = 600_000;

export interface QuietOptions {
  seed: number;
  count: number;
  /** How many encoders have a thread of their own. */
  encoders: number;
  /** By how much each disk is slower than the one of the node before, ms. */
  slowerMs: number;
  /** Changes of what `configOf` says. */
  config: Partial<Omit<Config, 'election'>> & { election: Partial<Config['election']> };
  /** The groups of a node. */
  machines: (id: number) => ReadonlyMap<GroupId, StateMachine>;
}

/** Nodes that nothing disturbs but what a test does to them; nobody else looks on. */
export class QuietCluster {
  readonly nodes: SimProcess[] = [];
  readonly #scheduler: Scheduler;
  readonly #network: SimNetwork;
  readonly #options: QuietOptions;

  constructor(options: QuietOptions) {
    const { seed, count } = options;
    this.#options = options;
    this.#scheduler = new Scheduler(seededRandom(seed));
    this.#network = new SimNetwork(this.#scheduler, seed, {});
    this.#network.guard = (host, run) => this.nodes[Number(host.slice(1)) - 1]!.guard(run);
    for (let id = 1; id <= count; id++) this.nodes.push(this.#start(id));
  }

  leader(group: GroupId): SimProcess | undefined {
    return this.nodes.find(({ turn }) => turn.replica(group).leads);
  }

  /** Lets things happen until `done`. */
  async until(done: () => boolean): Promise<void> {
    const giveUpMs = this.#scheduler.nowMs + PATIENCE_MS;
    while (!done()) {
      if (this.#scheduler.nowMs > giveUpMs || !this.#scheduler.step()) throw new Error('waited in vain');
      await new Promise(setImmediate);
    }
  }

  /** Everybody has gone to sleep, more or less: at another moment each time. */
  async rest(): Promise<void> {
    await this.pass(this.#scheduler.between(0, 40));
  }

  /** So much time passes, simulated ms. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#scheduler.nowMs + ms;
    await this.until(() => this.#scheduler.nowMs >= untilMs);
  }

  /** How long it takes until `done`, simulated ms. */
  async took(done: () => boolean): Promise<number> {
    const beganMs = this.#scheduler.nowMs;
    await this.until(done);
    return this.#scheduler.nowMs - beganMs;
  }

  #start(id: number): SimProcess {
    const scheduler = this.#scheduler;
    const { count, encoders, slowerMs, machines, config: changes } = this.#options;
    const founders = Array.from({ length: count }, (_, at) => at + 1);
    const choices = { id, founders, join: false, encoders, reads: 'readIndex', trace() {} } as const;
    const usual = configOf({ ...choices, machines: machines(id) });
    const config = { ...usual, ...changes, election: { ...usual.election, ...changes.election } };
    const disk = new SimDisk(id, scheduler);
    const failed = (thrown: unknown): void => {
      throw thrown;
    };
    disk.mood.delayMs = slowerMs * (id - 1);
    disk.immediate = true;
    const node: SimProcess = new SimProcess({
      ...{ host: `n${id}`, config, settings: settingsOf(config), encoders, disk, scheduler, failed },
      network: this.#network,
      clock: new SimClock(scheduler, 1000 * id, 1),
      random: seededRandom(id),
      snapshots: undefined,
      recovered() {},
      durable() {},
      turned() {},
    });
    disk.immediate = false;
    disk.onDone = () => node.threads.wal.wake();
    node.start({ commit() {}, leadership() {}, peer() {}, log() {}, spareWanted() {}, failed });
    return node;
  }
}
