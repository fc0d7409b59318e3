import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { NodeId } from '../base/ids.js';
import { decodeEnvelope } from '../codec/envelope.js';
import type { PeerLink } from '../transport/link.js';
import type { MessageStream } from '../transport/transport.js';
import type { Program } from './program.js';
import type { inboxCodec } from './records.js';

export interface ControlPorts {
  links: ReadonlyMap<NodeId, PeerLink>;
  push: (record: Parameters<typeof inboxCodec.push>[1]) => boolean;
  wake: () => void;
}

/**
 * Votes and heartbeats, on connections of their own: out over one link per peer, in over the streams that peers
 * open. What does not fit is dropped and counted, as a network may: Raft says everything again.
 */
export class Control implements Program {
  readonly name = 'control';
  readonly #ports: ControlPorts;
  readonly #inbound = new Map<NodeId, MessageStream>();
  /** Control messages that found their link down or full, or the inbox full. */
  dropped = 0;

  constructor(ports: ControlPorts) {
    this.#ports = ports;
  }

  /** A peer has introduced itself on a control stream. */
  adopt(peer: NodeId, stream: MessageStream): void {
    const before = this.#inbound.get(peer);
    this.#inbound.set(peer, stream);
    before?.close(new RaftlineError(ErrorCode.Closed, `node ${peer} opened another control stream`));
    stream.onMessage = (bytes) => this.take(peer, bytes);
    stream.onClose = () => {
      if (this.#inbound.get(peer) === stream) this.#inbound.delete(peer);
    };
  }

  /** Ends what the peer has open. */
  expel(peer: NodeId, cause: RaftlineError): void {
    this.#inbound.get(peer)?.close(cause);
  }

  /**
   * Over the link to the peer, or back on the stream that it opened where there is none that is up: a newcomer has votes to give (H17) and
   * heartbeats to answer before its log has told it where the members are, and as whom they came.
   */
  send(peer: NodeId, envelope: Buffer): void {
    const link = this.#ports.links.get(peer);
    const way = link?.up === true ? link : this.#inbound.get(peer);
    if (way?.send(envelope) !== true) this.dropped++;
  }

  poll(nowMs: number): boolean {
    let worked = false;
    for (const link of this.#ports.links.values()) worked = link.poll(nowMs) || worked;
    return worked;
  }

  close(): void {
    for (const link of this.#ports.links.values()) link.close();
    for (const stream of this.#inbound.values()) stream.close();
  }

  /** What a peer says, on its stream or on ours. Checked here, off main, so that nonsense costs the stream and never reaches a decision (S7). */
  take(peer: NodeId, bytes: Buffer): void {
    const { envelope } = decodeEnvelope(bytes);
    if (envelope.type !== 'control' || envelope.message.from !== peer) {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `control stream of node ${peer}: not a control message of its own`,
      );
    }
    if (!this.#ports.push({ type: 'control', peer, body: bytes })) this.dropped++;
    this.#ports.wake();
  }
}
