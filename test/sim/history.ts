import { crc32 } from '../../src/codec/checksum.js';
import { Broken, must } from './broken.js';

type Fate = 'open' | 'acknowledged' | 'refused' | 'unknown';

interface Operation {
  readonly writer: number;
  readonly number: number;
  readonly digest: number;
  fate: Fate;
  /** Where it was said to be, 0 where that was not said. */
  index: number;
  term: number;
  appliedAt: number;
  /** Everything acknowledged before this was asked for stands below it. */
  readonly after: number;
  /** What keeps it in order with others; undefined: nothing does. */
  readonly session: Session | undefined;
}

/** Entries of one writer that must be applied in the order in which it wrote them. */
interface Session {
  /** The number that was applied last, 0 when none was. */
  last: number;
}

const HEAD_BYTES = 8;

/** What clients asked for, what they were told, and what state machines took: held against each other. */
export class History {
  acknowledged = 0;
  refused = 0;
  unknown = 0;
  readonly #operations = new Map<string, Operation>();
  /** By writer that has one: its session now. */
  readonly #sessions = new Map<number, Session>();
  #highest = 0;
  /** Where the state machines' view can be asked for. */
  appliedAt: (index: number) => { term: number; digest: number } | undefined = () => undefined;

  /** A new entry of `writer`: its own number, and some bytes that make it unlike all others. */
  entry(writer: number, number: number, filler: Uint8Array): Buffer {
    const bytes = Buffer.alloc(HEAD_BYTES + filler.length);
    bytes.writeUInt32LE(writer, 0);
    bytes.writeUInt32LE(number, 4);
    bytes.set(filler, HEAD_BYTES);
    this.#operations.set(`${writer}/${number}`, {
      writer,
      number,
      digest: crc32(bytes),
      fate: 'open',
      index: 0,
      term: 0,
      appliedAt: 0,
      after: this.#highest,
      session: this.#sessions.get(writer),
    });
    return bytes;
  }

  /** The cluster said that it is done. `index` 0: at a place no longer remembered. */
  acknowledge(writer: number, number: number, index: number, term: number): void {
    const operation = this.#end(writer, number, 'acknowledged');
    this.acknowledged++;
    operation.index = index;
    operation.term = term;
    if (index === 0) return;
    const applied = this.appliedAt(index);
    must(
      applied?.term === term && applied.digest === operation.digest,
      () => `${writer}/${number} was acknowledged at ${index}@${term}, where something else was applied`,
    );
    must(
      index > operation.after,
      () =>
        `${writer}/${number} stands at ${index}, but ${operation.after} was acknowledged before it was asked for`,
    );
    this.#highest = Math.max(this.#highest, index);
  }

  /** H69: the cluster said that it was certainly not done. */
  refuse(writer: number, number: number, why: string): void {
    const operation = this.#end(writer, number, 'refused');
    this.refused++;
    must(
      operation.appliedAt === 0,
      () =>
        `${writer}/${number} was refused as certainly not done (${why}), and stands at ${operation.appliedAt}`,
    );
  }

  leaveOpen(writer: number, number: number): void {
    this.#end(writer, number, 'unknown');
    this.unknown++;
  }

  /**
   * What the writer writes from now on must stand in that order. Not so against what it wrote before: a client
   * that gave up says that the outcome is unknown, and goes on under a new id; what it gave up may still arrive.
   */
  beginSession(writer: number): void {
    this.#sessions.set(writer, { last: 0 });
  }

  /** An entry reached a state machine for the first time. H71: once. */
  applied(bytes: Uint8Array, index: number): void {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const writer = view.readUInt32LE(0);
    const number = view.readUInt32LE(4);
    const operation = this.#operations.get(`${writer}/${number}`);
    if (operation === undefined || operation.digest !== crc32(bytes)) {
      throw new Broken(`an entry that nobody wrote was applied at ${index}`);
    }
    must(
      operation.appliedAt === 0,
      () => `${writer}/${number} was applied at ${operation.appliedAt} and at ${index}`,
    );
    must(
      operation.fate !== 'refused',
      () => `${writer}/${number} was refused as certainly not done, and applied at ${index}`,
    );
    operation.appliedAt = index;
    const { session } = operation;
    if (session === undefined) return;
    const { last } = session;
    must(number > last, () => `${writer}/${number} at ${index} stands behind ${writer}/${last}`);
    session.last = number;
  }

  /** After all is over: what was acknowledged is there. */
  checkAtEnd(): void {
    for (const operation of this.#operations.values()) {
      const { writer, number, fate, index, appliedAt } = operation;
      if (fate !== 'acknowledged') continue;
      must(appliedAt !== 0, () => `${writer}/${number} was acknowledged and never applied`);
      must(
        index === 0 || index === appliedAt,
        () => `${writer}/${number} was acknowledged at ${index}, applied at ${appliedAt}`,
      );
    }
  }

  /** Operations without an answer. */
  get open(): number {
    return this.#operations.size - this.acknowledged - this.refused - this.unknown;
  }

  #end(writer: number, number: number, fate: Fate): Operation {
    const operation = this.#operations.get(`${writer}/${number}`)!;
    must(
      operation.fate === 'open',
      () => `${writer}/${number} was answered twice: ${operation.fate}, ${fate}`,
    );
    operation.fate = fate;
    return operation;
  }
}
