import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { FORMAT_VERSION } from '../base/limits.js';
import { BatchKind, Codec, CompressionLevel } from '../base/messages.js';
import { retryAfterHint } from '../base/retry-after.js';
import { BATCH_PAYLOAD_OFFSET, writeBatchHead } from '../codec/batch.js';
import { encodeConfiguration } from '../codec/configuration.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import type { Raft } from '../core/raft.js';
import type { ProposedBatch } from '../core/ready.js';
import { AutoDepth } from '../workers/auto-depth.js';
import type { Clock } from './clock.js';
import { GroupRoom } from './group-room.js';
import type { Hub } from './hub.js';
import type { KeptOpen } from './kept-room.js';
import { NearSlots } from './near-slots.js';
import { OpenBatch } from './open-batch.js';
import type { Config } from './options.js';
import type { GroupPipeline } from './pipeline.js';
import type { ProposalSlot } from './proposal-slots.js';
import { handingOver, overloaded } from './refusals.js';
import { type Listener, type Proposed, Waiters } from './waiters.js';

/** Batches that wait beyond those that a commit keeps busy: one, to be taken up as soon as one of those is done. */
const HEADROOM = 1;

/** In words for who proposes. */
const FULL = {
  blocked: 'a ring from the main thread to another is full',
  ringFull: 'the proposal ring is full',
};

/** What proposals ask of the replica whose they are. */
export interface Leadership {
  readonly group: GroupId;
  readonly leads: boolean;
  /** What a leader may use: see `CompressionLevel`. */
  readonly compressionLevel: number;
  /** How many entries are applied in the time that a batch may take. */
  readonly batchEntriesInTime: number;
  notLeader(): RaftlineError;
  /** The core's word on a batch of so many entries and bytes. */
  place(entries: number, bytes: number): ReturnType<Raft['propose']>;
  /** A batch was sealed: what the core wants done about it is due. */
  carryOut(): void;
}

/** Proposals of one group on their way into the log: taken in, sealed into batches, published to the encoder, waited for. */
export class Proposals {
  /** Own sealed batches not yet applied, ascending and without gaps; emptied when this node stops leading. */
  readonly near = new NearSlots();
  readonly #leadership: Leadership;
  readonly #config: Config;
  readonly #hub: Hub;
  readonly #clock: Clock;
  readonly #open: OpenBatch;
  readonly #room: GroupRoom;
  #pipeline: GroupPipeline;
  readonly #auto = new AutoDepth(HEADROOM);
  /** When the open batch was first seen waiting for company, ms. */
  #lingersSinceMs: number | undefined;

  constructor(
    leadership: Leadership,
    parts: { config: Config; pipeline: GroupPipeline; hub: Hub; clock: Clock },
  ) {
    this.#leadership = leadership;
    this.#config = parts.config;
    this.#hub = parts.hub;
    this.#clock = parts.clock;
    this.#pipeline = parts.pipeline;
    const { batchBytesMax, batchEntriesMax } = parts.pipeline;
    this.#open = new OpenBatch(batchBytesMax, batchEntriesMax, parts.hub.open);
    this.#room = new GroupRoom({ ...parts, near: this.near, open: this.#open, held: parts.hub.open });
  }

  /** One entry of an in-process caller. Refusals are thrown; then nothing was taken. */
  propose(bytes: Uint8Array): Promise<Proposed> {
    const packed = packedEntryBytes(bytes.length, false);
    this.#refuseEntry(bytes.length);
    this.#admit(packed, 1);
    const open = this.#open;
    const proposed = open.waiters.promise(open.count);
    open.add(bytes);
    if (open.full) this.seal();
    return proposed;
  }

  /** One entry of which `listener` hears, together with its neighbours if they have the same one. Refusals as of `propose`. */
  append(bytes: Uint8Array, listener: Listener): void {
    this.#refuseEntry(bytes.length);
    this.#admit(packedEntryBytes(bytes.length, false), 1);
    const open = this.#open;
    open.waiters.listen(open.count, 1, listener);
    open.add(bytes);
    if (open.full) this.seal();
  }

