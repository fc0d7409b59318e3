import type {
  AppendReply,
  BatchHeader,
  Configuration,
  ControlMessage,
  HardState,
  PeerMessage,
} from '../../src/base/messages.js';
import { lastIndexOf } from '../../src/base/messages.js';
import type { RaftOptions, RecoveredState } from '../../src/core/options.js';
import { Raft } from '../../src/core/raft.js';
import type {
  LocalMessage,
  Order,
  Outbound,
  ProposedBatch,
  ReadState,
  Ready,
  SessionCommand,
  SnapshotCommand,
} from '../../src/core/ready.js';
import { GROUP } from './fixtures.js';

/** What the bytes of a configuration entry say. */
export const configurationOf = new WeakMap<BatchHeader, Configuration>();

/** One entry of a toy log. Entries of a batch share its header; its checksum stands for the bytes. */
export interface Entry {
  term: number;
  header: BatchHeader;
}

/** What a toy replicator knows of its session. */
interface ToySession {
  session: number;
  term: number;
  mode: 'probe' | 'stream';
  prevIndex: number;
  prevTerm: number;
  next: number;
  commitSent: number;
  broken: boolean;
}

/** A node around a Raft: a disk that is late, replies that wait for it, and replicators that follow session commands. */
export class ToyNode {
  raft: Raft;
  up = true;
  /** The log as ordered; what the core believes to have. Index 1 is at place 0. */
  log: Entry[];
  readonly disk: { hardState: HardState; entries: Entry[]; base: number };
  /** Entries up to here are gone from the log; the toy's snapshot of them is the entries themselves, kept for the checks. */
  base = 0;
  /** Peers that need a snapshot. */
  wanted: SnapshotCommand[] = [];
  private received: Entry[] = [];
  /** A look at what the core says, before it is carried out. */
  onReady: (ready: Ready) => void = () => {};
  pending: Order[] = [];
  held: Outbound[] = [];
  durableOrder = 0;
  sessions = new Map<number, ToySession>();
  commitIndex: number;
  /** Reads that wait for an answer, and the index that the answer must reach. */
  reads = new Map<number, number>();
  readsAnswered = 0;
  leaseReads = 0;
  installed = 0;

  constructor(
    readonly id: number,
    readonly options: RaftOptions,
    /** What its disk holds at first: the bootstrap configuration, or nothing on a node that is to be added. */
    bootstrap: Entry[],
    /** Seals a batch: gives it bytes that no other batch has. */
    readonly seal: (batch: ProposedBatch) => BatchHeader,
    readonly out: (message: ControlMessage | AppendReply | PeerMessage) => void,
  ) {
    this.disk = { hardState: { term: 0, vote: 0 }, entries: [...bootstrap], base: 0 };
    this.log = [...bootstrap];
    this.commitIndex = bootstrap.length;
    this.raft = new Raft(options, this.recover());
  }

  recover(): RecoveredState {
    const termRuns: RecoveredState['termRuns'] = [];
    const { base } = this.disk;
    for (const [i, entry] of this.disk.entries.entries()) {
      if (i >= base && termRuns.at(-1)?.term !== entry.term)
        termRuns.push({ term: entry.term, firstIndex: i + 1 });
    }
    return {
      hardState: { ...this.disk.hardState },
      base: { index: base, term: this.disk.entries[base - 1]?.term ?? 0 },
      termRuns,
      lastIndex: this.disk.entries.length,
      configurations: configurationsIn(this.disk.entries),
      commitIndex: Math.max(base, Math.min(1, this.disk.entries.length)),
    };
  }

  /** Of the writes that were not synced yet, the disk keeps the first `kept`. */
  crash(kept: number): void {
    for (const order of this.pending.slice(0, kept)) this.write(order);
    this.up = false;
    this.pending = [];
    this.held = [];
    this.sessions.clear();
    this.reads.clear();
    this.wanted = [];
    this.durableOrder = 0;
  }

  restart(): void {
    this.up = true;
    this.log = [...this.disk.entries];
    this.base = this.disk.base;
    this.commitIndex = Math.max(this.base, Math.min(1, this.log.length));
    this.raft = new Raft(this.options, this.recover());
  }

