import { BATCH_PAYLOAD_OFFSET } from '../../dist/codec/batch.js';
import { initRing, ringRegionBytes } from '../../dist/ring/byte-ring.js';
import { Cursor } from '../../dist/ring/cursor.js';
import { Gate } from '../../dist/ring/gate.js';
import { SharedAllocator } from '../../dist/ring/region.js';

/**
 * Who writes what in a process of the pipe.
 *
 * | ring      | producer                       | consumer    |
 * |-----------|--------------------------------|-------------|
 * | proposals | main (leader)                  | sender      |
 * | batches   | sender (leader), main (follower) | sync thread |
 *
 * Cursors hold the index of the last entry that is covered: `synced` (sync thread), `acked0`, `acked1` (sender).
 */
const RINGS = ['proposals', 'batches'];
const CURSORS = ['synced', 'acked0', 'acked1', 'stop', 'syncs', 'batches', 'rawBytes', 'storedBytes'];
const GATES = ['main', 'sender', 'sync'];
const RING_BYTES = 16 * 1024 * 1024;

export function createPipeMemory() {
  const lines = 64 * (CURSORS.length + GATES.length + RINGS.length);
  const memory = new SharedArrayBuffer(lines + RINGS.length * ringRegionBytes(RING_BYTES, 1));
  const allocator = new SharedAllocator(memory);
  const rings = {};
  for (const name of RINGS) {
    const byteOffset = allocator.take(ringRegionBytes(RING_BYTES, 1));
    rings[name] = { memory, byteOffset, capacity: RING_BYTES, consumers: 1 };
    initRing(rings[name]);
  }
  const cursors = Object.fromEntries(CURSORS.map((name) => [name, allocator.take(Cursor.BYTES)]));
  const gates = Object.fromEntries(GATES.map((name) => [name, allocator.take(Gate.BYTES)]));
  return { memory, rings, cursors, gates };
}

export const cursorOf = ({ memory, cursors }, name) => new Cursor(memory, cursors[name]);
export const gateOf = ({ memory, gates }, name) => new Gate(memory, gates[name]);

/** Room for a batch of `payloadBytes`, as stored. */
export const batchRoom = (payloadBytes) => BATCH_PAYLOAD_OFFSET + payloadBytes;

/** Lets the events that are due happen. */
export const afterEvents = () => new Promise((resolve) => setImmediate(resolve));
