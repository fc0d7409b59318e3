import { ErrorCode, RaftlineError } from '../base/errors.js';
import { decodeEnvelope, encodeEnvelope, type Hello, type HelloReply } from '../codec/envelope.js';
import { parseAddress } from './address.js';
import { Backoff, type BackoffOptions, type FailureKind } from './backoff.js';
import { handshakeRefused, type Verdict } from './handshake.js';
import type { MessageStream, Transport } from './transport.js';

export interface PeerLinkOptions {
  transport: Transport;
  /** The peer's `host:port` for this lane. */
  address: string;
  /** Made anew for every connection; its `lane` is the link's lane. */
  hello: () => Hello;
  /** Whether the one who answered is the peer meant (`checkHelloReply`). */
  checkReply: (hello: Hello, reply: HelloReply) => Verdict;
  /** How long connecting and the handshake may take together, ms. Default 2000. */
  handshakeTimeoutMs?: number;
  /** How long to wait after a refused handshake, ms: somebody has to change something first. Default 5000. */
  refusedRetryMs?: number;
  backoff?: BackoffOptions;
}

/**
 * `waiting`: no stream; the next attempt is due at a known time. `connecting`: hello sent, no reply yet. `up`: the
 * handshake was accepted, messages pass. `closed`: for good (B11).
 */
export type LinkState = 'waiting' | 'connecting' | 'up' | 'closed';

/** Since the link was made; only grow. */
export interface LinkCounts {
  attempts: number;
  ups: number;
  /** Attempts and connections that ended, refusals included. */
  failures: number;
  refusals: number;
}

/**
 * Keeps one outgoing stream of one lane to one peer alive: connect, hello, wait for the reply, up; when it ends,
 * back off and connect again. Has no timers: `poll` drives deadlines and attempts, and nothing is queued while the
 * link is down, so an unreachable peer costs attempts by time and not by messages (A11).
 */
export class PeerLink {
  /** The handshake was accepted. */
  onUp: (reply: HelloReply) => void = () => {};
  /**
   * An attempt or a connection ended, and what was queued is gone; `wasUp` tells which. A refusal that only
   * repeats the one before is not told again. Not called for `close`.
   */
  onDown: (cause: RaftlineError, wasUp: boolean) => void = () => {};
  /** A message from the peer, after the handshake. */
  onMessage: (bytes: Buffer) => void = () => {};

  readonly counts: LinkCounts = { attempts: 0, ups: 0, failures: 0, refusals: 0 };
  readonly #options: PeerLinkOptions;
  readonly #backoff: Backoff;
  #address: string;
  #state: LinkState = 'waiting';
  /** Present exactly while connecting or up. */
  #stream: MessageStream | undefined;
  /** `waiting`: when to try again. `connecting`: when to give up. */
  #dueMs = Number.NEGATIVE_INFINITY;
  /** When the link was first polled while up: what it lived is counted from there. */
  #upSinceMs: number | undefined;
  /** A failure whose wait has not been reckoned yet, as it came between two polls. */
  #failure: { cause: RaftlineError; wasUp: boolean } | undefined;
  #lastRefusal = '';

  /** @throws AddressInvalid */
  constructor(options: PeerLinkOptions) {
    parseAddress(options.address);
    this.#options = options;
    this.#address = options.address;
    this.#backoff = new Backoff(options.backoff);
  }

  get state(): LinkState {
    return this.#state;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  get address(): string {
    return this.#address;
  }

  /** The stream while connecting or up. */
  get stream(): MessageStream | undefined {
    return this.#stream;
  }