  /** Several entries, which stand together in one batch. Refusals are thrown; then nothing was taken. */
  proposeMany(entries: readonly Uint8Array[], listener: Listener): void {
    let packed = 0;
    for (const { length } of entries) {
      this.#refuseEntry(length);
      packed += packedEntryBytes(length, false);
    }
    this.#refuseMany(entries.length, packed);
    this.#admit(packed, entries.length);
    const open = this.#open;
    open.waiters.listen(open.count, entries.length, listener);
    for (const bytes of entries) open.add(bytes);
    if (open.full) this.seal();
  }

  /**
   * Entries of a remote client, packed. False: no room now, try again later; the order of the stream is kept, and room that comes is kept for them, until
   * they are tried again or `forgoRoom` says that they are not.
   */
  proposePacked(packed: Buffer, count: number): boolean {
    const room = this.#room;
    room.forgoPacked();
    const hasRoom = room.hasPacked(packed.length, count);
    const keptOpen = hasRoom ? this.#makeRoom(packed.length, count) : undefined;
    if (!hasRoom || keptOpen !== undefined) {
      room.keepPacked(packed.length, count, keptOpen);
      return false;
    }
    room.usedPacked(packed.length);
    this.#open.addPacked(packed, count);
    if (this.#open.full) this.seal();
    return true;
  }

  /** No remote client's entries wait for room any more. */
  forgoRoom(): void {
    this.#room.forgoPacked();
  }

  /** A tick of time has passed. */
  tick(): void {
    this.#room.tick();
  }

  get pipeline(): GroupPipeline {
    return this.#pipeline;
  }

  /** From now on. What is sealed stays as it is, what is open is sealed by the new limits. */
  tune(pipeline: GroupPipeline): void {
    this.#pipeline = pipeline;
    this.#limitOpen();
  }

  #limitOpen(): void {
    const { batchBytesMax, batchEntriesMax } = this.#pipeline;
    this.#open.setLimits(batchBytesMax, Math.min(batchEntriesMax, this.#leadership.batchEntriesInTime));
  }

  /** Batches that may be sealed and not committed, unless they are full. */
  get depth(): number {
    const { depth } = this.#pipeline;
    return depth === 'auto' ? this.#auto.depth : depth;
  }

  /** The shortest that a batch took of late from being sealed to its commit, ms; 0: not known. */
  get commitMs(): number {
    return this.#auto.shortestMs;
  }

