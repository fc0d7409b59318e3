import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId } from '../base/ids.js';
import { ENTRY_BYTES_CEILING, FORMAT_VERSION } from '../base/limits.js';
import type { Configuration } from '../base/messages.js';
import { BatchKind, Codec } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET, sealBatch, writeBatchHead } from '../codec/batch.js';
import { crc32 } from '../codec/checksum.js';
import { encodeConfiguration } from '../codec/configuration.js';
import { packEntry, packedEntryBytes } from '../codec/entries.js';
import { recordBytesMax } from '../ring/byte-ring.js';
import type { Disk } from '../wal/disk.js';
import { openIdentity } from '../wal/identity.js';
import { listSegments } from '../wal/recovery.js';
import { type RecoveredGroup, Wal } from '../wal/wal.js';
import { type EngineMemory, logIndexOf } from './memory.js';
import type { StoreFacts, WorkerSettings } from './settings.js';

export interface OpenedStore {
  wal: Wal;
  recovered: Map<GroupId, RecoveredGroup>;
  facts: StoreFacts;
}

/** Of the first entry of every log, which nobody voted for. */
const BOOTSTRAP_TERM = 1;

/**
 * Opens the data directory: identity, then the log; at the first start it writes the bootstrap configuration of each
 * group as its first batch, unless the node is to join a cluster that exists. Whoever calls holds the directory's lock.
 */
export function openStore(disk: Disk, settings: WorkerSettings, memory: EngineMemory): OpenedStore {
  const { dataDirectory, cluster, id, groups, segmentBytes } = settings;
  const identity = openIdentity(disk, dataDirectory, {
    clusterId: cluster,
    nodeId: id,
    newIncarnation: () => disk.randomNumber(),
    joins: settings.join,
  });
  const anySegments = listSegments(disk, dataDirectory).length > 0;
  const { wal, recovered, batchRawBytesMax } = Wal.open(disk, {
    directory: dataDirectory,
    segmentBytes,
    groups,
    durability: settings.durability,
    index: logIndexOf(memory),
  });
  checkRoomFor(batchRawBytesMax, settings, memory);
  // A node that has met itself has begun its log: an empty one then means that the log was taken away, and with it
  // votes and acknowledgements that others count on (H83).
  // One that waits to be added may have nothing in its log yet, but it has a log.
  const begun = identity.peerIncarnation(id) !== undefined;
  const empty = [...recovered.values()].every(isEmpty);
  const joins = settings.join || identity.joined;
  if (begun && empty && !(joins && anySegments)) throw logGone(dataDirectory);
  // Before the log, so that no log is without it. A newcomer hears it from its cluster.
  if (!begun && !joins) identity.rememberBootstrap(checksumOf(settings.bootstrap));
  let fresh = false;
  for (const group of groups) {
    const found = recovered.get(group);
    if (found !== undefined && !isEmpty(found)) continue;
    if (joins) continue;
    recovered.set(group, bootstrap(wal, group, settings.bootstrap));
    fresh = true;
  }
  if (fresh) flushNow(wal);
  identity.rememberPeer(id, identity.incarnation);
  const { incarnation, joined, peers } = identity;
  return { wal, recovered, facts: { incarnation, joined, peers } };
}

/** What was written under larger options has to pass through the rings, or it is never applied. */
function checkRoomFor(
  batchRawBytes: number,
  { dataDirectory, entryBytesMax }: WorkerSettings,
  { rings }: EngineMemory,
): void {
  if (BATCH_PAYLOAD_OFFSET + batchRawBytes <= recordBytesMax(rings.apply.capacity)) return;
  const path = 'entryBytesMax';
  const least = Math.min(batchRawBytes, ENTRY_BYTES_CEILING);
  const expected = `at least ${least}, since the log in ${dataDirectory} has a batch of ${batchRawBytes} bytes, of a larger entryBytesMax or pipeline.batchBytesMax`;
  const message = `option ${path}: expected ${expected}; received ${entryBytesMax}`;
  const details = { path, expected, received: entryBytesMax, least };
  throw new RaftlineError(ErrorCode.OptionInvalid, message, details);
}

/** The same on every node that is started with the same members. Never 0, which says that it is not known. */
function checksumOf(bootstrap: Configuration): number {
  return crc32(encodeConfiguration(bootstrap)) || 1;
}

/** The same bytes on every node that is started with the same members: index 1 of term 1, committed by decree. */
function bootstrap(wal: Wal, group: GroupId, configuration: Configuration): RecoveredGroup {
  const term = BOOTSTRAP_TERM;
  const content = encodeConfiguration(configuration);
  const rawLength = packedEntryBytes(content.length, false);
  const byteLength = BATCH_PAYLOAD_OFFSET + rawLength;
  const batch = Buffer.alloc(byteLength);
  const head = { formatVersion: FORMAT_VERSION, group, kind: BatchKind.Configuration, flags: 0, term };
  const place = { firstIndex: 1, count: 1, prevTerm: 0, codec: Codec.None, leaderTimeMs: 0, checksum: 0 };
  writeBatchHead(batch, 0, { ...head, ...place, rawLength, byteLength });
  packEntry(batch, BATCH_PAYLOAD_OFFSET, content);
  sealBatch(batch, 0, byteLength);
  wal.stageHardState(group, { term, vote: 0 });
  wal.stageBatch(group, batch);
  return {
    hardState: { term, vote: 0 },
    base: { index: 0, term: 0 },
    termRuns: [{ term, firstIndex: 1 }],
    lastIndex: 1,
    lastTerm: term,
    configurations: [{ index: 1, term, configuration }],
  };
}

/**
 * Nothing was promised in it: no entry, no vote, and no term beyond that of the bootstrap configuration, the writing of which may have been
 * cut short after its term.
 */
function isEmpty({ lastIndex, base, hardState }: RecoveredGroup): boolean {
  return lastIndex === 0 && base.index === 0 && hardState.term <= BOOTSTRAP_TERM && hardState.vote === 0;
}

function logGone(directory: string): RaftlineError {
  return new RaftlineError(
    ErrorCode.DirectoryInvalid,
    `data directory ${directory}: expected the log that this node has begun, received an empty one; a node that lost its log must be removed from the cluster and added anew`,
    { path: directory },
  );
}

/** Start-up may wait for the disk; nobody is served yet. */
function flushNow(wal: Wal): void {
  wal.flush();
  for (let state = wal.poll(); state !== 'durable'; state = wal.poll()) {
    if (state === 'idle')
      throw new RaftlineError(ErrorCode.Internal, 'the bootstrap record was not taken by the log');
  }
}
