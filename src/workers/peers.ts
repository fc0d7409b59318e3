import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, Incarnation, NodeId } from '../base/ids.js';
import type { MemberAddress, MemberIncarnation } from '../base/messages.js';
import { decodeEnvelope } from '../codec/envelope.js';
import { type Acquaintances, checkHelloReply, makeHello, type Self } from '../transport/handshake.js';
import { PeerLink } from '../transport/link.js';
import type { Transport } from '../transport/transport.js';
import type { Identity } from '../wal/identity.js';
import type { LogReader } from '../wal/log-reader.js';
import { BatchSource } from './batch-source.js';
import { MessageBuffers } from './message-buffers.js';
import type { Near } from './near-rings.js';
import { firstDueMs, type Program } from './program.js';
import type { inboxCodec } from './records.js';
import { Replicator } from './replicator.js';
import type { Roster, RosterRow } from './roster.js';
import { flowOf, type GroupFlow } from './settings.js';

/** Without any sign of life from a follower that has messages in flight, its stream is given up (H42). */
const ACK_TIMEOUT_MS = 10_000;
/** How long the streams that a removed node has open still serve it: a removed leader has to hand over first. */
const FAREWELL_MS = 2000;
/** How a stream ends whose other end refuses what came, by what it says, or unread, by its length: that is how gRPC says it. */
const REFUSED = { read: 'RAFTLINE_BYTES_INVALID', unread: 'message larger than max' };
/** What a follower refused: texts that are remembered, so that one that only repeats is not told again. */
const TOLD_MAX = 256;
/** Memory that rests between messages, all followers together. */
export const RESTING_BYTES_MAX = 4 * 1024 * 1024;

export interface PeersPorts {
  self: Omit<Self, 'bootstrapChecksum' | 'formerIncarnations'>;
  transport: Transport;
  identity: Identity;
  near: Near;
  openReader: () => LogReader;
  push: (record: Parameters<typeof inboxCodec.push>[1]) => boolean;
  /** By group: how much may be in flight. */
  flows: Readonly<Record<GroupId, GroupFlow>>;
  wakeMain: () => void;
  wakeSelf: () => void;
  /** A peer spoke on the control stream that this node opened to it. */
  answered: (peer: NodeId, bytes: Buffer) => void;
  /** Ends the streams that a node has open to this one. */
  expel: (peer: NodeId, cause: RaftlineError) => void;
  log: (message: string) => void;
  messageBytesMax: number;
}

/** The outgoing side of one other node: two lanes, and what replicates over one of them. */
interface Peer {
  row: RosterRow;
  readonly control: PeerLink;
  readonly replicator: Replicator;
  readonly append: PeerLink;
  readonly reader: LogReader;
}

/**
 * The other nodes, as the configurations in force name them: links and replicators come and go with it, without a restart. Also
 * says to whom this node speaks at all.
 */
export class Peers implements Program, Acquaintances {
  readonly name = 'peers';
  /** The outgoing control links, by peer. */
  readonly controlLinks = new Map<NodeId, PeerLink>();
  readonly #ports: PeersPorts;
  readonly #peers = new Map<NodeId, Peer>();
  #roster: Roster;
  readonly #flows: Map<GroupId, GroupFlow>;
  /** Of all followers. */
  readonly #buffers = new MessageBuffers(RESTING_BYTES_MAX);
  /** Nodes that have been removed, and when their last streams end. */
  readonly #farewells = new Map<NodeId, number>();
  #nowMs = 0;

  /** `first` holds until main knows what the log says. */
  constructor(ports: PeersPorts, first: Roster) {
    this.#ports = ports;
    this.#roster = first;
    this.#flows = new Map(Object.entries(ports.flows).map(([group, flow]) => [Number(group), flow]));
    this.#follow();
  }

  /** Who this node is, as it introduces itself. */
  get self(): Self {
    const { self, identity } = this.#ports;
    const gone = this.#roster.removed.filter(({ id }) => id === self.node);
    const formerIncarnations = gone.map(({ incarnation }) => incarnation);
    return { ...self, bootstrapChecksum: identity.bootstrapChecksum, formerIncarnations };
  }