  step(message: PeerMessage | LocalMessage): void {
    this.raft.step(message);
    this.drain();
  }

  tick(): void {
    this.raft.tick();
    this.drain();
  }

  propose(count: number): boolean {
    const accepted = !('refused' in this.raft.propose(count, count));
    this.drain();
    return accepted;
  }

  /** A linearizable read; whatever is committed anywhere by now, it must see. */
  read(context: number, committed: number): 'pending' | 'refused' {
    const pending = this.raft.readIndex(context) === 'pending';
    if (pending) this.reads.set(context, committed);
    this.drain();
    return pending ? 'pending' : 'refused';
  }

  /** Makes each of the others, by its number, a voter, a learner or nothing. */
  change(places: ('voter' | 'learner' | 'none')[]): boolean {
    const { index, configuration } = this.raft.status().configuration;
    const ids = places.map((_, i) => i + 1);
    const having = (place: string) => ids.filter((id) => places[id - 1] === place);
    const next = { ...configuration, voters: having('voter'), learners: having('learner') };
    const accepted = !('refused' in this.raft.proposeConfiguration(next, index));
    this.drain();
    return accepted;
  }

  compact(): void {
    const most = Math.min(this.commitIndex, this.raft.durableIndex) - 2;
    // Compaction stands on batch borders.
    const last = this.log[most - 1]?.header;
    const index = last === undefined || lastIndexOf(last) === most ? most : last.firstIndex - 1;
    if (index <= this.base || this.pending.some(({ type }) => type === 'snapshot')) return;
    this.compactTo(index);
  }

  compactTo(index: number): void {
    this.base = index;
    this.disk.base = index;
    this.step({ type: 'compacted', index });
  }

  /** A whole snapshot of `from`. One at a time, as an engine does it. */
  receive(from: ToyNode): void {
    if (this.pending.some(({ type }) => type === 'snapshot')) return;
    this.received = from.log.slice(0, from.base);
    const configuration = configurationsIn(this.received).at(-1);
    const last = this.received.at(-1);
    if (configuration === undefined || last === undefined) throw new Error('an empty snapshot');
    this.step({ type: 'snapshotReceived', index: from.base, term: last.term, configuration });
  }

  transfer(to: number): void {
    this.raft.transferLeadership(to);
    this.drain();
  }

  private answer({ context, index, byLease }: ReadState): void {
    const needed = this.reads.get(context);
    if (needed === undefined) throw new Error(`read ${context} was answered twice, or never asked`);
    this.reads.delete(context);
    // A real reader reads its state machine in between.
    if (byLease && !this.raft.leaseHolds()) return;
    if (index < needed)
      throw new Error(`stale read on node ${this.id}: ${index} after ${needed} was committed`);
    this.readsAnswered += 1;
    if (byLease) this.leaseReads += 1;
  }

  /** Syncs the next `count` orders. */
  sync(count: number): void {
    const done = this.pending.splice(0, count);
    for (const order of done) this.write(order);
    const last = done.at(-1);
    if (last === undefined) return;
    this.durableOrder = last.id;
    this.raft.step({ type: 'durable', order: last.id });
    this.drain();
  }

  private write(order: Order): void {
    const { entries } = this.disk;
    if (order.type === 'snapshot') {
      if (!order.keepsSuffix) entries.splice(0, entries.length, ...this.received);
      this.disk.base = order.index;
      return;
    }
    if (order.type === 'hardState') this.disk.hardState = order.hardState;
    else if (order.type === 'truncate') entries.length = order.from - 1;
    else pushBatch(entries, order.type === 'append' ? order.header : this.sealed(order));
  }

  private readonly sealedBatches = new Map<ProposedBatch, BatchHeader>();

  private sealed(order: Order & { type: 'own' }): BatchHeader {
    const header = this.sealedBatches.get(order.batch) ?? this.seal(order.batch);
    this.sealedBatches.set(order.batch, header);
    return header;
  }

