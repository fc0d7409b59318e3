import { copyBytes } from '../base/copy.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { type BatchHeader, BatchKind, Codec, lastIndexOf } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, writeBatchHead } from '../codec/batch.js';
import type { Compression } from '../codec/compression.js';
import { decodePayload } from '../codec/encoder.js';
import { verifyEntries } from '../codec/entries.js';
import type { RingProducer } from '../ring/producer.js';
import type { FarRead, LogReader } from '../wal/log-reader.js';
import { READ_BACK_BYTES } from './memory.js';
import type { NearBatch, NearIndex } from './near-index.js';
import { dueMsOf, type Program } from './program.js';
import { ReadTurns } from './read-turns.js';

export interface FeederPorts {
  /** What was received, while it still stands in the receive ring, whose producer this thread must be. */
  received: NearIndex;
  reader: LogReader;
  apply: RingProducer;
  compression: Compression;
  entryBytesMax: number;
  /** There is one group: what it is fed stands in front of nobody's. */
  alone: boolean;
  wake: () => void;
}

/** How long what was fed waits for other news for main, if nobody waits for it, ms. */
const FED_ALONE_MS = 5;

/** How often this looks whether main has got on, ms: well before what stands in the apply ring of a group is done. */
const LOOK_MS = 2;
/** How long after a read the next one waits for a group that may not be fed more, ms: a state machine that is not slow takes less for what it has. */
const HOLD_MS = 4;
/** As a bound of bytes: at least one batch is read. */
const ONE_BATCH = 1;

/** What main wants of a group: from `next` on, up to `to`, whose entry is of `term`. */
interface Wanted {
  next: LogIndex;
  to: LogIndex;
  term: Term;
  urgent: boolean;
  /** What main has applied, as far as it has told. */
  applied: LogIndex;
  /** How many entries may be fed beyond that. One batch may in any case. */
  ahead: number;
  /** The batch that begins with `next` was looked at, and ends with this entry or later. */
  endsFrom: LogIndex;
}

/**
 * Takes committed batches from the receive ring, while they are there, or back from the log, decompresses them and
 * checks their inside off main, and puts them, raw, into the apply ring: for followers, after a restart, and for a leader
 * whose proposal ring does not hold them any more. Main takes them in the order of that ring; so where there are several groups they are fed in turn, each no
 * further ahead of its state machine than main says.
 */
export class Feeder implements Program {
  readonly name = 'feeder';
  readonly #ports: FeederPorts;
  /** Who was fed last stands last. */
  readonly #wanted = new Map<GroupId, Wanted>();
  readonly #turns = new ReadTurns(HOLD_MS);
  /** More is wanted of a group than may be fed before main has applied some. */
  #isAhead = false;
  /** Since when something stands in the apply ring of which main was not told; undefined: nothing does. */
  #untoldSinceMs: number | undefined;
  /** Read and decoded in part: batches that wait for room in the apply ring. */
  #unpushed: { group: GroupId; batches: Buffer[]; headers: BatchHeader[]; at: number } | undefined;

  constructor(ports: FeederPorts) {
    this.#ports = ports;
  }

  /**
   * Main has applied everything before `from` and wants what follows, up to `to`. Both only grow: what was fed once
   * stands in the apply ring until main takes it. `term` is that of the entry `to`. `urgent` 1: somebody waits for it.
   */
  feed(command: { group: GroupId; from: LogIndex; to: LogIndex; term: Term; urgent: number }): void {
    const { from, to, term } = command;
    const wanted = this.#wantedOf(command.group);
    wanted.next = Math.max(from, wanted.next);
    wanted.applied = Math.max(from - 1, wanted.applied);
    wanted.to = to;
    wanted.term = term;
    wanted.urgent = command.urgent === 1;
  }

  /** Main has applied so far, and so many entries may stand in the apply ring beyond that. */
  applied({ group, applied, ahead }: { group: GroupId; applied: LogIndex; ahead: number }): void {
    if (this.#ports.alone) return;
    const wanted = this.#wantedOf(group);
    wanted.applied = applied;
    wanted.ahead = ahead;
  }

  /** Until main has told how quick its state machine is, one batch at a time is fed. */
  #wantedOf(group: GroupId): Wanted {
    const known = this.#wanted.get(group);
    if (known !== undefined) return known;
    const ahead = this.#ports.alone ? Number.POSITIVE_INFINITY : 0;
    const wanted = { next: 0, to: 0, term: 0, urgent: false, applied: 0, ahead, endsFrom: 0 };
    this.#wanted.set(group, wanted);
    return wanted;
  }

