import type { RaftlineError } from '../../src/base/errors.js';
import type { GroupId, Incarnation } from '../../src/base/ids.js';
import type { Random } from '../../src/base/prng.js';
import { loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import type { Config } from '../../src/engine/options.js';
import type { SnapshotSettings } from '../../src/engine/snapshot-store.js';
import { Turn, type TurnListeners } from '../../src/engine/turn.js';
import { RingConsumer, RingProducer, type RingRegion } from '../../src/ring/byte-ring.js';
import type { Cursor } from '../../src/ring/cursor.js';
import type { Gate } from '../../src/ring/gate.js';
import type { GroupLog } from '../../src/wal/group-log.js';
import type { RecoveredGroup, Wal } from '../../src/wal/wal.js';
import { Encoder } from '../../src/workers/encoder.js';
import {
  createEngineMemory,
  cursorOf,
  durableTeller,
  type EngineMemory,
  encoderCountersOf,
  encoderGatesOf,
  gateOf,
} from '../../src/workers/memory.js';
import { Network } from '../../src/workers/network.js';
import { type Program, sleepMsOf } from '../../src/workers/program.js';
import type { WorkerSettings } from '../../src/workers/settings.js';
import { openStore } from '../../src/workers/store.js';
import { WalWriter } from '../../src/workers/wal-writer.js';
import type { SimDisk } from './disk.js';
import { MainThread } from './main-thread.js';
import type { SimNetwork } from './network.js';
import { MEMORY_SIZES } from './node-config.js';
import type { Scheduler } from './scheduler.js';
import type { SimClock } from './sim-clock.js';
import { GateWord, SimThread } from './thread.js';

const WAL_SLEEP_MS = 500;
const LATENCY_MS = 0.15;

/** What the log code holds of each group; complete before a turn is made of it. */
export type GroupLogs = ReadonlyMap<GroupId, Pick<GroupLog, 'base' | 'termRuns' | 'lastIndex' | 'hardState'>>;

export interface ProcessParts {
  host: string;
  config: Config;
  settings: WorkerSettings;
  encoders: number;
  disk: SimDisk;
  clock: SimClock;
  network: SimNetwork;
  scheduler: Scheduler;
  random: Random;
  snapshots: SnapshotSettings | undefined;
  /** The log was found on disk, before anything is done with it. */
  recovered: (found: ReadonlyMap<GroupId, RecoveredGroup>, incarnation: Incarnation) => void;
  /** What was written up to now is on disk. */
  durable: (logs: GroupLogs) => void;
  /** The main thread has run. */
  turned: () => void;
  /** Something was thrown on one of the threads: the process is to end. */
  failed: (thrown: unknown) => void;
}

/** One life of a node's process: the real turn and programs on simulated threads. What it finds on disk decides how it begins. */
export class SimProcess {
  readonly turn: Turn;
  readonly main: MainThread;
  readonly threads: { wal: SimThread; network: SimThread; encoders: readonly SimThread[] };
  readonly #parts: ProcessParts;
  readonly memory: EngineMemory;
  readonly #wal: Wal;
  #ended = false;

  /** Throws what opening the directory throws. */
  constructor(parts: ProcessParts) {
    this.#parts = parts;
    const { config, settings, encoders, disk, scheduler, host, snapshots } = parts;
    const sizes = { ...MEMORY_SIZES, encoders: Math.max(1, encoders) };
    const memory = createEngineMemory(sizes, settings.groups);
    this.memory = memory;
    const { wal, recovered, facts } = openStore(disk, settings, memory);
    this.#wal = wal;
    parts.recovered(recovered, facts.incarnation);
    const network = new Network(memory, settings, facts, disk, parts.network.transport(host), () => {
      this.threads.network.wake();
      this.look();
    });
    void network.listen();
    this.threads = this.#makeThreads(network);
    const gate = new GateWord(memory.memory, memory.gates.main);
    const guard = (run: () => void): void => this.guard(run);
    const { clock, turned, random } = parts;
    this.main = new MainThread({ scheduler, clock, gate, guard, turned });
    this.turn = new Turn({
      config,
      memory,
      clock: this.main,
      random,
      recovered,
      facts,
      address: config.listen,
      spread: encoders > 0,
      status: () => {
        throw new Error('nobody asks for a status in a simulation');
      },
      ...(snapshots === undefined ? {} : { snapshots }),
    });
  }

  /** All threads but main. */
  get workers(): SimThread[] {
    const { wal, network, encoders } = this.threads;
    return [wal, network, ...encoders];
  }

  start(listeners: TurnListeners): void {
    this.turn.start(listeners);
  }

  /** Runs something on one of its threads: what it throws ends the process. */
  guard(run: () => void): void {
    if (this.#ended) return;
    try {
      run();
      this.look();
    } catch (thrown) {
      this.#parts.failed(thrown);
    }
  }

  /** Whoever of its threads was notified wakes up. */
  look(): void {
    if (this.#ended) return;
    for (const thread of this.workers) thread.look();
    this.main.look();
  }

  wakeMain(): void {
    gateOf(this.memory, 'main').notify();
    this.look();
  }

  /** What the log code says that its files hold; exact at the moment when a flush has become durable. */
  groupLogs(): GroupLogs {
    return (this.#wal as unknown as { groups: GroupLogs }).groups;
  }

  end(error: RaftlineError): void {
    this.turn.stop(error);
    this.#ended = true;
    this.main.end();
    for (const thread of this.workers) thread.end();
  }

  #makeThreads(network: Network): SimProcess['threads'] {
    const memory = this.memory;
    const { scheduler, clock, encoders } = this.#parts;
    const guard = (run: () => void): void => this.guard(run);
    const thread = (gateOffset: number, sleepMs: () => number, programs: Program[]) => {
      const gate = new GateWord(memory.memory, gateOffset);
      const poll = (): boolean => pollAll(programs, clock.nowMs());
      return new SimThread({ scheduler, gate, sleepMs, guard, latencyMs: LATENCY_MS, poll });
    };
    const onLoop = (gateOffset: number, programs: Program[]) =>
      thread(gateOffset, () => sleepMsOf(programs, clock.nowMs()), programs);
    const { gates, moreEncoders } = memory;
    const gateOffsets = [gates.encoder, ...moreEncoders.map(({ gate }) => gate)];
    const own = gateOffsets.slice(0, encoders);
    return {
      wal: thread(gates.wal, () => WAL_SLEEP_MS, [this.#makeWriter()]),
      network: onLoop(gates.network, encoders === 0 ? [makeEncoder(memory, 0), network] : [network]),
      encoders: own.map((gateOffset, number) => onLoop(gateOffset, [makeEncoder(memory, number)])),
    };
  }

  #makeWriter(): WalWriter {
    const { memory, wal } = { memory: this.memory, wal: this.#wal };
    const gates = [gateOf(memory, 'main'), gateOf(memory, 'network'), ...encoderGatesOf(memory)];
    const cursor = cursorOf(memory, 'durable');
    const durable = {
      load: () => cursor.load(),
      store: (order: number) => {
        this.#parts.durable(this.groupLogs());
        cursor.store(order);
      },
    } as unknown as Cursor;
    const spareWanted = cursorOf(memory, 'spareWanted');
    let requests = 0;
    let wanted = false;
    return new WalWriter({
      wal,
      orders: new RingConsumer(memory.rings.orders, 0),
      batches: new RingConsumer(memory.rings.batch, 0),
      moreBatches: memory.moreEncoders.map(({ ring }) => new RingConsumer(ring, 0)),
      received: new RingConsumer(memory.rings.receive, 0),
      durable,
      report: () => {
        const now = wal.wantsSpare();
        if (now && !wanted) spareWanted.store(++requests);
        wanted = now;
      },
      tell: durableTeller(memory),
      wake: () => wakeAll(gates),
    });
  }
}

/** The encoder of this number, counted from 0. */
function makeEncoder(memory: EngineMemory, number: number): Encoder {
  const { rings, moreEncoders } = memory;
  const gates = (['wal', 'network'] as const).map((name) => gateOf(memory, name));
  const places: { consumer: number; ring: RingRegion }[] = [
    { consumer: 0, ring: rings.batch },
    ...moreEncoders,
  ];
  const { consumer, ring } = places[number]!;
  return new Encoder({
    share: { at: number, of: places.length },
    proposals: new RingConsumer(rings.proposal, consumer),
    batches: new RingProducer(ring),
    compressor: new Compressor(loadCompression('pure'), 'sampled'),
    counters: encoderCountersOf(memory, number),
    wake: () => wakeAll(gates),
    wakeMain: () => gateOf(memory, 'main').notify(),
  });
}

function wakeAll(gates: readonly Gate[]): void {
  for (const gate of gates) gate.notify();
}

function pollAll(programs: readonly Program[], nowMs: number): boolean {
  let worked = false;
  for (const program of programs) worked = program.poll(nowMs) || worked;
  return worked;
}
