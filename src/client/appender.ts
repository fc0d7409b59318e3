import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { NodeId, Sequence } from '../base/ids.js';
import { ENTRY_BYTES_CEILING, PROPOSE_BYTES_MAX } from '../base/limits.js';
import type { MemberAddress } from '../base/messages.js';
import { retryAfterHint } from '../base/retry-after.js';
import type { Envelope, ProposeReply } from '../codec/envelope.js';
import { Connection, errorFromServer } from './connection.js';
import type { ClientConfig, ClientWorld } from './options.js';
import { Servers } from './servers.js';
import { type AppendCallback, Window } from './window.js';

/** Until a stream has answered once, only this much is on it (C3): a wrong server costs little. */
const FIRST_PIECE_BYTES_MAX = 1024;
/** What may be queued on the stream; the rest stays in the window, where it can still be sent elsewhere. */
const QUEUED_BYTES_MAX = 1024 * 1024;
/** How often deadlines are looked at while something is outstanding. */
const TICK_MS = 50;

/** Refusals that no other server and no later try would take back. */
const FINAL: ReadonlySet<string> = new Set([
  ErrorCode.GroupUnknown,
  ErrorCode.SessionExpired,
  ErrorCode.UsageInvalid,
  ErrorCode.OptionInvalid,
]);

/**
 * Ordered appends over one stream at a time (C1). Entries are numbered, sent in order, and sent again under the same numbers
 * after a break, to whichever server leads; the replicated session table applies each once. Nothing is held per
 * entry but its packed bytes.
 */
export class Appender {
  readonly #config: ClientConfig;
  readonly #world: ClientWorld;
  readonly #servers: Servers;
  readonly #window: Window;
  readonly #onMembers: (members: MemberAddress[]) => void;
  #connection: Connection | undefined;
  #node: NodeId = 0;
  #welcomed = false;
  /** The current stream has answered once. */
  #gateOpen = false;
  /** The stream took no more; it says when it does again. */
  #blocked = false;
  #flushScheduled = false;
  /** Every server refuses the entry at `from`: it and what follows fail once everything before is answered (C7). */
  #refusal: { from: Sequence; error: RaftlineError } | undefined;
  /** Callbacks of given up entries are running; new entries would belong to the old numbering. */
  #givingUp = false;
  #closed = false;
  #progressAt = 0;
  #serverProgressAt = 0;
  #lastError: RaftlineError | undefined;
  #cancelTick: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #drainWaiters: (() => void)[] = [];
  #settleWaiters: (() => void)[] = [];

  /** `onMembers` is told where the members are now. */
  constructor(config: ClientConfig, world: ClientWorld, onMembers: (members: MemberAddress[]) => void) {
    this.#config = config;
    this.#world = world;
    this.#onMembers = onMembers;
    this.#servers = new Servers(config.servers);
    const { entriesMax, bytesMax } = config;
    const blockBytes = Math.min(PROPOSE_BYTES_MAX, Math.floor(bytesMax / 4));
    this.#window = new Window(world.newClientId(), { entriesMax, bytesMax, blockBytes });
  }

  /** Entries appended and not answered yet. */
  get outstanding(): number {
    return this.#window.entries;
  }

  /** The node that answered last on the current stream, 0 when there is none. */
  get leader(): NodeId {
    return this.#gateOpen ? this.#node : 0;
  }

