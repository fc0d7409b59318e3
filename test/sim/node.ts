import { ErrorCode, RaftlineError, toRaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import { seededRandom } from '../../src/base/prng.js';
import { loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import type { TraceEvent } from '../../src/core/trace-event.js';
import type { Clock } from '../../src/engine/clock.js';
import type { ReadPolicy } from '../../src/engine/options.js';
import { type Config, parseOptions } from '../../src/engine/options.js';
import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import { Turn } from '../../src/engine/turn.js';
import { workerSettings } from '../../src/engine/worker-settings.js';
import { RingConsumer, RingProducer } from '../../src/ring/byte-ring.js';
import type { Cursor } from '../../src/ring/cursor.js';
import type { Gate } from '../../src/ring/gate.js';
import type { GroupLog } from '../../src/wal/group-log.js';
import { prepareSegment } from '../../src/wal/segment.js';
import type { Wal } from '../../src/wal/wal.js';
import { Encoder } from '../../src/workers/encoder.js';
import { createEngineMemory, cursorOf, type EngineMemory, gateOf } from '../../src/workers/memory.js';
import { Network } from '../../src/workers/network.js';
import type { Program } from '../../src/workers/program.js';
import type { WorkerSettings } from '../../src/workers/settings.js';
import { openStore } from '../../src/workers/store.js';
import { WalWriter } from '../../src/workers/wal-writer.js';
import { PowerCut } from '../wal/faulty-disk.js';
import { SimDisk } from './disk.js';
import { DurableLog } from './durable-log.js';
import type { SimNetwork } from './network.js';
import type { Scheduler } from './scheduler.js';
import { LEASE_CLOCK_SPREAD, SimClock } from './sim-clock.js';
import { SimSnapshotStore } from './snapshot-store.js';
import { GateWord, SimThread } from './thread.js';

export const GROUP: GroupId = 1;
const SEGMENT_BYTES = 24 * 1024;
/** A client's window of 64 KiB makes messages of up to 16 KiB. */
const BATCH_RAW_BYTES_MAX = 20 * 1024;
const NETWORK_SLEEP_MS = 25;
const WAL_SLEEP_MS = 500;
const KIB = 1024;

export interface NodeEvents {
  /** The main thread has run, or started. */
  turned: (node: SimNode) => void;
  /** The process is gone for a reason of its own. */
  died: (node: SimNode, error: RaftlineError) => void;
  /** The disk was found as it is when the process began. */
  recovered: (node: SimNode) => void;
  durable: (node: SimNode) => void;
  leadership: (node: SimNode, role: string, term: number, leader: number) => void;
  machine: (node: SimNode) => SnapshotMachine;
  /** The core of its group has taken a step. */
  traced: (node: SimNode, event: TraceEvent) => void;
}

export interface NodeParts {
  id: number;
  ids: readonly number[];
  scheduler: Scheduler;
  network: SimNetwork;
  seed: number;
  /** How fast its clock runs. */
  clockRate: number;
  reads: ReadPolicy;
  spread: boolean;
  /** When snapshots are taken; undefined: never, and logs stay whole. */
  compaction: { everyEntries: number; keepEntries: number } | undefined;
  /** The snapshots of all nodes, by id. */
  stores: Map<number, SimSnapshotStore>;
  events: NodeEvents;
}

/** What one life of a process has. */
interface Life {
  turn: Turn;
  threads: { wal: SimThread; network: SimThread; encoder: SimThread | undefined };
  programs: Program[];
  memory: EngineMemory;
  wal: Wal;
  mainGate: GateWord;
  /** Ends the sleep of the main thread. */
  awake: (() => void) | undefined;
}

/** One node: the real turn, rings, programs and log code over a simulated disk, network and clock. */
export class SimNode {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  /** What its disk holds for certain. Survives crashes. */
  readonly durable = new DurableLog();
  readonly snapshots: SimSnapshotStore;
  readonly #machine: SnapshotMachine;
  readonly #parts: NodeParts;
  readonly #config: Config;
  readonly #settings: WorkerSettings;
  #life: Life | undefined;
  lives = 0;
  mainStalledUntilMs = 0;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.host = `n${parts.id}`;
    this.clock = new SimClock(parts.scheduler, 1000 * parts.id, parts.clockRate);
    this.disk = new SimDisk(parts.seed, parts.scheduler);
    this.#machine = parts.events.machine(this);
    this.#config = configOf(parts, (event) => parts.events.traced(this, event), this.#machine);
    const { scheduler, network, stores, id: self } = parts;
    this.snapshots = new SimSnapshotStore({ self, scheduler, network, stores, wake: () => this.#wakeMain() });
    stores.set(self, this.snapshots);
    this.#settings = {
      ...workerSettings(this.#config),
      batchRawBytesMax: BATCH_RAW_BYTES_MAX,
      segmentBytes: SEGMENT_BYTES,
    };
    this.disk.onDone = () => this.#life?.threads.wal.wake();
    this.disk.onPowerCut = (cut) => this.#fail(cut);
  }

  /** How fast its clock may run at times, at the least and at the most: with leases, as far as those allow for. */
  get clockRates(): readonly [number, number] {
    return this.#parts.reads === 'lease' ? [1 - LEASE_CLOCK_SPREAD, 1 + LEASE_CLOCK_SPREAD] : [0.5, 2];
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get turn(): Turn | undefined {
    return this.#life?.turn;
  }

  get threads(): Life['threads'] | undefined {
    return this.#life?.threads;
  }

  /** How long the thread that talks to others is stalled from now on, ms. */
  stalledMs(): number {
    const until = this.#life?.threads.network.stalledUntilMs ?? 0;
    return Math.max(0, until - this.#parts.scheduler.nowMs);
  }

  /** Starts the process. What goes wrong is told to `died`. */
  boot(): void {
    if (this.#life !== undefined) return;
    this.lives++;
    this.#parts.scheduler.unsettled = true;
    this.disk.immediate = true;
    try {
      this.#life = this.#begin();
    } catch (thrown) {
      this.#gone();
      this.#report(thrown);
      return;
    } finally {
      this.disk.immediate = false;
    }
    this.#life.turn.start({
      commit: () => {},
      leadership: ({ role, term, leader }) => this.#parts.events.leadership(this, role, term, leader),
      peer: ({ id, lane, up, code }) => this.#say(`link ${lane} to n${id} ${up ? 'up' : `down ${code}`}`),
      log: ({ message }) => this.#say(message),
      spareWanted: () => this.#prepareSegment(),
      failed: (error) => this.#fail(error),
    });
    this.#parts.events.turned(this);
  }

  /** Power is lost: what was not synced may be gone, in pieces. */
  cutPower(): void {
    this.#end(new RaftlineError(ErrorCode.Closed, 'power was cut'));
    this.disk.cutPower();
  }

  /** The process is killed; the system keeps what it was given. */
  kill(): void {
    this.#end(new RaftlineError(ErrorCode.Closed, 'the process was killed'));
    this.disk.endProcess();
  }

  /** A fault of the process itself: one of its threads throws. */
  dieInside(): void {
    this.#fail(new RaftlineError(ErrorCode.ThreadDied, 'a thread died: simulated'));
  }

  /** Runs something on one of its threads: what it throws ends the process. */
  guard(run: () => void): void {
    if (this.#life !== undefined) this.#guard(this.#life.memory, run);
  }

  /** Whoever of its threads was notified wakes up. */
  look(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.threads.wal.look();
    life.threads.network.look();
    life.threads.encoder?.look();
    if (life.awake !== undefined && life.mainGate.notified) {
      const { awake } = life;
      life.awake = undefined;
      awake();
    }
  }

  /** What the log code says that its files hold; exact at the moment when a flush has become durable. */
  groupLog(): GroupLog {
    const { wal } = this.#life!;
    return (wal as unknown as { groups: Map<GroupId, GroupLog> }).groups.get(GROUP)!;
  }

  #begin(): Life {
    const { scheduler, network: net, spread, seed } = this.#parts;
    const settings = this.#settings;
    const memory = createEngineMemory(
      {
        ringBytes: 64 * KIB,
        clientRingBytes: 64 * KIB,
        batchRawBytesMax: BATCH_RAW_BYTES_MAX,
        messageRingBytes: 64 * KIB,
      },
      [GROUP],
    );
    const { wal, recovered, facts } = openStore(this.disk, settings, memory);
    const found = recovered.get(GROUP)!;
    this.durable.became(found);
    this.snapshots.boot();
    this.#parts.events.recovered(this);
    const guard = (run: () => void): void => this.#guard(memory, run);
    const writer = this.#makeWriter(wal, memory);
    const encoder = makeEncoder(memory);
    const wake = (): void => {
      if (this.#life?.memory === memory) this.#life.threads.network.wake();
      this.look();
    };
    const transport = net.transport(this.host);
    const network = new Network(memory, settings, facts, this.disk, transport, wake);
    void network.listen();
    const now = (): number => this.clock.nowMs();
    const own = spread ? [network] : [encoder, network];
    const thread = (name: 'wal' | 'network' | 'encoder', sleepMs: number, programs: Program[]) =>
      new SimThread({
        scheduler,
        gate: new GateWord(memory.memory, memory.gates[name]),
        sleepMs,
        guard,
        latencyMs: 0.15,
        poll: () => pollAll(programs, now()),
      });
    const threads = {
      wal: thread('wal', WAL_SLEEP_MS, [writer]),
      network: thread('network', NETWORK_SLEEP_MS, own),
      encoder: spread ? thread('encoder', NETWORK_SLEEP_MS, [encoder]) : undefined,
    };
    const mainGate = new GateWord(memory.memory, memory.gates.main);
    const turn = new Turn({
      config: this.#config,
      memory,
      clock: this.#clock(memory),
      random: seededRandom(seed * 31 + this.lives),
      recovered,
      facts,
      address: `${this.host}:1`,
      spread,
      status: () => {
        throw new Error('nobody asks for a status in a simulation');
      },
      ...this.#snapshotSettings(),
    });
    return { turn, threads, programs: [writer, encoder, network], memory, wal, mainGate, awake: undefined };
  }

  #snapshotSettings() {
    const { compaction } = this.#parts;
    if (compaction === undefined) return {};
    return { snapshots: { ...compaction, store: this.snapshots, machine: () => this.#machine } };
  }

  #wakeMain(): void {
    if (this.#life === undefined) return;
    gateOf(this.#life.memory, 'main').notify();
    this.look();
  }

  #makeWriter(wal: Wal, memory: EngineMemory): WalWriter {
    const gates = (['main', 'network', 'encoder'] as const).map((name) => gateOf(memory, name));
    const cursor = cursorOf(memory, 'durable');
    const durable = {
      load: () => cursor.load(),
      store: (order: number) => {
        this.durable.became(this.groupLog());
        this.#parts.events.durable(this);
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
      wake: () => wakeAll(gates),
    });
  }

  /** The main thread's time. */
  #clock(memory: EngineMemory): Clock {
    const { scheduler } = this.#parts;
    const alive = (): boolean => this.#life === undefined || this.#life.memory === memory;
    const onMain = (delayMs: number, run: () => void): (() => void) => {
      let takeBack = (): void => {};
      const attempt = (): void => {
        const stalledMs = this.mainStalledUntilMs - scheduler.nowMs;
        if (stalledMs > 0) takeBack = scheduler.after(stalledMs, attempt);
        else if (this.#life?.memory === memory) run();
      };
      takeBack = scheduler.after(delayMs, attempt);
      return () => takeBack();
    };
    return {
      nowMs: () => this.clock.nowMs(),
      wallMs: () => this.clock.wallMs(),
      every: (intervalMs, tick) => {
        let stopped = false;
        const again = (): void => {
          onMain(this.clock.lasts(intervalMs), () => {
            if (stopped || !alive()) return;
            again();
            tick();
          });
        };
        again();
        return () => {
          stopped = true;
        };
      },
      after: (delayMs, run) => {
        onMain(this.clock.lasts(delayMs), () => this.#runMain(memory, run));
      },
      soon: (run) => {
        onMain(scheduler.random() * 0.1, () => this.#runMain(memory, run));
      },
      sleep: (_gate, hasWork, timeoutMs, awake) => {
        const life = this.#life!;
        life.mainGate.arm();
        if (hasWork()) {
          life.mainGate.disarm();
          return false;
        }
        const once = (): void => {
          takeBack();
          life.awake = undefined;
          awake();
        };
        const takeBack = onMain(timeoutMs, once);
        life.awake = once;
        return true;
      },
    };
  }

  #runMain(memory: EngineMemory, run: () => void): void {
    this.#guard(memory, () => {
      run();
      if (this.#life?.memory === memory) this.#parts.events.turned(this);
    });
  }

  #guard(memory: EngineMemory, run: () => void): void {
    if (this.#life?.memory !== memory) return;
    try {
      run();
      this.look();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #prepareSegment(): void {
    const life = this.#life;
    this.#parts.scheduler.after(this.#parts.scheduler.between(1, 60), () => {
      if (this.#life !== life) return;
      try {
        prepareSegment(this.disk, this.#settings.dataDirectory, SEGMENT_BYTES);
      } catch (thrown) {
        if (isPowerCut(thrown)) this.#fail(thrown);
        else this.#say(`no segment was prepared: ${toRaftlineError(thrown).message}`);
      }
    });
  }

  #fail(thrown: unknown): void {
    if (this.#life === undefined) return;
    this.#end(toRaftlineError(thrown));
    this.#report(thrown);
  }

  #end(error: RaftlineError): void {
    const life = this.#life;
    this.#parts.network.crash(this.host);
    this.snapshots.end();
    if (life === undefined) return;
    this.durable.ends(this.groupLog());
    life.turn.stop(error);
    this.#life = undefined;
    for (const thread of Object.values(life.threads)) thread?.end();
    this.mainStalledUntilMs = 0;
  }

  /** A start that failed leaves nothing behind. */
  #gone(): void {
    this.#parts.network.crash(this.host);
    this.snapshots.end();
  }

  #report(thrown: unknown): void {
    const cut = isPowerCut(thrown);
    if (cut) this.disk.cutPower();
    else this.disk.endProcess();
    const error = cut ? new RaftlineError(ErrorCode.Closed, 'power was cut') : toRaftlineError(thrown);
    this.#parts.events.died(this, error);
  }

  #say(what: string): void {
    this.#parts.scheduler.say(this.host, what);
  }
}

/** The log code wraps what the disk throws. */
function isPowerCut(thrown: unknown): boolean {
  return thrown instanceof PowerCut || (thrown instanceof RaftlineError && thrown.cause instanceof PowerCut);
}

function configOf(
  { id, ids, spread, reads }: NodeParts,
  trace: (event: TraceEvent) => void,
  stateMachine: SnapshotMachine,
): Config {
  const peers = Object.fromEntries(
    ids.filter((other) => other !== id).map((other) => [other, `n${other}:1`]),
  );
  const config = parseOptions({
    id,
    cluster: 'sim',
    dataDirectory: `data-${id}`,
    listen: `n${id}:1`,
    peers,
    insecure: true,
    groups: [{ id: GROUP, stateMachine }],
    threads: spread ? 'spread' : 'shared',
    lz4: 'pure',
    reads: { policy: reads },
    trace,
  });
  const pipeline = {
    ...config.pipeline,
    batchBytesMax: 4 * KIB,
    batchEntriesMax: 64,
    inflightBytesMax: 28 * KIB,
  };
  const limits = { entryBytesMax: 8 * KIB, uncommittedBytesMax: 24 * KIB };
  return { ...config, ...limits, pipeline };
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
