import { BaseStream } from '../../src/transport/base-stream.js';
import { type Lane, MESSAGE_OVERHEAD_BYTES, type TransportOptions } from '../../src/transport/transport.js';
import type { LinkState } from './links.js';
import type { SimNetwork } from './network.js';

const LIMITS: TransportOptions = { messageBytesMax: 4 * 1024 * 1024, queuedBytesMax: 512 * 1024 };
const WINDOW_BYTES = 128 * 1024;
/** How much later than others a message may come that is doubled or overtaken, ms. */
const LATE_MS = 60;
/** A transport sends again what is lost; now and then it gives up, and the stream breaks. */
const BREAKS_PER_LOSS = 0.02;

/** One end of a stream in simulated time: what is sent arrives in its order, and late. */
export class SimStream extends BaseStream {
  readonly #network: SimNetwork;
  #peer: SimStream | undefined;
  #paused = false;
  #waiting: { bytes: Buffer; written: () => void }[] = [];
  /** Handed to the wire; their senders learn of it a little later, all at once. */
  #written: (() => void)[] = [];
  /** On their way from here, or held. */
  #wire: { bytes: Buffer; atMs: number }[] = [];
  #wireBytes = 0;
  #arriving = false;
  #greeted = false;

  constructor(
    network: SimNetwork,
    id: number,
    readonly host: string,
    readonly remoteHost: string,
    readonly lane: Lane,
    /** This end asked for the stream. */
    readonly dialled: boolean,
  ) {
    super(id, `${remoteHost}:1`, LIMITS);
    this.#network = network;
  }

  get joined(): boolean {
    return this.#peer !== undefined;
  }

  join(peer: SimStream): void {
    this.#peer = peer;
    peer.#peer = this;
    this.#transmit();
    peer.#transmit();
  }

  /** Cuts the wire between the two ends; returns the far one. */
  separate(): SimStream | undefined {
    const peer = this.#peer;
    this.#peer = undefined;
    if (peer !== undefined) peer.#peer = undefined;
    return peer;
  }

  fail(reason: string): void {
    this.unreachable(reason);
  }

  vanish(): void {
    this.onMessage = () => {};
    this.onClose = () => {};
    this.close();
  }

  override pause(): void {
    this.#paused = true;
  }

  override resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#peer?.flush();
  }

  /** Goes on with what is on the wire, where something kept it back. */
  flush(): void {
    if (this.#arriving || this.#wire.length === 0) return;
    const { scheduler } = this.#network;
    this.#arriving = true;
    const inMs = Math.max(0, this.#wire[0]!.atMs - scheduler.nowMs);
    scheduler.after(inMs, () => this.#arrive());
  }

  /** What is on its way from here, and will not arrive by itself any more. */
  takeWire(): Buffer[] {
    const wire = this.#wire.map(({ bytes }) => bytes);
    this.#wire = [];
    this.#wireBytes = 0;
    return wire;
  }

  /** A message that comes out of its order, if it comes at all. */
  take(bytes: Buffer): void {
    this.deliver(bytes);
  }

  protected override write(bytes: Buffer, written: () => void): void {
    this.#waiting.push({ bytes, written });
    this.#transmit();
  }

  protected override release(): void {
    const peer = this.separate();
    this.#waiting = [];
    this.#wire = [];
    this.#network.forget(this);
    if (peer === undefined) return;
    // The last words are lost or not: the end of a stream may overtake what was said on it.
    const link = this.#network.link(this.host, peer.host);
    this.#network.soon(peer, link.delayMs, () => peer.fail('the peer closed it'));
  }

  #transmit(): void {
    const peer = this.#peer;
    const { scheduler, link } = {
      scheduler: this.#network.scheduler,
      link: this.#network.link(this.host, this.remoteHost),
    };
    while (peer !== undefined && this.#wireBytes < WINDOW_BYTES) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#wireBytes += next.bytes.length + MESSAGE_OVERHEAD_BYTES;
      this.#left(next.written);
      this.#network.tap(this, next.bytes);
      // Copied, as a wire does: what the sender does to its bytes afterwards must not show at the other end.
      const bytes = Buffer.from(next.bytes);
      if (this.#meetsFault(link, bytes)) {
        if (this.#peer === undefined) return;
        continue;
      }
      const last = this.#wire[this.#wire.length - 1]?.atMs ?? 0;
      const atMs = Math.max(last, scheduler.nowMs + link.delayMs + scheduler.random() * link.jitterMs);
      this.#wire.push({ bytes, atMs });
      this.flush();
    }
  }

  /**
   * True: the message will not arrive in its place. Where everything may be lost at any time (control), it is lost, doubled or overtaken
   * alone; a stream that promises order loses its end with it.
   */
  #meetsFault(link: LinkState, bytes: Buffer): boolean {
    const { scheduler } = this.#network;
    const { loss, duplication, reordering } = link;
    if (loss + duplication + reordering === 0) return false;
    // Handshakes: without them there is no stream.
    if (!this.#greeted) {
      this.#greeted = true;
      return false;
    }
    const drawn = scheduler.random();
    if (this.lane !== 'control') {
      if (drawn >= loss * BREAKS_PER_LOSS) return false;
      this.#network.count('loss');
      this.#network.breakStream(this);
      return true;
    }
    const lost = drawn < loss;
    const doubled = !lost && drawn < loss + duplication;
    const overtaken = !lost && !doubled && drawn < loss + duplication + reordering;
    if (lost) this.#network.count('loss');
    if (doubled) this.#network.count('duplication');
    if (overtaken) this.#network.count('reordering');
    if (doubled || overtaken) this.#passLate(bytes);
    if (lost || overtaken) this.#wireBytes -= bytes.length + MESSAGE_OVERHEAD_BYTES;
    return lost || overtaken;
  }

  /** Passes beside the others, if the link lets it. */
  #passLate(bytes: Buffer): void {
    const peer = this.#peer!;
    const link = this.#network.link(this.host, this.remoteHost);
    this.#network.soon(peer, link.delayMs + this.#network.scheduler.between(0, LATE_MS), () => {
      if (this.#peer === peer && !link.held && !link.cut) peer.take(bytes);
    });
  }

  #left(written: () => void): void {
    this.#written.push(written);
    if (this.#written.length > 1) return;
    this.#network.soon(this, this.#network.scheduler.random() * 0.05, () => {
      const left = this.#written;
      this.#written = [];
      for (const tell of left) tell();
    });
  }

  #arrive(): void {
    this.#arriving = false;
    const peer = this.#peer;
    const { scheduler } = this.#network;
    const next = this.#wire[0];
    if (peer === undefined || next === undefined) return;
    const link = this.#network.link(this.host, peer.host);
    if (link.held || link.cut || peer.#paused) return;
    const stalledMs = this.#network.stalledMs(peer.host);
    if (stalledMs > 0) {
      this.#arriving = true;
      scheduler.after(stalledMs, () => this.#arrive());
      return;
    }
    this.#wire.shift();
    this.#wireBytes -= next.bytes.length + MESSAGE_OVERHEAD_BYTES;
    scheduler.note(next.bytes.length);
    this.#network.guard(peer.host, () => peer.deliver(next.bytes));
    this.flush();
    this.#transmit();
  }
}
