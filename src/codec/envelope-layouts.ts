import { SAFE_MAX, U32_MAX } from '../base/ids.js';
import { ADDRESS_CHARS_MAX, BATCH_ENTRIES_CEILING, JSON_CHARS_MAX, TOMBSTONES_MAX } from '../base/limits.js';
import type { ControlMessage } from '../base/messages.js';
import { type Envelope, MEMBER_ACTIONS } from './envelope-types.js';
import type { Field } from './fields.js';
import { Message } from './generated/message.js';

/** Everything that the union in `schemas/envelope.fbs` can hold: a control envelope holds its message directly. */
export type FlatMessage = Exclude<Envelope, { type: 'control' }> | ControlMessage;

type Named<Type> = Extract<FlatMessage, { type: Type }>;

interface Layout<Type> {
  /** Its number in the union. */
  tag: Message;
  /** In the schema's order. */
  fields: readonly Field<Exclude<keyof Named<Type>, 'type'> & string>[];
}

const CLUSTER_ID_CHARS_MAX = 64;
const CODE_CHARS_MAX = 64;
const MESSAGE_CHARS_MAX = 1024;
const GROUPS_MAX = 16 * 1024;
const BATCHES_MAX = 64 * 1024;
const PORT_MAX = 0xffff;

function u32<Name extends string>(name: Name, min = 0, max = U32_MAX) {
  return { name, kind: 'u32', min, max } as const;
}

function u64<Name extends string>(name: Name, min = 0) {
  return { name, kind: 'u64', min, max: SAFE_MAX } as const;
}

function flag<Name extends string>(name: Name) {
  return { name, kind: 'flag' } as const;
}

function choice<Name extends string>(name: Name, ...choices: string[]) {
  return { name, kind: 'choice', choices } as const;
}

function text<Name extends string>(name: Name, charsMax: number) {
  return { name, kind: 'text', charsMax, clipped: false } as const;
}

/** Text for people: what is too long is cut when it is written. */
function clippedText<Name extends string>(name: Name, charsMax: number) {
  return { name, kind: 'text', charsMax, clipped: true } as const;
}

/** Numbers of 4 or 8 bytes. */
function list<Name extends string>(name: Name, itemBytes: 4 | 8, countMax: number) {
  return { name, kind: 'list', itemBytes, countMax } as const;
}

const ADDRESSED = [u32('group', 1), u32('from', 1), u32('to', 1), u64('term', 1)] as const;
const CODE = text('code', CODE_CHARS_MAX);
const MESSAGE = clippedText('message', MESSAGE_CHARS_MAX);
const CLUSTER_ID = text('clusterId', CLUSTER_ID_CHARS_MAX);
const FORMER_INCARNATIONS = list('formerIncarnations', 8, TOMBSTONES_MAX);
const COUNT = u32('count', 1, BATCH_ENTRIES_CEILING);

