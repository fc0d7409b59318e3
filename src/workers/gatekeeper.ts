import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { NodeId } from '../base/ids.js';
import { decodeEnvelope, encodeEnvelope } from '../codec/envelope.js';
import type { Hello } from '../codec/envelope-types.js';
import {
  type Acquaintances,
  checkHello,
  handshakeRefused,
  type LanePorts,
  makeHelloReply,
  type Self,
} from '../transport/handshake.js';
import type { Lane, MessageStream } from '../transport/transport.js';
import type { Program } from './program.js';

/** Streams that have not introduced themselves yet, at most (S4). */
const PENDING_MAX = 64;
const HELLO_TIMEOUT_MS = 5000;
/** Refusals that are remembered, so that one that only repeats is not told again. */
const REFUSALS_MAX = 256;

export interface GatekeeperPorts {
  self: () => Self;
  acquaintances: Acquaintances;
  ports: () => LanePorts;
  /** Makes a peer's incarnation known for good, before anything of it is believed. */
  remember: (peer: NodeId, incarnation: number) => void;
  /** Makes the cluster's beginning known for good, before anything of it is believed. */
  rememberBootstrap: (checksum: number) => void;
  adopt: (lane: 'control' | 'append', peer: NodeId, stream: MessageStream) => void;
  /** Somebody was turned away; not called again for what only repeats. */
  refused: (peer: NodeId, lane: Lane, code: string, message: string) => void;
}

/** Lets in only peers that introduce themselves and match (S2): no Raft message is read before. */
export class Gatekeeper implements Program {
  readonly name = 'gatekeeper';
  readonly #ports: GatekeeperPorts;
  /** Streams that still have to say who they are, or were refused, and until when they may stay. */
  readonly #pending = new Map<MessageStream, number>();
  /** The newest refusal of each node and lane: whoever was removed and runs on comes again every few seconds. */
  readonly #refusals = new Map<string, string>();
  #nowMs = 0;

  constructor(ports: GatekeeperPorts) {
    this.#ports = ports;
  }

  admit(lane: 'control' | 'append', stream: MessageStream): void {
    if (this.#pending.size >= PENDING_MAX) {
      stream.close(new RaftlineError(ErrorCode.Overloaded, `more than ${PENDING_MAX} handshakes at a time`));
      return;
    }
    this.#pending.set(stream, this.#nowMs + HELLO_TIMEOUT_MS);
    stream.onMessage = (bytes) => this.#take(lane, stream, bytes);
    stream.onClose = () => this.#pending.delete(stream);
  }

  poll(nowMs: number): boolean {
    this.#nowMs = nowMs;
    for (const [stream, deadlineMs] of this.#pending) {
      if (nowMs > deadlineMs) stream.close(new RaftlineError(ErrorCode.Timeout, 'no hello in time'));
    }
    return false;
  }

  close(): void {
    for (const stream of this.#pending.keys()) stream.close();
  }

  /** Throws BytesInvalid for anything but a hello, which costs the stream. A refused peer is told why, and closes. */
  #take(lane: 'control' | 'append', stream: MessageStream, bytes: Buffer): void {
    const { acquaintances, ports, remember, adopt } = this.#ports;
    const self = this.#ports.self();
    const { envelope } = decodeEnvelope(bytes);
    if (envelope.type !== 'hello' || envelope.lane !== lane) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `${lane} stream: expected a hello, received ${envelope.type}`,
      );
    }
    const verdict = checkHello(self, acquaintances, envelope);
    if (!verdict.accepted) {
      stream.send(encodeEnvelope(makeHelloReply(self, verdict, ports())).bytes);
      stream.onMessage = () => {};
      this.#tellRefused(envelope.node, lane, verdict);
      return;
    }
    this.#refusals.delete(`${lane} ${envelope.node}`);
    remember(envelope.node, envelope.incarnation);
    this.#pending.delete(stream);
    stream.send(encodeEnvelope(makeHelloReply(self, verdict, ports())).bytes);
    adopt(lane, envelope.node, stream);
    if (self.bootstrapChecksum === 0) this.#begin(stream, envelope);
  }

  #tellRefused(node: NodeId, lane: Lane, { code, message }: { code: string; message: string }): void {
    const key = `${lane} ${node}`;
    if (this.#refusals.get(key) === message) return;
    if (this.#refusals.size >= REFUSALS_MAX) this.#refusals.clear();
    this.#refusals.set(key, message);
    this.#ports.refused(node, lane, code, message);
  }

  /**
   * A newcomer learns which cluster it is in from the first peer that speaks to it: that one has seen who we are and goes on. A hello
   * alone would not do: it may be meant for who had this address and id before, in another cluster of the same name (H64).
   */
  #begin(stream: MessageStream, hello: Hello): void {
    const { acquaintances, rememberBootstrap, self } = this.#ports;
    const take = stream.onMessage;
    stream.onMessage = (bytes) => {
      const verdict = checkHello(self(), acquaintances, hello);
      if (!verdict.accepted) {
        stream.close(handshakeRefused(stream.remote, verdict.code, verdict.message));
        return;
      }
      rememberBootstrap(hello.bootstrapChecksum);
      stream.onMessage = take;
      take(bytes);
    };
  }
}
