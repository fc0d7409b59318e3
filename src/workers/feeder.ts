import { copyBytes } from '../base/copy.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { type BatchHeader, BatchKind, Codec, lastIndexOf } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, writeBatchHead } from '../codec/batch.js';
import type { Compression } from '../codec/compression.js';
import { decodePayload } from '../codec/encoder.js';
import { verifyEntries } from '../codec/entries.js';
import type { RingProducer } from '../ring/producer.js';
import type { LogReader } from '../wal/log-reader.js';
import { READ_BACK_BYTES } from './memory.js';
import type { NearIndex } from './near-index.js';
import type { Program } from './program.js';

export interface FeederPorts {
  /** What was received, while it still stands in the receive ring, whose producer this thread must be. */
  received: NearIndex;
  reader: LogReader;
  apply: RingProducer;
  compression: Compression;
  entryBytesMax: number;
  wake: () => void;
}

/** How long what was fed waits for other news for main, if nobody waits for it, ms. */
const FED_ALONE_MS = 5;

/** What main wants of a group: from `next` on, up to `to`, whose entry is of `term`. */
interface Wanted {
  next: LogIndex;
  to: LogIndex;
  term: Term;
  urgent: boolean;
}

/**
 * Takes committed batches from the receive ring, while they are there, or back from the log, decompresses them and
 * checks their inside off main, and puts them, raw, into the apply ring: for followers, after a restart, and for a leader
 * that was deposed.
 */
export class Feeder implements Program {
  readonly name = 'feeder';
  readonly #ports: FeederPorts;
  readonly #wanted = new Map<GroupId, Wanted>();
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
    const { group, from, to, term } = command;
    const next = Math.max(from, this.#wanted.get(group)?.next ?? 0);
    this.#wanted.set(group, { next, to, term, urgent: command.urgent === 1 });
  }

  get restless(): boolean {
    return this.#untoldSinceMs !== undefined;
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
    for (const [group, wanted] of this.#wanted) {
      if (wanted.next > wanted.to) continue;
      const near = this.#near(group, wanted);
      if (near !== undefined) {
        if (this.#feedNear(wanted, near, group, nowMs)) return true;
        continue;
      }
      const read = this.#ports.reader.read(group, wanted.next, wanted.to, READ_BACK_BYTES);
      if (read === undefined) continue;
      this.#unpushed = { group, ...read, at: 0 };
      return this.#push(nowMs);
    }
    return false;
  }

  close(): void {}

  /**
   * The batch that is wanted next, in the receive ring. A batch of the index and term that main has committed is the committed
   * one, whatever else came: one leader sealed it, once. Nothing overwrites it before this poll ends, since only this
   * thread writes to that ring.
   */
  #near(group: GroupId, { next, to, term }: Wanted): Buffer | undefined {
    const { received } = this.#ports;
    const near = received.find(group, term, next);
    return near?.firstIndex === next && near.lastIndex <= to ? received.view(near) : undefined;
  }

  /** `first` and what follows it in the receive ring. */
  #feedNear(wanted: Wanted, first: Buffer, group: GroupId, nowMs: number): boolean {
    let fed = 0;
    for (let batch: Buffer | undefined = first; batch !== undefined && fed < READ_BACK_BYTES; ) {
      const header = readBatchHeader(batch, 0);
      if (!this.#pushBatch(batch, header)) break;
      wanted.next = lastIndexOf(header) + 1;
      fed += batch.length;
      batch = this.#near(group, wanted);
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

  /** False: the apply ring is full; the state machine is behind, and nothing else waits for it. */
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
