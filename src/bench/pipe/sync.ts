import { closeSync, fdatasyncSync, openSync, writevSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { readBatchHeader } from '../../codec/batch.js';
import { RingConsumer } from '../../ring/byte-ring.js';
import { cursorOf, type GateName, gateOf, type PipeMemory } from './memory.js';

/**
 * The pipe's disk: everything that waits with one writev and one fdatasync, into space that was filled with zeros before; at
 * its end it starts over. No record headers, no index, no checksum.
 */
const FILE_BYTES = 64 * 1024 * 1024;
const FLUSH_BYTES_MAX = 8 * 1024 * 1024;
const SLEEP_MS = 1000;

export interface SyncSettings {
  memory: PipeMemory;
  file: string;
  wakes: readonly GateName[];
  /** 'os': what is written counts, and is never synced. */
  durability: 'sync' | 'os';
}

const { memory, file, wakes, durability } = workerData as SyncSettings;
const ring = new RingConsumer(memory.rings.batches, 0);
const gate = gateOf(memory, 'sync');
const others = wakes.map((name) => gateOf(memory, name));
const synced = cursorOf(memory, 'synced');
const syncs = cursorOf(memory, 'syncs');
const stop = cursorOf(memory, 'stop');

const fd = openSync(file, 'wx+', 0o600);
const zeros = Buffer.alloc(1024 * 1024);
for (let at = 0; at < FILE_BYTES; at += zeros.length) writevSync(fd, [zeros], at);
fdatasyncSync(fd);

let position = 0;
let count = 0;
const look = (): boolean => ring.pending() || stop.load() !== 0;
while (stop.load() === 0) {
  if (!flush()) gate.sleep(look, SLEEP_MS);
}
closeSync(fd);

function flush(): boolean {
  const buffers: Buffer[] = [];
  let bytes = 0;
  let last = 0;
  while (bytes < FLUSH_BYTES_MAX && ring.poll()) {
    buffers.push(ring.bytes.subarray(ring.offset, ring.offset + ring.length));
    bytes += ring.length;
    const { firstIndex, count: entries } = readBatchHeader(ring.bytes, ring.offset);
    last = firstIndex + entries - 1;
  }
  if (bytes === 0) return false;
  if (position + bytes > FILE_BYTES) position = 0;
  const written = writevSync(fd, buffers, position);
  if (written !== bytes) throw new Error(`pipe: wrote ${written} of ${bytes} bytes`);
  position += bytes;
  ring.release();
  if (durability === 'sync') {
    fdatasyncSync(fd);
    syncs.store(++count);
  }
  synced.store(last);
  for (const other of others) other.notify();
  return true;
}
