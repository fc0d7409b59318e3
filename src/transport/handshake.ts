import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, Incarnation, NodeId } from '../base/ids.js';
import { FORMAT_VERSION, PROTOCOL_VERSION } from '../base/limits.js';
import type { Hello, HelloReply } from '../codec/envelope-types.js';
import { foreignText } from './address.js';

/** Who this node is, as it tells its peers. */
export interface Self {
  clusterId: string;
  node: NodeId;
  incarnation: Incarnation;
  groups: GroupId[];
  /** CRC-32 of the bootstrap configuration; 0 on a newcomer to which no member has spoken yet. */
  bootstrapChecksum: number;
  /** The lease that reads rest on, ms, before `clockDriftMax`; 0: reads ask a quorum. */
  leaseMs: number;
  /** What this node was before under its id: the tombstones that its log has of it. */
  formerIncarnations: Incarnation[];
}

/** What this node knows of the others. */
export interface Acquaintances {
  /** The incarnation that the node is remembered with; undefined or 0 where none is yet. */
  knownIncarnation(node: NodeId): Incarnation | undefined;
  /** The groups of which it was a member in this life of its directory, and from which it was removed for good (H60). */
  removedFrom(node: NodeId, incarnation: Incarnation): readonly GroupId[];
}

/** Where this node's lanes listen, 0 where one does not. */
export type LanePorts = Pick<HelloReply, 'controlPort' | 'dataPort' | 'clientPort'>;

/** What did not match; travels as the reply's `code`. */
export type Mismatch =
  | 'protocolVersion'
  | 'formatVersion'
  | 'cluster'
  | 'bootstrap'
  | 'lease'
  | 'receiver'
  | 'node'
  | 'removed'
  | 'incarnation'
  | 'groups';

export type Verdict = { accepted: true } | { accepted: false; code: string; message: string };

const ACCEPTED: Verdict = { accepted: true };

export function makeHello(self: Self, receiver: NodeId, lane: Hello['lane']): Hello {
  const { clusterId, node, incarnation, groups, bootstrapChecksum, leaseMs, formerIncarnations } = self;
  return {
    type: 'hello',
    protocolVersion: PROTOCOL_VERSION,
    formatVersion: FORMAT_VERSION,
    clusterId,
    node,
    incarnation,
    receiver,
    lane,
    groups,
    bootstrapChecksum,
    leaseMs,
    formerIncarnations,
  };
}

export function makeHelloReply(self: Self, verdict: Verdict, ports: LanePorts): HelloReply {
  const { node, incarnation, formerIncarnations } = self;
  const { controlPort, dataPort, clientPort } = ports;
  const why = verdict.accepted ? { code: '', message: '' } : { code: verdict.code, message: verdict.message };
  return {
    type: 'helloReply',
    accepted: verdict.accepted,
    ...why,
    node,
    incarnation,
    controlPort,
    dataPort,
    clientPort,
    formerIncarnations,
  };
}

/**
 * Whether a node that connects to us may speak (S2). The first mismatch is the one that is named: versions, then
 * the cluster, then the two nodes, then what they remember of each other. Who was removed from some of the groups may speak of the others: the
 * log of this node may not have come as far as where it was added.
 */