  /** Main has learnt who the members are: links follow. */
  setRoster(roster: Roster): void {
    const before = this.#roster.removed;
    this.#roster = roster;
    for (const gone of roster.removed) {
      const told = before.find((each) => isSame(each, gone))?.groups.length ?? 0;
      if (gone.groups.length > told) this.#farewells.set(gone.id, this.#nowMs + FAREWELL_MS);
    }
    this.#follow();
  }

  /** Where the members are, this node included. */
  get addresses(): MemberAddress[] {
    const { rows, address } = this.#roster;
    const own = address === '' ? [] : [{ id: this.#ports.self.node, address }];
    return [
      ...own,
      ...rows
        .filter(({ invited, address }) => !invited && address !== '')
        .map(({ id, address }) => ({ id, address })),
    ];
  }

  /** How much may be in flight in a group has changed. */
  setFlow(group: GroupId, flow: GroupFlow): void {
    this.#flows.set(group, flow);
    for (const replicator of this.replicators()) replicator.retune(group);
  }

  replicator(id: NodeId): Replicator | undefined {
    return this.#peers.get(id)?.replicator;
  }

  dueMs(nowMs: number): number {
    return firstDueMs(this.replicators(), nowMs);
  }

  replicators(): Replicator[] {
    return [...this.#peers.values()].map(({ replicator }) => replicator);
  }

  poll(nowMs: number): boolean {
    this.#nowMs = nowMs;
    let worked = false;
    for (const { replicator } of this.#peers.values()) worked = replicator.poll(nowMs) || worked;
    this.#sayFarewell();
    return worked;
  }

  close(): void {
    for (const peer of this.#peers.values()) closePeer(peer);
  }

  /** It came to us, so it is there: no reason to wait before going to it. */
  hurry(id: NodeId): void {
    const peer = this.#peers.get(id);
    peer?.control.hurry();
    peer?.append.hurry();
  }

  /** Makes a member's incarnation known for good. Strangers are not remembered: they are members only when the log says so. */
  remember(id: NodeId, incarnation: Incarnation): void {
    const row = this.#rowOf(id);
    if (row !== undefined && !row.invited) this.#ports.identity.rememberPeer(id, incarnation);
  }

  knownIncarnation(id: NodeId): Incarnation | undefined {
    const row = this.#rowOf(id);
    if (row === undefined || row.incarnation !== 0) return row?.incarnation;
    return row.invited ? undefined : this.#ports.identity.peerIncarnation(id);
  }

  removedFrom(id: NodeId, incarnation: Incarnation): GroupId[] {
    return this.#roster.removed.find((gone) => isSame(gone, { id, incarnation }))?.groups ?? [];
  }

  #rowOf(id: NodeId): RosterRow | undefined {
    return this.#roster.rows.find((row) => row.id === id);
  }

  #follow(): void {
    for (const [id, peer] of this.#peers) {
      if (this.#rowOf(id) !== undefined) continue;
      closePeer(peer);
      this.#peers.delete(id);
      this.controlLinks.delete(id);
    }
    for (const row of this.#roster.rows) {
      // Who is only invited is asked who it is, which may be who was removed.
      if (!row.invited) this.#farewells.delete(row.id);
      if (row.address === '') continue;
      try {
        const peer = this.#peers.get(row.id);
        if (peer === undefined) this.#add(row);
        else this.#move(peer, row);
      } catch (thrown) {
        // An address that is none costs its owner the link, and nobody else anything.
        this.#ports.log(`node ${row.id}: ${toRaftlineError(thrown).message}`);
      }
    }
  }

  #add(row: RosterRow): void {
    const control = this.#link(row, 'control');
    control.onMessage = (bytes) => this.#ports.answered(row.id, bytes);
    const append = this.#link(row, 'append');
    const reader = this.#ports.openReader();
    const replicator = this.#replicator(append, row.id, reader);
    this.#peers.set(row.id, { row, control, append, replicator, reader });
    this.controlLinks.set(row.id, control);
  }

  #move(peer: Peer, row: RosterRow): void {
    const isAnother = row.incarnation !== peer.row.incarnation;
    peer.row = row;
    // Whom a link refused may be the very one that is meant now.
    if (isAnother) this.hurry(row.id);
    peer.control.setAddress(row.address);
    peer.append.setAddress(row.address);
  }

  /** Ends what removed nodes still have open; when they come again, they are told why. */
  #sayFarewell(): void {
    for (const [id, dueMs] of this.#farewells) {
      if (this.#nowMs < dueMs) continue;
      this.#farewells.delete(id);
      const message = `node ${id} was removed from the cluster`;
      this.#ports.expel(id, new RaftlineError(ErrorCode.MemberRemoved, message));
    }
  }

  #link(row: RosterRow, lane: 'control' | 'append'): PeerLink {
    const { id } = row;
    let incarnation = 0;
    const link = new PeerLink({
      transport: this.#ports.transport,
      address: row.address,
      hello: () => makeHello(this.self, id, lane),
      checkReply: (hello, reply) => {
        const verdict = checkHelloReply(hello, this, reply);
        if (verdict.accepted) this.remember(id, reply.incarnation);
        incarnation = reply.incarnation;
        return verdict;
      },
    });
    // A peer that stays away is told of once, and again when the reason changes; not with every attempt.
    let told = '';
    link.onUp = () => {
      told = '';
      this.#report(id, link, lane, incarnation);
    };
    link.onDown = (cause) => {
      if (told !== cause.code) this.#report(id, link, lane, 0, cause);
      told = cause.code;
    };
    return link;
  }

  /** Tells main that a link came up, or why it is down. */
  #report(
    peer: NodeId,
    link: PeerLink,
    lane: 'control' | 'append',
    incarnation: Incarnation,
    cause?: RaftlineError,
  ): void {
    const { code, message } = cause ?? { code: '', message: '' };
    const body = Buffer.from(JSON.stringify({ code, message, address: link.address }));
    const up = cause === undefined ? 1 : 0;
    this.#ports.push({ type: 'peer', peer, lane: lane === 'control' ? 0 : 1, up, incarnation, body });
    this.#ports.wakeMain();
    this.#ports.wakeSelf();
  }

