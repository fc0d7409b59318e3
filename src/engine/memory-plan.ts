import { ErrorCode, RaftlineError } from '../base/errors.js';
import { PROPOSE_BYTES_MAX } from '../base/limits.js';
import { READER_BYTES } from '../workers/memory.js';
import { RESTING_BYTES_MAX } from '../workers/peers.js';
import type { Config } from './options.js';

const MiB = 1024 * 1024;

/** What all streams together may have queued, but for one message of each peer and tail. */
export const SENDING_BYTES_MAX = 64 * MiB;
/** Of that for the streams to peers; the rest is for tails and answers to clients. */
const SENDING_TO_PEERS_BYTES = 32 * MiB;
const STREAM_QUEUE_BYTES = { min: 1 * MiB, max: 16 * MiB };
/** Every member takes batches of this payload, however small its own are: members may differ while options are changed. */
const BATCH_TAKEN_BYTES = 1 * MiB;
/** Aligned memory of the log's writer: for the segment that it writes, and for the one before, until that is collected. */
const WRITER_BYTES = 2 * MiB;

/** What holds payload in an engine, each with its bound, bytes. Together they are at most the budget. */
export interface MemoryParts {
  /** The block of shared memory: rings between the threads, and what stands beside them. Taken at once. */
  rings: number;
  /** Queued on streams: to followers, to tails, answers to clients. A peer's or tail's with nothing queued takes one message more. */
  sending: number;
  /** From peers: what the network may hold of each, and one message that waits for room in its ring. */
  receiving: number;
  /** From clients: what the network may hold of each stream; the ring stops the rest. */
  clients: number;
  /** Readers of the log on disk, one per follower, per tail, and for what is applied; and one largest batch. */
  reading: number;
  /** What threads work with: messages' memory that rests, the log writer's, and a batch that is decompressed for a tail. */
  working: number;
  /**
   * Open batches of all groups: what of the budget the others leave. One of `batchBytesMax` for each group, which stays with it, and beside them at
   * least one largest; beyond it proposals are refused.
   */
  openBatches: number;
}

/** What a stream may have queued, bytes: a peer's share, so that one that is stuck leaves the others theirs. */
export function streamQueueBytes(peers: number): number {
  const share = Math.floor(SENDING_TO_PEERS_BYTES / Math.max(1, peers));
  return Math.max(STREAM_QUEUE_BYTES.min, Math.min(STREAM_QUEUE_BYTES.max, share));
}

/** The largest payload of a batch from a leader that the plan has room for, where one's own have at most `batchRawBytesMax`. */
export function batchTakenBytes(batchRawBytesMax: number): number {
  return Math.max(batchRawBytesMax, BATCH_TAKEN_BYTES);
}

/**
 * Divides `memory.budgetBytes`. Bounds that hold at every moment are what keeps a stuck follower, a slow disk or a crowd of clients from
 * growing memory; so all of them must fit at once.
 *
 * @param rings the size of the shared block, bytes
 * @param batchRawBytesMax the largest payload of one batch
 * @throws RaftlineError `RAFTLINE_OPTION_INVALID`, naming the least budget that fits and what takes it
 */
export function planMemory(config: Config, rings: number, batchRawBytesMax: number): MemoryParts {
  const { limits, peers, transport, memory, pipeline, groups } = config;
  const message = batchTakenBytes(batchRawBytesMax) + MiB / 4;
  const senders = peers.size + limits.tailStreams;
  const parts = {
    rings,
    sending: SENDING_BYTES_MAX + senders * message,
    receiving: peers.size * (transport.receiveWindowBytes + message),
    clients: limits.clientStreams * Math.max(transport.receiveWindowBytes, PROPOSE_BYTES_MAX),
    // Applying has a place among the rings for what it reads. Of larger batches one at a time is read, all readers being on one thread.
    reading:
      peers.size * READER_BYTES.follower +
      limits.tailStreams * READER_BYTES.tail +
      READER_BYTES.own +
      message,
    working: RESTING_BYTES_MAX + WRITER_BYTES + message,
  };
  const taken = sum(Object.values(parts));
  const openBatches = sum(groups.map((group) => group.pipeline?.batchBytesMax ?? pipeline.batchBytesMax));
  const least = taken + openBatches + batchRawBytesMax;
  if (least > memory.budgetBytes) {
    throw tooSmall(memory.budgetBytes, least, { ...parts, openBatches: openBatches + batchRawBytesMax });
  }
  return { ...parts, openBatches: memory.budgetBytes - taken };
}

const CAUSES: Readonly<Record<string, string>> = {
  rings: 'memory.ringBytes, memory.clientRingBytes, entryBytesMax',
  sending: 'peers, limits.tailStreams, entryBytesMax',
  receiving: 'peers, transport.receiveWindowBytes',
  clients: 'limits.clientStreams, transport.receiveWindowBytes',
  reading: 'peers, limits.tailStreams, entryBytesMax',
  openBatches: 'groups, pipeline.batchBytesMax, entryBytesMax',
};

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function tooSmall(received: number, least: number, parts: Record<string, number>): RaftlineError {
  const shown = Object.entries(parts).map(([name, bytes]) => {
    const cause = CAUSES[name];
    return `${name} ${(bytes / MiB).toFixed(1)} MiB${cause === undefined ? '' : ` (${cause})`}`;
  });
  const expected = `at least ${least} bytes for what these options may hold: ${shown.join(', ')}`;
  const message = `option memory.budgetBytes: expected ${expected}; received ${received}`;
  const details = { path: 'memory.budgetBytes', expected, received, least };
  return new RaftlineError(ErrorCode.OptionInvalid, message, details);
}
