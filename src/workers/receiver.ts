import { copyBytes } from '../base/copy.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import { ENTRY_BYTES_CEILING } from '../base/limits.js';
import { type BatchHeader, BatchKind, Codec, lastIndexOf } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, CEILING_LIMITS, verifyBatch } from '../codec/batch.js';
import { decodeConfiguration } from '../codec/configuration.js';
import { EntryCursor, verifyEntries } from '../codec/entries.js';
import { decodeEnvelope, encodeEnvelope } from '../codec/envelope.js';
import type { AppendEnvelope, AppendReplyEnvelope } from '../codec/envelope-types.js';
import type { RingProducer } from '../ring/producer.js';
import type { MessageStream } from '../transport/transport.js';
import { Litter } from './litter.js';
import { dueMsOf, type Program } from './program.js';
import type { inboxCodec } from './records.js';

/** Heads that one message brings to main at most: no more than a replicator puts into one in all. */
const HEADS_BYTES_MAX = 256 * 1024;

/**
 * `durable` says all that `received` says, so it is left unsaid for a while, unless the leader asks for it: until so many messages wait for
 * it, or until the first of them has waited so long.
 */
const UNTOLD_MESSAGES_MAX = 4;
const UNTOLD_MS_MAX = 5;

/** What was received and not told, of one group. */
interface Untold {
  /** But for `applied`, which is what it is when the reply leaves. */
  readonly reply: AppendReplyEnvelope;
  readonly messages: number;
  /** When the first of them was seen by a poll. */
  sinceMs: number | undefined;
}

interface Verified {
  inbound: Inbound;
  envelope: AppendEnvelope;
  bytes: Buffer;
  headers: BatchHeader[];
  bodyOffset: number;
  /** Batches already copied into the receive ring. */
  copied: number;
}

interface Inbound {
  readonly peer: NodeId;
  readonly stream: MessageStream;
  /** By group: how far `received` may be told. */
  readonly untold: Map<GroupId, Untold>;
}

export interface ReceiverPorts {
  self: NodeId;
  groups: readonly GroupId[];
  receive: RingProducer;
  push: (record: Parameters<typeof inboxCodec.push>[1]) => boolean;
  /** The largest payload of a batch that is taken, whatever size those of this node have. */
  batchRawBytesMax: number;
  /** How far the state machine of a group is, as main last said. */
  applied: (group: GroupId) => LogIndex;
  wake: () => void;
  log: (message: string) => void;
}

/**
 * Takes appends in: checksum and structure here, off main; the bytes into the receive ring as they are; the heads
 * to main, who decides. `received` leaves soon, unless `durable` does (docs/decisions/0016); that and refusals are main's and come through the outbox.
 */
export class Receiver implements Program {
  readonly name = 'receiver';
  readonly #ports: ReceiverPorts;
  /** The newest stream of each peer; an older one was closed when this came. */
  readonly #inbound = new Map<NodeId, Inbound>();
  /**
   * Verified and not yet handed to main, in order of arrival over all streams: what stands in the receive ring and what
   * main is told must have the same order. Non-empty only while a ring is full; the streams are paused then.
   */
  readonly #waiting: Verified[] = [];
  /** Of which peer and group it was told that a batch is too large: the peer comes with it again and again. */
  readonly #tooLargeTold = new Set<string>();
  readonly #litter = new Litter();

  constructor(ports: ReceiverPorts) {
    this.#ports = ports;
  }

