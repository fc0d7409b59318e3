import type { RaftlineError } from '../../src/base/errors.js';
import type { GroupId, Incarnation } from '../../src/base/ids.js';
import type { Random } from '../../src/base/prng.js';
import { loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import type { Config } from '../../src/engine/options.js';
import type { SnapshotSettings } from '../../src/engine/snapshot-store.js';
import { Turn, type TurnListeners } from '../../src/engine/turn.js';
import { RingConsumer, RingProducer } from '../../src/ring/byte-ring.js';
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
  spread: boolean;
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
  readonly threads: { wal: SimThread; network: SimThread; encoder: SimThread | undefined };
  readonly #parts: ProcessParts;
  readonly #memory: EngineMemory;
  readonly #wal: Wal;
  #ended = false;

  /** Throws what opening the directory throws. */
  constructor(parts: ProcessParts) {
    this.#parts = parts;
    const { config, settings, spread, disk, scheduler, host, snapshots } = parts;
    const memory = createEngineMemory(MEMORY_SIZES, settings.groups);
    this.#memory = memory;
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
      spread,
      status: () => {
        throw new Error('nobody asks for a status in a simulation');
      },
      ...(snapshots === undefined ? {} : { snapshots }),
    });
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
    const { wal, network, encoder } = this.threads;
    wal.look();
    network.look();
    encoder?.look();
    this.main.look();
  }

  wakeMain(): void {
    gateOf(this.#memory, 'main').notify();
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
    for (const thread of Object.values(this.threads)) thread?.end();
  }

  #makeThreads(network: Network): SimProcess['threads'] {
    const memory = this.#memory;
    const { scheduler, clock, spread } = this.#parts;
    const guard = (run: () => void): void => this.guard(run);
    const thread = (name: 'wal' | 'network' | 'encoder', sleepMs: () => number, programs: Program[]) => {
      const gate = new GateWord(memory.memory, memory.gates[name]);
      const poll = (): boolean => pollAll(programs, clock.nowMs());
      return new SimThread({ scheduler, gate, sleepMs, guard, latencyMs: LATENCY_MS, poll });
    };
    const onLoop = (name: 'network' | 'encoder', programs: Program[]) =>
      thread(name, () => sleepMsOf(programs), programs);
    const encoder = makeEncoder(memory);
    return {
      wal: thread('wal', () => WAL_SLEEP_MS, [this.#makeWriter()]),
      network: onLoop('network', spread ? [network] : [encoder, network]),
      encoder: spread ? onLoop('encoder', [encoder]) : undefined,
    };
  }

  #makeWriter(): WalWriter {
    const { memory, wal } = { memory: this.#memory, wal: this.#wal };
    const gates = (['main', 'network', 'encoder'] as const).map((name) => gateOf(memory, name));
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

function makeEncoder(memory: EngineMemory): Encoder {
  const gates = (['wal', 'network'] as const).map((name) => gateOf(memory, name));
  return new Encoder({
    proposals: new RingConsumer(memory.rings.proposal, 0),
    batches: new RingProducer(memory.rings.batch),
    compressor: new Compressor(loadCompression('pure'), 'sampled'),
    counters: {
      batches: cursorOf(memory, 'encoderBatches'),
      compressions: cursorOf(memory, 'encoderCompressions'),
      compressed: cursorOf(memory, 'encoderCompressed'),
      rawBytes: cursorOf(memory, 'encoderRawBytes'),
      storedBytes: cursorOf(memory, 'encoderStoredBytes'),
    },
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
