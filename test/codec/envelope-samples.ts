import { SAFE_MAX, U32_MAX } from '../../src/base/ids.js';
import type { Envelope } from '../../src/codec/envelope.js';

const addressed = { group: 7, from: 1, to: U32_MAX, term: 2 ** 40 + 3 };

/** One of every message, no two fields of one with the same value, large numbers where they are allowed. */
export const SAMPLES: readonly Envelope[] = [
  {
    type: 'hello',
    protocolVersion: 1,
    formatVersion: 2,
    clusterId: 'orders-éü',
    node: 3,
    incarnation: SAFE_MAX,
    receiver: 4,
    lane: 'append',
    groups: [1, 9, U32_MAX],
    bootstrapChecksum: 0xdead_beef,
    leaseMs: 450,
    formerIncarnations: [SAFE_MAX, 7, 2 ** 40 + 9],
  },
  {
    type: 'helloReply',
    accepted: true,
    code: 'RAFTLINE_HANDSHAKE_REFUSED',
    message: 'expected cluster a, received b',
    node: 3,
    incarnation: 2 ** 52 + 1,
    controlPort: 65_535,
    dataPort: 7001,
    clientPort: 7002,
    formerIncarnations: [2 ** 53 - 2],
  },
  {
    type: 'control',
    message: {
      type: 'vote',
      ...addressed,
      lastIndex: 2 ** 50,
      lastTerm: 2 ** 40,
      preVote: true,
      transfer: false,
    },
  },
  {
    type: 'control',
    message: { type: 'voteReply', ...addressed, granted: false, preVote: true, removed: 77 },
  },
  { type: 'control', message: { type: 'heartbeat', ...addressed, commit: 2 ** 45, round: 12 } },
  { type: 'control', message: { type: 'heartbeatReply', ...addressed, round: 2 ** 33, lastIndex: 55 } },
  { type: 'control', message: { type: 'timeoutNow', ...addressed } },
  { type: 'control', message: { type: 'readIndex', ...addressed, context: 2 ** 51, lease: true } },
  {
    type: 'control',
    message: { type: 'readIndexReply', ...addressed, context: 2 ** 51 + 1, index: 2 ** 44 },
  },
  {
    type: 'append',
    ...addressed,
    session: 5,
    prevIndex: 2 ** 50,
    prevTerm: 2 ** 39,
    commit: 2 ** 49,
    more: true,
    batches: 65_536,
  },
  {
    type: 'appendReply',
    ...addressed,
    session: 6,
    kind: 'durable',
    match: 2 ** 50,
    hintIndex: 10,
    hintTerm: 8,
    applied: 2 ** 48,
  },
  { type: 'clientHello', protocolVersion: 1, clusterId: 'orders', clientId: SAFE_MAX },
  {
    type: 'clientWelcome',
    accepted: false,
    code: 'RAFTLINE_CLOSED',
    message: 'going',
    node: 2,
    clusterId: 'orders',
  },
  { type: 'propose', group: 7, clientId: 2 ** 44, firstSequence: 2 ** 43, count: 1024 },
  {
    type: 'proposeReply',
    group: 7,
    firstSequence: 2 ** 43,
    count: 1 << 20,
    index: 2 ** 42,
    term: 2 ** 41,
    outcome: 'unknown',
    code: 'RAFTLINE_NOT_LEADER',
    message: 'the leader is node 2',
    leader: 2,
    leaderAddress: '127.0.0.1:7000',
  },
  { type: 'statusRequest', requestId: 77, fromGroup: 2 ** 31 },
  { type: 'statusReply', requestId: 78, json: '{"groups":[]}' },
  { type: 'tailRequest', group: 7, from: 2 ** 35, follow: true },
  { type: 'tailChunk', group: 7, firstIndex: 2 ** 36, term: 2 ** 37, count: 3 },
  { type: 'tailEnd', lastIndex: 2 ** 38, code: 'RAFTLINE_CLOSED', message: 'no more' },
  {
    ...{ type: 'memberRequest', requestId: 79, group: 7, action: 'learn', node: 4, address: 'four:7004' },
    ...{ compare: true, expectedIndex: 2 ** 39, timeoutMs: 60_000, level: 2 },
  },
  {
    ...{ type: 'memberReply', requestId: 79, code: 'RAFTLINE_NOT_LEADER', message: 'node 2 leads' },
    ...{ leader: 2, leaderAddress: 'two:7002', json: '{}' },
  },
  { type: 'memberNews', json: '[{"id":1,"address":"one:7001"}]' },
];

/** The message itself: a control envelope carries it inside. */
export function messageOf(envelope: Envelope): Record<string, unknown> & { type: string } {
  return { ...(envelope.type === 'control' ? envelope.message : envelope) };
}
