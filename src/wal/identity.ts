import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { Incarnation, NodeId } from '../base/ids.js';
import { SAFE_MAX } from '../base/ids.js';
import { writeU64 } from '../codec/bytes.js';
import { crc32 } from '../codec/checksum.js';
import { createDurably, type Disk, diskError, logDamaged } from './disk.js';
import { readStoredU64 } from './format.js';
import { listSegments } from './recovery.js';

export interface IdentityOptions {
  /** 1 to 255 bytes of UTF-8. */
  clusterId: string;
  nodeId: NodeId;
  /** Asked once, at the first start of a directory: a random number from 1 to 2^53 − 1. */
  newIncarnation: () => Incarnation;
  /** Kept from the first start of a directory: the node comes to a cluster that is there. Default false. */
  joins?: boolean;
}

interface IdentityContent {
  clusterId: string;
  nodeId: NodeId;
  incarnation: Incarnation;
  bootstrapChecksum: number;
  joined: boolean;
  peers: Map<NodeId, Incarnation>;
}

const NAME = 'identity';
const MAGIC = 0x44494c52;
const VERSION = 2;
const HEAD_BYTES = 32;
const PEER_BYTES = 12;
const CHECKSUM_BYTES = 4;
const CLUSTER_ID_BYTES_MAX = 255;
/** Nodes that were ever members; far above what a cluster uses up in its life. */
const PEERS_MAX = 4096;
const FILE_BYTES_MAX = HEAD_BYTES + CLUSTER_ID_BYTES_MAX + PEERS_MAX * PEER_BYTES + CHECKSUM_BYTES;

/** Who a data directory is: cluster and its beginning, node, its random incarnation, and the incarnations of the peers it has met. */
export class Identity {
  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
    private readonly content: IdentityContent,
  ) {}

  get clusterId(): string {
    return this.content.clusterId;
  }

  get nodeId(): NodeId {
    return this.content.nodeId;
  }

  get incarnation(): Incarnation {
    return this.content.incarnation;
  }

  /** CRC-32 of the configuration that the cluster began with; 0: a newcomer to which no member has spoken yet. */
  get bootstrapChecksum(): number {
    return this.content.bootstrapChecksum;
  }

  /** The directory was made for a node that came to a cluster which was there. For good: its later starts need not say so. */
  get joined(): boolean {
    return this.content.joined;
  }

  /** Set once, never to another value. Durable when it returns. Throws DirectoryInvalid where another is known, DiskFull, DiskFailed. */
  rememberBootstrap(bootstrapChecksum: number): void {
    const known = this.content.bootstrapChecksum;
    if (known === bootstrapChecksum) return;
    if (known !== 0) {
      const what = 'a cluster whose bootstrap configuration has checksum';
      throw invalid(this.directory, `${what} ${known}`, `${bootstrapChecksum}`);
    }
    store(this.disk, this.directory, { ...this.content, bootstrapChecksum });
    this.content.bootstrapChecksum = bootstrapChecksum;
  }

  /** undefined: a peer that was never met. */
  peerIncarnation(id: NodeId): Incarnation | undefined {
    return this.content.peers.get(id);
  }

  /** Everyone who was met, this node included. */
  get peers(): { id: NodeId; incarnation: Incarnation }[] {
    return [...this.content.peers].map(([id, incarnation]) => ({ id, incarnation }));
  }

  /** Durable when it returns. Throws DirectoryInvalid for the 4097th peer, DiskFull, DiskFailed. */
  rememberPeer(id: NodeId, incarnation: Incarnation): void {
    const { peers } = this.content;
    if (peers.get(id) === incarnation) return;
    if (!peers.has(id) && peers.size === PEERS_MAX) {
      throw invalid(this.directory, `at most ${PEERS_MAX} known peers`, `peer ${id} as one more`);
    }
    const next: IdentityContent = { ...this.content, peers: new Map(peers).set(id, incarnation) };
    store(this.disk, this.directory, next);
    peers.set(id, incarnation);
  }
}

/**
 * Reads the directory's identity, or makes it where the directory is new. Throws DirectoryInvalid when it belongs to
 * another cluster or node, or has a log but no identity; LogDamaged when the file is not intact: it is never taken
 * for a fresh one (H83).
 */