  /** Carries out what the core says. */
  drain(): void {
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) {
      this.onReady(ready);
      for (const order of ready.orders) {
        this.pending.push(order);
        if (order.type === 'snapshot') {
          if (!order.keepsSuffix) this.log = [...this.received];
          this.base = order.index;
          this.installed += 1;
        } else if (order.type === 'truncate') this.log.length = order.from - 1;
        else if (order.type !== 'hardState') {
          pushBatch(this.log, order.type === 'append' ? order.header : this.sealed(order));
        }
      }
      this.wanted.push(...ready.snapshots);
      this.held.push(...ready.messages);
      for (const state of ready.readStates) this.answer(state);
      for (const context of ready.readsFailed) {
        if (!this.reads.delete(context)) throw new Error(`read ${context} failed, and nobody waited for it`);
      }
      for (const command of ready.sessions) this.obey(command);
      this.commitIndex = ready.commitIndex;
    }
    if (!this.held.some((outbound) => outbound.after <= this.durableOrder)) return;
    const leaving = this.held.filter((outbound) => outbound.after <= this.durableOrder);
    this.held = this.held.filter((outbound) => outbound.after > this.durableOrder);
    for (const outbound of leaving) this.out(outbound.message);
  }

  private obey(command: SessionCommand): void {
    const { peer, session } = command;
    const current = this.sessions.get(peer);
    if (command.type === 'open') {
      if (current !== undefined) throw new Error(`session ${current.session} to ${peer} was not closed`);
      const { term, prevIndex, prevTerm } = command;
      const fresh = {
        session,
        term,
        mode: 'probe',
        prevIndex,
        prevTerm,
        next: 0,
        commitSent: -1,
        broken: false,
      } as const;
      this.sessions.set(peer, { ...fresh });
      return;
    }
    if (current?.session !== session) throw new Error(`no session ${session} to ${peer}`);
    if (command.type === 'close') this.sessions.delete(peer);
    else {
      current.mode = 'stream';
      current.next = command.next;
    }
  }

  /** A stream that lost something breaks; its replicator sends nothing more and says so. */
  breakSession(peer: number, session: number): void {
    const current = this.sessions.get(peer);
    if (current?.session === session) current.broken = true;
  }

  reportBroken(): void {
    for (const [peer, { session, broken }] of [...this.sessions]) {
      if (broken) this.step({ type: 'sessionBroken', peer, session });
    }
  }

  /** What a replicator sends next: the probe again, or up to `batches` batches, or a commit index that moved alone. */
  replicate(peer: number, batches: number): void {
    const current = this.sessions.get(peer);
    if (current === undefined || current.broken) return;
    if (current.mode === 'probe') {
      this.sendAppend(peer, current, current.prevIndex, current.prevTerm, []);
      return;
    }
    const start = this.log[current.next - 1]?.header.firstIndex ?? current.next;
    if (start < this.base) throw new Error(`stream from ${start}, but the log begins after ${this.base}`);
    const headers: BatchHeader[] = [];
    let next = start;
    while (headers.length < batches && next <= this.log.length) {
      const header = (this.log[next - 1] as Entry).header;
      headers.push(header);
      next += header.count;
    }
    if (headers.length === 0 && current.commitSent >= this.commitIndex) return;
    current.next = next;
    this.sendAppend(peer, current, start - 1, this.log[start - 2]?.term ?? 0, headers);
  }

  private sendAppend(
    to: number,
    current: ToySession,
    prevIndex: number,
    prevTerm: number,
    headers: BatchHeader[],
  ): void {
    current.commitSent = this.commitIndex;
    this.out({
      type: 'append',
      group: GROUP,
      from: this.id,
      to,
      term: current.term,
      session: current.session,
      prevIndex,
      prevTerm,
      commit: this.commitIndex,
      headers,
      configurations: headers.flatMap((header) => configurationOf.get(header) ?? []),
    });
  }
}

function configurationsIn(entries: readonly Entry[]): RecoveredState['configurations'] {
  return entries.flatMap(({ term, header }, i) => {
    const configuration = configurationOf.get(header);
    return configuration === undefined ? [] : [{ index: i + 1, term, configuration }];
  });
}

function pushBatch(entries: Entry[], header: BatchHeader): void {
  if (header.firstIndex !== entries.length + 1)
    throw new Error(`batch at ${header.firstIndex} after ${entries.length}`);
  for (let i = 0; i < header.count; i++) entries.push({ term: header.term, header });
}
