import type { GroupId, NodeId } from '../base/ids.js';
import { type AppenderOptions, type AppenderPorts, GroupAppender } from './appender.js';
import type { Calls } from './calls.js';
import { systemClock } from './clock.js';
import type { ChangeOptions, MembersRequest, MembersView } from './members-request.js';
import { checkObject } from './option-checks.js';
import type { PipelineOptions } from './pipeline-options.js';
import type { ReadOptions, ReadPoint } from './reads.js';
import { type GroupStatus, groupStatus } from './status.js';
import type { Turn } from './turn.js';
import type { Proposed, ProposedMany } from './waiters.js';

/** A replication group on this node. */
export class Group {
  readonly id: GroupId;
  readonly #turn: Turn;
  readonly #calls: Calls;

  constructor(id: GroupId, turn: Turn) {
    this.id = id;
    this.#turn = turn;
    this.#calls = turn.calls;
  }

  /**
   * Replicates one entry: 0 to `entryBytesMax` bytes, copied before the call returns. Resolves once it is committed and
   * applied here.
   *
   * Rejects with a RaftlineError: certainly not done are `RAFTLINE_NOT_LEADER` (`details.leader`), `RAFTLINE_OVERLOADED`
   * (both retryable), `RAFTLINE_ENTRY_TOO_LARGE` (`details.limit`); unknown are `RAFTLINE_OUTCOME_UNKNOWN` and, for what
   * was under way then, `RAFTLINE_CLOSED`.
   */
  propose(bytes: Uint8Array): Promise<Proposed> {
    try {
      return this.#calls.propose(this.id, bytes);
    } catch (refused) {
      return Promise.reject(refused);
    }
  }

  /**
   * Replicates several entries with one promise, at the cost of one copy each. They stand together in one batch: with consecutive
   * indexes, committed together or not at all. 1 to `pipeline.batchEntriesMax` entries, of at most `pipeline.batchBytesMax` in
   * all, four bytes for each counted in (a single entry may be larger); beyond that it is `RAFTLINE_ENTRY_TOO_LARGE`.
   * Refused as overloaded, room is kept for them for a while: come again in `details.retryAfterMs`.
   *
   * Otherwise as `propose`.
   */
  proposeMany(entries: readonly Uint8Array[]): Promise<ProposedMany> {
    return new Promise((resolve, reject) => this.#calls.proposeMany(this.id, entries, { resolve, reject }));
  }

  /**
   * For a stream of ordered entries: outcomes are told to callbacks, a run of entries at a time, at no cost per entry but its copy. A refusal is
   * what `append` returns; nothing is queued beyond `pipeline`.
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`
   */
  appender(options: AppenderOptions = {}): GroupAppender {
    const ports: AppenderPorts = {
      group: this.id,
      append: (bytes, listener) => this.#calls.append(this.id, bytes, listener),
      retryAfterMs: () => this.#turn.replica(this.id).proposals.retryAfterMs(),
      after: systemClock.after,
    };
    return new GroupAppender(ports, options);
  }

  /**
   * Makes a read of the local state machine linearizable, on any member, leader or not: resolves once everything that was
   * committed when it was called is applied here. Read right afterwards. A leader makes sure that it still leads, by asking a
   * quorum (read-index, Raft dissertation §6.4) or by its lease (§6.4.1); any other member asks the leader, once for all reads that wait.
   *
   * Rejects within two of the longest election timeouts, always with nothing done: `RAFTLINE_NOT_LEADER` when leadership was lost meanwhile
   * or no leader was found (`details.leader` 0), `RAFTLINE_OVERLOADED` when 65,536 reads wait (both retryable), `RAFTLINE_TIMEOUT` when
   * no quorum answered or this node's state machine is too far behind, `RAFTLINE_OPTION_INVALID` for a policy that cannot be had.
   */
  read(options: ReadOptions = {}): Promise<ReadPoint> {
    return new Promise((resolve, reject) => this.#calls.read(this.id, options, resolve, reject));
  }

  /**
   * Asks for leadership to pass to another voter, which is first brought up to date; proposals wait meanwhile, for one election
   * timeout at most, and are refused as `RAFTLINE_NOT_LEADER` once they fill a batch. Whether it worked shows as a `leadership` event.
   * @throws RaftlineError `RAFTLINE_NOT_LEADER`, `RAFTLINE_MEMBERS_BUSY` while another transfer is under way (both retryable), or
   * `RAFTLINE_OPTION_INVALID` for a node that cannot take it
   */
  transferLeadership(to: NodeId): void {
    this.#calls.transferLeadership(this.id, to);
  }

  /** Who the members are, as this node's log has it. On a follower it may be behind. */
  members(): MembersView {
    return this.#turn.replica(this.id).members.view();
  }

  /**
   * Adds the node that waits at `address` (`join: true`, an empty directory): it is asked who it is, becomes a learner, catches up with the
   * log, and is then made a voter, unless `as` says that it is to stay a learner. Of a member that is there already it changes the address.
   *
   * What is done already is skipped, so after any failure the same call may be made again. Like all changes of members it runs on the
   * leader, one at a time, and settles within `timeoutMs` with one of three outcomes: resolved is committed, with the members as they are
   * then; `RAFTLINE_OUTCOME_UNKNOWN` may still come into force; any other code: this step certainly has not (of two steps the first, learner, may
   * have). Codes: `RAFTLINE_NOT_LEADER`, `RAFTLINE_MEMBERS_BUSY` (both retryable), `RAFTLINE_MEMBERS_CHANGED` (`expectedIndex` does not hold),
   * `RAFTLINE_MEMBER_INVALID`, `RAFTLINE_MEMBER_REMOVED`, `RAFTLINE_UNREACHABLE`, `RAFTLINE_HANDSHAKE_REFUSED`, `RAFTLINE_MEMBER_LAGGING`,
   * `RAFTLINE_TIMEOUT`, `RAFTLINE_OPTION_INVALID`.
   */
  async addMember(
    member: { id: NodeId; address: string; as?: 'voter' | 'learner' },
    options: ChangeOptions = {},
  ): Promise<MembersView> {
    const { id, address, as = 'voter' } = checkObject('member', member);
    return this.#change({ type: 'add', id, address, as }, options);
  }

  /** Makes a learner a voter, once it has caught up. Outcomes as of `addMember`. */
  promoteMember(id: NodeId, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'promote', id }, options);
  }

