import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { BaseStream } from '../../src/transport/base-stream.js';
import {
  type Lane,
  type Listener,
  MESSAGE_OVERHEAD_BYTES,
  type MessageStream,
  type Transport,
  type TransportOptions,
} from '../../src/transport/transport.js';
import type { Scheduler } from './scheduler.js';

/** What one direction of one link does to what passes. */
export interface LinkState {
  /** Delay of each message, ms: the least, and how much is added at most. */
  delayMs: number;
  jitterMs: number;
  /** Nothing passes and nothing breaks: a black hole. What was sent passes later. */
  held: boolean;
  /** Nothing passes, connecting fails. */
  cut: boolean;
}

const LIMITS: TransportOptions = { messageBytesMax: 4 * 1024 * 1024, queuedBytesMax: 512 * 1024 };
const WINDOW_BYTES = 128 * 1024;

type OnStream = (lane: Lane, stream: MessageStream) => void;
/** Sees each message as it is handed to the wire. */
export type WireTap = (stream: SimStream, bytes: Buffer) => void;

/**
 * A network in simulated time. Messages of one stream stay in order, everything else may overtake. Each direction of each link
 * has a delay of its own, and can be held or cut. A host is a name; it is reached at `name:1`.
 */
export class SimNetwork {
  tap: WireTap = () => {};
  /** Lets a host's thread take what arrives for it only when it runs. Returns how long it is still stalled, ms. */
  stalledMs: (host: string) => number = () => 0;
  /** Runs what happens on a host's thread; what it throws is that host's end. */
  guard: (host: string, run: () => void) => void = (_host, run) => run();
  readonly #links = new Map<string, LinkState>();
  readonly #listeners = new Map<string, SimListener>();
  readonly #streams = new Set<SimStream>();
  #made = 0;

  constructor(readonly scheduler: Scheduler) {}

  link(from: string, to: string): LinkState {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = { delayMs: 0.2, jitterMs: 0.3, held: false, cut: false };
      this.#links.set(name, link);
    }
    return link;
  }

  /** Breaks the streams between two hosts, both ways. */
  breakStreams(a: string, b: string): void {
    for (const stream of [...this.#streams]) {
      if (stream.host === a && stream.remoteHost === b) this.breakStream(stream);
    }
  }

  /** Breaks one stream of all that are open. */
  breakOne(): boolean {
    const streams = [...this.#streams].filter((stream) => stream.joined);
    if (streams.length === 0) return false;
    this.breakStream(this.scheduler.pick(streams));
    return true;
  }

  /** Both ends learn of it, each in its own time; what was on its way is lost. */
  breakStream(stream: SimStream): void {
    const far = stream.separate();
    for (const end of [stream, far]) {
      if (end === undefined) continue;
      this.soon(end, this.scheduler.between(0, 2), () => end.fail('the connection broke'));
    }
  }

  /** What was held on a link passes now, in its order. */
  release(from: string, to: string): void {
    for (const stream of [...this.#streams]) {
      if (stream.host === from && stream.remoteHost === to) stream.flush();
    }
  }

  /** The host's process is gone: its own ends are silent, the far ends break. */
  crash(host: string): void {
    this.#listeners.delete(host);
    for (const stream of [...this.#streams]) {
      if (stream.host !== host) continue;
      const far = stream.separate();
      stream.vanish();
      if (far !== undefined) this.soon(far, this.scheduler.between(0, 3), () => far.fail('the peer is gone'));
    }
  }

  transport(host: string): Transport {
    return new SimTransport(this, host);
  }

  listen(listener: SimListener): void {
    if (this.#listeners.has(listener.host)) {
      throw new RaftlineError(ErrorCode.AddressInUse, `listen on ${listener.host}: in use`);
    }
    this.#listeners.set(listener.host, listener);
  }

  unlisten(listener: SimListener): void {
    if (this.#listeners.get(listener.host) === listener) this.#listeners.delete(listener.host);
  }

  open(host: string, address: string, lane: Lane): SimStream {
    const remoteHost = address.slice(0, address.lastIndexOf(':'));
    const near = new SimStream(this, ++this.#made, host, remoteHost, lane, true);
    this.#streams.add(near);
    this.#connect(near);
    return near;
  }

  forget(stream: SimStream): void {
    this.#streams.delete(stream);
  }

  /** Runs `run` at the stream's end after `delayMs`, and not before its host's thread runs. */
  soon(stream: SimStream, delayMs: number, run: () => void): void {
    this.scheduler.after(delayMs, () => {
      const stalledMs = this.stalledMs(stream.host);
      if (stalledMs > 0) this.soon(stream, stalledMs, run);
      else this.guard(stream.host, run);
    });
  }

  #connect(near: SimStream): void {
    const { host, remoteHost, lane } = near;
    const link = this.link(host, remoteHost);
    const delayMs = 2 * (link.delayMs + this.scheduler.random() * link.jitterMs);
    this.scheduler.after(delayMs, () => {
      if (near.closed) return;
      const back = this.link(remoteHost, host);
      if (link.held || back.held || this.stalledMs(remoteHost) > 0) {
        this.scheduler.after(20, () => this.#connect(near));
        return;
      }
      const listener = this.#listeners.get(remoteHost);
      if (listener === undefined || link.cut || back.cut) {
        this.soon(near, 0, () => near.fail('nobody answers there'));
        return;
      }
      const far = new SimStream(this, ++this.#made, remoteHost, host, lane, false);
      this.#streams.add(far);
      listener.streams.add(far);
      this.guard(remoteHost, () => listener.onStream(lane, far));
      near.join(far);
    });
  }
}

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
      const last = this.#wire[this.#wire.length - 1]?.atMs ?? 0;
      const atMs = Math.max(last, scheduler.nowMs + link.delayMs + scheduler.random() * link.jitterMs);
      // Copied, as a wire does: what the sender does to its bytes afterwards must not show at the other end.
      this.#wire.push({ bytes: Buffer.from(next.bytes), atMs });
      this.flush();
    }
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

class SimListener implements Listener {
  readonly port = 1;
  readonly streams = new Set<SimStream>();

  constructor(
    readonly network: SimNetwork,
    readonly host: string,
    readonly onStream: OnStream,
  ) {}

  close(): Promise<void> {
    this.network.unlisten(this);
    for (const stream of [...this.streams]) stream.close();
    return Promise.resolve();
  }
}

class SimTransport implements Transport {
  readonly #network: SimNetwork;
  readonly #host: string;
  #listener: SimListener | undefined;
  readonly #outgoing: SimStream[] = [];

  constructor(network: SimNetwork, host: string) {
    this.#network = network;
    this.#host = host;
  }

  listen(_address: string, onStream: OnStream): Promise<Listener> {
    const listener = new SimListener(this.#network, this.#host, onStream);
    this.#network.listen(listener);
    this.#listener = listener;
    return Promise.resolve(listener);
  }

  connect(address: string, lane: Lane): MessageStream {
    const stream = this.#network.open(this.#host, address, lane);
    if (this.#outgoing.length > 64) {
      const open = this.#outgoing.filter((each) => !each.closed);
      this.#outgoing.splice(0, this.#outgoing.length, ...open);
    }
    this.#outgoing.push(stream);
    return stream;
  }

  close(): void {
    void this.#listener?.close();
    for (const stream of this.#outgoing) stream.close();
  }
}