  /** Logs each text once: what is refused is sent again as soon as the link is up. */
  #teller(): (message: string) => void {
    const told = new Set<string>();
    return (message) => {
      if (told.has(message)) return;
      if (told.size >= TOLD_MAX) told.clear();
      told.add(message);
      this.#ports.log(message);
    };
  }

  #replicator(link: PeerLink, peer: NodeId, reader: LogReader): Replicator {
    const { near, push, self, wakeSelf, messageBytesMax } = this.#ports;
    const { onDown } = link;
    const tell = this.#teller();
    const replicator = new Replicator({
      self: self.node,
      peer,
      link,
      source: new BatchSource(near, reader),
      buffers: this.#buffers,
      push,
      flow: (group) => flowOf(this.#flows.get(group)!, peer),
      ackTimeoutMs: ACK_TIMEOUT_MS,
      messageBytesMax,
      tooLarge: (message) => tell(`node ${peer} cannot be sent what comes next: ${message}`),
    });
    link.onDown = (cause, wasUp) => {
      const { message } = cause;
      const isLong = message.includes(REFUSED.unread);
      const hint = isLong ? '; give every member the larger pipeline.batchBytesMax' : '';
      if (wasUp && (isLong || message.includes(REFUSED.read)))
        tell(`node ${peer} refused what it was sent: ${message}${hint}`);
      replicator.streamBroke();
      onDown(cause, wasUp);
    };
    link.onMessage = (bytes) => {
      const { envelope } = decodeEnvelope(bytes);
      if (envelope.type !== 'appendReply' || envelope.from !== peer) {
        throw new RaftlineError(
          ErrorCode.BytesInvalid,
          `append stream to node ${peer}: not a reply of its own`,
        );
      }
      replicator.onReply(envelope);
      wakeSelf();
    };
    return replicator;
  }
}

function isSame(a: MemberIncarnation, b: MemberIncarnation): boolean {
  return a.id === b.id && a.incarnation === b.incarnation;
}

function closePeer({ control, replicator, reader }: Peer): void {
  control.close();
  replicator.close();
  reader.close();
}
