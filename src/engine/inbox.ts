import type { GroupId, NodeId } from '../base/ids.js';
import { type BatchHeader, BatchKind, type Configuration } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../codec/batch.js';
import { decodeConfiguration } from '../codec/configuration.js';
import { EntryCursor } from '../codec/entries.js';
import { decodeEnvelope, encodeEnvelope } from '../codec/envelope.js';
import type { RingConsumer } from '../ring/consumer.js';
import { inboxCodec } from '../workers/records.js';
import type { Hub } from './hub.js';
import type { PeerEvent } from './peer-book.js';
import type { Replica } from './replica.js';
import type { EngineStatus } from './status.js';
import { statusJson } from './status-json.js';

/** Inbox records that one turn takes at most. */
const INBOX_PER_TURN = 512;

type InboxRecord = ReturnType<typeof inboxCodec.read>;

export interface InboxParts {
  self: NodeId;
  ring: RingConsumer;
  hub: Hub;
  replicas: ReadonlyMap<GroupId, Replica>;
  status: () => EngineStatus;
  onPeer: (event: PeerEvent) => void;
  onMembers: (record: Extract<InboxRecord, { type: 'memberRequest' }>) => void;
  onLog: (event: { level: 'info' | 'warn' | 'error'; message: string }) => void;
}

/** Takes in what the network thread has for main, and gives each record to the one whom it concerns. */
export class Inbox {
  readonly #parts: InboxParts;
  readonly #connected = new Set<NodeId>();

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  /** Whether the append stream to a peer is up. */
  isConnected(peer: NodeId): boolean {
    return this.#connected.has(peer);
  }

  /** Looks without taking anything. */
  pending(): boolean {
    return this.#parts.ring.pending();
  }

  /** Takes records until there is none, or what they led to finds no room. */
  drain(): void {
    const { ring, hub } = this.#parts;
    let taken = 0;
    while (taken < INBOX_PER_TURN && !hub.blocked && ring.poll()) {
      this.#take(inboxCodec.read(ring));
      ring.release();
      taken++;
    }
  }

  #take(record: InboxRecord): void {
    switch (record.type) {
      case 'control':
        this.#takeControl(record.body);
        break;
      case 'append':
        this.#takeAppend(record);
        break;
      case 'appendReply':
        this.#takeReply(record);
        break;
      case 'sessionBroken': {
        const { group, peer, session } = record;
        this.#parts.replicas.get(group)?.step({ type: 'sessionBroken', peer, session });
        break;
      }
      case 'peer':
        this.#takePeer(record);
        break;
      case 'statusRequest':
        this.#answerStatus(record);
        break;
      case 'memberRequest':
        this.#parts.onMembers(record);
        break;
      case 'log':
        this.#parts.onLog(JSON.parse(record.body.toString()));
        break;
    }
  }

  #takeControl(body: Buffer): void {
    const { envelope } = decodeEnvelope(body);
    if (envelope.type !== 'control') return;
    this.#parts.replicas.get(envelope.message.group)?.step(envelope.message);
  }

  #takeAppend(record: Extract<InboxRecord, { type: 'append' }>): void {
    const { group, peer: from, term, session, prevIndex, prevTerm, commit, body } = record;
    const headers: BatchHeader[] = [];
    const configurations: Configuration[] = [];
    for (let at = 0; at < body.length; ) {
      const header = readBatchHeader(body, at);
      headers.push(header);
      if (header.kind === BatchKind.Configuration) configurations.push(configurationOf(body, at, header));
      at += header.kind === BatchKind.Data ? BATCH_PAYLOAD_OFFSET : header.byteLength;
    }
    const to = this.#parts.self;
    const message = { type: 'append', group, from, to, term, session, prevIndex, prevTerm, commit } as const;
    this.#parts.replicas.get(group)?.step({ ...message, headers, configurations });
  }

  #takeReply(record: Extract<InboxRecord, { type: 'appendReply' }>): void {
    const { group, peer: from, term, session, match, hintIndex, hintTerm, applied } = record;
    const replica = this.#parts.replicas.get(group);
    if (replica === undefined) return;
    const { depth, roundTripMs, durableMs } = record;
    replica.followersSeen.note(from, { session, applied, depth, roundTripMs, durableMs });
    const refused = record.refused === 1;
    const to = this.#parts.self;
    replica.step({
      type: 'appendReply',
      group,
      from,
      to,
      term,
      session,
      refused,
      match,
      hintIndex,
      hintTerm,
      applied,
    });
  }

  #takePeer(record: Extract<InboxRecord, { type: 'peer' }>): void {
    const told = JSON.parse(record.body.toString()) as Pick<PeerEvent, 'code' | 'message' | 'address'>;
    const up = record.up === 1;
    const append = record.lane === 1;
    if (append && up) this.#connected.add(record.peer);
    if (append && !up) {
      this.#connected.delete(record.peer);
      for (const replica of this.#parts.replicas.values()) {
        replica.step({ type: 'unreachable', peer: record.peer });
      }
    }
    const { peer: id, incarnation } = record;
    this.#parts.onPeer({ id, lane: append ? 'append' : 'control', up, incarnation, ...told });
  }

  #answerStatus({ stream, requestId, fromGroup }: Extract<InboxRecord, { type: 'statusRequest' }>): void {
    const json = statusJson(this.#parts.status(), fromGroup);
    const body = encodeEnvelope({ type: 'statusReply', requestId, json }).bytes;
    this.#parts.hub.command({ type: 'clientReply', stream, body });
  }
}

/** What is not data is stored uncompressed and alone: one entry, the configuration. */
function configurationOf(body: Buffer, at: number, header: BatchHeader): Configuration {
  const start = at + BATCH_PAYLOAD_OFFSET;
  const cursor = new EntryCursor().reset(body, start, at + header.byteLength, header.count);
  cursor.next();
  return decodeConfiguration(cursor.bytes());
}
