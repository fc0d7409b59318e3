import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { Random } from '../base/prng.js';
import { formatAddress, parseAddress } from './address.js';
import { BaseStream, reasonOf } from './base-stream.js';
import {
  type Lane,
  type Listener,
  MESSAGE_OVERHEAD_BYTES,
  type MessageStream,
  RECEIVE_WINDOW_BYTES_DEFAULT,
  type Transport,
  type TransportOptions,
} from './transport.js';

export interface MemoryNetworkOptions extends TransportOptions {
  /** Chooses which of the things that could happen next does; without it they happen in the order they arose. */
  random?: Random;
  /** Delivers by itself, in microtasks, for tests that do not care about order. Default false: call `step`. */
  autoDeliver?: boolean;
}

type OnStream = (lane: Lane, stream: MessageStream) => void;

/** Something that will happen at one end of a stream, or to an attempt to connect. `order` is when it arose. */
interface Happening {
  readonly order: number;
  run(): void;
}

/** What happens one after the other; happenings of different lines may overtake each other. */
class Line {
  readonly happenings: Happening[] = [];

  /** @param ready whether the next one may happen now */
  constructor(readonly ready: () => boolean) {}
}

/**
 * A network in one process and without time: nothing arrives until `step` is called, which lets exactly one thing
 * happen. Messages of one stream stay in order, everything else may overtake. Hosts are names; an address is
 * `host:port`. Links can be held (nothing passes, nothing breaks: a black hole) or cut (streams break, connecting
 * fails), and a host can crash.
 */
export class MemoryNetwork {
  readonly receiveWindowBytes: number;
  readonly #options: MemoryNetworkOptions;
  readonly #listeners = new Map<string, MemoryListener>();
  readonly #streams = new Set<MemoryStream>();
  /** The lines in which something waits to happen. */
  readonly #lines = new Set<Line>();
  readonly #held = new Set<string>();
  readonly #cut = new Set<string>();
  #order = 0;
  #streamsMade = 0;
  #nextPort = 10_000;
  #delivering = false;

  constructor(options: MemoryNetworkOptions) {
    this.#options = options;
    this.receiveWindowBytes = options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES_DEFAULT;
  }

  /** A transport of one host, with the network's limits or its own. */
  transport(host: string, limits: TransportOptions = this.#options): Transport {
    return new MemoryTransport(this, host, limits);
  }

