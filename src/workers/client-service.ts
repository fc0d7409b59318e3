import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { ClientId, GroupId, LogIndex, NodeId, Sequence } from '../base/ids.js';
import { ENTRY_BYTES_CEILING, PROTOCOL_VERSION } from '../base/limits.js';
import type { MemberAddress } from '../base/messages.js';
import type { Compression } from '../codec/compression.js';
import { EntryCursor, verifyEntries } from '../codec/entries.js';
import { decodeEnvelope, encodeEnvelope } from '../codec/envelope.js';
import {
  type ClientHello,
  MEMBER_ACTIONS,
  type MemberRequest,
  type Propose,
  type StatusRequest,
  type TailRequest,
} from '../codec/envelope-types.js';
import type { MessageStream } from '../transport/transport.js';
import type { LogReader } from '../wal/log-reader.js';
import type { Program } from './program.js';
import type { clientCodec, inboxCodec } from './records.js';
import { Tailer } from './tailer.js';

/** How long a client may take to say who it is, and to close a stream whose end it was told. */
const PATIENCE_MS = 5000;

/** Streams beyond the limit that may be open until they have said who they are and been told that they are too many (S4). */
const UNNAMED_MAX = 64;

interface Client {
  readonly stream: MessageStream;
  id: ClientId;
  state: 'new' | 'open' | 'ending';
  /** When patience ends, in the states `new` and `ending`; 0: not yet set. */
  deadlineMs: number;
  /** The sequence that the next propose has to begin with; 0 before the first. */
  nextSequence: Sequence;
  /** Verified proposals that wait for room in the client ring. The stream is paused while there are any. */
  waiting: { propose: Propose; packed: Buffer }[];
  tailer: Tailer | undefined;
}

export interface ClientServicePorts {
  node: NodeId;
  clusterId: string;
  groups: readonly GroupId[];
  entryBytesMax: number;
  /** What one propose message may carry at most: what fits one batch. */
  batchRawBytesMax: number;
  batchEntriesMax: number;
  streamsMax: number;
  tailsMax: number;
  push: (record: Parameters<typeof inboxCodec.push>[1]) => boolean;
  /** Into the client ring; false: it is full now. */
  pass: (record: Parameters<typeof clientCodec.push>[1]) => boolean;
  compression: Compression;
  openReader: () => LogReader;
  applied: (group: GroupId) => LogIndex;
  /** Where the members are, as far as this node knows. */
  members: () => readonly MemberAddress[];
  wake: () => void;
}

/** Serves remote clients: checks what they send off main, passes proposals on in order, tails the log for them. */
export class ClientService implements Program {
  readonly name = 'client-service';
  readonly #ports: ClientServicePorts;
  readonly #clients = new Map<number, Client>();
  readonly #cursor = new EntryCursor();
  /** Streams that closed and main has not been told of. */
  #closed: number[] = [];

  constructor(ports: ClientServicePorts) {
    this.#ports = ports;
  }

