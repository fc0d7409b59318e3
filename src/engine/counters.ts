import { cursorOf, type EngineMemory, encoderTotals, ringUse } from '../workers/memory.js';
import type { Health, HealthStatus } from './health.js';
import type { Hub } from './hub.js';
import type { Config } from './options.js';

/** What of the memory's parts is counted as it goes, bytes; the others count as full. */
export interface Held {
  openBatches: number;
  sending: number;
}

/** What this node made of batches that it sealed as leader, since it was opened. What it received it never encodes. */
export interface EncoderStatus {
  /** Batches that the main thread has sealed; over a cluster their sum is the number of all batches. */
  sealed: number;
  /** Batches that were encoded: once for each sealed one, and nowhere else in the cluster. */
  batches: number;
  /** Of those, how many were given whole to a compressor, and how many were stored compressed. */
  compressions: number;
  compressed: number;
  /** Before and after, heads included. */
  rawBytes: number;
  storedBytes: number;
}

/** `flush`: how long one write takes with its sync, with durability `os` without, ms. `syncs` counts those of other causes, too. */
export interface DiskStatus {
  durability: 'sync' | 'os';
  bytesWritten: number;
  flushes: number;
  syncs: number;
  flush: { msMean: number; msMax: number };
}

export type RingStatus = Record<string, { usedBytes: number; capacityBytes: number }>;

export interface Counters {
  disk: DiskStatus;
  encoder: EncoderStatus;
  health: HealthStatus;
  rings: RingStatus;
  held: Held;
}

/** What the threads of an engine have counted in their memory. */
export function readCounters(
  memory: EngineMemory,
  hub: Hub,
  health: Health,
  durability: Config['durability'],
): Counters {
  const read = (name: Parameters<typeof cursorOf>[1]): number => cursorOf(memory, name).load();
  const flushes = read('walFlushes');
  const flush = {
    msMean: flushes === 0 ? 0 : read('walFlushUs') / 1000 / flushes,
    msMax: read('walFlushUsMax') / 1000,
  };
  const bytesWritten = read('walBytes');
  return {
    health: health.status(),
    rings: ringUse(memory),
    held: { openBatches: hub.open.bytes, sending: -read('sendingLeft') + read('sendingTaken') },
    disk: { durability, bytesWritten, flushes, syncs: read('walSyncs'), flush },
    encoder: { sealed: hub.sealed, ...encoderTotals(memory) },
  };
}
