import type { GroupId, OrderId } from '../base/ids.js';
import { sharedWasmMemory, type WasmMemory } from '../base/web-assembly.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { initRing, type RingRegion, ringRegionBytes, usedBytes } from '../ring/byte-ring.js';
import { Cursor } from '../ring/cursor.js';
import { Gate } from '../ring/gate.js';
import { SharedAllocator } from '../ring/region.js';
import { SharedLogIndex } from '../wal/log-index.js';
import { READER_WINDOW_BYTES } from '../wal/log-reader.js';

/**
 * Who writes what. One block of shared memory per engine; every ring has one producer, every cursor one writer.
 *
 * | ring     | producer     | gating consumers     | carries                                          |
 * |----------|--------------|----------------------|--------------------------------------------------|
 * | proposal | main         | encoders, applier    | raw batches, sealed by this node as leader       |
 * | batch    | encoder      | wal-writer           | the same, as stored; replicators only observe; with several encoders a ring for each |
 * | receive  | receiver     | wal-writer           | batches from leaders, as stored                  |
 * | orders   | main         | wal-writer           | every disk write, in the one order               |
 * | commands | main         | network              | sessions, commits, replies, control messages     |
 * | inbox    | network      | main                 | headers, acknowledgements, control messages      |
 * | client   | network      | main                 | entries of remote clients                        |
 * | apply    | feeder       | main                 | committed batches, raw: received, or read back    |
 *
 * `durable` (written by the wal-writer) is the newest order on disk; `stop` (main) ends every thread; the counters
 * have their writer in their name.
 */
export interface EngineMemory {
  readonly memory: SharedArrayBuffer;
  /** The same block, as WebAssembly reaches it; undefined where it does not. */
  readonly wasm: WasmMemory | undefined;
  readonly gates: { main: number; network: number; encoder: number; wal: number };
  readonly rings: Readonly<Record<RingName, RingRegion>>;
  readonly cursors: Readonly<Record<CursorName, number>>;
  /** Of encoders beyond the first one, whose are the ring `batch`, the gate `encoder` and the cursors with its name. */
  readonly moreEncoders: readonly EncoderMemory[];
  readonly logIndex: { offset: number; groups: readonly GroupId[] };
  readonly readBack: { offset: number; length: number };
}

/** What a further encoder has of its own. */
export interface EncoderMemory {
  readonly ring: RingRegion;
  readonly gate: number;
  /** Its place among the consumers of the ring `proposal`. */
  readonly consumer: number;
  readonly counters: Readonly<Record<EncoderCounter, number>>;
}

export type RingName =
  | 'proposal'
  | 'batch'
  | 'receive'
  | 'orders'
  | 'commands'
  | 'inbox'
  | 'client'
  | 'apply';

const CURSORS = [
  'durable',
  'mainAwaitsDurable',
  'networkAwaitsDurable',
  'stop',
  'spareWanted',
  'walFlushes',
  'walSyncs',
  'walBytes',
  'walFlushUs',
  'walFlushUsMax',
  'sendingTaken',
  'sendingLeft',
  'encoderBatches',
  'encoderCompressions',
  'encoderCompressed',
  'encoderRawBytes',
  'encoderStoredBytes',
] as const;
export type CursorName = (typeof CURSORS)[number];

const ENCODER_COUNTERS = ['batches', 'compressions', 'compressed', 'rawBytes', 'storedBytes'] as const;
export type EncoderCounter = (typeof ENCODER_COUNTERS)[number];

const ANCHORS_PER_GROUP = 4096;
const MESSAGE_RING_BYTES = 1024 * 1024;
/** Bytes of stored batches that the feeder reads back at a time, unless one batch alone is larger. */
export const READ_BACK_BYTES = 256 * 1024;
/** What a reader of the log holds, bytes: its window, and what it gives out, unless that is one batch that is larger. The node's own gives out to a place among the rings. */
export const READER_BYTES = {
  follower: READER_WINDOW_BYTES.once + READ_BACK_BYTES,
  tail: READER_WINDOW_BYTES.anyhow + READ_BACK_BYTES,
  own: READER_WINDOW_BYTES.anyhow,
};

