import { U32_MAX } from '../base/ids.js';
import { BATCH_ENTRIES_CEILING, ENTRY_BYTES_CEILING } from '../base/limits.js';

/** One row of the table that docs/options.md shows and the validation follows. */
export interface OptionRow {
  path: string;
  type: 'integer' | 'number' | 'string' | 'boolean';
  /** Absent: the option must be given. */
  default?: number | string | boolean;
  min?: number;
  max?: number;
  oneOf?: readonly string[];
  /** Of a number: `'auto'` may stand for it. */
  auto?: true;
  unit?: string;
  meaning: string;
}

const MiB = 1024 * 1024;

/** Every scalar option: its path, default, limits and meaning. `groups` and `peers` are checked beside it. */
export const optionTable: readonly OptionRow[] = [
  {
    path: 'id',
    type: 'integer',
    min: 1,
    max: U32_MAX,
    meaning: "this node's id; never reused for another data directory",
  },
  {
    path: 'cluster',
    type: 'string',
    meaning:
      'name of the cluster, 1 to 64 characters; kept in the data directory and checked in every handshake',
  },
  {
    path: 'dataDirectory',
    type: 'string',
    meaning: 'where log, identity and lock are kept; one process at a time',
  },
  {
    path: 'listen',
    type: 'string',
    default: '127.0.0.1:0',
    meaning: 'host:port for peers and clients; port 0 takes any free one',
  },
  {
    path: 'join',
    type: 'boolean',
    default: false,
    meaning:
      'begins with an empty log and waits to be added to a cluster that exists; without effect once the log has begun',
  },
  {
    path: 'insecure',
    type: 'boolean',
    default: false,
    meaning: 'allows listening beyond loopback without TLS',
  },
  {
    path: 'threads',
    type: 'string',
    default: 'auto',
    oneOf: ['auto', 'shared', 'spread'],
    meaning:
      "how programs are mapped to threads: 'shared' keeps encoder and network on one, 'spread' gives the encoder its own, 'auto' spreads from four cores up and has two encoders from twelve up",
  },
  {
    path: 'compression',
    type: 'string',
    default: 'auto',
    oneOf: ['auto', 'lz4', 'deflate', 'none'],
    meaning:
      "codec for batches that this node seals as leader: 'auto' is LZ4 where a look says that it saves, 'deflate' is used where the group's compression level allows it, else LZ4; any node reads all",
  },
  {
    path: 'lz4',
    type: 'string',
    default: 'auto',
    oneOf: ['auto', 'native', 'pure'],
    meaning:
      "implementation of LZ4: the native addon where it loads, or pure TypeScript; 'native' fails where it does not load",
  },
  {
    path: 'entryBytesMax',
    type: 'integer',
    default: 1 * MiB,
    min: 1,
    max: ENTRY_BYTES_CEILING,
    unit: 'bytes',
    meaning: 'largest entry; the same on every node',
  },
  {
    path: 'uncommittedBytesMax',
    type: 'integer',
    default: 16 * MiB,
    min: 64 * 1024,
    max: 1024 * MiB,
    unit: 'bytes',
    meaning:
      'payload that a leader holds in a group until it is committed and applied; beyond it proposals are refused as overloaded',
  },
  {
    path: 'durability',
    type: 'string',
    default: 'sync',
    oneOf: ['sync', 'os'],
    meaning:
      "what this node's acknowledgement of an entry means: 'sync' that it survives a loss of power, 'os' that it survives the end of the process; term and vote are always synced",
  },
  {
    path: 'segmentBytes',
    type: 'integer',
    default: 64 * MiB,
    min: 1 * MiB,
    max: 1024 * MiB,
    unit: 'bytes',
    meaning: 'size of a segment of the log on disk',
  },
  {
    path: 'prepareSegments',
    type: 'boolean',
    default: true,
    meaning:
      'fill the next segment with zeros beforehand, in a thread of its own: smaller syncs, twice the writing',
  },
  {
    path: 'election.timeoutMsMin',
    type: 'integer',
    default: 500,
    min: 50,
    max: 60_000,
    unit: 'ms',
    meaning: 'shortest time without a leader before a follower stands for election',
  },
  {
    path: 'election.timeoutMsMax',
    type: 'integer',
    default: 1000,
    min: 51,
    max: 120_000,
    unit: 'ms',
    meaning: 'longest such time; each node draws anew between the two',
  },
  {
    path: 'election.heartbeatIntervalMs',
    type: 'integer',
    default: 100,
    min: 5,
    max: 30_000,
    unit: 'ms',
    meaning: 'how often a leader says that it is there; at most half of election.timeoutMsMin',
  },
  {
    path: 'election.handOverAfterMs',
    type: 'integer',
    default: 3000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    meaning:
      'for how long a disk may finish no write, or a main thread be late to its ticks beyond the time in which it is not, before a leader hands over; 0: for ever',
  },
  {
    path: 'election.priority',
    type: 'integer',
    default: 3,
    min: 0,
    max: 3,
    meaning:
      'who should lead: each step below 3 waits for one more election.timeoutMsMax before it stands for election',
  },
  {
    path: 'reads.policy',
    type: 'string',
    default: 'readIndex',
    oneOf: ['readIndex', 'lease'],
    meaning:
      "how a leader makes sure that it still leads when it is read from: 'readIndex' asks a quorum, 'lease' trusts the clocks; the same on every node",
  },
  {
    path: 'reads.clockDriftMax',
    type: 'number',
    default: 1.1,
    min: 1,
    max: 10,
    meaning:
      "how many times as fast as this node's clock another node's may run, at most; leases are that much shorter",
  },
  {
    path: 'pipeline.depth',
    type: 'integer',
    auto: true,
    default: 'auto',
    min: 1,
    max: 1024,
    unit: 'batches',
    meaning:
      "messages in flight to a follower, and uncommitted batches before the open one is left to grow; 'auto' finds as many as are of use",
  },
  {
    path: 'pipeline.inflightBytesMax',
    type: 'integer',
    default: 4 * MiB,
    min: 64 * 1024,
    max: 256 * MiB,
    unit: 'bytes',
    meaning:
      'bytes in flight to a follower in a group: below it one more message goes, which carries one batch at least, so at most a batch comes on top',
  },
  {
    path: 'pipeline.catchUpBytesPerSecond',
    type: 'integer',
    default: 64 * MiB,
    min: 64 * 1024,
    max: 1024 * 1024 * MiB,
    unit: 'bytes a second',
    meaning:
      'how fast a follower that has fallen behind in a group gains on the log, which is read back from disk; in all its groups together no faster than ' +
      'the fastest of them may',
  },
  {
    path: 'pipeline.batchBytesMax',
    type: 'integer',
    default: 256 * 1024,
    min: 1024,
    max: 16 * MiB,
    unit: 'bytes',
    meaning: 'payload at which an open batch is sealed; a larger entry stands alone',
  },
  {
    path: 'pipeline.batchEntriesMax',
    type: 'integer',
    default: 16_384,
    min: 1,
    max: BATCH_ENTRIES_CEILING,
    unit: 'entries',
    meaning: 'entries at which an open batch is sealed',
  },
  {
    path: 'pipeline.lingerUs',
    type: 'integer',
    default: 0,
    min: 0,
    max: 100_000,
    unit: 'µs',
    meaning: 'how long a batch that could be sealed waits for more entries',
  },
  {
    path: 'memory.budgetBytes',
    type: 'integer',
    default: 512 * MiB,
    min: 16 * MiB,
    max: 1024 * 1024 * MiB,
    unit: 'bytes',
    meaning:
      'payload that this engine may hold at a time, wherever: rings, queues, readers, what the network may hold, and open batches in what is left of it',
  },
  {
    path: 'memory.ringBytes',
    type: 'integer',
    default: 16 * MiB,
    min: 1 * MiB,
    max: 512 * MiB,
    unit: 'bytes',
    meaning:
      'capacity of each ring that carries payload (rounded up to a power of two, and to four of the largest entries)',
  },
  {
    path: 'memory.clientRingBytes',
    type: 'integer',
    default: 4 * MiB,
    min: 1 * MiB,
    max: 512 * MiB,
    unit: 'bytes',
    meaning: 'capacity of the ring that carries what remote clients propose (rounded likewise)',
  },
  {
    path: 'transport.receiveWindowBytes',
    type: 'integer',
    default: 1 * MiB,
    min: 65_535,
    max: 64 * MiB,
    unit: 'bytes',
    meaning: 'HTTP/2 receive window of each stream',
  },
  {
    path: 'limits.clientStreams',
    type: 'integer',
    default: 256,
    min: 1,
    max: 10_000,
    unit: 'streams',
    meaning: 'client streams open at a time; the next is refused',
  },
  {
    path: 'limits.tailStreams',
    type: 'integer',
    default: 16,
    min: 1,
    max: 1000,
    unit: 'streams',
    meaning: 'tail streams open at a time; the next is refused',
  },
];
