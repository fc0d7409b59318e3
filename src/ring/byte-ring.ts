/**
 * A ring of records in shared memory: one producer, consumers that gate it, observers that do not.
 *
 *   producer: claim → write → publish      consumer: poll → read → release      observer: poll → copy → holds
 *
 * Waking a sleeping reader is not the ring's affair: see `gate.ts`.
 */
export { RingConsumer } from './consumer.js';
export { RingObserver } from './observer.js';
export { RingProducer } from './producer.js';
export { initRing, type RingRegion, recordBytesMax, ringRegionBytes, usedBytes } from './ring-memory.js';
