import { assert } from '../base/assert.js';
import type { RaftlineError } from '../base/errors.js';
import type { ClientId, LogIndex, Sequence, Term } from '../base/ids.js';
import { EntryCursor, packedEntryBytes, packSessionEntry } from '../codec/entries.js';

/** Where a run of entries stands, told to whoever appended them. */
export interface AppendedRun {
  /** The client's own number of the first entry of the run; the others follow. */
  firstSequence: Sequence;
  count: number;
  /** Index of the first entry, consecutive for the rest. 0: known to be applied, place no longer remembered. */
  index: LogIndex;
  term: Term;
  /** The cluster had applied it before this request: an earlier one's answer was lost. */
  duplicate: boolean;
}

/**
 * Called once per run of entries that were appended with the very same function and answered together, in order. Without
 * an error they are applied. With code `RAFTLINE_OUTCOME_UNKNOWN` they may be; with any other they certainly are not, and
 * `index` and `term` of the run are 0.
 */
export type AppendCallback = (error: RaftlineError | undefined, run: AppendedRun) => void;

/** Consecutive entries of one block that wait with the same callback. */
interface Waiting {
  readonly callback: AppendCallback;
  count: number;
}

/** A stretch of unacknowledged entries, packed back to back. */
interface Block {
  readonly bytes: Buffer;
  end: number;
  firstSequence: Sequence;
  count: number;
  /** Entries at the front that are answered already. */
  answered: number;
  /** Of the entries not answered yet, in order. */
  waiting: Waiting[];
}

/** Entries to put into one message; `bytes` is a view that the next append may extend but never changes. */
export interface Piece {
  firstSequence: Sequence;
  count: number;
  bytes: Buffer;
}

const SPARES_MAX = 4;

export interface WindowLimits {
  entriesMax: number;
  bytesMax: number;
  /** Size of a block, and so of the largest piece (a larger entry has a block of its own), bytes. */
  blockBytes: number;
}

/**
 * The ordered window of a client: entries that are appended and not answered yet, numbered 1, 2, 3 … without gaps (C2),
 * in packed form, so that sending again after a break is reading the same bytes again. Entries leave from the head only
 * (C5). An entry costs no object of its own.
 */
export class Window {
  readonly #limits: WindowLimits;
  #clientId: ClientId;
  /** Oldest first. The last one is being filled. */
  #blocks: Block[] = [];
  #entries = 0;
  #bytes = 0;
  #nextSequence: Sequence = 1;
  /** The first sequence not put on the current stream yet, and where it lies. */
  #unsent: Sequence = 1;
  #unsentBlock = 0;
  #unsentOffset = 0;
  /** Everything below was put on some stream at least once. */
  #everSent: Sequence = 1;
  /** Everything below was put on a stream before the current one: an earlier leader may have it. */
  #sentBefore: Sequence = 1;
  /** Sequences from here on stay unsent: the servers refuse the one that stands here. */
  #sendLimit: Sequence = Number.POSITIVE_INFINITY;
  readonly #cursor = new EntryCursor();
  /** Buffers of finished blocks, for the next ones. */
  readonly #spares: Buffer[] = [];

  constructor(clientId: ClientId, limits: WindowLimits) {
    this.#clientId = clientId;
    this.#limits = limits;
  }

  get clientId(): ClientId {
    return this.#clientId;
  }

  /** Entries without an answer. */
  get entries(): number {
    return this.#entries;
  }

  /** Bytes of the blocks that hold them: a block is let go when its last entry is answered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first sequence without an answer; the next to be given when everything is answered. */
  get firstUnanswered(): Sequence {
    return this.#nextSequence - this.#entries;
  }

  /** The first sequence that is not on the current stream. */
  get unsent(): Sequence {
    return this.#unsent;
  }

  /** Whether a block is full and not wholly on the current stream: worth sending without waiting for more. */
  get blockReady(): boolean {
    return this.#unsentBlock < this.#blocks.length - 1;
  }