export interface MemorySizes {
  ringBytes: number;
  clientRingBytes: number;
  /** The largest payload of one batch. */
  batchRawBytesMax: number;
  /** Each of the rings `orders`, `commands` and `inbox`: a power of two. Default 1 MiB. */
  messageRingBytes?: number;
  /** Encoders, each with a batch ring of its own. Default 1. */
  encoders?: number;
  /** Whether WebAssembly is to reach the block, where it can. Default false. */
  webAssembly?: boolean;
}

/** A power of two that holds at least `wanted` bytes and four records of the largest size. */
function ringCapacity(wanted: number, recordBytesMax: number): number {
  const needed = Math.max(wanted, 4 * (recordBytesMax + 1024));
  return 2 ** Math.ceil(Math.log2(needed));
}

interface Layout {
  capacities: Record<RingName, { capacity: number; consumers: number }>;
  indexBytes: number;
  /** Where the feeder has what it reads back from the log, so that WebAssembly reaches it. 0: it has it elsewhere. */
  readBackBytes: number;
  total: number;
}

/** Size of the block that `createEngineMemory` makes, bytes. */
export function engineMemoryBytes(sizes: MemorySizes, groups: readonly GroupId[]): number {
  return layoutOf(sizes, groups).total;
}

function layoutOf(sizes: MemorySizes, groups: readonly GroupId[]): Layout {
  const largest = sizes.batchRawBytesMax + BATCH_PAYLOAD_OFFSET;
  const payload = ringCapacity(sizes.ringBytes, largest);
  const messages = sizes.messageRingBytes ?? MESSAGE_RING_BYTES;
  const capacities: Layout['capacities'] = {
    proposal: { capacity: payload, consumers: 1 + Math.max(1, sizes.encoders ?? 1) },
    batch: { capacity: payload, consumers: 1 },
    receive: { capacity: payload, consumers: 1 },
    apply: { capacity: payload, consumers: 1 },
    client: { capacity: ringCapacity(sizes.clientRingBytes, largest), consumers: 1 },
    orders: { capacity: messages, consumers: 1 },
    commands: { capacity: messages, consumers: 1 },
    inbox: { capacity: messages, consumers: 1 },
  };
  const names = Object.keys(capacities) as RingName[];
  const indexBytes = SharedLogIndex.bytesFor(groups.length, ANCHORS_PER_GROUP);
  const readBackBytes = sizes.webAssembly === true ? Math.max(READ_BACK_BYTES, largest) : 0;
  let total = indexBytes + readBackBytes + 64 * (9 + CURSORS.length + names.length) + 4 * 64;
  for (const name of names) total += ringRegionBytes(capacities[name].capacity, capacities[name].consumers);
  const perEncoder = ringRegionBytes(payload, 1) + 64 * (ENCODER_COUNTERS.length + 2);
  total += perEncoder * Math.max(0, (sizes.encoders ?? 1) - 1);
  return { capacities, indexBytes, readBackBytes, total };
}

/** Lays the block out and prepares its rings. Called once, by main. */
export function createEngineMemory(sizes: MemorySizes, groups: readonly GroupId[]): EngineMemory {
  const { capacities, indexBytes, readBackBytes, total } = layoutOf(sizes, groups);
  const wasm = sizes.webAssembly === true ? sharedWasmMemory(total) : undefined;
  const memory = wasm?.buffer ?? new SharedArrayBuffer(total);
  const allocator = new SharedAllocator(memory);
  const rings = {} as Record<RingName, RingRegion>;
  for (const name of Object.keys(capacities) as RingName[]) {
    const { capacity, consumers } = capacities[name];
    rings[name] = {
      memory,
      byteOffset: allocator.take(ringRegionBytes(capacity, consumers)),
      capacity,
      consumers,
    };
    initRing(rings[name]);
  }
  const gate = () => allocator.take(Gate.BYTES);
  const gates = { main: gate(), network: gate(), encoder: gate(), wal: gate() };
  const cursors = {} as Record<CursorName, number>;
  for (const name of CURSORS) cursors[name] = allocator.take(Cursor.BYTES);
  const moreEncoders: EncoderMemory[] = [];
  for (let number = 1; number < (sizes.encoders ?? 1); number++) {
    const { capacity } = capacities.batch;
    const byteOffset = allocator.take(ringRegionBytes(capacity, 1));
    const ring = { memory, byteOffset, capacity, consumers: 1 };
    initRing(ring);
    const counters = {} as Record<EncoderCounter, number>;
    for (const name of ENCODER_COUNTERS) counters[name] = allocator.take(Cursor.BYTES);
    moreEncoders.push({ ring, gate: gate(), consumer: number + 1, counters });
  }
  const logIndex = { offset: allocator.take(indexBytes), groups };
  const readBack = { offset: allocator.take(readBackBytes), length: readBackBytes };
  return { memory, wasm, gates, rings, cursors, moreEncoders, logIndex, readBack };
}