  /** A peer has introduced itself on an append stream. */
  adopt(peer: NodeId, stream: MessageStream): void {
    const before = this.#inbound.get(peer);
    const inbound: Inbound = { peer, stream, untold: new Map() };
    this.#inbound.set(peer, inbound);
    before?.stream.close(new RaftlineError(ErrorCode.Closed, `node ${peer} opened another append stream`));
    stream.onMessage = (bytes) => this.#take(inbound, bytes);
    stream.onClose = () => {
      if (this.#inbound.get(peer) === inbound) this.#inbound.delete(peer);
    };
  }

  /** Ends what the peer has open. */
  expel(peer: NodeId, cause: RaftlineError): void {
    this.#inbound.get(peer)?.stream.close(cause);
  }

  /** Sends main's answer on the stream that the peer has open now; a reply to an older one has lost its meaning. */
  reply(peer: NodeId, reply: AppendReplyEnvelope): void {
    const inbound = this.#inbound.get(peer);
    if (inbound === undefined) return;
    inbound.stream.send(encodeEnvelope(reply).bytes);
    const untold = inbound.untold.get(reply.group)?.reply;
    if (untold?.session === reply.session && untold.match <= reply.match) inbound.untold.delete(reply.group);
  }

  dueMs(nowMs: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { untold } of this.#inbound.values()) {
      for (const { sinceMs } of untold.values()) {
        first = Math.min(first, dueMsOf(sinceMs, UNTOLD_MS_MAX, nowMs));
      }
    }
    return first;
  }

  poll(nowMs: number): boolean {
    let worked = this.#drain();
    for (const inbound of this.#inbound.values()) {
      if (this.#acknowledge(inbound, nowMs)) worked = true;
    }
    return worked;
  }

  close(): void {
    for (const { stream } of this.#inbound.values()) stream.close();
  }

  /** Throws BytesInvalid for nonsense, which costs the peer its stream (S7). */
  #take(inbound: Inbound, bytes: Buffer): void {
    this.#litter.drop(bytes.length);
    const { envelope, bodyOffset } = decodeEnvelope(bytes);
    if (envelope.type !== 'append' || envelope.from !== inbound.peer || envelope.to !== this.#ports.self) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `append stream of node ${inbound.peer}: not an append of its own`,
      );
    }
    if (!this.#ports.groups.includes(envelope.group)) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `append for group ${envelope.group}, which is not on this node`,
      );
    }
    const headers = verifyBatches(envelope, bytes, bodyOffset);
    for (const header of headers) this.#verifySize(inbound.peer, header);
    this.#waiting.push({ inbound, envelope, bytes, headers, bodyOffset, copied: 0 });
    this.#drain();
    if (this.#waiting.length > 0) inbound.stream.pause();
    this.#ports.wake();
  }

  /** Whose options let a leader seal larger batches than this node can take cannot be followed; people have to learn why. */
  #verifySize(peer: NodeId, { group, rawLength }: BatchHeader): void {
    const { self, batchRawBytesMax } = this.#ports;
    if (rawLength <= batchRawBytesMax) return;
    const message =
      `group ${group}: a batch of ${rawLength} bytes, node ${self} takes at most ${batchRawBytesMax}; ` +
      'give every member the larger pipeline.batchBytesMax';
    const key = `${peer} ${group}`;
    if (!this.#tooLargeTold.has(key)) this.#ports.log(`append of node ${peer} refused: ${message}`);
    this.#tooLargeTold.add(key);
    throw new RaftlineError(ErrorCode.BytesInvalid, message);
  }

