import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, NodeId } from '../base/ids.js';
import { encodeEnvelope } from '../codec/envelope.js';
import { MEMBER_ACTIONS, type MemberAction } from '../codec/envelope-types.js';
import type { inboxCodec } from '../workers/records.js';
import type { Clock } from './clock.js';
import type { Hub } from './hub.js';
import type { ChangeOptions, MembersRequest, MembersView } from './members-request.js';
import type { Replica } from './replica.js';

type MemberRecord = Extract<ReturnType<typeof inboxCodec.read>, { type: 'memberRequest' }>;

/** Transfers asked for from outside that may be under way at a time. */
const TRANSFERS_MAX = 64;

/** What goes through the log. */
type ChangeAction = Exclude<MemberAction, 'list' | 'transfer'>;

interface Transfer {
  replica: Replica;
  to: NodeId;
  deadlineMs: number;
  answer: (error?: RaftlineError) => void;
}

/** What remote clients ask about members, and ask to be changed. Everything but the answer itself is the replica's. */
export class RemoteMembers {
  readonly #hub: Hub;
  readonly #replicas: ReadonlyMap<GroupId, Replica>;
  readonly #clock: Clock;
  #transfers: Transfer[] = [];

  constructor(hub: Hub, replicas: ReadonlyMap<GroupId, Replica>, clock: Clock) {
    this.#hub = hub;
    this.#replicas = replicas;
    this.#clock = clock;
  }

  take(record: MemberRecord): void {
    const { stream, requestId, group } = record;
    const answer = (view: MembersView | undefined, error?: RaftlineError): void => {
      const { leader = 0, leaderAddress = '' } = error?.details ?? {};
      const body = encodeEnvelope({
        type: 'memberReply',
        requestId,
        code: error?.code ?? '',
        message: error?.message ?? '',
        leader: Number(leader),
        leaderAddress: String(leaderAddress),
        json: view === undefined ? '' : JSON.stringify(view),
      }).bytes;
      this.#hub.command({ type: 'clientReply', stream, body });
      this.#hub.wake();
    };
    try {
      const replica = this.#replicas.get(group);
      if (replica === undefined)
        throw new RaftlineError(ErrorCode.GroupUnknown, `group ${group} is not on this node`);
      if (!replica.leads) throw replica.notLeader();
      const action = MEMBER_ACTIONS[record.action] ?? 'list';
      if (action === 'list') answer(replica.members.view());
      else if (action === 'transfer') this.#transfer(replica, record, answer);
      else change(replica, action, record, answer);
    } catch (thrown) {
      answer(undefined, toRaftlineError(thrown));
    }
  }

  /** Answers transfers that have ended. */
  poll(): void {
    if (this.#transfers.length === 0) return;
    this.#transfers = this.#transfers.filter((transfer) => !this.#hasEnded(transfer));
  }

  #transfer(
    replica: Replica,
    record: MemberRecord,
    answer: (view: MembersView | undefined, error?: RaftlineError) => void,
  ): void {
    const { node: to, timeoutMs } = record;
    if (replica.id === to) {
      answer(replica.members.view());
      return;
    }
    if (this.#transfers.length >= TRANSFERS_MAX)
      throw new RaftlineError(ErrorCode.Overloaded, 'too many transfers at a time');
    replica.transferLeadership(to);
    const deadlineMs = this.#clock.nowMs() + timeoutMs;
    const told = (error?: RaftlineError) =>
      answer(error === undefined ? replica.members.view() : undefined, error);
    this.#transfers.push({ replica, to, deadlineMs, answer: told });
  }

  #hasEnded({ replica, to, deadlineMs, answer }: Transfer): boolean {
    if (replica.leader === to) answer();
    else if (replica.leads && replica.status().transferTo === to && this.#clock.nowMs() < deadlineMs)
      return false;
    else if (!replica.leads && replica.leader === 0 && this.#clock.nowMs() < deadlineMs) return false;
    else {
      const message = `group ${replica.group}: node ${to} did not take the leadership over in time`;
      answer(new RaftlineError(ErrorCode.Timeout, message, { leader: replica.leader }));
    }
    return true;
  }
}

function change(
  replica: Replica,
  action: ChangeAction,
  record: MemberRecord,
  answer: (view: MembersView | undefined, error?: RaftlineError) => void,
): void {
  const { node: id, body, compare, expectedIndex, timeoutMs, level } = record;
  const options: ChangeOptions = compare === 1 ? { expectedIndex, timeoutMs } : { timeoutMs };
  replica.members.begin(
    requestOf(action, id, body.toString('utf8'), level),
    options,
    (view) => answer(view),
    (error) => answer(undefined, toRaftlineError(error)),
  );
}

function requestOf(action: ChangeAction, id: NodeId, address: string, level: number): MembersRequest {
  switch (action) {
    case 'add':
      return { type: 'add', id, address, as: 'voter' };
    case 'learn':
      return { type: 'add', id, address, as: 'learner' };
    case 'compression':
      return { type: 'compression', level };
    default:
      return { type: action, id };
  }
}
