import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { RaftlineError } from '../../base/errors.js';
import type { NodeId } from '../../base/ids.js';
import type { AppendCallback, RaftlineClient } from '../../client/index.js';
import { Splitter } from '../splitter.js';
import type { DemoCluster } from './cluster.js';
import type { Input } from './input.js';

/** What the replication of a file came to. */
export interface ReplicationFacts {
  entries: number;
  bytes: number;
  elapsedMs: number;
  /** From append to acknowledgement, µs; without the entries that waited for the next leader. */
  latency: RecordableHistogram;
  /** The same of those that did wait. */
  latencyAcrossFailover: RecordableHistogram;
  /** What the kill of the leader came to; undefined for an empty file. */
  failover: Failover | undefined;
}

export interface Failover {
  killed: NodeId;
  /** Entries acknowledged when the leader was killed. */
  afterEntries: number;
  nextLeader: NodeId;
  /** From the kill to the first acknowledgement by another leader. */
  ms: number;
}

/** Entries in flight at a time: enough to keep the pipeline full; more would only wait longer. */
export const WINDOW_ENTRIES = 16_384;
/** Of the entries, how many are given out before the leader is killed: the rest is for its successor. */
const HELD_BACK_FROM = 0.75;

/** Drives one file through the cluster, and kills the leader half-way. */
export class Replication {
  readonly #input: Input;
  readonly #cluster: DemoCluster;
  readonly #client: RaftlineClient;
  readonly #latency = createHistogram({ figures: 3 });
  readonly #latencyAcrossFailover = createHistogram({ figures: 3 });
  /** What was appended before had to wait for the next leader. */
  #recoveredAt = 0;
  /** When each entry of the window was appended, by its sequence modulo the window. */
  readonly #appendedAt = new Float64Array(WINDOW_ENTRIES * 2);
  readonly #holdAt: number;
  #given = 0;
  #acknowledged = 0;
  #bytesGiven = 0;
  #killed: { id: NodeId; at: number; afterEntries: number } | undefined;
  #failover: Failover | undefined;
  #error: RaftlineError | undefined;
  #wake: () => void = () => {};
  /** Resolves when the dead node is ready again. */
  restarted: Promise<void> = Promise.resolve();

  constructor(input: Input, cluster: DemoCluster, client: RaftlineClient) {
    this.#input = input;
    this.#cluster = cluster;
    this.#client = client;
    this.#holdAt = Math.floor(input.facts.entries * HELD_BACK_FROM);
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  get bytesGiven(): number {
    return this.#bytesGiven;
  }

  /** The node that is dead at the moment, as far as we know; 0: none. */
  get killed(): NodeId {
    return this.#killed !== undefined && this.#failover === undefined ? this.#killed.id : 0;
  }

  /** Resolves once every entry is acknowledged. @throws RaftlineError the first that was not */
  async run(leader: NodeId): Promise<ReplicationFacts> {
    const started = performance.now();
    const splitter = new Splitter(this.#input.recordBytes);
    for await (const block of this.#input.blocks()) {
      this.#bytesGiven += block.length;
      await this.#append(splitter.take(block), leader);
    }
    await this.#append(splitter.finish(), leader);
    await this.#client.appender.settled();
    if (this.#error !== undefined) throw this.#error;
    return {
      entries: this.#acknowledged,
      bytes: this.#input.facts.bytes,
      elapsedMs: performance.now() - started,
      latency: this.#latency,
      latencyAcrossFailover: this.#latencyAcrossFailover,
      failover: this.#failover,
    };
  }

  async #append(entries: Iterable<Buffer>, leader: NodeId): Promise<void> {
    const { appender } = this.#client;
    let now = performance.now();
    for (const entry of entries) {
      if (this.#given === this.#holdAt && this.#killed === undefined) {
        await this.#halfWay();
        this.#killLeader(leader);
      }
      // Looking at the clock costs as much as appending a small entry.
      if ((this.#given & 15) === 0) now = performance.now();
      this.#appendedAt[(this.#given + 1) % this.#appendedAt.length] = now;
      while (!appender.append(entry, this.#answered)) {
        await appender.drained();
        if (this.#error !== undefined) throw this.#error;
        now = performance.now();
        this.#appendedAt[(this.#given + 1) % this.#appendedAt.length] = now;
      }
      this.#given++;
    }
  }

  /** Resolves when half of the entries are acknowledged, or the leader is dead already, or something failed. */
  #halfWay(): Promise<void> {
    if (this.#isHalfWay()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #isHalfWay(): boolean {
    const half = Math.min(Math.ceil(this.#input.facts.entries / 2), this.#holdAt);
    return this.#acknowledged >= half || this.#error !== undefined;
  }

  #killLeader(first: NodeId): void {
    if (this.#killed !== undefined || this.#error !== undefined) return;
    const id = this.#client.leader === 0 ? first : this.#client.leader;
    this.#killed = { id, at: performance.now(), afterEntries: this.#acknowledged };
    this.#cluster.node(id).killNow();
  }

  readonly #answered: AppendCallback = (error, run) => {
    if (error !== undefined) {
      this.#error ??= error;
      this.#wake();
      return;
    }
    const now = performance.now();
    const { leader } = this.#client;
    if (this.#killed !== undefined && this.#failover === undefined && leader !== this.#killed.id) {
      this.#recovered(now, leader);
    }
    this.#recordLatencies(run.firstSequence, run.count, now);
    this.#acknowledged += run.count;
    if (this.#killed !== undefined || this.#acknowledged === this.#input.facts.entries) return;
    if (!this.#isHalfWay()) return;
    this.#killLeader(leader);
    this.#wake();
  };

  #recordLatencies(firstSequence: number, count: number, now: number): void {
    for (let at = 0; at < count; at++) {
      const appendedAt = this.#appendedAt[(firstSequence + at) % this.#appendedAt.length]!;
      const waited = appendedAt < this.#recoveredAt;
      const histogram = waited ? this.#latencyAcrossFailover : this.#latency;
      histogram.record(Math.max(1, Math.round((now - appendedAt) * 1000)));
    }
  }

  /** Acknowledgements of the dead leader that were still on their way do not count: another node has answered. */
  #recovered(now: number, nextLeader: NodeId): void {
    const { id, at, afterEntries } = this.#killed!;
    this.#recoveredAt = now;
    this.#failover = { killed: id, afterEntries, nextLeader, ms: now - at };
    const node = this.#cluster.node(id);
    this.restarted = node.kill().then(() => node.start());
    // Whoever waits for it learns of a failure; until then it is nobody's.
    this.restarted.catch(() => {});
  }
}
