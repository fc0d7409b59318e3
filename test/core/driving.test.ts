import {
  type Append,
  AppendSender,
  type BatchHeader,
  BatchKind,
  type Configuration,
  type Order,
  type PeerMessage,
  Raft,
  type RecoveredState,
} from 'raftline/core';
import { describe, expect, it } from 'vitest';

/**
 * What `docs/driving-the-core.md` promises to people who bring tests of their own, done with nothing but what the
 * package exports as `raftline/core`: this file imports nothing else of ours.
 */
const everybody: Configuration = {
  voters: [1, 2, 3],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  incarnations: [],
  compressionLevel: 0,
};

/** What every disk holds at first: a snapshot to `index`, or the configuration entry alone. */
function disk(index: number): RecoveredState {
  const base = index === 0 ? { index: 0, term: 0 } : { index, term: 1 };
  return {
    hardState: { term: 1, vote: 0 },
    base,
    termRuns: index === 0 ? [{ term: 1, firstIndex: 1 }] : [],
    lastIndex: Math.max(1, index),
    configurations: [{ index: 1, term: 1, configuration: everybody }],
    commitIndex: Math.max(1, index),
  };
}

/** A core, its log's heads by first index, and what waits for its disk. */
class Node {
  readonly raft: Raft;
  readonly sender: AppendSender;
  readonly batches = new Map<number, BatchHeader>();
  readonly unsynced: Order[] = [];
  #held: { message: PeerMessage; after: number }[] = [];
  #durable = 0;

  constructor(
    readonly id: number,
    snapshotAt: number,
    depth: number,
    readonly wire: PeerMessage[],
  ) {
    const timeouts = { electionTicksMin: 10, electionTicksMax: 10, heartbeatTicks: 3, random: () => 0 };
    this.raft = new Raft({ group: 1, id, ...timeouts, preVote: false }, disk(snapshotAt));
    const batchAt = (index: number) => {
      for (let first = index; first > 0; first--) {
        const header = this.batches.get(first);
        if (header !== undefined) return first + header.count > index ? header : undefined;
      }
      return undefined;
    };
    const termAt = (index: number) => this.raft.termAt(index);
    this.sender = new AppendSender(1, id, { batchAt, termAt, configurationOf: () => undefined }, depth);
  }

  tick(times: number): void {
    for (let i = 0; i < times; i++) this.raft.tick();
    this.drain();
  }

  /** Storage completion: an event of its own. */
  sync(): void {
    const last = this.unsynced.splice(0).at(-1);
    if (last === undefined) return;
    this.#durable = last.id;
    this.raft.step({ type: 'durable', order: last.id });
    this.drain();
  }

  step(message: PeerMessage): void {
    if (message.type === 'appendReply') this.sender.answered(message);
    this.raft.step(message);
    this.drain();
  }

  /** Puts on the wire what the replicator to `peer` would send next. */
  send(peer: number): Append | undefined {
    const append = this.sender.next(peer, this.raft.commitIndex);
    if (append !== undefined) this.wire.push(append);
    return append;
  }

  drain(): void {
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) {
      for (const order of ready.orders) this.#write(order);
      for (const command of ready.sessions) this.sender.obey(command);
      this.#held.push(...ready.messages);
    }
    const due = this.#held.filter(({ after }) => after <= this.#durable);
    this.#held = this.#held.filter(({ after }) => after > this.#durable);
    this.wire.push(...due.map(({ message }) => message));
  }

  #write(order: Order): void {
    this.unsynced.push(order);
    if (order.type === 'append') this.batches.set(order.header.firstIndex, order.header);
    if (order.type !== 'own') return;
    const { kind, term, firstIndex, prevTerm, count } = order.batch;
    const bytes = { codec: 0, rawLength: 8, byteLength: 72, leaderTimeMs: 0, checksum: 0 } as const;
    const place = { formatVersion: 1, group: 1, flags: 0, kind, term, firstIndex, prevTerm, count };
    this.batches.set(firstIndex, { ...place, ...bytes });
  }
}

class World {
  readonly wire: PeerMessage[] = [];
  readonly nodes: Map<number, Node>;

  constructor({ snapshotAt = 0, depth = 16 } = {}) {
    this.nodes = new Map([1, 2, 3].map((id) => [id, new Node(id, snapshotAt, depth, this.wire)]));
  }

  node(id: number): Node {
    return this.nodes.get(id)!;
  }

  /** Takes messages off the wire, by sender, receiver and type; the caller drops them, or hands them over. */
  take(fits: Partial<Pick<PeerMessage, 'from' | 'to' | 'type'>>): PeerMessage[] {
    const taken = this.wire.filter((message) =>
      Object.entries(fits).every(([key, value]) => message[key as 'from'] === value),
    );
    for (const message of taken) this.wire.splice(this.wire.indexOf(message), 1);
    return taken;
  }