  /** Does what is due at `nowMs` (any clock that only grows). False: nothing was. */
  poll(nowMs: number): boolean {
    if (this.#state === 'up') this.#upSinceMs ??= nowMs;
    if (this.#state === 'connecting' && nowMs >= this.#dueMs) {
      const message = `no handshake with ${this.#address} in time`;
      this.#stream?.close(new RaftlineError(ErrorCode.Timeout, message, { remote: this.#address }));
    }
    const failure = this.#failure;
    if (failure !== undefined) this.#dueMs = nowMs + this.#delayAfter(failure, nowMs);
    this.#failure = undefined;
    if (this.#state !== 'waiting' || nowMs < this.#dueMs) return failure !== undefined;
    this.#connect(nowMs);
    return true;
  }

  /** Whether `send` would take a message now: who has to read it first asks before. */
  get hasRoom(): boolean {
    return this.#state === 'up' && this.#stream?.hasRoom === true;
  }

  /** Takes the message if the link is up and its queue has room; see `MessageStream.send`. */
  send(bytes: Buffer, done?: () => void): boolean {
    return this.#state === 'up' && this.#stream !== undefined && this.#stream.send(bytes, done);
  }

  /** The peer has moved: what leads to the old address ends, and the new one is tried at the next poll. */
  setAddress(address: string): void {
    if (address === this.#address || this.#state === 'closed') return;
    parseAddress(address);
    this.#address = address;
    this.reset('the peer has another address');
    this.#failure = undefined;
    this.#backoff.succeeded();
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }

  /** The peer was seen alive (it came to us): does not wait any longer to try again. */
  hurry(): void {
    if (this.#state !== 'waiting') return;
    this.#failure = undefined;
    this.#backoff.succeeded();
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }

  /** Ends the connection, as if the network had; the link connects again by itself. */
  reset(reason: string): void {
    const remote = this.#address;
    this.#stream?.close(new RaftlineError(ErrorCode.Unreachable, `link to ${remote}: ${reason}`, { remote }));
  }

  /** For good. Twice is fine. */
  close(): void {
    const stream = this.#stream;
    this.#enter('closed');
    stream?.close();
  }

  /** The one place where the state changes. */
  #enter(state: LinkState, stream?: MessageStream): void {
    this.#state = state;
    this.#stream = stream;
    if (state === 'connecting') this.#upSinceMs = undefined;
  }

  #connect(nowMs: number): void {
    const hello = this.#options.hello();
    const stream = this.#options.transport.connect(this.#address, hello.lane);
    this.counts.attempts += 1;
    this.#enter('connecting', stream);
    this.#dueMs = nowMs + (this.#options.handshakeTimeoutMs ?? 2000);
    stream.onMessage = (bytes) => {
      if (this.#state === 'up') this.onMessage(bytes);
      else this.#takeReply(hello, stream, bytes);
    };
    stream.onClose = (cause) => {
      if (this.#stream === stream) this.#lost(cause);
    };
    stream.send(encodeEnvelope(hello).bytes);
  }

  #takeReply(hello: Hello, stream: MessageStream, bytes: Buffer): void {
    const { envelope } = decodeEnvelope(bytes);
    if (envelope.type !== 'helloReply') {
      const message = `handshake with ${this.#address}: expected helloReply, received ${envelope.type}`;
      throw new RaftlineError(ErrorCode.BytesInvalid, message, { remote: this.#address });
    }
    const verdict = this.#options.checkReply(hello, envelope);
    if (this.#stream !== stream) return;
    if (!verdict.accepted) {
      stream.close(handshakeRefused(this.#address, verdict.code, verdict.message));
      return;
    }
    this.#lastRefusal = '';
    this.counts.ups += 1;
    this.#enter('up', stream);
    this.onUp(envelope);
  }

  #lost(cause: RaftlineError): void {
    const wasUp = this.#state === 'up';
    this.#enter('waiting');
    this.#failure = { cause, wasUp };
    this.counts.failures += 1;
    const refused = isRefusal(cause);
    if (refused) this.counts.refusals += 1;
    if (refused && cause.message === this.#lastRefusal) return;
    if (refused) this.#lastRefusal = cause.message;
    this.onDown(cause, wasUp);
  }

  /** How long to leave the peer alone. A connection that lived longer than that starts from zero (B10). */
  #delayAfter({ cause, wasUp }: { cause: RaftlineError; wasUp: boolean }, nowMs: number): number {
    if (isRefusal(cause)) return this.#options.refusedRetryMs ?? 5000;
    const livedMs = wasUp ? nowMs - (this.#upSinceMs ?? nowMs) : 0;
    if (livedMs > this.#backoff.upcomingDelayMs) {
      this.#backoff.succeeded();
      return 0;
    }
    return this.#backoff.failed(kindOf(cause));
  }
}

function isRefusal(cause: RaftlineError): boolean {
  return cause.code === ErrorCode.HandshakeRefused || cause.code === ErrorCode.MemberRemoved;
}

function kindOf(cause: RaftlineError): FailureKind {
  if (cause.code === ErrorCode.Timeout) return 'timeout';
  return cause.code === ErrorCode.Unreachable ? 'unreachable' : 'remote';
}