/** What only the feeder writes and reads; empty where WebAssembly does not reach the block. */
export function readBackOf({ memory, readBack }: EngineMemory): Buffer {
  return Buffer.from(memory, readBack.offset, readBack.length);
}

/** The view of one thread on a cursor of the block. */
export function cursorOf(memory: EngineMemory, name: CursorName): Cursor {
  return new Cursor(memory.memory, memory.cursors[name]);
}

export function gateOf(memory: EngineMemory, name: keyof EngineMemory['gates']): Gate {
  return new Gate(memory.memory, memory.gates[name]);
}

/** The gates of all encoders; the first one is `encoder`. */
export function encoderGatesOf(memory: EngineMemory): Gate[] {
  const more = memory.moreEncoders.map(({ gate }) => new Gate(memory.memory, gate));
  return [gateOf(memory, 'encoder'), ...more];
}

/** The counters of one encoder, numbered from 0. */
export function encoderCountersOf(memory: EngineMemory, number: number): Record<EncoderCounter, Cursor> {
  if (number === 0) {
    return {
      batches: cursorOf(memory, 'encoderBatches'),
      compressions: cursorOf(memory, 'encoderCompressions'),
      compressed: cursorOf(memory, 'encoderCompressed'),
      rawBytes: cursorOf(memory, 'encoderRawBytes'),
      storedBytes: cursorOf(memory, 'encoderStoredBytes'),
    };
  }
  const { counters } = memory.moreEncoders[number - 1]!;
  const view = (name: EncoderCounter) => new Cursor(memory.memory, counters[name]);
  return {
    batches: view('batches'),
    compressions: view('compressions'),
    compressed: view('compressed'),
    rawBytes: view('rawBytes'),
    storedBytes: view('storedBytes'),
  };
}

/** What all encoders have done together. */
export function encoderTotals(memory: EngineMemory): Record<EncoderCounter, number> {
  const sum = { batches: 0, compressions: 0, compressed: 0, rawBytes: 0, storedBytes: 0 };
  for (let number = 0; number <= memory.moreEncoders.length; number++) {
    const counters = encoderCountersOf(memory, number);
    for (const name of ENCODER_COUNTERS) sum[name] += counters[name].load();
  }
  return sum;
}

export function logIndexOf(memory: EngineMemory): SharedLogIndex {
  return new SharedLogIndex(memory.memory, memory.logIndex.offset, memory.logIndex.groups, ANCHORS_PER_GROUP);
}

/** How full each ring is, bytes. */
export function ringUse(
  memory: EngineMemory,
): Record<RingName, { usedBytes: number; capacityBytes: number }> {
  const more = memory.moreEncoders.map(({ ring }, at): [string, RingRegion] => [`batch-${at + 2}`, ring]);
  const use = [...Object.entries(memory.rings), ...more].map(([name, region]) => {
    return [name, { usedBytes: usedBytes(region), capacityBytes: region.capacity }];
  });
  return Object.fromEntries(use) as Record<RingName, { usedBytes: number; capacityBytes: number }>;
}

/**
 * Wakes main and the network thread when more is durable than `before`, each only if it awaits an order beyond that; who does not looks
 * when it comes by.
 */
export function durableTeller(memory: EngineMemory): (before: OrderId) => void {
  const main = { gate: gateOf(memory, 'main'), awaits: cursorOf(memory, 'mainAwaitsDurable') };
  const network = { gate: gateOf(memory, 'network'), awaits: cursorOf(memory, 'networkAwaitsDurable') };
  return (before) => {
    for (const { gate, awaits } of [main, network]) if (awaits.load() > before) gate.notify();
  };
}