  committed(commit: LogIndex): void {
    const nowMs = this.#clock.nowMs();
    this.near.committed(commit, (sealedMs) => this.#auto.done(sealedMs, nowMs));
  }

  /**
   * Seals the open batch if the pipeline has room for one more and it has waited long enough for company; else it grows. Returns
   * how much longer it lingers, ms; 0: it does not.
   */
  maybeSeal(): number {
    if (this.#open.count === 0) return 0;
    if (this.near.uncommitted >= this.depth) {
      this.#auto.limited();
      return 0;
    }
    const lingersMs = this.#lingersMs();
    if (lingersMs === 0) this.seal();
    return lingersMs;
  }

  /** Counted from the first turn that found the batch: proposing stays free of clocks. */
  #lingersMs(): number {
    const { lingerUs } = this.#pipeline;
    if (lingerUs === 0 || this.#open.full) return 0;
    const nowMs = this.#clock.nowMs();
    this.#lingersSinceMs ??= nowMs;
    return Math.max(0, this.#lingersSinceMs + lingerUs / 1000 - nowMs);
  }

  /** Closes the open batch and gives it its place in the log. Returns what keeps it open, undefined if nothing does. */
  seal(): KeptOpen | undefined {
    const open = this.#open;
    if (open.count === 0) return undefined;
    if (this.#hub.blocked) return 'blocked';
    const byteLength = BATCH_PAYLOAD_OFFSET + open.length;
    if (!this.#hub.claim(byteLength, this.#leadership.group, this.near.bytes)) return 'ringFull';
    this.#lingersSinceMs = undefined;
    const batch = this.#leadership.place(open.count, open.length);
    if ('refused' in batch) {
      this.#hub.proposals.abandon();
      // Leadership is being handed over: what is open waits until that is decided, within one election timeout.
      if (batch.refused === 'transferring') return 'transferring';
      open.take().reject(this.#leadership.notLeader(), 'none');
      return undefined;
    }
    const { bytes, offset } = this.#hub.proposals;
    open.copyTo(bytes, offset + BATCH_PAYLOAD_OFFSET);
    this.#publish(batch, open.length, open.flags, open.take());
    this.#limitOpen();
    this.#leadership.carryOut();
    // Callers may go on proposing for a while before the next turn; the encoder need not wait for it.
    this.#hub.wake();
    return undefined;
  }

  /** Who still waits for an open batch is told; nothing of it was sealed. */
  rejectOpen(error: RaftlineError): void {
    this.#lingersSinceMs = undefined;
    this.#open.take().reject(error, 'none');
  }

  /** From here on the applier reads back from the log. Slots of `term`, a new leadership's, stay; 0: none does. */
  dropNear(term: Term): void {
    const outcome = new RaftlineError(
      ErrorCode.OutcomeUnknown,
      `group ${this.#leadership.group}: leadership was lost while the entry was being replicated; it may be committed or not`,
    );
    this.abandonNear(term, outcome);
  }

  /** Every sealed batch that is not of `term` is let go, and who waits for it is told. */
  abandonNear(term: Term, error: RaftlineError): void {
    for (const slot of this.near.takeOthers(term)) this.#abandonSlot(slot, error);
  }

  #abandonSlot(slot: ProposalSlot, error: RaftlineError): void {
    slot.waiters.reject(error, 'unknown');
    this.near.finish(slot);
  }

  /** A no-op or a configuration: one entry, alone in its batch. False: the encoder is behind, and the proposal ring full. */
  publishOwn(batch: ProposedBatch): boolean {
    const content =
      batch.configuration === undefined ? Buffer.alloc(0) : encodeConfiguration(batch.configuration);
    const rawLength = packedEntryBytes(content.length, false);
    if (!this.#hub.claimUrgent(BATCH_PAYLOAD_OFFSET + rawLength)) return false;
    const { proposals } = this.#hub;
    packEntry(proposals.bytes, proposals.offset + BATCH_PAYLOAD_OFFSET, content);
    this.#publish(batch, rawLength, 0, new Waiters());
    return true;
  }

  #refuseEntry(length: number): void {
    const { entryBytesMax } = this.#config;
    if (length <= entryBytesMax) return;
    const message = `entry: expected at most ${entryBytesMax} bytes (entryBytesMax), received ${length}`;
    throw new RaftlineError(ErrorCode.EntryTooLarge, message, { limit: entryBytesMax, received: length });
  }

  /** Whoever asks for one batch must not be given two, of which one may be lost. */
  #refuseMany(count: number, packedBytes: number): void {
    const { batchEntriesMax, batchBytesMax } = this.#pipeline;
    if (count === 0) throw new RaftlineError(ErrorCode.OptionInvalid, 'entries: expected at least one');
    if (count > batchEntriesMax) {
      const message = `entries: expected at most ${batchEntriesMax} (pipeline.batchEntriesMax), received ${count}`;
      throw new RaftlineError(ErrorCode.EntryTooLarge, message, { limit: batchEntriesMax, received: count });
    }
    if (count > 1 && packedBytes > batchBytesMax) {
      const message = `entries: expected at most ${batchBytesMax} bytes in all, packed (pipeline.batchBytesMax), received ${packedBytes}`;
      throw new RaftlineError(ErrorCode.EntryTooLarge, message, {
        limit: batchBytesMax,
        received: packedBytes,
      });
    }
  }

  /** Makes room for so much in the open batch, if need be by sealing it. */
  #admit(packedBytes: number, entries: number): void {
    const { group, leads } = this.#leadership;
    if (!leads) throw this.#leadership.notLeader();
    let refusal = this.#refusalOf(packedBytes, entries);
    if (refusal !== undefined && this.#room.giveAsked(packedBytes)) {
      refusal = this.#refusalOf(packedBytes, entries);
      if (refusal === undefined) this.#room.usedAsked(packedBytes);
    }
    if (refusal === undefined) return;
    if (refusal === 'transferring') throw handingOver(group);
    const retryAfterMs = this.retryAfterMs();
    this.#room.keepAsked(packedBytes, entries, retryAfterMs);
    throw overloaded(group, refusal, retryAfterMs);
  }

  /** What stands in the way of so much, in words, or the hand-over that does; undefined: there is room in the open batch now. */
  #refusalOf(packedBytes: number, entries: number): string | undefined {
    const excess = this.#room.excess(packedBytes, entries);
    if (excess !== undefined) return excess;
    const keptOpen = this.#makeRoom(packedBytes, entries);
    return keptOpen === undefined || keptOpen === 'transferring' ? keptOpen : FULL[keptOpen];
  }

  /** About what a batch takes now: what the fastest took of late, or how long the oldest waits already, if that is longer. */
  retryAfterMs(): number {
    const { oldestSealedMs } = this.near;
    const waitedMs = oldestSealedMs === undefined ? 0 : this.#clock.nowMs() - oldestSealedMs;
    return retryAfterHint(Math.max(this.commitMs, waitedMs));
  }

  /** Room in the open batch, if need be by sealing it; what stands in the way, if anything does. Who waits to seal it goes first. */
  #makeRoom(packedBytes: number, entries: number): KeptOpen | undefined {
    // A hook of the state machine that is told of what is sealed may fill the next batch at once.
    while (!this.#open.fits(packedBytes, entries)) {
      const kept = this.#room.keptOpen ?? this.seal();
      if (kept !== undefined) return kept;
    }
    return undefined;
  }

  /** What the encoder may use: as the option says, and no more than every configuration that may be in force allows. */
  #codec(): Codec {
    const level = this.#leadership.compressionLevel;
    switch (this.#config.compression) {
      case 'none':
        return Codec.None;
      case 'deflate':
        return level >= CompressionLevel.Deflate ? Codec.Deflate : lz4Within(level);
      default:
        return lz4Within(level);
    }
  }

