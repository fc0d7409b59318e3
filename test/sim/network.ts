import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { Lane, Listener, MessageStream, Transport } from '../../src/transport/transport.js';
import { type LinkFault, type LinkPlan, type LinkState, Links } from './links.js';
import type { Scheduler } from './scheduler.js';
import { SimStream } from './stream.js';

/** How often the far end of a broken stream learns of it late, and how late what was on its way may come, ms. */
const STRAGGLING = 0.3;
const STRAGGLE_MS = 300;

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
  /** How often a link did each of these. */
  readonly done = new Map<LinkFault, number>();
  readonly #links: Links;
  readonly #listeners = new Map<string, SimListener>();
  readonly #streams = new Set<SimStream>();
  #made = 0;

  constructor(
    readonly scheduler: Scheduler,
    seed: number,
    plan: LinkPlan,
  ) {
    this.#links = new Links(seed, plan);
    if (plan.delay !== undefined) this.count('delay');
  }

  link(from: string, to: string): LinkState {
    return this.#links.of(from, to);
  }

  /** Links are as good as they can be from now on, and what was held passes. */
  mend(): void {
    this.#links.mend();
    for (const stream of [...this.#streams]) stream.flush();
  }

  count(fault: LinkFault): void {
    this.done.set(fault, (this.done.get(fault) ?? 0) + 1);
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

  /**
   * Both ends learn of it, each in its own time; what was on its way is lost. Or the other end learns of it late, and is still given
   * what was on its way, while this one has already connected anew.
   */
  breakStream(stream: SimStream): void {
    const { scheduler } = this;
    const late = scheduler.chance(STRAGGLING);
    const wire = stream.takeWire();
    const far = stream.separate();
    this.soon(stream, scheduler.between(0, 2), () => stream.fail('the connection broke'));
    if (far === undefined) return;
    let atMs = scheduler.between(0, 2);
    if (late) {
      if (wire.length > 0) this.count('reordering');
      for (const bytes of wire) {
        atMs += scheduler.between(0, STRAGGLE_MS / wire.length);
        this.soon(far, atMs, () => far.take(bytes));
      }
      atMs += scheduler.between(0, STRAGGLE_MS);
    }
    this.soon(far, atMs, () => far.fail('the connection broke'));
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