/** The layout of every message: one place that writer and reader share, held against the schema by a test. */
export const LAYOUTS: { readonly [Type in FlatMessage['type']]: Layout<Type> } = {
  hello: {
    tag: Message.Hello,
    fields: [
      u32('protocolVersion', 1),
      u32('formatVersion', 1),
      CLUSTER_ID,
      u32('node', 1),
      u64('incarnation', 1),
      u32('receiver', 1),
      choice('lane', 'control', 'append', 'snapshot'),
      list('groups', 4, GROUPS_MAX),
      u32('bootstrapChecksum'),
      u32('leaseMs'),
      FORMER_INCARNATIONS,
    ],
  },
  helloReply: {
    tag: Message.HelloReply,
    fields: [
      flag('accepted'),
      CODE,
      MESSAGE,
      u32('node'),
      u64('incarnation'),
      u32('controlPort', 0, PORT_MAX),
      u32('dataPort', 0, PORT_MAX),
      u32('clientPort', 0, PORT_MAX),
      FORMER_INCARNATIONS,
    ],
  },
  vote: {
    tag: Message.VoteRequest,
    fields: [...ADDRESSED, u64('lastIndex'), u64('lastTerm'), flag('preVote'), flag('transfer')],
  },
  voteReply: {
    tag: Message.VoteReply,
    fields: [...ADDRESSED, flag('granted'), flag('preVote'), u64('removed')],
  },
  heartbeat: { tag: Message.Heartbeat, fields: [...ADDRESSED, u64('commit'), u64('round')] },
  heartbeatReply: { tag: Message.HeartbeatReply, fields: [...ADDRESSED, u64('round'), u64('lastIndex')] },
  timeoutNow: { tag: Message.TimeoutNow, fields: ADDRESSED },
  append: {
    tag: Message.Append,
    fields: [
      ...ADDRESSED,
      u64('session'),
      u64('prevIndex'),
      u64('prevTerm'),
      u64('commit'),
      flag('more'),
      u32('batches', 0, BATCHES_MAX),
    ],
  },
  appendReply: {
    tag: Message.AppendReply,
    fields: [
      ...ADDRESSED,
      u64('session'),
      choice('kind', 'received', 'durable', 'refused'),
      u64('match'),
      u64('hintIndex'),
      u64('hintTerm'),
      u64('applied'),
    ],
  },
  clientHello: { tag: Message.ClientHello, fields: [u32('protocolVersion', 1), CLUSTER_ID, u64('clientId')] },
  clientWelcome: {
    tag: Message.ClientWelcome,
    fields: [flag('accepted'), CODE, MESSAGE, u32('node'), CLUSTER_ID],
  },
  propose: {
    tag: Message.Propose,
    fields: [u32('group', 1), u64('clientId', 1), u64('firstSequence', 1), COUNT],
  },
  proposeReply: {
    tag: Message.ProposeReply,
    fields: [
      u32('group', 1),
      u64('firstSequence', 1),
      COUNT,
      u64('index'),
      u64('term'),
      choice('outcome', 'applied', 'duplicate', 'refused', 'unknown'),
      CODE,
      MESSAGE,
      u32('leader'),
      text('leaderAddress', ADDRESS_CHARS_MAX),
    ],
  },
  statusRequest: { tag: Message.StatusRequest, fields: [u64('requestId'), u32('fromGroup')] },
  statusReply: { tag: Message.StatusReply, fields: [u64('requestId'), text('json', JSON_CHARS_MAX)] },
  tailRequest: { tag: Message.TailRequest, fields: [u32('group', 1), u64('from', 1), flag('follow')] },
  tailChunk: {
    tag: Message.TailChunk,
    fields: [u32('group', 1), u64('firstIndex', 1), u64('term', 1), COUNT],
  },
  tailEnd: { tag: Message.TailEnd, fields: [u64('lastIndex'), CODE, MESSAGE] },
  readIndex: { tag: Message.ReadIndexRequest, fields: [...ADDRESSED, u64('context', 1), flag('lease')] },
  readIndexReply: { tag: Message.ReadIndexReply, fields: [...ADDRESSED, u64('context', 1), u64('index', 1)] },
  memberRequest: {
    tag: Message.MemberRequest,
    fields: [
      u64('requestId'),
      u32('group', 1),
      choice('action', ...MEMBER_ACTIONS),
      u32('node'),
      text('address', ADDRESS_CHARS_MAX),
      flag('compare'),
      u64('expectedIndex'),
      u32('timeoutMs', 1, 0x7fff_ffff),
      u32('level'),
    ],
  },
  memberReply: {
    tag: Message.MemberReply,
    fields: [
      u64('requestId'),
      CODE,
      MESSAGE,
      u32('leader'),
      text('leaderAddress', ADDRESS_CHARS_MAX),
      text('json', JSON_CHARS_MAX),
    ],
  },
  memberNews: { tag: Message.MemberNews, fields: [text('json', JSON_CHARS_MAX)] },
};