  /** Writes the head of a batch whose payload stands in the claimed slot, and publishes it. */
  #publish(batch: ProposedBatch, rawLength: number, flags: number, waiters: Waiters): void {
    const { proposals } = this.#hub;
    const byteLength = BATCH_PAYLOAD_OFFSET + rawLength;
    const { kind, term, firstIndex, prevTerm, count } = batch;
    const place = { group: this.#leadership.group, kind, flags, term, firstIndex, count, prevTerm };
    const codec = kind === BatchKind.Data ? this.#codec() : Codec.None;
    const form = { formatVersion: FORMAT_VERSION, codec, rawLength, byteLength, checksum: 0 };
    writeBatchHead(proposals.bytes, proposals.offset, {
      ...place,
      ...form,
      leaderTimeMs: this.#clock.wallMs(),
    });
    proposals.publish(byteLength);
    const ring = this.#hub.takeSlot();
    const start = ring.offset + BATCH_PAYLOAD_OFFSET;
    const slot: ProposalSlot = {
      group: this.#leadership.group,
      term,
      firstIndex,
      count,
      kind,
      flags,
      start,
      end: start + rawLength,
      ringEnd: ring.end,
      waiters,
      kept: true,
    };
    this.#hub.slots.add(slot);
    this.near.add(slot, this.#clock.nowMs());
  }
}

function lz4Within(level: number): Codec {
  return level >= CompressionLevel.Lz4 ? Codec.Lz4 : Codec.None;
}
