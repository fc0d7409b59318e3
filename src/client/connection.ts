import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { ClientId } from '../base/ids.js';
import { MEMBERS_MAX, PROTOCOL_VERSION } from '../base/limits.js';
import type { MemberAddress } from '../base/messages.js';
import { type ClientWelcome, decodeEnvelope, type Envelope, encodeEnvelope } from '../codec/envelope.js';
import type { MessageStream, Transport } from '../transport/transport.js';

/** What a client says of itself when it opens a stream. */
export interface Introduction {
  /** Empty: any cluster. */
  cluster: string;
  /** 0: proposes nothing. */
  clientId: ClientId;
}

export interface ConnectionHandlers {
  onWelcome(welcome: ClientWelcome): void;
  /** `body` is a view into the received message, which nobody else uses. */
  onMessage(envelope: Envelope, body: Buffer): void;
  /** Where the cluster's members are now. */
  onMembers?(members: MemberAddress[]): void;
  /** Called exactly once, and last. */
  onClose(cause: RaftlineError): void;
}

const CODES: ReadonlySet<string> = new Set(Object.values(ErrorCode));

/** An error that a server told: its code if it is one of ours, else Internal. */
export function errorFromServer(code: string, message: string, server: string): RaftlineError {
  const known = CODES.has(code) ? (code as ErrorCode) : ErrorCode.Internal;
  return new RaftlineError(known, message === '' ? `${server} answered ${code}` : message, { server });
}

function membersOf(json: string, server: string): MemberAddress[] {
  try {
    const members = JSON.parse(json) as MemberAddress[];
    return members
      .filter(({ id, address }) => typeof id === 'number' && typeof address === 'string')
      .slice(0, MEMBERS_MAX);
  } catch (thrown) {
    throw new RaftlineError(
      ErrorCode.BytesInvalid,
      `${server}: expected members as JSON, received something else`,
      { server },
      thrown,
    );
  }
}

/** One stream to one server, from the hello on. Nothing but the hello is sent before the welcome. */
export class Connection {
  readonly address: string;
  readonly #stream: MessageStream;
  readonly #handlers: ConnectionHandlers;
  #welcomed = false;

  constructor(
    transport: Transport,
    address: string,
    introduction: Introduction,
    handlers: ConnectionHandlers,
  ) {
    this.address = address;
    this.#handlers = handlers;
    this.#stream = transport.connect(address, 'client');
    this.#stream.onMessage = (bytes) => this.#receive(bytes);
    this.#stream.onClose = (cause) => handlers.onClose(cause);
    this.send({
      type: 'clientHello',
      protocolVersion: PROTOCOL_VERSION,
      clusterId: introduction.cluster,
      clientId: introduction.clientId,
    });
  }

  /** False: the stream's queue is full or it is closed; nothing was taken. `done` is called when there is room again. */
  send(envelope: Envelope, body?: Uint8Array, done?: () => void): boolean {
    const { bytes, bodyOffset } = encodeEnvelope(envelope, body?.length ?? 0);
    if (body !== undefined) bytes.set(body, bodyOffset);
    return this.#stream.send(bytes, done);
  }

  get queuedBytes(): number {
    return this.#stream.queuedBytes;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** `onClose` is called before this returns. Twice is fine. */
  close(cause?: RaftlineError): void {
    this.#stream.close(cause);
  }

  #receive(bytes: Buffer): void {
    const { envelope, bodyOffset } = decodeEnvelope(bytes);
    if (this.#welcomed && envelope.type === 'memberNews') {
      this.#handlers.onMembers?.(membersOf(envelope.json, this.address));
      return;
    }
    if (this.#welcomed) {
      this.#handlers.onMessage(envelope, bytes.subarray(bodyOffset));
      return;
    }
    if (envelope.type !== 'clientWelcome') {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `${this.address}: expected clientWelcome first, received ${envelope.type}`,
      );
    }
    if (envelope.accepted) {
      this.#welcomed = true;
      this.#handlers.onWelcome(envelope);
    } else this.close(errorFromServer(envelope.code, envelope.message, this.address));
  }
}