export function checkHello(self: Self, peers: Acquaintances, hello: Hello): Verdict {
  if (hello.protocolVersion !== PROTOCOL_VERSION) {
    return refuse('protocolVersion', 'protocol version', PROTOCOL_VERSION, hello.protocolVersion);
  }
  if (hello.clusterId !== self.clusterId) {
    return refuse('cluster', 'cluster', foreignText(self.clusterId), foreignText(hello.clusterId));
  }
  // A node reads every format up to its own, so an older sender is understood.
  if (hello.formatVersion > FORMAT_VERSION) {
    return refuse('formatVersion', 'batch format version', `at most ${FORMAT_VERSION}`, hello.formatVersion);
  }
  const beginning = checkBeginning(self.bootstrapChecksum, hello.bootstrapChecksum);
  if (!beginning.accepted) return beginning;
  if (hello.receiver !== self.node)
    return refuse('receiver', 'the node at this address', self.node, hello.receiver);
  if (hello.node === self.node) {
    return refuse('node', 'node id', `another than ${self.node}, which is this node's`, hello.node);
  }
  const shared = hello.groups.filter((group) => self.groups.includes(group));
  const removedFrom = peers.removedFrom(hello.node, hello.incarnation);
  if (removedFrom.length > 0 && shared.every((group) => removedFrom.includes(group)))
    return removedVerdict(hello.node, hello.incarnation);
  const incarnation = checkIncarnation(peers.knownIncarnation(hello.node), hello);
  if (!incarnation.accepted) return incarnation;
  // A lease is worth what every voter promises for it (H68). Who promises less, or nothing, must not vote here.
  if (hello.leaseMs !== self.leaseMs) {
    const what = 'reads.policy and election options, the same on every node: lease in ms, 0 for readIndex';
    return refuse('lease', what, self.leaseMs, hello.leaseMs);
  }
  if (shared.length === 0 && hello.groups.length > 0 && self.groups.length > 0) {
    return refuse('groups', 'groups', `some of ${list(self.groups)}`, list(hello.groups));
  }
  return ACCEPTED;
}

/** Whether the node that answered our hello is the one that we meant, and lets us speak. */
export function checkHelloReply(hello: Hello, peers: Acquaintances, reply: HelloReply): Verdict {
  if (!reply.accepted) return { accepted: false, code: reply.code, message: foreignText(reply.message) };
  if (reply.node !== hello.receiver) return refuse('receiver', 'the other node', hello.receiver, reply.node);
  return checkIncarnation(peers.knownIncarnation(reply.node), reply);
}

/**
 * Who began with the same members belongs to us, though our log may not know it: it may have been added while this node was
 * away. What a stranger may do is the core's to say. A newcomer takes the first one's word; who knows no beginning speaks to nobody.
 */
function checkBeginning(own: number, received: number): Verdict {
  if (received !== 0 && (own === 0 || own === received)) return ACCEPTED;
  return refuse('bootstrap', 'checksum of the bootstrap configuration', own === 0 ? 'one' : own, received);
}

function removedVerdict(node: NodeId, incarnation: Incarnation): Verdict {
  const message = `node ${node} with incarnation ${incarnation} was removed from the cluster; it may come back with an empty data directory, once it is added anew`;
  return { accepted: false, code: 'removed', message };
}

/** A refused handshake as an error; `details.mismatch` is what did not match. */
export function handshakeRefused(remote: string, code: string, message: string): RaftlineError {
  const mismatch = /^\w{1,64}$/.test(code) ? code : 'unknown';
  const kind = mismatch === 'removed' ? ErrorCode.MemberRemoved : ErrorCode.HandshakeRefused;
  return new RaftlineError(kind, `handshake with ${remote} refused: ${message}`, {
    mismatch,
  });
}

/**
 * A node that lost its data directory forgot its votes and acknowledgements: it is not the node that we know. Unless that one was
 * removed while we were away, and this one added: then its log has the tombstone of the one that we know, which nobody could guess.
 */
function checkIncarnation(
  known: Incarnation | undefined,
  { node, incarnation, formerIncarnations }: Pick<Hello, 'node' | 'incarnation' | 'formerIncarnations'>,
): Verdict {
  if (known === undefined || known === 0 || known === incarnation) return ACCEPTED;
  if (formerIncarnations.includes(known)) return ACCEPTED;
  const what = `node ${node} is a wiped node under an old id (remove it and add it anew): incarnation`;
  return refuse('incarnation', what, known, incarnation);
}

function refuse(code: Mismatch, what: string, expected: string | number, received: string | number): Verdict {
  return { accepted: false, code, message: `${what}: expected ${expected}, received ${received}` };
}

function list(groups: readonly GroupId[]): string {
  return `${groups.slice(0, 8).join(', ')}${groups.length > 8 ? ' …' : ''}`;
}
