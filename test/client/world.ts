import { ErrorCode } from '../../src/base/errors.js';
import { RaftlineClient } from '../../src/client/client.js';
import type { ClientClock } from '../../src/client/clock.js';
import type { ClientOptions } from '../../src/client/options.js';
import { EntryCursor } from '../../src/codec/entries.js';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  type ProposeReply,
} from '../../src/codec/envelope.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { MessageStream } from '../../src/transport/transport.js';

const LIMITS = { messageBytesMax: 70 * 1024 * 1024, queuedBytesMax: 2 * 1024 * 1024 };

/** Time that stands still until it is moved. */
class ManualClock implements ClientClock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  get waiting(): number {
    return this.#timers.length;
  }

  /** Goes to the next timer that is due by `until`; false when there is none. */
  step(until: number): boolean {
    const [next] = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
    this.#now = next === undefined ? until : Math.max(this.#now, next.at);
    if (next === undefined) return false;
    this.#timers = this.#timers.filter((each) => each !== next);
    next.run();
    return true;
  }
}

/** What arrived in one propose message. */
export interface Proposal {
  clientId: number;
  firstSequence: number;
  count: number;
  entries: string[];
  sequences: number[];
}

/** A client's stream as the server sees it. */
export class FakeStream {
  readonly proposals: Proposal[] = [];
  readonly others: Envelope[] = [];
  readonly #stream: MessageStream;
  closed = false;

  constructor(stream: MessageStream, server: FakeServer) {
    this.#stream = stream;
    stream.onClose = () => {
      this.closed = true;
    };
    stream.onMessage = (bytes) => {
      const { envelope, bodyOffset } = decodeEnvelope(bytes);
      if (envelope.type === 'clientHello') server.welcome(this, envelope.clusterId);
      else if (envelope.type === 'propose') this.#propose(envelope, bytes.subarray(bodyOffset), server);
      else {
        this.others.push(envelope);
        server.onOther(this, envelope);
      }
    };
  }

  /** Bytes that the client has not let through yet. */
  get queuedBytes(): number {
    return this.#stream.queuedBytes;
  }

  /** All entries that arrived, in order. */
  get entries(): string[] {
    return this.proposals.flatMap(({ entries }) => entries);
  }

  get sequences(): number[] {
    return this.proposals.flatMap(({ sequences }) => sequences);
  }

  send(envelope: Envelope, body: Buffer = Buffer.alloc(0)): void {
    const { bytes, bodyOffset } = encodeEnvelope(envelope, body.length);
    body.copy(bytes, bodyOffset);
    this.#stream.send(bytes);
  }

  reply(reply: Partial<ProposeReply> & Pick<ProposeReply, 'firstSequence' | 'count' | 'outcome'>): void {
    const rest = { group: 1, index: 0, term: 1, code: '', message: '', leader: 0, leaderAddress: '' };
    this.send({ type: 'proposeReply', ...rest, ...reply });
  }

  /** Applied at index = sequence + 100. */
  applied(firstSequence: number, count: number): void {
    this.reply({ firstSequence, count, outcome: 'applied', index: firstSequence + 100 });
  }

  refuse(firstSequence: number, code: string, leader = 0, leaderAddress = ''): void {
    this.reply({
      firstSequence,
      count: 1,
      outcome: 'refused',
      code,
      message: `refused: ${code}`,
      leader,
      leaderAddress,
    });
  }

  close(): void {
    this.#stream.close();
  }

  #propose(envelope: Envelope & { type: 'propose' }, body: Buffer, server: FakeServer): void {
    const cursor = new EntryCursor().reset(body, 0, body.length, envelope.count);
    const proposal: Proposal = { ...envelope, entries: [], sequences: [] };
    while (cursor.next()) {
      proposal.entries.push(cursor.bytes().toString('latin1'));
      proposal.sequences.push(cursor.sequence);
    }
    this.proposals.push(proposal);
    server.onPropose(this, proposal);
  }
}

/** A server that does what the test says, and by default welcomes and keeps silent. */
export class FakeServer {
  readonly streams: FakeStream[] = [];
  refusal: { code: string; message: string } | undefined;
  welcomes = true;
  onPropose: (stream: FakeStream, proposal: Proposal) => void = () => {};
  onOther: (stream: FakeStream, envelope: Envelope) => void = () => {};

  constructor(
    readonly id: number,
    readonly address: string,
  ) {}

  get last(): FakeStream {
    return this.streams[this.streams.length - 1]!;
  }

  welcome(stream: FakeStream, clusterId: string): void {
    if (!this.welcomes) return;
    const { code, message } = this.refusal ?? { code: '', message: '' };
    const accepted = this.refusal === undefined;
    stream.send({
      type: 'clientWelcome',
      accepted,
      code,
      message,
      node: this.id,
      clusterId: clusterId || 'c',
    });
  }

  /** Answers everything at once, as a healthy leader does. */
  applyAll(): this {
    this.onPropose = (stream, { firstSequence, count }) => stream.applied(firstSequence, count);
    return this;
  }

  /** Sends every proposal on to the leader. */
  pointTo(leader: FakeServer | undefined): this {
    this.onPropose = (stream, { firstSequence }) =>
      stream.refuse(firstSequence, ErrorCode.NotLeader, leader?.id ?? 0, leader?.address ?? '');
    return this;
  }
}

/** One client, some fake servers, a network and a clock: nothing moves but by `run` and `pass`. */
export class World {
  readonly network = new MemoryNetwork(LIMITS);
  readonly clock = new ManualClock();
  readonly servers: FakeServer[] = [];
  readonly retries: string[] = [];
  #clientIds = 7000;

  async server(): Promise<FakeServer> {
    const id = this.servers.length + 1;
    const server = new FakeServer(id, `s${id}:1`);
    await this.network.transport(`s${id}`).listen(server.address, (_lane, stream) => {
      server.streams.push(new FakeStream(stream, server));
    });
    this.servers.push(server);
    return server;
  }

  client(options: Partial<ClientOptions> = {}): RaftlineClient {
    const servers = Object.fromEntries(this.servers.map(({ id, address }) => [id, address]));
    const onRetry: ClientOptions['onRetry'] = (error, server) => this.retries.push(`${server} ${error.code}`);
    return new RaftlineClient(
      { servers, onRetry, ...options },
      {
        transport: this.network.transport('client'),
        clock: this.clock,
        newClientId: () => this.#clientIds++,
      },
    );
  }

  /** Lets everything happen that can without time passing. */
  async run(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await Promise.resolve();
      quiet = this.network.settle() === 0 ? quiet + 1 : 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Lets time pass, and everything that happens meanwhile. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    await this.run();
    while (this.clock.step(until)) await this.run();
  }
}

/** Collects what callbacks were told, one line per run: `1-3 at 101` or `4-4 RAFTLINE_…`. */
export class Story {
  readonly lines: string[] = [];
  readonly callback: import('../../src/client/window.js').AppendCallback = (error, run) => {
    const { firstSequence, count, index, duplicate } = run;
    const range = `${firstSequence}-${firstSequence + count - 1}`;
    this.lines.push(
      error === undefined ? `${range} at ${index}${duplicate ? ' again' : ''}` : `${range} ${error.code}`,
    );
  };
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** Appends entries that must find room. */
export function appendAll(client: RaftlineClient, story: Story, entries: readonly string[]): void {
  for (const entry of entries) {
    if (!client.appender.append(bytes(entry), story.callback)) throw new Error(`no room for ${entry}`);
  }
}

/** `entry 1`, `entry 2` … */
export const letters = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `entry ${from + at}`);
