import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import { MESSAGE_OVERHEAD_BYTES, type MessageStream, type TransportOptions } from './transport.js';

/**
 * How much is given to the network library at a time: enough to keep a socket busy. The rest stays in our own
 * queue, because a library may hold on to what it has for as long as a stuck peer's connection lives.
 */
const HANDED_MESSAGES_MAX = 16;
const HANDED_BYTES_MAX = 1024 * 1024;

/** Of what is said about bytes that were refused. */
const REASON_CHARS_MAX = 200;

interface Queued {
  readonly bytes: Buffer;
  readonly done: (() => void) | undefined;
}

/** What the other end is told. Who sent what cannot be used hears what that is: a misfit of options shows nowhere else there. */
export function reasonOf({ code, message }: RaftlineError): string {
  if (code !== ErrorCode.BytesInvalid) return code;
  // It travels in a header.
  return `${code}: ${message.slice(0, REASON_CHARS_MAX).replace(/[^ -~]/g, '?')}`;
}

/**
 * What every stream does whatever the network: the bounded queue, the one `onClose`, the limits. A transport adds
 * the four abstract methods.
 */
export abstract class BaseStream implements MessageStream {
  onMessage: (bytes: Buffer) => void = () => {};
  onClose: (cause: RaftlineError) => void = () => {};

  /** Taken, not handed over yet; those before `#head` are gone. */
  #queue: (Queued | undefined)[] = [];
  #head = 0;
  #queuedBytes = 0;
  #handedMessages = 0;
  #handedBytes = 0;
  #closed = false;

  constructor(
    readonly id: number,
    readonly remote: string,
    readonly limits: Pick<TransportOptions, 'messageBytesMax' | 'queuedBytesMax' | 'queue'>,
  ) {}

  /** Gives one message to the network; `written` is called once it left, never before this returns. */
  protected abstract write(bytes: Buffer, written: () => void): void;
  /** Lets go of the network for good. `unwritten`: messages were handed over that have not left. */
  protected abstract release(cause: RaftlineError, unwritten: boolean): void;
  abstract pause(): void;
  abstract resume(): void;

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Buffer, done?: () => void): boolean {
    const limit = this.limits.messageBytesMax;
    if (bytes.length > limit) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `message: expected at most ${limit} bytes, received ${bytes.length}`,
        { limit, received: bytes.length },
      );
    }
    if (!this.hasRoom) return false;
    this.#charge(bytes.length + MESSAGE_OVERHEAD_BYTES);
    this.#queue.push({ bytes, done });
    this.#handOver();
    return true;
  }

  close(cause?: Error): void {
    this.end(
      cause === undefined
        ? new RaftlineError(ErrorCode.Closed, `stream to ${this.remote} closed here`)
        : toRaftlineError(cause, ErrorCode.Closed),
    );
  }

  /** The one way out, for either end: everything held is let go before anybody hears of it. */
  protected end(cause: RaftlineError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#head = 0;
    this.#charge(-this.#queuedBytes);
    this.release(cause, this.#handedMessages > 0);
    this.onClose(cause);
  }

  /** The network or the peer ended the stream. */
  protected unreachable(reason: string, cause?: unknown): void {
    const remote = this.remote;
    this.end(new RaftlineError(ErrorCode.Unreachable, `stream to ${remote}: ${reason}`, { remote }, cause));
  }

  /** One message from the peer. What it cannot mean costs the peer its stream; any other throw is a fault of ours. */
  protected deliver(bytes: Buffer): void {
    if (this.#closed) return;
    try {
      this.onMessage(bytes);
    } catch (thrown) {
      if (!(thrown instanceof RaftlineError) || thrown.code !== ErrorCode.BytesInvalid) throw thrown;
      this.end(thrown);
    }
  }

  #handOver(): void {
    while (this.#handedMessages < HANDED_MESSAGES_MAX && this.#handedBytes < HANDED_BYTES_MAX) {
      const message = this.#shift();
      if (message === undefined) return;
      const byteLength = message.bytes.length;
      this.#handedMessages += 1;
      this.#handedBytes += byteLength;
      this.write(message.bytes, () => this.#written(byteLength, message.done));
    }
  }

  #written(byteLength: number, done: (() => void) | undefined): void {
    if (this.#closed) return;
    this.#handedMessages -= 1;
    this.#handedBytes -= byteLength;
    this.#charge(-byteLength - MESSAGE_OVERHEAD_BYTES);
    done?.();
    this.#handOver();
  }

  get hasRoom(): boolean {
    const { queuedBytesMax, queue } = this.limits;
    if (this.#closed || this.#queuedBytes >= queuedBytesMax) return false;
    return this.#queuedBytes === 0 || queue === undefined || queue.taken - queue.left < queue.bytesMax;
  }

  #charge(bytes: number): void {
    this.#queuedBytes += bytes;
    const { queue } = this.limits;
    if (queue === undefined) return;
    if (bytes > 0) queue.taken += bytes;
    else queue.left -= bytes;
  }

  #shift(): Queued | undefined {
    const message = this.#queue[this.#head];
    if (message === undefined) return undefined;
    this.#queue[this.#head] = undefined;
    this.#head += 1;
    if (this.#head >= 1024 || this.#head === this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    return message;
  }
}
