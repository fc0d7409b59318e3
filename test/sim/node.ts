import { ErrorCode, RaftlineError, toRaftlineError } from '../../src/base/errors.js';
import type { GroupId, Incarnation, LogIndex, Term } from '../../src/base/ids.js';
import { seededRandom } from '../../src/base/prng.js';
import type { TraceEvent } from '../../src/core/trace-event.js';
import type { Config, ReadPolicy } from '../../src/engine/options.js';
import type { Replica } from '../../src/engine/replica.js';
import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import type { Turn } from '../../src/engine/turn.js';
import { type Identity, openIdentity } from '../../src/wal/identity.js';
import { prepareSegment } from '../../src/wal/segment.js';
import { PowerCut } from '../wal/faulty-disk.js';
import { SimDisk } from './disk.js';
import { DurableLog } from './durable-log.js';
import type { SimNetwork } from './network.js';
import { configOf, SEGMENT_BYTES, settingsOf } from './node-config.js';
import { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import { LEASE_CLOCK_SPREAD, SimClock } from './sim-clock.js';
import { SimSnapshotStore } from './snapshot-store.js';

export interface NodeEvents {
  /** The main thread has run, or started. */
  turned: (node: SimNode) => void;
  /** The process is gone for a reason of its own. */
  died: (node: SimNode, error: RaftlineError) => void;
  /** The disk was found as it is when the process began. */
  recovered: (node: SimNode) => void;
  durable: (node: SimNode) => void;
  leadership: (node: SimNode, event: { group: GroupId; role: string; term: number; leader: number }) => void;
  machine: (node: SimNode, group: GroupId) => SnapshotMachine;
  /** The core of one of its groups has taken a step. */
  traced: (node: SimNode, event: TraceEvent) => void;
}

export interface NodeParts {
  id: number;
  /** The first members of the cluster. Who is not among them joins later. */
  founders: readonly number[];
  groups: readonly GroupId[];
  scheduler: Scheduler;
  network: SimNetwork;
  seed: number;
  /** How fast its clock runs. */
  clockRate: number;
  reads: ReadPolicy;
  encoders: number;
  /** When snapshots are taken; undefined: never, and logs stay whole. */
  compaction: { everyEntries: number; keepEntries: number } | undefined;
  /** The snapshots of all nodes, by id. */
  stores: Map<number, SimSnapshotStore>;
  events: NodeEvents;
}

/** One node: a machine with a disk and a clock, and the process that runs on it now. */
export class SimNode {
  readonly id: number;
  readonly host: string;
  disk: SimDisk;
  readonly clock: SimClock;
  readonly snapshots: SimSnapshotStore;
  lives = 0;
  /** Of its directory; 0 before the first start. */
  incarnation = 0;
  /** Data directories that it has had. */
  directories = 1;
  #durable: ReadonlyMap<GroupId, DurableLog>;
  /** Directories that it has lost, as they were then. */
  readonly #lost: { incarnation: number; logs: ReadonlyMap<GroupId, DurableLog> }[] = [];
  readonly #machines: ReadonlyMap<GroupId, SnapshotMachine>;
  readonly #parts: NodeParts;
  #config: Config;
  #process: SimProcess | undefined;

  constructor(parts: NodeParts) {
    const { id, groups, scheduler, network, stores, events, founders } = parts;
    this.#parts = parts;
    this.id = id;
    this.host = `n${id}`;
    this.clock = new SimClock(scheduler, 1000 * id, parts.clockRate);
    this.disk = this.#emptyDisk();
    this.#durable = noLogs(groups);
    this.#machines = new Map(groups.map((group) => [group, events.machine(this, group)]));
    const wake = (): void => this.#process?.wakeMain();
    const hasBegun = (): boolean => this.#identity().bootstrapChecksum !== 0;
    this.snapshots = new SimSnapshotStore({ self: id, scheduler, network, stores, hasBegun, wake });
    stores.set(id, this.snapshots);
    this.#config = this.#configOf(!founders.includes(id));
  }

  /** How fast its clock may run at times, at the least and at the most: with leases, as far as those allow for. */
  get clockRates(): readonly [number, number] {
    return this.#parts.reads === 'lease' ? [1 - LEASE_CLOCK_SPREAD, 1 + LEASE_CLOCK_SPREAD] : [0.5, 2];
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  get turn(): Turn | undefined {
    return this.#process?.turn;
  }

  get process(): SimProcess | undefined {
    return this.#process;
  }

  /** Of a node that is up. */
  replica(group: GroupId): Replica {
    return this.#process!.turn.replica(group);
  }

  /** Whether it is up, and believes so. */
  leads(group: GroupId): boolean {
    return this.#process !== undefined && this.replica(group).leads;
  }

  /** What its disk holds for certain. Survives crashes. */
  durable(group: GroupId): DurableLog {
    return this.#durable.get(group)!;
  }

  /** How long the thread that talks to others is stalled from now on, ms. */
  stalledMs(): number {
    return this.#leftMs(this.#process?.threads.network.stalledUntilMs);
  }

  mainStalledMs(): number {
    return this.#leftMs(this.#process?.main.stalledUntilMs);
  }

  /** Starts the process. What goes wrong is told to `died`. */
  boot(): void {
    if (this.#process !== undefined) return;
    this.lives++;
    this.#parts.scheduler.unsettled = true;
    this.disk.immediate = true;
    try {
      this.#process = this.#begin();
    } catch (thrown) {
      this.#gone();
      this.#report(thrown);
      return;
    } finally {
      this.disk.immediate = false;
    }
    this.#process.start({
      commit: () => {},
      leadership: (event) => this.#parts.events.leadership(this, event),
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

  /** All that was on its disk is gone, and the process with it. The next start is a first one: of somebody who waits to be added, or of a founder. */
  giveNewDirectory(join: boolean): void {
    this.kill();
    const { groups, founders } = this.#parts;
    this.#lost.push({ incarnation: this.incarnation, logs: this.#durable });
    this.directories++;
    this.incarnation = 0;
    this.disk = this.#emptyDisk();
    this.#durable = noLogs(groups);
    this.snapshots.loseAll();
    // A sole founder that comes back as one founds another cluster: there is nobody whom it would have to ask.
    this.#config = this.#configOf(join || !founders.includes(this.id) || founders.length === 1);
  }

  /**
   * Whether an entry is on its disk, or was when the directory of `incarnation` was lost (0: whichever): what was acknowledged before may
   * reach a leader afterwards, and counts.
   */
  hasHeld(group: GroupId, index: LogIndex, term: Term, incarnation: Incarnation): boolean {
    const now = { incarnation: this.incarnation, logs: this.#durable };
    const meant = [...this.#lost, now].filter(
      (life) => incarnation === 0 || life.incarnation === incarnation,
    );
    return meant.some(({ logs }) => logs.get(group)?.holds(index, term));
  }

  /** Runs something on one of its threads: what it throws ends the process. */
  guard(run: () => void): void {
    this.#process?.guard(run);
  }

  /** As it stands in the directory of a node that is up. */
  #identity(): Identity {
    const { cluster: clusterId, dataDirectory, id: nodeId } = this.#config;
    return openIdentity(this.disk, dataDirectory, {
      clusterId,
      nodeId,
      newIncarnation: () => this.incarnation,
    });
  }

  #emptyDisk(): SimDisk {
    const { seed, scheduler } = this.#parts;
    const disk = new SimDisk(seed + 7919 * (this.directories - 1), scheduler);
    disk.onDone = () => this.#process?.threads.wal.wake();
    disk.onPowerCut = (cut) => this.#fail(cut);
    return disk;
  }

  #configOf(join: boolean): Config {
    const trace = (event: TraceEvent): void => this.#parts.events.traced(this, event);
    return configOf({ ...this.#parts, join, machines: this.#machines, trace });
  }

  #begin(): SimProcess {
    const { scheduler, network, encoders, seed, compaction, events } = this.#parts;
    const machine = (group: GroupId): SnapshotMachine => this.#machines.get(group)!;
    const process: SimProcess = new SimProcess({
      ...{ host: this.host, disk: this.disk, clock: this.clock, scheduler, network, encoders },
      config: this.#config,
      settings: settingsOf(this.#config),
      random: seededRandom(seed * 31 + this.lives),
      snapshots: compaction === undefined ? undefined : { ...compaction, store: this.snapshots, machine },
      recovered: (found, incarnation) => {
        this.incarnation = incarnation;
        for (const [group, log] of this.#durable) log.became(found.get(group)!);
        this.snapshots.boot();
        events.recovered(this);
      },
      durable: (logs) => {
        for (const [group, log] of this.#durable) log.became(logs.get(group)!);
        events.durable(this);
      },
      turned: () => {
        if (this.#process === process) events.turned(this);
      },
      failed: (thrown) => {
        if (this.#process === process) this.#fail(thrown);
      },
    });
    return process;
  }

  #prepareSegment(): void {
    const process = this.#process;
    const { scheduler } = this.#parts;
    scheduler.after(scheduler.between(1, 60), () => {
      if (this.#process !== process) return;
      try {
        prepareSegment(this.disk, { directory: this.#config.dataDirectory, segmentBytes: SEGMENT_BYTES });
      } catch (thrown) {
        if (isPowerCut(thrown)) this.#fail(thrown);
        else this.#say(`no segment was prepared: ${toRaftlineError(thrown).message}`);
      }
    });
  }

  #fail(thrown: unknown): void {
    if (this.#process === undefined) return;
    this.#end(endOf(thrown));
    this.#report(thrown);
  }

  #end(error: RaftlineError): void {
    const process = this.#process;
    this.#gone();
    if (process === undefined) return;
    const underWay = process.groupLogs();
    for (const [group, log] of this.#durable) log.ends(underWay.get(group)!);
    this.#process = undefined;
    process.end(error);
  }

  /** Its process is no more, and leaves nothing behind but its disk. */
  #gone(): void {
    this.#parts.network.crash(this.host);
    this.snapshots.end();
  }

  #report(thrown: unknown): void {
    if (isPowerCut(thrown)) this.disk.cutPower();
    else this.disk.endProcess();
    this.#parts.events.died(this, endOf(thrown));
  }

  #leftMs(untilMs = 0): number {
    return Math.max(0, untilMs - this.#parts.scheduler.nowMs);
  }

  #say(what: string): void {
    this.#parts.scheduler.say(this.host, what);
  }
}

const noLogs = (groups: readonly GroupId[]): ReadonlyMap<GroupId, DurableLog> =>
  new Map(groups.map((group) => [group, new DurableLog()]));

/** How a process tells those who wait for it that it is gone. */
function endOf(thrown: unknown): RaftlineError {
  return isPowerCut(thrown) ? new RaftlineError(ErrorCode.Closed, 'power was cut') : toRaftlineError(thrown);
}

/** The log code wraps what the disk throws. */
function isPowerCut(thrown: unknown): boolean {
  return thrown instanceof PowerCut || (thrown instanceof RaftlineError && thrown.cause instanceof PowerCut);
}