  dueMs(nowMs: number): number {
    if (this.#isAhead) return nowMs + LOOK_MS;
    return dueMsOf(this.#untoldSinceMs, FED_ALONE_MS, nowMs);
  }

  /** Main was woken, for whatever it was. */
  told(): void {
    this.#untoldSinceMs = undefined;
  }

  poll(nowMs: number): boolean {
    const worked = this.#feedNext(nowMs);
    const since = this.#untoldSinceMs;
    if (since !== undefined && nowMs - since >= FED_ALONE_MS) this.#ports.wake();
    return worked;
  }

  #feedNext(nowMs: number): boolean {
    if (this.#unpushed !== undefined) return this.#push(nowMs);
    this.#isAhead = false;
    for (const [group, wanted] of this.#wanted) {
      if (wanted.next > wanted.to) continue;
      if (this.#feedGroup(group, wanted, nowMs, 0)) return this.#fedLast(group, wanted);
      // Main tells how far it is without waking this thread, which has to look.
      this.#isAhead ||= wanted.to > wanted.applied + wanted.ahead;
    }
    const group = this.#turns.next(nowMs);
    if (group === undefined) return false;
    const wanted = this.#wanted.get(group)!;
    this.#feedGroup(group, wanted, nowMs, 1);
    return this.#fedLast(group, wanted);
  }

  #fedLast(group: GroupId, wanted: Wanted): true {
    this.#wanted.delete(group);
    this.#wanted.set(group, wanted);
    return true;
  }

  /** `fillsMax`: how often something may be read from the disk for it. */
  #feedGroup(group: GroupId, wanted: Wanted, nowMs: number, fillsMax: number): boolean {
    const near = this.#near(group, wanted);
    // What is known not to be fed now is not read either.
    if (!mayFeed(wanted, near?.lastIndex ?? Math.max(wanted.next, wanted.endsFrom))) {
      this.#turns.held(group, nowMs);
      return false;
    }
    const batch = near && this.#ports.received.view(near);
    if (batch !== undefined) {
      this.#turns.done(group);
      return this.#feedNear(wanted, batch, group, nowMs);
    }
    if (fillsMax === 0 && this.#turns.stillWaits(group)) return false;
    const read = this.#read(group, wanted, fillsMax);
    this.#notePlace(group, wanted, read, nowMs);
    if (read === undefined) return false;
    this.#unpushed = { group, ...read, at: 0 };
    return this.#push(nowMs);
  }

  /** What came of reading says where the group stands beside others. */
  #notePlace(group: GroupId, wanted: Wanted, read: FarRead | undefined, nowMs: number): void {
    const { reader } = this.#ports;
    const bound = wanted.applied + wanted.ahead;
    if (read === undefined && reader.wantsFill) this.#turns.waits(group, reader.placeOf(group), nowMs);
    else if (read === undefined && wanted.to > bound) {
      wanted.endsFrom = bound + 1;
      this.#turns.held(group, nowMs);
    } else this.#turns.done(group);
  }

  #read(group: GroupId, { next, to, applied, ahead }: Wanted, fillsMax: number): FarRead | undefined {
    const { reader } = this.#ports;
    const last = Math.min(to, applied + ahead);
    const read = next <= last ? reader.read(group, next, last, READ_BACK_BYTES, fillsMax) : undefined;
    if (read !== undefined || last === to || next > applied + 1) return read;
    return reader.read(group, next, to, ONE_BATCH, fillsMax);
  }

  close(): void {}

  /**
   * The batch that is wanted next, in the receive ring. A batch of the index and term that main has committed is the committed
   * one, whatever else came: one leader sealed it, once. Nothing overwrites it before this poll ends, since only this
   * thread writes to that ring.
   */
  #near(group: GroupId, { next, to, term }: Wanted): NearBatch | undefined {
    const near = this.#ports.received.find(group, term, next);
    return near?.firstIndex === next && near.lastIndex <= to ? near : undefined;
  }

  /** `first` and what follows it in the receive ring. */
  #feedNear(wanted: Wanted, first: Buffer, group: GroupId, nowMs: number): boolean {
    let fed = 0;
    for (let batch: Buffer | undefined = first; batch !== undefined && fed < READ_BACK_BYTES; ) {
      const header = readBatchHeader(batch, 0);
      if (!this.#pushBatch(batch, header)) break;
      wanted.next = lastIndexOf(header) + 1;
      fed += batch.length;
      const near = this.#near(group, wanted);
      batch = near && mayFeed(wanted, near.lastIndex) ? this.#ports.received.view(near) : undefined;
    }
    if (fed > 0) this.#fed(wanted, nowMs);
    return fed > 0;
  }

  #push(nowMs: number): boolean {
    const work = this.#unpushed!;
    const wanted = this.#wanted.get(work.group)!;
    const before = work.at;
    let pushed = false;
    while (work.at < work.batches.length) {
      const header = work.headers[work.at]!;
      // Main may have got further by itself meanwhile; `next` never goes back, behind what may no longer be in the log.
      if (lastIndexOf(header) >= wanted.next) {
        if (!this.#pushBatch(work.batches[work.at]!, header)) break;
        wanted.next = lastIndexOf(header) + 1;
        pushed = true;
      }
      work.at++;
    }
    if (work.at === work.batches.length) this.#unpushed = undefined;
    if (pushed) this.#fed(wanted, nowMs);
    return work.at > before;
  }

  /** Who is behind goes on at once; the last of what is wanted may wait a little for what comes next. */
  #fed({ urgent, next, to }: Wanted, nowMs: number): void {
    if (urgent || next <= to) this.#ports.wake();
    else this.#untoldSinceMs ??= nowMs;
  }

  /** False: the apply ring is full. */
  #pushBatch(batch: Buffer, header: BatchHeader): boolean {
    const { apply, compression, entryBytesMax } = this.#ports;
    const length = BATCH_PAYLOAD_OFFSET + header.rawLength;
    if (!apply.claim(length)) return false;
    const at = apply.offset + BATCH_PAYLOAD_OFFSET;
    const raw = apply.bytes.subarray(at, at + header.rawLength);
    const payload = decodePayload(batch, 0, header, compression, raw);
    if (header.codec === Codec.None) copyBytes(payload, raw, 0);
    if (header.kind === BatchKind.Data) verifyEntries(raw, 0, raw.length, header.count, entryBytesMax);
    writeBatchHead(apply.bytes, apply.offset, { ...header, codec: Codec.None, byteLength: length });
    apply.publish(length);
    return true;
  }
}

/** Whether a batch that ends with `last` may stand in front of main: one may in any case. */
function mayFeed({ next, applied, ahead }: Wanted, last: LogIndex): boolean {
  return last <= applied + ahead || next <= applied + 1;
}