  adopt(stream: MessageStream): void {
    const { streamsMax } = this.#ports;
    if (this.#clients.size >= streamsMax + UNNAMED_MAX) {
      stream.close(
        new RaftlineError(
          ErrorCode.Overloaded,
          `more than ${streamsMax} client streams and ${UNNAMED_MAX} without a name`,
        ),
      );
      return;
    }
    const client: Client = {
      stream,
      id: 0,
      state: 'new',
      deadlineMs: 0,
      nextSequence: 0,
      waiting: [],
      tailer: undefined,
    };
    stream.onMessage = (bytes) => this.#take(client, bytes);
    stream.onClose = () => {
      client.tailer?.close();
      if (this.#clients.delete(stream.id) && client.id !== 0) this.#closed.push(stream.id);
    };
    this.#clients.set(stream.id, client);
  }

  /** Main's answer to a client; one that does not read its answers loses its stream. */
  reply(streamId: number, bytes: Buffer): void {
    const client = this.#clients.get(streamId);
    if (client === undefined || client.stream.send(bytes)) return;
    client.stream.close(new RaftlineError(ErrorCode.Overloaded, 'the client does not read its replies'));
  }

  /** The last word was said; the client closes, or is closed when its time is up. */
  end(streamId: number): void {
    const client = this.#clients.get(streamId);
    if (client === undefined) return;
    client.state = 'ending';
    client.deadlineMs = 0;
    client.waiting = [];
    client.stream.resume();
  }

  poll(nowMs: number): boolean {
    let worked = this.#tellClosed();
    for (const client of this.#clients.values()) {
      if (this.#drain(client)) worked = true;
      if (client.tailer?.poll() === true) worked = true;
      this.#hurry(client, nowMs);
    }
    return worked;
  }

  close(): void {
    for (const { stream } of this.#clients.values()) stream.close();
  }

  #tellClosed(): boolean {
    const [stream] = this.#closed;
    if (stream === undefined || !this.#ports.pass({ type: 'closed', stream })) return false;
    this.#closed.shift();
    return true;
  }

  #hurry(client: Client, nowMs: number): void {
    if (client.state === 'open') return;
    if (client.deadlineMs === 0) client.deadlineMs = nowMs + PATIENCE_MS;
    else if (nowMs > client.deadlineMs)
      client.stream.close(new RaftlineError(ErrorCode.Timeout, 'no more time'));
  }

  /** Throws BytesInvalid for nonsense, which costs the client its stream. */
  #take(client: Client, bytes: Buffer): void {
    const { envelope, bodyOffset } = decodeEnvelope(bytes);
    if (client.state === 'ending') return;
    if (client.state === 'new') {
      if (envelope.type !== 'clientHello') throw unexpected(envelope.type, 'a clientHello first');
      this.#welcome(client, envelope);
    } else if (envelope.type === 'propose') this.#takeProposal(client, envelope, bytes.subarray(bodyOffset));
    else if (envelope.type === 'statusRequest') this.#askStatus(client, envelope);
    else if (envelope.type === 'memberRequest') this.#askMembers(client, envelope);
    else if (envelope.type === 'tailRequest') this.#startTail(client, envelope);
    else throw unexpected(envelope.type, 'propose, statusRequest, memberRequest or tailRequest');
    this.#ports.wake();
  }

  #welcome(client: Client, hello: ClientHello): undefined {
    const { node, clusterId, streamsMax } = this.#ports;
    const refuse = (code: ErrorCode, message: string): undefined => {
      const welcome = { type: 'clientWelcome', accepted: false, code, message, node, clusterId } as const;
      client.stream.send(encodeEnvelope(welcome).bytes);
      this.end(client.stream.id);
    };
    if (hello.protocolVersion !== PROTOCOL_VERSION) {
      const message = `protocol version: expected ${PROTOCOL_VERSION}, received ${hello.protocolVersion}`;
      return refuse(ErrorCode.HandshakeRefused, message);
    }
    if (hello.clusterId !== '' && hello.clusterId !== clusterId) {
      return refuse(
        ErrorCode.HandshakeRefused,
        `cluster: expected ${clusterId}, received ${hello.clusterId}`,
      );
    }
    if (this.#clients.size > streamsMax) {
      return refuse(ErrorCode.Overloaded, `more than ${streamsMax} client streams (limits.clientStreams)`);
    }
    const opened =
      hello.clientId === 0 ||
      this.#ports.pass({ type: 'opened', stream: client.stream.id, client: hello.clientId });
    if (!opened) return refuse(ErrorCode.Overloaded, 'the node is busy');
    client.id = hello.clientId;
    client.state = 'open';
    const welcome = {
      type: 'clientWelcome',
      accepted: true,
      code: '',
      message: '',
      node,
      clusterId,
    } as const;
    client.stream.send(encodeEnvelope(welcome).bytes);
    this.#tellMembersTo(client);
  }