  deliver(fits: Partial<Pick<PeerMessage, 'from' | 'to' | 'type'>>): void {
    for (const message of this.take(fits)) this.node(message.to).step(message);
  }

  /** Node 1 leads term 2, elected by node 2. */
  elect(): Node {
    const first = this.node(1);
    first.tick(10);
    first.sync();
    this.deliver({ to: 2, type: 'vote' });
    this.node(2).sync();
    this.deliver({ from: 2, to: 1 });
    return first;
  }
}

describe('the core as others can drive it, through raftline/core alone', () => {
  it('time is what the test says: a fixed timeout runs out at its tick and not before', () => {
    const first = new World().node(1);
    first.tick(9);
    expect(first.raft.status()).toMatchObject({ role: 'follower', term: 1 });
    first.tick(1);
    expect(first.raft.status()).toMatchObject({ role: 'candidate', term: 2, vote: 1 });
  });

  it('a disk that has not synced holds back what depends on it', () => {
    const world = new World();
    const first = world.node(1);
    first.tick(10);
    expect(world.wire).toEqual([]);
    first.sync();
    expect(world.take({ from: 1 }).map(({ to, type }) => [to, type])).toEqual([
      [2, 'vote'],
      [3, 'vote'],
    ]);
  });

  it('messages are delivered and dropped by sender, receiver and type', () => {
    const world = new World();
    const first = world.elect();
    expect(first.raft.status()).toMatchObject({ role: 'leader', term: 2, lastIndex: 2 });
    expect(world.take({ to: 3, type: 'vote' })).toHaveLength(1);
    world.deliver({ from: 1, to: 3, type: 'heartbeat' });
    expect(world.node(3).raft.status()).toMatchObject({ term: 2, leader: 1, vote: 0 });
  });

  it('a probe, then a stream, a window that fills, and a commit once a quorum has synced', () => {
    const world = new World({ depth: 2 });
    const first = world.elect();
    expect(first.raft.status().progress).toMatchObject([
      { id: 2, state: 'probe', match: 0, next: 2 },
      { id: 3, state: 'probe', match: 0, next: 2 },
    ]);
    expect(first.send(2)).toMatchObject({ prevIndex: 1, prevTerm: 1, headers: [] });
    expect(first.send(2)).toBeUndefined();
    expect(first.sender.status(2)).toMatchObject({ mode: 'probe', inFlight: 1, paused: true });
    world.deliver({ to: 2, type: 'append' });
    world.node(2).sync();
    world.deliver({ to: 1, type: 'appendReply' });
    expect(first.raft.status().progress[0]).toMatchObject({ state: 'replicate', match: 1, next: 2 });
    for (let i = 0; i < 3; i++) first.raft.propose(2, 20);
    first.drain();
    while (first.send(2) !== undefined) {}
    expect(first.sender.status(2)).toMatchObject({ mode: 'stream', next: 5, inFlight: 2, paused: true });
    world.deliver({ to: 2, type: 'append' });
    world.deliver({ to: 1, type: 'appendReply' });
    expect(first.raft.status().progress[0], 'its disk is not done').toMatchObject({ match: 1 });
    world.node(2).sync();
    world.deliver({ to: 1, type: 'appendReply' });
    expect(first.raft.status()).toMatchObject({ lastIndex: 8, durableIndex: 1, commitIndex: 1 });
    first.sync();
    expect(first.raft.status()).toMatchObject({ lastIndex: 8, durableIndex: 8, commitIndex: 4 });
    expect(first.sender.status(2)).toMatchObject({ inFlight: 0, paused: false });
    expect([1, 2, 4].map((index) => first.raft.termAt(index))).toEqual([1, 2, 2]);
    expect([...first.batches.values()].map(({ kind }) => kind)[0]).toBe(BatchKind.NoOp);
  });

  it('starts from a snapshot at an index, and asks for one for whoever needs more', () => {
    const world = new World({ snapshotAt: 1000 });
    const first = world.elect();
    expect(first.raft.status()).toMatchObject({ lastIndex: 1001, commitIndex: 1000 });
    expect([999, 1000, 1001].map((index) => first.raft.termAt(index))).toEqual([undefined, 1, 2]);
    const session = first.raft.status().progress[1]?.session ?? 0;
    const hint = { refused: true, match: 1000, hintIndex: 7, hintTerm: 1, applied: 0 } as const;
    first.raft.step({ type: 'appendReply', group: 1, from: 3, to: 1, term: 2, session, ...hint });
    expect(first.raft.ready()?.snapshots).toEqual([{ peer: 3, term: 2, index: 1000 }]);
    expect(first.raft.status().progress[1]).toMatchObject({ state: 'snapshot' });
  });
});
