import { BATCH_PAYLOAD_OFFSET } from '../../codec/batch.js';
import { initRing, type RingRegion, ringRegionBytes } from '../../ring/byte-ring.js';
import { Cursor } from '../../ring/cursor.js';
import { Gate } from '../../ring/gate.js';
import { SharedAllocator } from '../../ring/region.js';

const RINGS = ['proposals', 'batches'] as const;
const CURSORS = [
  'synced',
  'acked0',
  'acked1',
  'stop',
  'syncs',
  'batches',
  'rawBytes',
  'storedBytes',
] as const;
const GATES = ['main', 'sender', 'sync'] as const;

type RingName = (typeof RINGS)[number];
export type CursorName = (typeof CURSORS)[number];
export type GateName = (typeof GATES)[number];

/**
 * Who writes what in a process of the pipe.
 *
 * | ring      | producer                         | consumer    |
 * |-----------|----------------------------------|-------------|
 * | proposals | main (leader)                    | sender      |
 * | batches   | sender (leader), main (follower) | sync thread |
 *
 * Cursors hold the index of the last entry that is covered: `synced` (sync thread), `acked0`, `acked1` (sender).
 */
export interface PipeMemory {
  memory: SharedArrayBuffer;
  rings: Record<RingName, RingRegion>;
  cursors: Record<CursorName, number>;
  gates: Record<GateName, number>;
}

const RING_BYTES_MIN = 16 * 1024 * 1024;
const LINE_BYTES = 64;
/** A ring is twice as large, and no ring is larger than 1 GiB. */
export const PIPE_WINDOW_BYTES_MAX = 512 * 1024 * 1024;

/** @param windowBytes what may be under way at a time, at most `PIPE_WINDOW_BYTES_MAX` */
export function createPipeMemory(windowBytes: number): PipeMemory {
  const ringBytes = Math.max(RING_BYTES_MIN, 2 ** Math.ceil(Math.log2(2 * windowBytes)));
  const lines = LINE_BYTES * (CURSORS.length + GATES.length + RINGS.length);
  const memory = new SharedArrayBuffer(lines + RINGS.length * ringRegionBytes(ringBytes, 1));
  const allocator = new SharedAllocator(memory);
  const ring = (): RingRegion => {
    const byteOffset = allocator.take(ringRegionBytes(ringBytes, 1));
    const region = { memory, byteOffset, capacity: ringBytes, consumers: 1 };
    initRing(region);
    return region;
  };
  const named = <Name extends string>(names: readonly Name[], bytes: number): Record<Name, number> =>
    Object.fromEntries(names.map((name) => [name, allocator.take(bytes)])) as Record<Name, number>;
  return {
    memory,
    rings: { proposals: ring(), batches: ring() },
    cursors: named(CURSORS, Cursor.BYTES),
    gates: named(GATES, Gate.BYTES),
  };
}

export const cursorOf = ({ memory, cursors }: PipeMemory, name: CursorName): Cursor =>
  new Cursor(memory, cursors[name]);
export const gateOf = ({ memory, gates }: PipeMemory, name: GateName): Gate => new Gate(memory, gates[name]);

/** Room for a batch of `payloadBytes`, as stored. */
export const batchRoom = (payloadBytes: number): number => BATCH_PAYLOAD_OFFSET + payloadBytes;

/** Lets the events that are due happen. */
export const afterEvents = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