  /** How long it may take until there is room, ms: for how long nothing was answered, within 1 … 1000. */
  get retryAfterMs(): number {
    return retryAfterHint(this.outstanding === 0 ? 0 : this.#world.clock.now() - this.#progressAt);
  }

  /**
   * Takes a copy of `bytes` as the next entry. `callback` is called once per run of consecutive entries that were given the same
   * function, never from inside this call's own turn.
   *
   * @returns false when the window is full: nothing was taken, append again after `drained()`
   * @throws RaftlineError `RAFTLINE_CLOSED`, `RAFTLINE_ENTRY_TOO_LARGE` (beyond what any cluster may allow)
   */
  append(bytes: Uint8Array, callback: AppendCallback): boolean {
    if (this.#closed) throw closedError();
    if (bytes.length > ENTRY_BYTES_CEILING) throw tooLargeError(bytes.length);
    if (this.#refusal !== undefined || this.#givingUp || !this.#window.push(bytes, callback)) return false;
    if (this.#window.entries === 1) this.#begin();
    if (this.#window.blockReady) this.#pump();
    else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => {
        this.#flushScheduled = false;
        this.#pump();
      });
    }
    return true;
  }

  /** Resolves when it is worth appending again after a false. */
  drained(): Promise<void> {
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Resolves when nothing is outstanding. Never rejects: callbacks tell what became of the entries. */
  settled(): Promise<void> {
    if (this.#window.entries === 0) return Promise.resolve();
    return new Promise((resolve) => this.#settleWaiters.push(resolve));
  }

  /** Fails what is outstanding: as unknown what was sent, as closed the rest. Twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTick?.();
    this.#giveUp(this.#window.everSent, closedError());
  }

  #begin(): void {
    this.#progressAt = this.#world.clock.now();
    this.#serverProgressAt = this.#progressAt;
    this.#cancelTick ??= this.#world.clock.after(TICK_MS, () => this.#tick());
    if (this.#connection === undefined && this.#cancelRetry === undefined) this.#connect();
  }

  #connect(): void {
    this.#cancelRetry = undefined;
    this.#serverProgressAt = this.#world.clock.now();
    const introduction = { cluster: this.#config.cluster, clientId: this.#window.clientId };
    const connection = new Connection(this.#world.transport, this.#servers.next(), introduction, {
      onWelcome: (welcome) => {
        this.#welcomed = true;
        this.#servers.welcomed();
        this.#node = welcome.node;
        this.#serverProgressAt = this.#world.clock.now();
        this.#pump();
      },
      onMembers: (members) => {
        this.#servers.learn(members);
        this.#onMembers(members);
      },
      onMessage: (envelope) => this.#receive(connection, envelope),
      onClose: (cause) => this.#lost(connection, cause),
    });
    this.#connection = connection;
  }

  /**
   * The stream is gone: everything unanswered goes again, to the next server (C6). Unless the servers want nothing of us
   * at all: then what was never sent certainly is not done.
   */
  #lost(connection: Connection, cause: RaftlineError): void {
    this.#connection = undefined;
    this.#welcomed = false;
    this.#gateOpen = false;
    this.#blocked = false;
    this.#window.rewind();
    if (this.#closed || this.#givingUp || this.#window.entries === 0) return;
    if (cause.code === ErrorCode.HandshakeRefused && this.#servers.turnedAway(connection.address)) {
      this.#giveUp(this.#window.everSent, cause);
      return;
    }
    this.#lastError = cause;
    this.#config.onRetry(cause, connection.address);
    const delayMs = this.#servers.delayMs();
    if (delayMs === 0) this.#connect();
    else this.#cancelRetry = this.#world.clock.after(delayMs, () => this.#connect());
  }

  /** Puts on the stream what it takes. */
  #pump(): void {
    const connection = this.#connection;
    while (connection !== undefined && this.#welcomed && !this.#blocked) {
      if (!this.#gateOpen && this.#window.unsent > this.#window.firstUnanswered) return;
      const piece = this.#window.peek(this.#gateOpen ? PROPOSE_BYTES_MAX : FIRST_PIECE_BYTES_MAX);
      if (piece === undefined) return;
      const { firstSequence, count, bytes } = piece;
      const { group } = this.#config;
      const { clientId } = this.#window;
      const roomAgain = (): void => {
        if (this.#connection !== connection || !this.#blocked) return;
        this.#blocked = false;
        this.#pump();
      };
      const propose: Envelope = { type: 'propose', group, clientId, firstSequence, count };
      if (!connection.send(propose, bytes, roomAgain)) {
        this.#blocked = true;
        return;
      }
      this.#window.sent(piece);
      this.#blocked = connection.queuedBytes >= QUEUED_BYTES_MAX;
    }
  }

  #receive(connection: Connection, envelope: Envelope): void {
    if (this.#connection !== connection) return;
    if (envelope.type !== 'proposeReply' || envelope.group !== this.#config.group) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `${connection.address}: expected proposeReply of group ${this.#config.group}, received ${envelope.type}`,
      );
    }
    if (envelope.outcome === 'applied' || envelope.outcome === 'duplicate') {
      this.#answered(connection, envelope);
      return;
    }
    const error = errorFromServer(envelope.code, envelope.message, connection.address);
    if (envelope.outcome === 'refused') this.#refused(connection, envelope, error);
    else this.#leave(connection, envelope, error);
  }

  #answered(connection: Connection, reply: ProposeReply): void {
    const next = this.#window.firstUnanswered;
    const end = reply.firstSequence + reply.count;
    if (end <= next) return;
    if (reply.firstSequence > next || end > this.#window.unsent) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `${connection.address}: expected an answer for sequence ${next}, received ${reply.firstSequence} to ${end - 1}`,
      );
    }
    this.#gateOpen = true;
    this.#progressAt = this.#world.clock.now();
    this.#serverProgressAt = this.#progressAt;
    this.#servers.progressed();
    const skipped = next - reply.firstSequence;
    const index = reply.index === 0 ? 0 : reply.index + skipped;
    this.#window.answer(reply.count - skipped, index, reply.term, reply.outcome === 'duplicate');
    if (this.#refusal !== undefined && this.#window.firstUnanswered >= this.#refusal.from) {
      this.#giveUp(0, this.#refusal.error);
      return;
    }
    this.#wakeWaiters();
    this.#pump();
  }

  #refused(connection: Connection, reply: ProposeReply, error: RaftlineError): void {
    const { firstSequence } = reply;
    if (error.code === ErrorCode.EntryTooLarge && firstSequence >= this.#window.firstUnanswered) {
      this.#window.stopBefore(firstSequence);
      this.#refusal = { from: firstSequence, error };
      if (firstSequence > this.#window.firstUnanswered) this.#leave(connection, reply, error);
      else this.#giveUp(0, error);
    } else if (FINAL.has(error.code)) {
      this.#giveUp(Math.max(this.#window.sentBefore, firstSequence), error);
    } else this.#leave(connection, reply, error);
  }

  /** On to the next server, with everything unanswered. */
  #leave(connection: Connection, reply: ProposeReply, error: RaftlineError): void {
    this.#servers.follow(reply.leader, reply.leaderAddress);
    connection.close(error);
  }

  #tick(): void {
    this.#cancelTick = undefined;
    if (this.#window.entries === 0) return;
    this.#cancelTick = this.#world.clock.after(TICK_MS, () => this.#tick());
    const now = this.#world.clock.now();
    const { timeoutMs, serverTimeoutMs } = this.#config;
    if (now - this.#progressAt >= timeoutMs) {
      const last = this.#lastError === undefined ? '' : ` (last: ${this.#lastError.message})`;
      const error = new RaftlineError(ErrorCode.Timeout, `no answer within ${timeoutMs} ms${last}`, {
        timeoutMs,
      });
      this.#giveUp(this.#window.everSent, error);
    } else if (this.#connection !== undefined && now - this.#serverProgressAt >= serverTimeoutMs) {
      const { address } = this.#connection;
      const message = `${address} gave no answer within ${serverTimeoutMs} ms`;
      this.#connection.close(new RaftlineError(ErrorCode.Timeout, message, { server: address }));
    }
  }

  /**
   * Fails everything outstanding: as unknown what stands below `border`, with `error` the rest. What comes after
   * belongs to a new session: this one's numbers have a gap now.
   */
  #giveUp(border: Sequence, error: RaftlineError): void {
    this.#givingUp = true;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#connection?.close(error);
    const message = `the entry was sent, and whether it is applied is not known: ${error.message}`;
    const unknown = new RaftlineError(ErrorCode.OutcomeUnknown, message, error.details, error);
    this.#window.fail(border, error, unknown);
    this.#window.restart(this.#world.newClientId());
    this.#refusal = undefined;
    this.#lastError = undefined;
    this.#givingUp = false;
    this.#wakeWaiters();
  }

  /** Some room more than one entry, so that whoever waits is not woken for each. */
  #hasRoom(): boolean {
    const { entries, bytes } = this.#window;
    if (entries === 0) return true;
    if (this.#refusal !== undefined) return false;
    const { entriesMax, bytesMax } = this.#config;
    return entries <= entriesMax * 0.75 && bytes <= bytesMax * 0.75;
  }

  #wakeWaiters(): void {
    if (this.#drainWaiters.length > 0 && this.#hasRoom()) {
      const waiters = this.#drainWaiters;
      this.#drainWaiters = [];
      for (const resolve of waiters) resolve();
    }
    if (this.#settleWaiters.length > 0 && this.#window.entries === 0) {
      const waiters = this.#settleWaiters;
      this.#settleWaiters = [];
      for (const resolve of waiters) resolve();
    }
  }
}

export function closedError(): RaftlineError {
  return new RaftlineError(ErrorCode.Closed, 'the client is closed');
}

function tooLargeError(received: number): RaftlineError {
  const limit = ENTRY_BYTES_CEILING;
  const message = `entry: expected at most ${limit} bytes, received ${received}`;
  return new RaftlineError(ErrorCode.EntryTooLarge, message, { limit, received });
}
