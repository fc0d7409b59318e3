import { copyBytes } from '../base/copy.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { RingProducer } from '../ring/producer.js';

/** The record types of one ring: a name and, in order, the names of its numeric fields. */
export type RecordSchema = Readonly<Record<string, readonly string[]>>;

/** A record of a schema: its type, its fields as numbers, and bytes that follow them (empty where none were sent). */
export type RecordOf<S extends RecordSchema> = {
  [T in keyof S & string]: { type: T } & { [F in S[T][number]]: number } & { body: Buffer };
}[keyof S & string];

/** What is pushed: the body may be left out. */
export type OutgoingRecord<S extends RecordSchema> = {
  [T in keyof S & string]: { type: T } & { [F in S[T][number]]: number } & { body?: Uint8Array };
}[keyof S & string];

const FIELD_BYTES = 8;
const NO_BODY = Buffer.alloc(0);

/**
 * Turns the small messages between threads into ring records and back: the type's number, then each field as a double
 * (exact up to 2^53), then the body. One table a ring says everything about its language.
 */
export class RecordCodec<const S extends RecordSchema> {
  readonly #names: readonly (keyof S & string)[];
  readonly #numbers = new Map<string, number>();
  readonly #fields: readonly (readonly string[])[];
  /** A record of each type, to be copied: an object that has its fields from the start costs a third of one that gets them one by one. */
  readonly #blanks: readonly Record<string, unknown>[];

  constructor(schema: S) {
    this.#names = Object.keys(schema);
    this.#fields = this.#names.map((name) => schema[name]!);
    this.#names.forEach((name, number) => {
      this.#numbers.set(name, number);
    });
    this.#blanks = this.#names.map((type, number) => {
      const fields = this.#fields[number]!.map((field) => [field, 0]);
      return { type, ...Object.fromEntries(fields), body: NO_BODY };
    });
  }

  /** False: the ring is full now, nothing was written. */
  push(ring: RingProducer, record: OutgoingRecord<S>): boolean {
    const number = this.#numbers.get(record.type)!;
    const fields = this.#fields[number]!;
    const body: Uint8Array | undefined = record.body;
    const head = FIELD_BYTES * (1 + fields.length);
    const length = head + (body?.length ?? 0);
    if (length > ring.recordBytesMax) throw tooLarge(record.type, length, ring.recordBytesMax);
    if (!ring.claim(length)) return false;
    const { numbers, offset } = ring;
    const at = offset / FIELD_BYTES;
    const values = record as unknown as Record<string, number>;
    numbers[at] = number;
    for (let field = 0; field < fields.length; field++) numbers[at + 1 + field] = values[fields[field]!]!;
    if (body !== undefined) copyBytes(body, ring.bytes, offset + head);
    ring.publish(length);
    return true;
  }

  /** The record that the consumer polled last. The body is a view, valid until the record is released. */
  read(ring: RingConsumer): RecordOf<S> {
    const { numbers, offset, length } = ring;
    const at = offset / FIELD_BYTES;
    const number = numbers[at]!;
    const fields = this.#fields[number]!;
    const record = { ...this.#blanks[number]! };
    for (let field = 0; field < fields.length; field++) record[fields[field]!] = numbers[at + 1 + field]!;
    const head = FIELD_BYTES * (1 + fields.length);
    if (head < length) record.body = ring.bytes.subarray(offset + head, offset + length);
    return record as RecordOf<S>;
  }
}

function tooLarge(type: string, length: number, limit: number): RaftlineError {
  return new RaftlineError(
    ErrorCode.Internal,
    `a record ${type} of ${length} bytes does not fit a ring of records up to ${limit} bytes`,
  );
}

/** Main → wal-writer: every disk write, in the one order that there is. `order` is the engine-wide OrderId. */
export const orderCodec = new RecordCodec({
  /** Write the next record of the batch ring. */
  own: ['order', 'group', 'firstIndex', 'term'],
  /** Write the next record of the receive ring. */
  received: ['order', 'group', 'firstIndex', 'term'],
  /** Give the next record of the receive ring back unwritten. */
  drop: ['group'],
  truncate: ['order', 'group', 'from'],
  hardState: ['order', 'group', 'term', 'vote'],
  /** The log begins behind (index, term) from here on; body: the configuration in force there. */
  snapshot: ['order', 'group', 'index', 'term', 'keepsSuffix', 'configurationIndex', 'configurationTerm'],
});

/** What an acknowledgement says, on its way out of the follower's main thread and into the leader's. */
const APPEND_REPLY = [
  ...(['group', 'peer', 'term', 'session', 'refused'] as const),
  ...(['match', 'hintIndex', 'hintTerm', 'applied'] as const),
] as const;

/** Main → network thread. */
export const commandCodec = new RecordCodec({
  sessionOpen: ['group', 'peer', 'session', 'term', 'prevIndex', 'prevTerm'],
  sessionStream: ['group', 'peer', 'session', 'term', 'next'],
  sessionClose: ['group', 'peer', 'session'],
  /** The leader of `term` has committed up to `commit`; replicators pass it on. */
  commit: ['group', 'term', 'commit'],
  /** A control envelope (body) for a peer; leaves once order `after` is durable. `heartbeatOf`: the group whose heartbeat it is, 0: none. */
  control: ['peer', 'after', 'heartbeatOf'],
  appendReply: [...APPEND_REPLY, 'after'],
  /** Whom the network thread is to know; body: a `Roster` as JSON. */
  roster: [],
  /** How much may be in flight in a group; body: a `GroupFlow` as JSON. */
  flow: ['group'],
  /** What this node's state machine has taken, and how many entries beyond that may stand in the apply ring, in front of other groups'. */
  applied: ['group', 'applied', 'ahead'],
  /** Put batches `from` … `to` into the apply ring; `term` is that of `to`. `urgent` 1: somebody waits for it. */
  feed: ['group', 'from', 'to', 'term', 'urgent'],
  clientReply: ['stream'],
  clientClose: ['stream'],
});

/** Network thread → main. */
export const inboxCodec = new RecordCodec({
  /** A control envelope (body) from a peer that has introduced itself. */
  control: ['peer'],
  /** An append whose batches now stand in the receive ring, in order; body: their heads (whole where not data). */
  append: ['group', 'peer', 'term', 'session', 'prevIndex', 'prevTerm', 'commit', 'batches'],
  /** The newest durable (or refused) acknowledgement of a session, and what its window has come to. */
  appendReply: [...APPEND_REPLY, 'depth', 'roundTripMs', 'durableMs'],
  sessionBroken: ['group', 'peer', 'session'],
  /** `lane` 0 control, 1 append; `incarnation` where it is up; body: JSON {code, message, address}, why it is down and where it leads. */
  peer: ['peer', 'lane', 'up', 'incarnation'],
  statusRequest: ['stream', 'requestId', 'fromGroup'],
  /** `action`: its place in MEMBER_ACTIONS; body: the address of who is added. */
  memberRequest: [
    'stream',
    'requestId',
    'group',
    'action',
    'node',
    'compare',
    'expectedIndex',
    'timeoutMs',
    'level',
  ],
  /** Body: JSON {level, message}. */
  log: [],
});

/**
 * Network thread → main: remote clients, apart, so that they can be left waiting when main is full. That a stream opened or
 * closed comes the same way: a proposal must not overtake it.
 */
export const clientCodec = new RecordCodec({
  opened: ['stream', 'client'],
  closed: ['stream'],
  propose: ['stream', 'group', 'client', 'firstSequence', 'count'],
});
