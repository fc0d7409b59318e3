import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { LogIndex, NodeId, Term } from '../base/ids.js';
import { MESSAGE_BYTES_CEILING } from '../base/limits.js';
import { GrpcTransport } from '../transport/grpc.js';
import { Appender, closedError } from './appender.js';
import { type ChangeOptions, type MemberQuestion, type Members, MembersClient } from './members.js';
import {
  type ClientConfig,
  type ClientOptions,
  type ClientWorld,
  parseClientOptions,
  realWorld,
} from './options.js';
import { requestStatus } from './status.js';
import { type TailChunk, tailReplica } from './tail.js';
import type { AppendCallback } from './window.js';

/** Where an appended entry stands. */
export interface Appended {
  /** 0: applied by an earlier try whose answer was lost, at a place no longer remembered. */
  index: LogIndex;
  term: Term;
}

/** An entry given to `append` while the window was full. */
interface Waiting {
  bytes: Uint8Array;
  callback: AppendCallback;
}

/** Queued on one stream before it takes no more, bytes. */
const STREAM_QUEUE_BYTES = 2 * 1024 * 1024;

/**
 * The remote client: ordered appends that are applied once however often the connection or the leader changes, and
 * what a replica has to say of itself. One client is one session of the cluster; its entries keep their order.
 */
export class RaftlineClient {
  readonly appender: Appender;
  readonly #config: ClientConfig;
  readonly #world: ClientWorld;
  /** Follows the leader on its own, as the appender does. */
  readonly #members: MembersClient;
  /** First in, first out; `append` waits here while the window is full. Bounded like the window itself. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #closed = false;

  /**
   * Nothing is connected before the first call.
   * @param world network, clock and chance; only tests give one
   * @throws RaftlineError `RAFTLINE_OPTION_INVALID`, `RAFTLINE_ADDRESS_INVALID`
   */
  constructor(options: ClientOptions, world?: ClientWorld) {
    this.#config = parseClientOptions(options);
    this.#world = world ?? realWorld(connectOnly(options));
    this.#members = new MembersClient(this.#config, this.#world);
    this.appender = new Appender(this.#config, this.#world, (members) => this.#members.learn(members));
  }

  /** The node that answered the last append, 0 while none is known. */
  get leader(): NodeId {
    return this.appender.leader;
  }

  /**
   * Appends one entry, after all those appended before. Resolves once it is committed and applied.
   *
   * Three outcomes: resolved is done; rejected with `RAFTLINE_OUTCOME_UNKNOWN` is not known (it was sent, and no answer came in
   * time); rejected with any other code is certainly not done. For many entries `appender` costs far less.
   */
  append(bytes: Uint8Array): Promise<Appended> {
    return new Promise((resolve, reject) => {
      const callback: AppendCallback = (error, { index, term }) => {
        if (error === undefined) resolve({ index, term });
        else reject(error);
      };
      if (this.#waiting.length === 0 && this.appender.append(bytes, callback)) return;
      const { entriesMax, bytesMax } = this.#config;
      if (this.#waiting.length >= entriesMax || this.#waitingBytes >= bytesMax) {
        const message = `${this.#waiting.length} appends already wait for room in the window`;
        const { retryAfterMs } = this.appender;
        const details = { reason: message, retryAfterMs, limit: entriesMax };
        throw new RaftlineError(ErrorCode.Overloaded, message, details);
      }
      this.#waiting.push({ bytes: Uint8Array.from(bytes), callback });
      this.#waitingBytes += bytes.length;
      if (this.#waiting.length === 1) void this.#admitWaiting();
    });
  }

  /** The members of the group, from its leader. */
  members(options: ChangeOptions = {}): Promise<Members> {
    return this.#ask({ action: 'list', options });
  }

  /**
   * As `addMember` of a group of the engine, asked of the leader: adds the node that waits at `address`, or moves a member. Asked again by itself
   * where the leader changes or an answer is lost, except with `expectedIndex`, which then ends as `RAFTLINE_OUTCOME_UNKNOWN`.
   */
  addMember(
    { id, address, as = 'voter' }: { id: NodeId; address: string; as?: 'voter' | 'learner' },
    options: ChangeOptions = {},
  ): Promise<Members> {
    return this.#ask({ action: as === 'voter' ? 'add' : 'learn', node: id, address, options });
  }

  /** Makes a learner a voter, once it has caught up. Outcomes as of `addMember`. */
  promoteMember(id: NodeId, options: ChangeOptions = {}): Promise<Members> {
    return this.#ask({ action: 'promote', node: id, options });
  }

  /** Removes a member for good. Outcomes as of `addMember`. */
  removeMember(id: NodeId, options: ChangeOptions = {}): Promise<Members> {
    return this.#ask({ action: 'remove', node: id, options });
  }

  /**
   * Hands leadership to another voter, and resolves once that one leads. Each try lasts an election timeout at most, in which proposals wait; it is
   * tried again until `timeoutMs` are over. `RAFTLINE_TIMEOUT`: it did not take over.
   */
  transferLeadership(to: NodeId, options: ChangeOptions = {}): Promise<Members> {
    return this.#ask({ action: 'transfer', node: to, options });
  }

  /**
   * Sets what leaders of the group may compress with, in its configuration: 0 nothing, 1 LZ4 (how every cluster begins), 2 deflate as well. Outcomes as
   * of `addMember`.
   */
  setCompressionLevel(level: number, options: ChangeOptions = {}): Promise<Members> {
    return this.#ask({ action: 'compression', level, options });
  }

  /** What the node at `address` says of itself: an `EngineStatus`. */
  status(address: string): Promise<unknown> {
    if (this.#closed) return Promise.reject(closedError());
    return requestStatus(this.#config, this.#world, address);
  }

  /**
   * What the replica at `address` has applied, in order, from index `from` on; with `follow` it goes on with what comes. Stops
   * fetching while the consumer is slow; leaving the loop ends the stream.
   */
  tail(address: string, from: LogIndex = 1, follow = false): AsyncGenerator<TailChunk, void, undefined> {
    return tailReplica(this.#config, this.#world, { address, from, follow });
  }

  /** Fails what is outstanding and ends every stream. Twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.appender.close();
    this.#members.close();
    this.#world.transport.close();
  }

  #ask(question: MemberQuestion): Promise<Members> {
    if (this.#closed) return Promise.reject(closedError());
    return this.#members.ask(question);
  }

  async #admitWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.appender.drained();
      this.#admitWhileRoom();
    }
  }

  #admitWhileRoom(): void {
    let admitted = 0;
    for (const { bytes, callback } of this.#waiting) {
      try {
        if (!this.appender.append(bytes, callback)) break;
      } catch (thrown) {
        const run = { firstSequence: 0, count: 1, index: 0, term: 0, duplicate: false };
        callback(thrown as RaftlineError, run);
      }
      admitted++;
      this.#waitingBytes -= bytes.length;
    }
    this.#waiting.splice(0, admitted);
  }
}

function connectOnly(options: ClientOptions): GrpcTransport {
  return new GrpcTransport({
    messageBytesMax: MESSAGE_BYTES_CEILING,
    queuedBytesMax: STREAM_QUEUE_BYTES,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
}
