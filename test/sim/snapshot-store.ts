import type { GroupId, LogIndex, NodeId, Term } from '../../src/base/ids.js';
import type { Snapshot, SnapshotEnd, SnapshotEvent, SnapshotStore } from '../../src/engine/snapshot-store.js';
import { must } from './broken.js';
import type { SimNetwork } from './network.js';
import type { Scheduler } from './scheduler.js';

/** How a store behaves now; may change while a run goes on. */
export interface StoreMood {
  /** How long a write, or a piece on its way, takes at most, ms. */
  slowMs: number;
  /** Chance that a write fails, or that a transfer breaks at a piece. */
  failing: number;
}

export const GOOD_MOOD: Readonly<StoreMood> = { slowMs: 20, failing: 0 };

export interface StoreParts {
  self: NodeId;
  scheduler: Scheduler;
  network: SimNetwork;
  /** The stores of all nodes, by id. */
  stores: ReadonlyMap<NodeId, SimSnapshotStore>;
  /** The node knows how its cluster began: before that it listens to nobody, on whatever lane (H64). */
  hasBegun: () => boolean;
  /** Wakes the node's main thread. */
  wake: () => void;
}

/**
 * Stands in for snapshot files and their transfer: complete snapshots survive a crash, everything else does not. A crash may come
 * before and after each step: before a write is done, between that and the news of it, at each piece, before and after the answer.
 */
export class SimSnapshotStore implements SnapshotStore {
  readonly mood: StoreMood = { ...GOOD_MOOD };
  /** Snapshots that were saved, and received ones that became complete. */
  saved = 0;
  received = 0;
  readonly #parts: StoreParts;
  /** On disk, each complete, in the order in which they became so. */
  #complete: { group: GroupId; snapshot: Snapshot }[] = [];
  #events: SnapshotEvent[] = [];
  /** Of the process; 0: it is down. What an earlier one began does not go on. */
  #life = 0;
  #lives = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  boot(): void {
    this.#life = ++this.#lives;
    this.#events = [];
  }

  /** The process is gone, however it ended. */
  end(): void {
    this.#life = 0;
  }

  /** The disk is gone. */
  loseAll(): void {
    this.#complete = [];
  }

  /** Where the newest snapshot on disk ends; 0: there is none. */
  newest(group: GroupId): LogIndex {
    return Math.max(0, ...this.#of(group).map(({ index }) => index));
  }

  load(group: GroupId, fits: (end: SnapshotEnd) => boolean): Snapshot | undefined {
    return this.#of(group)
      .filter(fits)
      .sort((a, b) => b.index - a.index)[0];
  }

  save(group: GroupId, snapshot: Snapshot): void {
    const { index } = snapshot;
    this.#later(() => {
      const ok = this.#write(group, snapshot);
      if (ok) this.saved++;
      this.#later(() => this.#tell({ type: 'saved', group, index, ok }));
    });
  }

  forgetBefore(group: GroupId, index: LogIndex): void {
    this.#complete = this.#complete.filter((each) => each.group !== group || each.snapshot.index >= index);
  }

  send(group: GroupId, peer: NodeId, term: Term, atLeast: LogIndex): void {
    const snapshot = this.load(group, (end) => end.index >= atLeast);
    must(snapshot !== undefined, () => `no snapshot up to ${atLeast} to send to node ${peer}`);
    const { index } = snapshot!;
    const receiver = this.#parts.stores.get(peer)!;
    let answered = false;
    const done = (ok: boolean): void => {
      if (answered) return;
      answered = true;
      this.#later(() => this.#tell({ type: 'sent', group, peer, index, ok }));
    };
    const life = receiver.#life;
    const piece = (left: number): void => {
      const listens = life !== 0 && receiver.#life === life && receiver.#parts.hasBegun();
      if (!listens || !this.#reaches(peer) || this.#breaks()) {
        done(false);
      } else if (left === 0) {
        // What the answer says is on the receiver's disk; the answer itself may be lost.
        receiver.#receive(group, snapshot!, (ok) => done(ok && receiver.#reaches(this.#parts.self)));
      } else {
        receiver.#tell({ type: 'chunk', group, from: this.#parts.self, term });
        this.#later(() => piece(left - 1));
      }
    };
    this.#later(() => piece(this.#parts.scheduler.integer(1, 6)));
  }

  take(): SnapshotEvent | undefined {
    return this.#events.shift();
  }

  pending(): boolean {
    return this.#events.length > 0;
  }

  #receive(group: GroupId, snapshot: Snapshot, answer: (ok: boolean) => void): void {
    const life = this.#life;
    this.#later(() => {
      const ok = this.#write(group, snapshot);
      if (ok) {
        this.received++;
        this.#later(() => this.#tell({ type: 'received', group, snapshot }));
      }
      answer(ok);
    });
    // The process may end meanwhile: then the sender hears nothing and gives up.
    this.#parts.scheduler.after(3 * this.mood.slowMs + 500, () => {
      if (this.#life !== life) answer(false);
    });
  }

  #of(group: GroupId): Snapshot[] {
    return this.#complete.filter((each) => each.group === group).map(({ snapshot }) => snapshot);
  }

  #write(group: GroupId, snapshot: Snapshot): boolean {
    if (this.#breaks()) return false;
    const { index } = snapshot;
    this.#complete = this.#complete.filter((each) => each.group !== group || each.snapshot.index !== index);
    this.#complete.push({ group, snapshot });
    return true;
  }

  #reaches(peer: NodeId): boolean {
    const { network, self } = this.#parts;
    const link = network.link(`n${self}`, `n${peer}`);
    return !link.held && !link.cut;
  }

  #breaks(): boolean {
    return this.#parts.scheduler.chance(this.mood.failing);
  }

  #tell(event: SnapshotEvent): void {
    if (this.#life === 0) return;
    this.#events.push(event);
    this.#parts.wake();
  }

  /** Done if the process lives until then. */
  #later(run: () => void): void {
    const life = this.#life;
    const { scheduler } = this.#parts;
    scheduler.after(scheduler.random() * this.mood.slowMs, () => {
      if (life !== 0 && this.#life === life) run();
    });
  }
}