export function openIdentity(disk: Disk, directory: string, options: IdentityOptions): Identity {
  const { clusterId, nodeId } = options;
  const path = `${directory}/${NAME}`;
  try {
    disk.makeDirectory(directory);
    if (disk.stat(path) !== undefined) {
      const content = load(disk, path);
      if (content.clusterId !== clusterId)
        throw invalid(directory, `cluster ${clusterId}`, content.clusterId);
      if (content.nodeId !== nodeId) throw invalid(directory, `node ${nodeId}`, `node ${content.nodeId}`);
      return new Identity(disk, directory, content);
    }
    if (listSegments(disk, directory).length > 0) {
      throw invalid(directory, 'an identity file beside the log', 'a log without one');
    }
    const incarnation = options.newIncarnation();
    const joined = options.joins === true;
    const content = { clusterId, nodeId, incarnation, bootstrapChecksum: 0, joined, peers: new Map() };
    store(disk, directory, content);
    return new Identity(disk, directory, content);
  } catch (thrown) {
    throw diskError(thrown, 'opening', path);
  }
}

function invalid(directory: string, expected: string, received: string): RaftlineError {
  return new RaftlineError(
    ErrorCode.DirectoryInvalid,
    `data directory ${directory}: expected ${expected}, received ${received}`,
    { path: directory, expected, received },
  );
}

function store(disk: Disk, directory: string, content: IdentityContent): void {
  const bytes = encode(content, directory);
  try {
    createDurably(disk, directory, NAME, (fd) => disk.write(fd, [bytes], 0));
  } catch (thrown) {
    throw diskError(thrown, 'writing', `${directory}/${NAME}`);
  }
}

function encode(content: IdentityContent, directory: string): Buffer {
  const { clusterId, nodeId, incarnation, bootstrapChecksum, joined, peers } = content;
  const name = Buffer.from(clusterId, 'utf8');
  if (name.length < 1 || name.length > CLUSTER_ID_BYTES_MAX) {
    throw invalid(directory, `a cluster id of 1 to ${CLUSTER_ID_BYTES_MAX} bytes`, `${name.length} bytes`);
  }
  const peersAt = HEAD_BYTES + name.length;
  const checksumAt = peersAt + peers.size * PEER_BYTES;
  const bytes = Buffer.alloc(checksumAt + CHECKSUM_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt16LE(VERSION, 4);
  bytes.writeUInt16LE(name.length, 6);
  bytes.writeUInt32LE(nodeId, 8);
  bytes.writeUInt32LE(peers.size, 12);
  writeU64(bytes, 16, incarnation);
  bytes.writeUInt32LE(bootstrapChecksum, 24);
  bytes.writeUInt32LE(joined ? 1 : 0, 28);
  name.copy(bytes, HEAD_BYTES);
  let at = peersAt;
  for (const [id, peerIncarnation] of peers) {
    bytes.writeUInt32LE(id, at);
    writeU64(bytes, at + 4, peerIncarnation);
    at += PEER_BYTES;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(0, checksumAt)), checksumAt);
  return bytes;
}

function load(disk: Disk, path: string): IdentityContent {
  const fd = disk.openForReading(path);
  try {
    const size = disk.size(fd);
    const bytes = Buffer.alloc(Math.min(size, FILE_BYTES_MAX));
    disk.read(fd, bytes, 0, bytes.length, 0);
    const content = size <= FILE_BYTES_MAX ? decode(bytes) : undefined;
    if (content === undefined) throw logDamaged(path, 0, 'expected an intact identity, received other bytes');
    return content;
  } finally {
    disk.close(fd);
  }
}

function decode(bytes: Buffer): IdentityContent | undefined {
  if (bytes.length < HEAD_BYTES + CHECKSUM_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const checksumAt = bytes.length - CHECKSUM_BYTES;
  if (crc32(bytes.subarray(0, checksumAt)) !== bytes.readUInt32LE(checksumAt)) return undefined;
  const peersAt = HEAD_BYTES + bytes.readUInt16LE(6);
  const count = bytes.readUInt32LE(12);
  if (bytes.readUInt16LE(4) !== VERSION || peersAt + count * PEER_BYTES !== checksumAt) return undefined;
  const peers = new Map<NodeId, Incarnation>();
  for (let at = peersAt; at < checksumAt; at += PEER_BYTES) {
    peers.set(bytes.readUInt32LE(at), readStoredU64(bytes, at + 4));
  }
  const incarnation = readStoredU64(bytes, 16);
  if (!(incarnation >= 1 && incarnation <= SAFE_MAX)) return undefined;
  const joined = bytes.readUInt32LE(28);
  if (joined > 1) return undefined;
  return {
    clusterId: bytes.toString('utf8', HEAD_BYTES, peersAt),
    nodeId: bytes.readUInt32LE(8),
    incarnation,
    bootstrapChecksum: bytes.readUInt32LE(24),
    joined: joined === 1,
    peers,
  };
}