  /**
   * Removes a member for good: its directory gets a tombstone. A leader that is removed hands over first, and answers before it goes. Outcomes as
   * of `addMember`.
   */
  removeMember(id: NodeId, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'remove', id }, options);
  }

  /**
   * Any set of voters to any other in one step (joint consensus, Raft §6), of nodes that are members already. Who is in neither list is
   * removed. Outcomes as of `addMember`.
   */
  async changeMembers(
    members: { voters: readonly NodeId[]; learners?: readonly NodeId[] },
    options: ChangeOptions = {},
  ): Promise<MembersView> {
    const { voters, learners = [] } = checkObject('members', members);
    return this.#change({ type: 'set', voters, learners }, options);
  }

  /**
   * Changes the group's pipeline while it runs: what is given holds at once, for what is not sealed or not sent yet; nothing in flight is
   * lost. Over this stands only what the group or the engine says of a single follower. It is forgotten with the process, as
   * options are.
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`; then nothing was changed
   */
  tune(pipeline: PipelineOptions): void {
    this.#calls.tune(this.id, pipeline);
  }

  /**
   * Sets what leaders of this group may compress with, in its configuration: 0 nothing, 1 LZ4 (how every cluster begins), 2 deflate as well. It is in
   * force for what is sealed once it is committed. Every node reads all of it; only go beyond 1 when no member is of a version that does
   * not know level 2. Outcomes as of `addMember`.
   */
  setCompressionLevel(level: number, options: ChangeOptions = {}): Promise<MembersView> {
    return this.#change({ type: 'compression', level }, options);
  }

  status(): GroupStatus {
    return groupStatus(this.#turn.replica(this.id), this.#turn);
  }

  #change(request: MembersRequest, options: ChangeOptions): Promise<MembersView> {
    return new Promise((resolve, reject) =>
      this.#calls.changeMembers(this.id, request, options, resolve, reject),
    );
  }
}