  /** Takes a copy of an entry; false: the window is full, nothing was taken. An empty window takes any entry. */
  push(source: Uint8Array, callback: AppendCallback): boolean {
    const size = packedEntryBytes(source.length, true);
    if (this.#entries >= this.#limits.entriesMax) return false;
    if (this.#entries > 0 && this.#bytes + size > this.#limits.bytesMax) return false;
    let block = this.#blocks[this.#blocks.length - 1];
    if (block === undefined || block.end + size > block.bytes.length) block = this.#addBlock(size);
    block.end = packSessionEntry(block.bytes, block.end, this.#clientId, this.#nextSequence, source);
    block.count++;
    this.#nextSequence++;
    this.#entries++;
    const last = block.waiting[block.waiting.length - 1];
    this.#bytes += size;
    if (last !== undefined && last.callback === callback) last.count++;
    else block.waiting.push({ callback, count: 1 });
    return true;
  }

  /** The next entries to send, at most `bytesMax` unless one alone is larger; undefined when all are sent. */
  peek(bytesMax: number): Piece | undefined {
    const block = this.#blocks[this.#unsentBlock];
    const left = Math.min(this.#nextSequence, this.#sendLimit) - this.#unsent;
    if (block === undefined || left <= 0) return undefined;
    const start = this.#unsentOffset;
    const inBlock = block.firstSequence + block.count - this.#unsent;
    if (inBlock <= left && block.end - start <= bytesMax) {
      return { firstSequence: this.#unsent, count: inBlock, bytes: block.bytes.subarray(start, block.end) };
    }
    const cursor = this.#cursor.reset(block.bytes, start, block.end, Math.min(inBlock, left));
    let end = start;
    let count = 0;
    while (cursor.next() && (count === 0 || cursor.start + cursor.length - start <= bytesMax)) {
      end = cursor.start + cursor.length;
      count++;
    }
    return { firstSequence: this.#unsent, count, bytes: block.bytes.subarray(start, end) };
  }

  /** The piece that `peek` gave is on the stream. */
  sent(piece: Piece): void {
    this.#unsent += piece.count;
    this.#unsentOffset += piece.bytes.length;
    if (this.#unsent > this.#everSent) this.#everSent = this.#unsent;
    this.#skipFinishedBlock();
  }

  /** The stream is gone: the next `peek` begins at the first unanswered entry again, under the same sequences (C6). */
  rewind(): void {
    this.#sentBefore = this.#everSent;
    this.#unsent = this.firstUnanswered;
    this.#unsentBlock = 0;
    this.#unsentOffset = 0;
    const block = this.#blocks[0];
    if (block === undefined) return;
    const cursor = this.#cursor.reset(block.bytes, 0, block.end, block.answered);
    while (cursor.next()) this.#unsentOffset = cursor.start + cursor.length;
    this.#skipFinishedBlock();
  }

  /**
   * Answers the `count` entries at the head. The state is right before each callback, which may append again.
   * `index` is that of the first of them, 0 for an unknown place.
   */
  answer(count: number, index: LogIndex, term: Term, duplicate: boolean): void {
    let at = index;
    this.#takeHead(count, (callback, firstSequence, taken) => {
      const run: AppendedRun = { firstSequence, count: taken, index: at, term, duplicate };
      if (at !== 0) at += taken;
      callback(undefined, run);
    });
  }

  /** Nothing from `sequence` on is sent any more: what stands there is refused by every server. */
  stopBefore(sequence: Sequence): void {
    this.#sendLimit = Math.min(this.#sendLimit, sequence);
  }

  /**
   * Gives up the whole window: `unknown` for entries that the cluster may have, `certain` for those that it certainly has
   * not: those below `border` may. Afterwards the window needs another client id (`restart`): the entries given up leave a gap
   * in this one's numbers.
   */
  fail(border: Sequence, certain: RaftlineError, unknown: RaftlineError): void {
    const unsure = Math.max(0, Math.min(border - this.firstUnanswered, this.#entries));
    const tell =
      (error: RaftlineError) =>
      (callback: AppendCallback, firstSequence: Sequence, count: number): void =>
        callback(error, { firstSequence, count, index: 0, term: 0, duplicate: false });
    this.#takeHead(unsure, tell(unknown));
    this.#takeHead(this.#entries, tell(certain));
  }

  /** Everything below was put on some stream at least once. */
  get everSent(): Sequence {
    return this.#everSent;
  }

  /** Everything below was put on a stream before the current one. */
  get sentBefore(): Sequence {
    return this.#sentBefore;
  }

  /** Numbers begin at 1 again, under another client id. Only an empty window can do so. */
  restart(clientId: ClientId): void {
    assert(this.#entries === 0, 'a window is empty when its client id changes');
    this.#clientId = clientId;
    this.#blocks = [];
    this.#bytes = 0;
    this.#nextSequence = 1;
    this.#unsent = 1;
    this.#unsentBlock = 0;
    this.#unsentOffset = 0;
    this.#everSent = 1;
    this.#sentBefore = 1;
    this.#sendLimit = Number.POSITIVE_INFINITY;
  }

  #addBlock(size: number): Block {
    const { blockBytes } = this.#limits;
    const bytes = size <= blockBytes ? this.#spares.pop() : undefined;
    const block: Block = {
      bytes: bytes ?? Buffer.allocUnsafeSlow(Math.max(size, blockBytes)),
      end: 0,
      firstSequence: this.#nextSequence,
      count: 0,
      answered: 0,
      waiting: [],
    };
    this.#blocks.push(block);
    this.#skipFinishedBlock();
    return block;
  }

  /** The place to send from never rests at the end of a block that has a successor. */
  #skipFinishedBlock(): void {
    const block = this.#blocks[this.#unsentBlock];
    if (block === undefined || this.#unsentOffset < block.end) return;
    if (this.#unsentBlock === this.#blocks.length - 1) return;
    this.#unsentBlock++;
    this.#unsentOffset = 0;
  }

  /** Takes `count` entries off the head, run by run. The state is right before each call of `visit`. */
  #takeHead(
    count: number,
    visit: (callback: AppendCallback, firstSequence: Sequence, count: number) => void,
  ): void {
    let left = count;
    while (left > 0) {
      const block = this.#blocks[0];
      const waiting = block?.waiting[0];
      // A callback closed the client, which gave up the rest already.
      if (block === undefined || waiting === undefined) return;
      const taken = Math.min(left, waiting.count);
      const firstSequence = this.firstUnanswered;
      left -= taken;
      waiting.count -= taken;
      if (waiting.count === 0) block.waiting.shift();
      block.answered += taken;
      this.#entries -= taken;
      if (block.answered === block.count) this.#dropHead(block);
      try {
        visit(waiting.callback, firstSequence, taken);
      } catch (thrown) {
        // A fault of the callback's is the program's own, and must not cost the others their answer.
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  }

  #dropHead(block: Block): void {
    this.#blocks.shift();
    this.#bytes -= block.end;
    if (block.bytes.length === this.#limits.blockBytes && this.#spares.length < SPARES_MAX) {
      this.#spares.push(block.bytes);
    }
    if (this.#unsentBlock > 0) this.#unsentBlock--;
    else this.#unsentOffset = 0;
  }
}