  /** C8: held until their turn, strictly in order; the first fault ends the stream, so nothing slips past a gap. */
  #takeProposal(client: Client, propose: Propose, packed: Buffer): void {
    const fault = this.#faultOf(client, propose) ?? this.#entriesFault(propose, packed);
    if (fault !== undefined) {
      const { group, firstSequence, count } = propose;
      const place = { index: 0, term: 0, leader: 0, leaderAddress: '' };
      const reply = {
        type: 'proposeReply',
        group,
        firstSequence,
        count,
        outcome: 'refused',
        ...fault,
        ...place,
      } as const;
      client.stream.send(encodeEnvelope(reply).bytes);
      this.end(client.stream.id);
      return;
    }
    client.nextSequence = propose.firstSequence + propose.count;
    client.waiting.push({ propose, packed });
    this.#drain(client);
    if (client.waiting.length > 0) client.stream.pause();
  }

  #faultOf(client: Client, propose: Propose): { code: ErrorCode; message: string } | undefined {
    const { group, clientId, firstSequence } = propose;
    if (clientId === 0 || clientId !== client.id) {
      return {
        code: ErrorCode.BytesInvalid,
        message: `client id: expected ${client.id}, received ${clientId}`,
      };
    }
    if (!this.#ports.groups.includes(group)) {
      return { code: ErrorCode.GroupUnknown, message: `group ${group} is not on this node` };
    }
    if (client.nextSequence !== 0 && firstSequence !== client.nextSequence) {
      const message = `sequence: expected ${client.nextSequence}, received ${firstSequence}`;
      return { code: ErrorCode.SequenceGap, message };
    }
    return undefined;
  }

  /** The inside of what a client packed: exact fit, and each entry's size, client and sequence. */
  #entriesFault(propose: Propose, packed: Buffer): { code: ErrorCode; message: string } | undefined {
    const { entryBytesMax, batchRawBytesMax, batchEntriesMax } = this.#ports;
    if (packed.length > batchRawBytesMax || propose.count > batchEntriesMax) {
      const message = `propose: expected at most ${batchRawBytesMax} bytes in ${batchEntriesMax} entries, received ${packed.length} in ${propose.count}`;
      return { code: ErrorCode.EntryTooLarge, message };
    }
    verifyEntries(packed, 0, packed.length, propose.count, ENTRY_BYTES_CEILING);
    const cursor = this.#cursor.reset(packed, 0, packed.length, propose.count);
    while (cursor.next()) {
      const sequence = propose.firstSequence + cursor.position;
      if (!cursor.hasSession || cursor.clientId !== propose.clientId || cursor.sequence !== sequence) {
        throw new RaftlineError(
          ErrorCode.BytesInvalid,
          `propose: entry ${cursor.position} is not ${propose.clientId}/${sequence}`,
        );
      }
      if (cursor.length > entryBytesMax) {
        const message = `entry ${sequence}: expected at most ${entryBytesMax} bytes (entryBytesMax), received ${cursor.length}`;
        return { code: ErrorCode.EntryTooLarge, message };
      }
    }
    return undefined;
  }

  #drain(client: Client): boolean {
    let drained = false;
    for (let next = client.waiting[0]; next !== undefined; next = client.waiting[0]) {
      const { group, clientId, firstSequence, count } = next.propose;
      const stream = client.stream.id;
      const record = { type: 'propose', stream, group, client: clientId, firstSequence, count } as const;
      if (!this.#ports.pass({ ...record, body: next.packed })) return drained;
      client.waiting.shift();
      drained = true;
      if (client.waiting.length === 0) client.stream.resume();
    }
    return drained;
  }

  #askStatus(client: Client, { requestId, fromGroup }: StatusRequest): void {
    const stream = client.stream.id;
    const asked = this.#ports.push({ type: 'statusRequest', stream, requestId, fromGroup });
    if (!asked) client.stream.close(new RaftlineError(ErrorCode.Overloaded, 'the node is busy'));
  }

  #askMembers(client: Client, request: MemberRequest): void {
    const { requestId, group, action, node, address, compare, expectedIndex, timeoutMs, level } = request;
    const asked = this.#ports.push({
      ...({
        type: 'memberRequest',
        stream: client.stream.id,
        requestId,
        group,
        node,
        expectedIndex,
        timeoutMs,
        level,
      } as const),
      action: MEMBER_ACTIONS.indexOf(action),
      compare: compare ? 1 : 0,
      body: Buffer.from(address),
    });
    if (!asked) client.stream.close(new RaftlineError(ErrorCode.Overloaded, 'the node is busy'));
  }

  /** The members have other addresses: clients that write are told, so that they outlive every node they began with. */
  tellMembers(): void {
    for (const client of this.#clients.values()) if (client.state === 'open') this.#tellMembersTo(client);
  }

  #tellMembersTo({ id, stream }: Client): void {
    const members = this.#ports.members();
    if (id === 0 || members.length === 0) return;
    stream.send(encodeEnvelope({ type: 'memberNews', json: JSON.stringify(members) }).bytes);
  }

  #startTail(client: Client, request: TailRequest): void {
    const { group, from, follow } = request;
    client.tailer?.close();
    const running = [...this.#clients.values()].filter((other) => other.tailer?.ended === false).length;
    const refusal = !this.#ports.groups.includes(group)
      ? { code: ErrorCode.GroupUnknown, message: `group ${group} is not on this node` }
      : running >= this.#ports.tailsMax
        ? {
            code: ErrorCode.Overloaded,
            message: `more than ${this.#ports.tailsMax} tails (limits.tailStreams)`,
          }
        : undefined;
    if (refusal !== undefined) {
      client.stream.send(encodeEnvelope({ type: 'tailEnd', lastIndex: 0, ...refusal }).bytes);
      return;
    }
    const applied = () => this.#ports.applied(group);
    client.tailer = new Tailer({
      stream: client.stream,
      reader: this.#ports.openReader(),
      compression: this.#ports.compression,
      group,
      from,
      until: follow ? undefined : applied(),
      applied,
    });
  }
}

function unexpected(received: string, expected: string): RaftlineError {
  return new RaftlineError(
    ErrorCode.BytesInvalid,
    `client stream: expected ${expected}, received ${received}`,
  );
}