  /** Lets one thing happen: a message arrives, a write completes, a connection opens or ends. False: nothing can. */
  step(): boolean {
    const ready = [...this.#lines].filter((line) => line.ready());
    const random = this.#options.random;
    let chosen = ready[random === undefined ? 0 : Math.floor(random() * ready.length)];
    if (random === undefined) {
      for (const line of ready) if (line.happenings[0]!.order < chosen!.happenings[0]!.order) chosen = line;
    }
    if (chosen === undefined) return false;
    const happening = chosen.happenings.shift()!;
    if (chosen.happenings.length === 0) this.#lines.delete(chosen);
    happening.run();
    return true;
  }

  /** Steps until nothing more can happen. @returns the number of steps. Broken when `stepsMax` do not suffice. */
  settle(stepsMax = 1_000_000): number {
    for (let steps = 0; steps < stepsMax; steps += 1) if (!this.step()) return steps;
    assert(false, `the memory network settles within ${stepsMax} steps`);
    return stepsMax;
  }

  /** From now on nothing passes from one host to the other, and nothing breaks either. One way only. */
  hold(from: string, to: string): void {
    this.#held.add(pair(from, to));
  }

  /** Breaks every stream between the two, both ways; connecting fails until `heal`. */
  cut(a: string, b: string): void {
    this.#cut.add(pair(a, b)).add(pair(b, a));
    for (const stream of [...this.#streams]) {
      if (stream.host === a && stream.remoteHost === b) stream.breakOff('the link was cut');
      if (stream.host === b && stream.remoteHost === a) stream.breakOff('the link was cut');
    }
  }

  /** Undoes `hold` and `cut` between the two, both ways; what was held passes now. */
  heal(a: string, b: string): void {
    for (const set of [this.#held, this.#cut]) {
      set.delete(pair(a, b));
      set.delete(pair(b, a));
    }
    this.kick();
  }

  /** The host's process is gone: its own callbacks are never called again, its peers' streams break. */
  crash(host: string): void {
    for (const [address, listener] of this.#listeners)
      if (listener.host === host) this.#listeners.delete(address);
    for (const stream of [...this.#streams]) if (stream.host === host) stream.vanish();
  }

  passes(from: string, to: string): boolean {
    return !this.#held.has(pair(from, to));
  }

  /** @throws AddressInUse */
  bind(host: string, address: string, limits: TransportOptions, onStream: OnStream): MemoryListener {
    const parsed = parseAddress(address);
    const port = parsed.port === 0 ? this.#nextPort++ : parsed.port;
    const name = formatAddress({ host: parsed.host, port });
    if (this.#listeners.has(name)) {
      throw new RaftlineError(ErrorCode.AddressInUse, `listen on ${name}: the port is in use`, {
        received: name,
      });
    }
    const listener = new MemoryListener(host, port, limits, onStream, () => {
      if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
    });
    this.#listeners.set(name, listener);
    return listener;
  }

  open(host: string, address: string, limits: TransportOptions, lane: Lane): MemoryStream {
    const parsed = parseAddress(address);
    const near = new MemoryStream(this, ++this.#streamsMade, host, parsed.host, address, limits);
    this.#streams.add(near);
    this.happen(new Line(() => this.passes(host, near.remoteHost)), () => {
      if (near.closed) return;
      const listener = this.#listeners.get(formatAddress(parsed));
      if (listener === undefined) return near.breakOff('nobody listens there');
      near.remoteHost = listener.host;
      if (this.#cut.has(pair(host, listener.host))) return near.breakOff('the link is cut');
      const from = `${host}:${near.id}`;
      const far = new MemoryStream(this, ++this.#streamsMade, listener.host, host, from, listener.limits);
      this.#streams.add(far);
      listener.streams.add(far);
      far.released = () => listener.streams.delete(far);
      near.join(far);
      listener.onStream(lane, far);
    });
    return near;
  }

  happen(line: Line, run: () => void): void {
    this.#lines.add(line);
    line.happenings.push({ order: ++this.#order, run });
    this.kick();
  }

  /** A stream is over: what could still have happened at its end will not. */
  forget(stream: MemoryStream, lines: readonly Line[]): void {
    this.#streams.delete(stream);
    for (const line of lines) this.#lines.delete(line);
  }

  /** With `autoDeliver`: sees to it that whatever became possible happens. */
  kick(): void {
    if (this.#options.autoDeliver !== true || this.#delivering) return;
    this.#delivering = true;
    queueMicrotask(() => {
      this.#delivering = false;
      if (this.step()) this.kick();
    });
  }
}

const pair = (from: string, to: string): string => `${from} ${to}`;

class MemoryStream extends BaseStream {
  released: () => void = () => {};
  readonly #network: MemoryNetwork;
  #peer: MemoryStream | undefined;
  #paused = false;
  #vanished = false;
  /** Handed over and waiting for room in the peer's receive window, or for the connection. */
  #waiting: { bytes: Buffer; written: () => void }[] = [];
  /** On its way to us or arrived unread. Bounded by the receive window, but for one message. */
  #wireBytes = 0;
  /** Messages to us. */
  readonly #incoming: Line;
  /** Writes of ours that completed. */
  readonly #completions = new Line(() => true);
  /** The peer closed: may overtake its messages, but passes no held link. */
  readonly #hangUps: Line;
  /** The link broke. */
  readonly #breaks = new Line(() => true);

  constructor(
    network: MemoryNetwork,
    id: number,
    readonly host: string,
    /** The other end's host; until connected, what the address says. */
    public remoteHost: string,
    remote: string,
    limits: TransportOptions,
  ) {
    super(id, remote, limits);
    this.#network = network;
    this.#incoming = new Line(() => !this.#paused && network.passes(this.remoteHost, this.host));
    this.#hangUps = new Line(() => network.passes(this.remoteHost, this.host));
  }

  join(peer: MemoryStream): void {
    this.#peer = peer;
    peer.#peer = this;
    this.#transmit();
  }

  override pause(): void {
    this.#paused = true;
  }

  override resume(): void {
    this.#paused = false;
    this.#network.kick();
  }

  /** The network ends the stream at this end, at one of the next steps and before anything still on its way. */
  breakOff(reason: string): void {
    if (!this.#vanished) this.#network.happen(this.#breaks, () => this.unreachable(reason));
  }

  /** This end's process is gone. */
  vanish(): void {
    this.#vanished = true;
    this.onMessage = () => {};
    this.onClose = () => {};
    this.close();
  }

  protected override write(bytes: Buffer, written: () => void): void {
    this.#waiting.push({ bytes, written });
    this.#transmit();
  }

  protected override release(cause: RaftlineError): void {
    const peer = this.#peer;
    this.#peer = undefined;
    this.#waiting = [];
    this.#network.forget(this, [this.#incoming, this.#completions, this.#hangUps, this.#breaks]);
    this.released();
    if (peer === undefined || peer.closed) return;
    peer.#peer = undefined;
    this.#network.happen(peer.#hangUps, () => peer.unreachable(`the peer closed it: ${reasonOf(cause)}`));
  }

  /** Puts on the wire what the peer's window has room for. */
  #transmit(): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    while (peer.#wireBytes < this.#network.receiveWindowBytes) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      peer.#wireBytes += next.bytes.length + MESSAGE_OVERHEAD_BYTES;
      this.#network.happen(this.#completions, next.written);
      // Copied, as a wire does: what the sender does to its bytes afterwards must not show here.
      const bytes = Buffer.from(next.bytes);
      this.#network.happen(peer.#incoming, () => peer.#arrive(bytes, this));
    }
  }

  #arrive(bytes: Buffer, sender: MemoryStream): void {
    this.#wireBytes -= bytes.length + MESSAGE_OVERHEAD_BYTES;
    if (bytes.length > this.limits.messageBytesMax) this.unreachable('a message above the limit arrived');
    else this.deliver(bytes);
    sender.#transmit();
  }
}

class MemoryListener implements Listener {
  readonly streams = new Set<MemoryStream>();

  constructor(
    readonly host: string,
    readonly port: number,
    readonly limits: TransportOptions,
    readonly onStream: OnStream,
    readonly unbind: () => void,
  ) {}

  close(): Promise<void> {
    this.unbind();
    for (const stream of [...this.streams]) stream.close();
    return Promise.resolve();
  }
}

class MemoryTransport implements Transport {
  readonly #network: MemoryNetwork;
  readonly #host: string;
  readonly #limits: TransportOptions;
  readonly #listeners = new Set<MemoryListener>();
  readonly #outgoing = new Set<MemoryStream>();
  #closed = false;

  constructor(network: MemoryNetwork, host: string, limits: TransportOptions) {
    this.#network = network;
    this.#host = host;
    this.#limits = limits;
  }

  async listen(address: string, onStream: OnStream): Promise<Listener> {
    if (this.#closed) throw new RaftlineError(ErrorCode.Closed, 'transport: closed');
    const listener = this.#network.bind(this.#host, address, this.#limits, onStream);
    this.#listeners.add(listener);
    return listener;
  }

  connect(address: string, lane: Lane): MessageStream {
    const stream = this.#network.open(this.#host, address, this.#limits, lane);
    this.#outgoing.add(stream);
    stream.released = () => this.#outgoing.delete(stream);
    if (this.#closed) queueMicrotask(() => stream.close());
    return stream;
  }

  close(): void {
    this.#closed = true;
    for (const stream of [...this.#outgoing]) stream.close();
    for (const listener of this.#listeners) void listener.close();
  }
}
