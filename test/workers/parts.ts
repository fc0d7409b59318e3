import { expect } from 'vitest';
import { type ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../src/codec/envelope.js';
import type { AppendEnvelope, AppendReplyEnvelope } from '../../src/codec/envelope-types.js';
import { RingConsumer, RingProducer, type RingRegion } from '../../src/ring/byte-ring.js';
import { Cursor } from '../../src/ring/cursor.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Lane, MessageStream } from '../../src/transport/transport.js';
import type { inboxCodec } from '../../src/workers/records.js';
import { makeRing } from '../ring/support.js';

export type InboxRecord = Parameters<typeof inboxCodec.push>[1];

export function makeCursor(): Cursor {
  return new Cursor(new SharedArrayBuffer(Cursor.BYTES), 0);
}

/** A ring with one producer and its gating consumers. */
export function ringPair(capacity = 65_536, consumers = 1) {
  return endsOf(makeRing(capacity, consumers));
}

export function endsOf(region: RingRegion) {
  return { region, producer: new RingProducer(region), consumer: new RingConsumer(region, 0) };
}

export function putBytes(producer: RingProducer, bytes: Uint8Array): boolean {
  if (!producer.claim(bytes.length)) return false;
  producer.bytes.set(bytes, producer.offset);
  producer.publish(bytes.length);
  return true;
}

/** All that stands in the ring now, released as it is read. */
export function takeAll(consumer: RingConsumer): Buffer[] {
  const taken: Buffer[] = [];
  while (consumer.poll()) {
    taken.push(Buffer.from(consumer.bytes.subarray(consumer.offset, consumer.offset + consumer.length)));
    consumer.release();
  }
  return taken;
}

/** Where main's inbox would be: what was pushed; refuses everything while `full`. */
export class Inbox {
  readonly records: InboxRecord[] = [];
  full = false;
  readonly push = (record: InboxRecord): boolean => {
    if (this.full) return false;
    const body = 'body' in record && record.body !== undefined ? Buffer.from(record.body) : undefined;
    this.records.push({ ...record, ...(body === undefined ? {} : { body }) } as InboxRecord);
    return true;
  };

  /** Takes out the records of one type. */
  take<T extends InboxRecord['type']>(type: T): Extract<InboxRecord, { type: T }>[] {
    const taken = this.records.filter((record) => record.type === type);
    const rest = this.records.filter((record) => record.type !== type);
    this.records.splice(0, this.records.length, ...rest);
    return taken as Extract<InboxRecord, { type: T }>[];
  }
}

export const LIMITS = { messageBytesMax: 4 * 1024 * 1024, queuedBytesMax: 8 * 1024 * 1024 };

/** The other end of a stream: says what it is told to, and keeps what it hears. */
export class Remote {
  readonly heard: Envelope[] = [];
  readonly bodies: Buffer[] = [];
  closed: RaftlineError | undefined;

  constructor(
    readonly stream: MessageStream,
    private readonly network: MemoryNetwork,
  ) {
    stream.onMessage = (bytes) => {
      const { envelope, bodyOffset } = decodeEnvelope(bytes);
      this.heard.push(envelope);
      this.bodies.push(Buffer.from(bytes.subarray(bodyOffset)));
    };
    stream.onClose = (cause) => {
      this.closed = cause;
    };
  }

  say(envelope: Envelope, body: Uint8Array = Buffer.alloc(0)): void {
    const { bytes, bodyOffset } = encodeEnvelope(envelope, body.length);
    bytes.set(body, bodyOffset);
    this.sayBytes(bytes);
  }

  sayBytes(bytes: Buffer): void {
    expect(this.stream.send(bytes), 'the stream took the message').toBe(true);
    this.network.settle();
  }

  /** Takes out what was heard. */
  take(): Envelope[] {
    this.bodies.length = 0;
    return this.heard.splice(0);
  }
}

/** One host that accepts streams with `accept`, and others that open some to it. */
export class Meeting {
  readonly network: MemoryNetwork;

  constructor(limits: typeof LIMITS & { receiveWindowBytes?: number } = LIMITS) {
    this.network = new MemoryNetwork(limits);
  }

  async listen(accept: (lane: Lane, stream: MessageStream) => void): Promise<void> {
    await this.network.transport('node').listen('node:1', accept);
  }

  open(lane: Lane, host = 'remote'): Remote {
    const remote = new Remote(this.network.transport(host).connect('node:1', lane), this.network);
    this.network.settle();
    return remote;
  }
}

export function append(changes: Partial<AppendEnvelope>): AppendEnvelope {
  const place = { prevIndex: 0, prevTerm: 0, commit: 0, more: true, batches: 0 };
  return { type: 'append', group: 1, from: 1, to: 2, term: 1, session: 1, ...place, ...changes };
}

export function appendReply(changes: Partial<AppendReplyEnvelope>): AppendReplyEnvelope {
  const hint = { hintIndex: 0, hintTerm: 0, applied: 0 };
  const head = { type: 'appendReply', group: 1, from: 2, to: 1, term: 1, session: 1 } as const;
  return { ...head, kind: 'durable', match: 0, ...hint, ...changes };
}

/** Runs and expects a RaftlineError with this code; returns it. */
export function expectCode(run: () => unknown, code: ErrorCode): RaftlineError {
  let thrown: unknown;
  try {
    run();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `expected ${code}`).toBeInstanceOf(RaftlineError);
  expect((thrown as RaftlineError).code, (thrown as RaftlineError).message).toBe(code);
  return thrown as RaftlineError;
}
