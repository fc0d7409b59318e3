import type { GroupId } from '../base/ids.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { initRing, type RingRegion, ringRegionBytes, usedBytes } from '../ring/byte-ring.js';
import { Cursor } from '../ring/cursor.js';
import { Gate } from '../ring/gate.js';
import { SharedAllocator } from '../ring/region.js';
import { SharedLogIndex } from '../wal/log-index.js';

/**
 * Who writes what. One block of shared memory per engine; every ring has one producer, every cursor one writer.
 *
 * | ring     | producer     | gating consumers     | carries                                          |
 * |----------|--------------|----------------------|--------------------------------------------------|
 * | proposal | main         | encoder, applier     | raw batches, sealed by this node as leader       |
 * | batch    | encoder      | wal-writer           | the same, as stored; replicators only observe    |
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
  readonly gates: { main: number; network: number; encoder: number; wal: number };
  readonly rings: Readonly<Record<RingName, RingRegion>>;
  readonly cursors: Readonly<Record<CursorName, number>>;
  readonly logIndex: { offset: number; groups: readonly GroupId[] };
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

const ANCHORS_PER_GROUP = 4096;
const MESSAGE_RING_BYTES = 1024 * 1024;

export interface MemorySizes {
  ringBytes: number;
  clientRingBytes: number;
  /** The largest payload of one batch. */
  batchRawBytesMax: number;
  /** Each of the rings `orders`, `commands` and `inbox`: a power of two. Default 1 MiB. */
  messageRingBytes?: number;
}

/** A power of two that holds at least `wanted` bytes and four records of the largest size. */
function ringCapacity(wanted: number, recordBytesMax: number): number {
  const needed = Math.max(wanted, 4 * (recordBytesMax + 1024));
  return 2 ** Math.ceil(Math.log2(needed));
}

interface Layout {
  capacities: Record<RingName, { capacity: number; consumers: number }>;
  indexBytes: number;
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
    proposal: { capacity: payload, consumers: 2 },
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
  let total = indexBytes + 64 * (8 + CURSORS.length + names.length) + 4 * 64;
  for (const name of names) total += ringRegionBytes(capacities[name].capacity, capacities[name].consumers);
  return { capacities, indexBytes, total };
}

/** Lays the block out and prepares its rings. Called once, by main. */
export function createEngineMemory(sizes: MemorySizes, groups: readonly GroupId[]): EngineMemory {
  const { capacities, indexBytes, total } = layoutOf(sizes, groups);
  const memory = new SharedArrayBuffer(total);
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
  return { memory, gates, rings, cursors, logIndex: { offset: allocator.take(indexBytes), groups } };
}

/** The view of one thread on a cursor of the block. */
export function cursorOf(memory: EngineMemory, name: CursorName): Cursor {
  return new Cursor(memory.memory, memory.cursors[name]);
}

export function gateOf(memory: EngineMemory, name: keyof EngineMemory['gates']): Gate {
  return new Gate(memory.memory, memory.gates[name]);
}

export function logIndexOf(memory: EngineMemory): SharedLogIndex {
  return new SharedLogIndex(memory.memory, memory.logIndex.offset, memory.logIndex.groups, ANCHORS_PER_GROUP);
}

/** How full each ring is, bytes. */
export function ringUse(
  memory: EngineMemory,
): Record<RingName, { usedBytes: number; capacityBytes: number }> {
  const use = Object.entries(memory.rings).map(([name, region]) => {
    return [name, { usedBytes: usedBytes(region), capacityBytes: region.capacity }];
  });
  return Object.fromEntries(use) as Record<RingName, { usedBytes: number; capacityBytes: number }>;
}
