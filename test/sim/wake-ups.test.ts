import { describe, expect, it, vi } from 'vitest';
import { seededRandom } from '../../src/base/prng.js';
import type { Program } from '../../src/workers/program.js';
import { SimDisk } from './disk.js';
import { SimNetwork } from './network.js';
import { configOf, settingsOf } from './node-config.js';
import { SimProcess } from './process.js';
import { Scheduler } from './scheduler.js';
import { SimClock } from './sim-clock.js';

/** Threads look by themselves once a second, and main every five. What takes less was woken, step by step. */
vi.mock('../../src/workers/program.js', async (original) => {
  const real = await original<typeof import('../../src/workers/program.js')>();
  const sleepMsOf = (programs: readonly Program[]): number => {
    const ms = real.sleepMsOf(programs);
    return ms === real.SLEEP_MS ? 1000 : ms;
  };
  return { ...real, sleepMsOf };
});
const ELECTION = { timeoutMsMin: 60_000, timeoutMsMax: 120_000, heartbeatIntervalMs: 20_000 };
const WOKEN_MS = 100;
const PATIENCE_MS = 600_000;
const SEED = 7;

interface Case {
  count: number;
  /** How many encoders have a thread of their own. */
  encoders: number;
  /** By how much each disk is slower than the one of the node before, ms. */
  slowerMs: number;
}

/** Nodes of one group that nothing disturbs, on threads and a main thread that go on only when they are woken. */
class SleepyCluster {
  readonly nodes: SimProcess[] = [];
  readonly #scheduler: Scheduler;

  constructor({ count, encoders, slowerMs }: Case) {
    const scheduler = new Scheduler(seededRandom(SEED));
    this.#scheduler = scheduler;
    const network = new SimNetwork(scheduler, SEED, {});
    const founders = Array.from({ length: count }, (_, at) => at + 1);
    network.guard = (host, run) => this.nodes[Number(host.slice(1)) - 1]!.guard(run);
    for (const id of founders) this.nodes.push(this.#start(id, founders, encoders, slowerMs, network));
  }

  get leader(): SimProcess | undefined {
    return this.nodes.find(({ turn }) => turn.replica(1).leads);
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
    const untilMs = this.#scheduler.nowMs + this.#scheduler.between(0, 40);
    await this.until(() => this.#scheduler.nowMs >= untilMs);
  }

  /** How long it takes until `done`, simulated ms. */
  async took(done: () => boolean): Promise<number> {
    const beganMs = this.#scheduler.nowMs;
    await this.until(done);
    return this.#scheduler.nowMs - beganMs;
  }

  #start(
    id: number,
    founders: number[],
    encoders: number,
    slowerMs: number,
    network: SimNetwork,
  ): SimProcess {
    const scheduler = this.#scheduler;
    const machines = new Map([[1, { apply: () => undefined }]]);
    const choices = {
      id,
      founders,
      join: false,
      encoders,
      reads: 'readIndex',
      machines,
      trace() {},
    } as const;
    const config = { ...configOf(choices), election: { ...configOf(choices).election, ...ELECTION } };
    const disk = new SimDisk(id, scheduler);
    const failed = (thrown: unknown): void => {
      throw thrown;
    };
    // Some learn of a commit before their own disk is done.
    disk.mood.delayMs = slowerMs * (id - 1);
    disk.immediate = true;
    const node: SimProcess = new SimProcess({
      ...{ host: `n${id}`, config, settings: settingsOf(config), encoders, disk, scheduler, network, failed },
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

const CASES: readonly Case[] = [
  { count: 1, encoders: 0, slowerMs: 0 },
  { count: 1, encoders: 1, slowerMs: 0 },
  { count: 1, encoders: 3, slowerMs: 0 },
  { count: 3, encoders: 0, slowerMs: 0 },
  { count: 3, encoders: 0, slowerMs: 8 },
  { count: 3, encoders: 1, slowerMs: 8 },
  { count: 3, encoders: 2, slowerMs: 8 },
];

describe.each(CASES)('nodes that only go on when they are woken: %o', (which) => {
  it('T4 what is asked of them goes from thread to thread without waiting for a tick or a look', async () => {
    const cluster = new SleepyCluster(which);
    await cluster.until(() => cluster.leader !== undefined);
    await cluster.until(() => cluster.leader!.turn.replica(1).applier.applied >= 2);
    const leader = cluster.leader!;
    const slow: string[] = [];
    const note = (what: string, ms: number): void => {
      if (ms > WOKEN_MS) slow.push(`${what}: ${ms.toFixed(1)} ms`);
    };
    for (let round = 0; round < 40; round++) {
      const entry = Buffer.alloc(round % 5 === 0 ? 3000 : 20, round);
      let index = 0;
      leader.guard(() => void leader.turn.calls.propose(1, entry).then((placed) => (index = placed.index)));
      note('an entry', await cluster.took(() => index > 0));
      const reader = cluster.nodes[round % which.count]!;
      let read = 0;
      const fail = (error: Error): void => {
        throw error;
      };
      reader.guard(() => reader.turn.calls.read(1, {}, (point) => (read = point.index), fail));
      note('a read', await cluster.took(() => read > 0));
      const applied = (node: SimProcess): number => node.turn.replica(1).applier.applied;
      note('the followers', await cluster.took(() => cluster.nodes.every((node) => applied(node) >= index)));
      await cluster.rest();
    }
    expect(slow).toEqual([]);
    expect(cluster.leader).toBe(leader);
  });
});
