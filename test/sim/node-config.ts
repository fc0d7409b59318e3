import type { GroupId } from '../../src/base/ids.js';
import { type Config, parseOptions, type ReadPolicy, type TraceSink } from '../../src/engine/options.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import { workerSettings } from '../../src/engine/worker-settings.js';
import type { MemorySizes } from '../../src/workers/memory.js';
import type { WorkerSettings } from '../../src/workers/settings.js';

const KIB = 1024;
/** A client's window of 64 KiB makes messages of up to 16 KiB. */
const BATCH_RAW_BYTES_MAX = 20 * KIB;

/** Segments, rings and batches are small, so that rotation, wrap-around and full rings happen all the time. */
export const SEGMENT_BYTES = 24 * KIB;
export const MEMORY_SIZES: MemorySizes = {
  ringBytes: 64 * KIB,
  clientRingBytes: 64 * KIB,
  batchRawBytesMax: BATCH_RAW_BYTES_MAX,
  messageRingBytes: 64 * KIB,
};

export interface NodeChoices {
  id: number;
  /** The first members of the cluster. */
  founders: readonly number[];
  /** Begins with an empty log and waits to be added. */
  join: boolean;
  /** How many encoders have a thread of their own. */
  encoders: number;
  reads: ReadPolicy;
  machines: ReadonlyMap<GroupId, StateMachine>;
  trace: TraceSink;
}

export const addressOf = (id: number): string => `n${id}:1`;

/** The options of one node's engine. */
export function configOf({ id, founders, join, encoders, reads, machines, trace }: NodeChoices): Config {
  const others = join ? [] : founders.filter((other) => other !== id);
  const config = parseOptions({
    id,
    cluster: 'sim',
    dataDirectory: `data-${id}`,
    listen: addressOf(id),
    peers: Object.fromEntries(others.map((other) => [other, addressOf(other)])),
    join,
    insecure: true,
    groups: [...machines].map(([group, stateMachine]) => ({ id: group, stateMachine })),
    threads: { encoders },
    lz4: 'pure',
    // Some want to go as far as the group lets them: its level is what holds.
    compression: id % 2 === 0 ? 'deflate' : 'auto',
    reads: { policy: reads },
    trace,
  });
  const pipeline = {
    ...config.pipeline,
    batchBytesMax: 4 * KIB,
    batchEntriesMax: 64,
    inflightBytesMax: 28 * KIB,
  };
  const limits = { entryBytesMax: 8 * KIB, uncommittedBytesMax: 24 * KIB };
  return { ...config, ...limits, pipeline };
}

export function settingsOf(config: Config): WorkerSettings {
  return {
    ...workerSettings(config),
    batchRawBytesMax: BATCH_RAW_BYTES_MAX,
    segmentBytes: SEGMENT_BYTES,
  };
}
