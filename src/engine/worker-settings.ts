import {
  BATCH_ENTRIES_CEILING,
  BATCH_RAW_BYTES_CEILING,
  MESSAGE_BYTES_CEILING,
  PROPOSE_BYTES_MAX,
} from '../base/limits.js';
import type { Configuration } from '../base/messages.js';
import type { WorkerSettings } from '../workers/settings.js';
import { leaseMsOf } from './lease.js';
import { batchTakenBytes, SENDING_BYTES_MAX, streamQueueBytes } from './memory-plan.js';
import { batchBytesCeiling, type Config } from './options.js';
import { Pipelines } from './pipeline.js';

/** What of the options the threads need, and the configuration that a first start writes: oneself and the peers. */
export function workerSettings(config: Config): WorkerSettings {
  const pipelines = new Pipelines(config);
  const members = [config.id, ...config.peers.keys()].sort((a, b) => a - b);
  const bootstrap: Configuration = {
    voters: members,
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    incarnations: [],
    compressionLevel: 1,
  };
  // What a client may send in one message goes into one batch, however small this node's own batches are (H69).
  const largest = Math.max(config.entryBytesMax, batchBytesCeiling(config), PROPOSE_BYTES_MAX) + 64 * 1024;
  const batchRawBytesMax = Math.min(BATCH_RAW_BYTES_CEILING, largest);
  return {
    id: config.id,
    cluster: config.cluster,
    dataDirectory: config.dataDirectory,
    listen: config.listen,
    peers: [...config.peers].map(([id, address]) => ({ id, address })),
    groups: config.groups.map((group) => group.id),
    insecure: config.insecure,
    compression: config.compression,
    lz4: config.lz4,
    entryBytesMax: config.entryBytesMax,
    batchRawBytesMax,
    batchTakenBytesMax: batchTakenBytes(batchRawBytesMax),
    messageBytesMax: Math.min(MESSAGE_BYTES_CEILING, batchRawBytesMax + 1024 * 1024),
    batchEntriesMax: BATCH_ENTRIES_CEILING,
    flows: Object.fromEntries(config.groups.map(({ id }) => [id, pipelines.flow(id)])),
    durability: config.durability,
    segmentBytes: config.segmentBytes,
    heartbeatIntervalMs: config.election.heartbeatIntervalMs,
    heartbeatLifeMs: config.election.timeoutMsMin / 2,
    leaseMs: leaseMsOf(config),
    receiveWindowBytes: config.transport.receiveWindowBytes,
    streamQueueBytes: streamQueueBytes(config.peers.size),
    sendingBytesMax: SENDING_BYTES_MAX,
    clientStreams: config.limits.clientStreams,
    tailStreams: config.limits.tailStreams,
    join: config.join,
    bootstrap,
  };
}