  #drain(): boolean {
    if (this.#waiting.length === 0) return false;
    let drained = false;
    for (let message = this.#waiting[0]; message !== undefined; message = this.#waiting[0]) {
      if (!this.#handOver(message)) return drained;
      this.#waiting.shift();
      drained = true;
    }
    for (const { stream } of this.#inbound.values()) stream.resume();
    return drained;
  }

  /** All batches into the receive ring, then the heads to main. False: a ring is full; goes on where it stopped. */
  #handOver(message: Verified): boolean {
    const { receive, push } = this.#ports;
    const { inbound, envelope, headers, bytes } = message;
    let at = message.bodyOffset;
    for (let number = 0; number < headers.length; number++) {
      const { byteLength } = headers[number]!;
      if (number >= message.copied) {
        if (!receive.claim(byteLength)) return false;
        copyBytes(bytes.subarray(at, at + byteLength), receive.bytes, receive.offset);
        receive.publish(byteLength);
        message.copied++;
      }
      at += byteLength;
    }
    const { group, term, session, prevIndex, prevTerm, commit } = envelope;
    const body = headsOf(message);
    const record = { type: 'append', group, peer: inbound.peer, term, session, prevIndex, prevTerm } as const;
    if (!push({ ...record, commit, batches: headers.length, body })) return false;
    const last = headers.length === 0 ? prevIndex : lastIndexOf(headers[headers.length - 1]!);
    this.#noteReceived(inbound, envelope, last);
    return true;
  }

  #noteReceived(inbound: Inbound, envelope: AppendEnvelope, match: LogIndex): void {
    const { group, from: to, term, session } = envelope;
    const place = { group, from: this.#ports.self, to, term, session };
    const nothing = { hintIndex: 0, hintTerm: 0, applied: 0 };
    const reply = { type: 'appendReply', ...place, kind: 'received', match, ...nothing } as const;
    const before = inbound.untold.get(group);
    const messages = (before?.messages ?? 0) + (envelope.more ? 1 : UNTOLD_MESSAGES_MAX);
    inbound.untold.set(group, { reply, messages, sinceMs: before?.sinceMs });
  }

  /** One `received` per group for all that waits for it. */
  #acknowledge(inbound: Inbound, nowMs: number): boolean {
    let told = false;
    for (const [group, untold] of inbound.untold) {
      untold.sinceMs ??= nowMs;
      if (untold.messages < UNTOLD_MESSAGES_MAX && nowMs - untold.sinceMs < UNTOLD_MS_MAX) continue;
      const reply = { ...untold.reply, applied: this.#ports.applied(group) };
      if (!inbound.stream.send(encodeEnvelope(reply).bytes)) break;
      inbound.untold.delete(group);
      told = true;
    }
    return told;
  }
}

/** Checks every batch of an append and that together they are what the envelope says. */
function verifyBatches(envelope: AppendEnvelope, bytes: Buffer, bodyOffset: number): BatchHeader[] {
  const headers: BatchHeader[] = [];
  let at = bodyOffset;
  let index = envelope.prevIndex;
  let term = envelope.prevTerm;
  let headsBytes = 0;
  while (at < bytes.length) {
    const header = verifyBatch(bytes, at, bytes.length - at, CEILING_LIMITS);
    const follows =
      header.firstIndex === index + 1 && header.prevTerm === term && header.group === envelope.group;
    if (!follows || header.term > envelope.term) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `append of group ${envelope.group}: batch ${header.group}/${header.firstIndex}@${header.term} after ${index}@${term} does not continue it`,
      );
    }
    if (header.kind === BatchKind.Configuration) verifyConfiguration(bytes, at, header);
    index = lastIndexOf(header);
    term = header.term;
    headsBytes += headBytes(header);
    if (headsBytes > HEADS_BYTES_MAX) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `append of group ${envelope.group}: expected heads of at most ${HEADS_BYTES_MAX} bytes, received more`,
      );
    }
    headers.push(header);
    at += header.byteLength;
  }
  if (headers.length !== envelope.batches) {
    const message = `append of group ${envelope.group}: expected ${envelope.batches} batches, received ${headers.length}`;
    throw new RaftlineError(ErrorCode.BytesInvalid, message);
  }
  return headers;
}

/** Main reads what a configuration says: what it cannot read must not get there. */
function verifyConfiguration(bytes: Buffer, at: number, header: BatchHeader): void {
  const [start, end] = [at + BATCH_PAYLOAD_OFFSET, at + header.byteLength];
  if (header.codec !== Codec.None) {
    throw new RaftlineError(ErrorCode.BytesInvalid, 'batch of a configuration: expected no compression');
  }
  verifyEntries(bytes, start, end, header.count, ENTRY_BYTES_CEILING);
  const cursor = new EntryCursor().reset(bytes, start, end, header.count);
  cursor.next();
  decodeConfiguration(cursor.bytes());
}

/** What main is shown of a batch: its head, or all of it where it is not data, since main reads those. */
function headBytes(header: BatchHeader): number {
  return header.kind === BatchKind.Data ? BATCH_PAYLOAD_OFFSET : header.byteLength;
}

/** The heads of a message's batches, back to back. */
function headsOf(message: Verified): Buffer {
  const parts: Buffer[] = [];
  let at = message.bodyOffset;
  for (const header of message.headers) {
    parts.push(message.bytes.subarray(at, at + headBytes(header)));
    at += header.byteLength;
  }
  return Buffer.concat(parts);
}
