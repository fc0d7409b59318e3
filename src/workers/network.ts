import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, NodeId } from '../base/ids.js';
import { loadCompression } from '../codec/compression.js';
import { decodeEnvelope } from '../codec/envelope.js';
import { RingConsumer } from '../ring/consumer.js';
import { RingObserver } from '../ring/observer.js';
import { RingProducer } from '../ring/producer.js';
import { checkHelloReply, makeHello, type Self } from '../transport/handshake.js';
import { PeerLink } from '../transport/link.js';
import type { Lane, Listener, MessageStream, Transport } from '../transport/transport.js';
import type { Disk } from '../wal/disk.js';
import { type Identity, openIdentity } from '../wal/identity.js';
import { LogReader } from '../wal/log-reader.js';
import { BatchSource } from './batch-source.js';
import { ClientService } from './client-service.js';
import { Control } from './control.js';
import { Feeder } from './feeder.js';
import { Gatekeeper } from './gatekeeper.js';
import { cursorOf, type EngineMemory, gateOf, logIndexOf } from './memory.js';
import { NearIndex } from './near-index.js';
import { Outbox } from './outbox.js';
import type { Program } from './program.js';
import { Pulse } from './pulse.js';
import { Receiver } from './receiver.js';
import { clientCodec, commandCodec, inboxCodec } from './records.js';
import { Replicator } from './replicator.js';
import type { StoreFacts, WorkerSettings } from './settings.js';

/** Commands that one poll takes at most. */
const COMMANDS_PER_POLL = 256;
/** Without any sign of life from a follower that has messages in flight, its stream is given up (H42). */
const ACK_TIMEOUT_MS = 10_000;

type InboxRecord = Parameters<typeof inboxCodec.push>[1];

/** Everything of a node that talks to others, on one thread: its programs, the links they share, and main's commands. */
export class Network implements Program {
  readonly name = 'network';
  readonly #settings: WorkerSettings;
  readonly #transport: Transport;
  readonly #identity: Identity;
  readonly #inbox: RingProducer;
  readonly #commands: RingConsumer;
  readonly #wakeMain: () => void;
  /** Ends this thread's own sleep; called from I/O callbacks. */
  readonly #wakeSelf: () => void;
  readonly #near: NearIndex;
  readonly #outbox: Outbox;
  readonly #replicators = new Map<NodeId, Replicator>();
  readonly #receiver: Receiver;
  readonly #control: Control;
  readonly #pulse: Pulse;
  readonly #clients: ClientService;
  readonly #feeder: Feeder;
  readonly #gatekeeper: Gatekeeper;
  readonly #programs: readonly Program[];
  readonly #readers: LogReader[] = [];
  /** Every outgoing link, by peer. */
  readonly #links: { peer: NodeId; link: PeerLink }[] = [];
  readonly #applied = new Map<GroupId, LogIndex>();
  #port = 0;

  constructor(
    memory: EngineMemory,
    settings: WorkerSettings,
    facts: StoreFacts,
    disk: Disk,
    transport: Transport,
    wakeSelf: () => void,
  ) {
    this.#settings = settings;
    this.#transport = transport;
    const { id, cluster, dataDirectory, groups } = settings;
    this.#identity = openIdentity(disk, dataDirectory, {
      clusterId: cluster,
      nodeId: id,
      newIncarnation: () => facts.incarnation,
    });
    this.#inbox = new RingProducer(memory.rings.inbox);
    this.#commands = new RingConsumer(memory.rings.commands, 0);
    const main = gateOf(memory, 'main');
    this.#wakeMain = () => main.notify();
    this.#wakeSelf = wakeSelf;
    const self: Self = {
      clusterId: cluster,
      node: id,
      incarnation: facts.incarnation,
      groups: [...groups],
      bootstrapChecksum: facts.bootstrapChecksum,
    };
    const openReader = (): LogReader => new LogReader(disk, dataDirectory, logIndexOf(memory));
    const shared = {
      push: (record: InboxRecord) => this.#push(record),
      compression: loadCompression(settings.lz4),
      entryBytesMax: settings.entryBytesMax,
      wake: () => {
        this.#wakeMain();
        this.#wakeSelf();
      },
    };
    this.#near = new NearIndex(new RingObserver(memory.rings.batch));
    this.#outbox = new Outbox(cursorOf(memory, 'durable'));
    const controlLinks = new Map<NodeId, PeerLink>();
    for (const peer of settings.peers) {
      controlLinks.set(peer.id, this.#link(self, peer, 'control'));
      const reader = openReader();
      this.#readers.push(reader);
      this.#replicators.set(peer.id, this.#replicator(this.#link(self, peer, 'append'), peer.id, reader));
    }
    const limits = { rawBytesMax: settings.batchRawBytesMax, entriesMax: settings.batchEntriesMax };
    this.#receiver = new Receiver({
      ...shared,
      self: id,
      groups,
      receive: new RingProducer(memory.rings.receive),
      limits,
    });
    this.#control = new Control({ ...shared, links: controlLinks });
    this.#pulse = new Pulse({
      intervalMs: settings.heartbeatIntervalMs,
      lifeMs: settings.heartbeatLifeMs,
      send: (peer, envelope) => this.#control.send(peer, envelope),
    });
    const feederReader = openReader();
    this.#readers.push(feederReader);
    this.#feeder = new Feeder({
      ...shared,
      reader: feederReader,
      apply: new RingProducer(memory.rings.apply),
    });
    const clientRing = new RingProducer(memory.rings.client);
    this.#clients = new ClientService({
      ...shared,
      node: id,
      clusterId: cluster,
      groups,
      batchRawBytesMax: settings.batchRawBytesMax,
      batchEntriesMax: settings.batchEntriesMax,
      streamsMax: settings.clientStreams,
      tailsMax: settings.tailStreams,
      pass: (record) => clientCodec.push(clientRing, record),
      openReader,
      applied: (group) => this.#applied.get(group) ?? 0,
    });
    this.#gatekeeper = this.#makeGatekeeper(self);
    this.#programs = [
      ...this.#replicators.values(),
      this.#receiver,
      this.#control,
      this.#pulse,
      this.#clients,
      this.#feeder,
      this.#gatekeeper,
    ];
  }

  /** Listens first (H19): whoever is elected can be reached. @throws AddressInUse, AddressInvalid, InsecureRefused */
  async listen(): Promise<number> {
    const listener: Listener = await this.#transport.listen(this.#settings.listen, (lane, stream) =>
      this.#accept(lane, stream),
    );
    this.#port = listener.port;
    return listener.port;
  }

  poll(nowMs: number): boolean {
    let worked = this.#takeCommands(nowMs);
    if (this.#near.follow()) worked = true;
    if (this.#outbox.poll()) worked = true;
    for (const program of this.#programs) {
      if (program.poll(nowMs)) worked = true;
    }
    if (worked) this.#wakeMain();
    return worked;
  }

  close(): void {
    for (const program of this.#programs) program.close();
    for (const reader of this.#readers) reader.close();
    this.#transport.close();
  }

  #push(record: InboxRecord): boolean {
    return inboxCodec.push(this.#inbox, record);
  }

  #link(self: Self, peer: { id: NodeId; address: string }, lane: 'control' | 'append'): PeerLink {
    const link = new PeerLink({
      transport: this.#transport,
      address: peer.address,
      hello: () => makeHello(self, peer.id, lane),
      checkReply: (hello, reply) => {
        const verdict = checkHelloReply(hello, this.#acquaintances(), reply);
        if (verdict.accepted) this.#identity.rememberPeer(peer.id, reply.incarnation);
        return verdict;
      },
    });
    this.#links.push({ peer: peer.id, link });
    // A peer that stays away is told of once, and again when the reason changes; not with every attempt.
    let told = '';
    link.onUp = () => {
      told = '';
      this.#reportPeer(peer.id, lane, true, '', '');
      this.#wakeSelf();
    };
    link.onDown = (cause) => {
      if (told !== cause.code) this.#reportPeer(peer.id, lane, false, cause.code, cause.message);
      told = cause.code;
      this.#wakeSelf();
    };
    return link;
  }

  #replicator(link: PeerLink, peer: NodeId, reader: LogReader): Replicator {
    const { onDown } = link;
    const replicator = new Replicator({
      self: this.#settings.id,
      peer,
      link,
      source: new BatchSource(this.#near, reader),
      push: (record) => this.#push(record),
      depth: this.#settings.pipelineDepth,
      inflightBytesMax: this.#settings.inflightBytesMax,
      ackTimeoutMs: ACK_TIMEOUT_MS,
    });
    link.onDown = (cause, wasUp) => {
      replicator.streamBroke();
      onDown(cause, wasUp);
    };
    link.onMessage = (bytes) => {
      const { envelope } = decodeEnvelope(bytes);
      if (envelope.type !== 'appendReply' || envelope.from !== peer) {
        throw new RaftlineError(
          ErrorCode.BytesInvalid,
          `append stream to node ${peer}: not a reply of its own`,
        );
      }
      replicator.onReply(envelope);
      this.#wakeSelf();
    };
    return replicator;
  }

  #acquaintances() {
    return {
      knownIncarnation: (node: NodeId) => this.#identity.peerIncarnation(node),
      isKnownPeer: (node: NodeId) => this.#settings.peers.some((peer) => peer.id === node),
    };
  }

  #makeGatekeeper(self: Self): Gatekeeper {
    return new Gatekeeper({
      self: { ...self, ...this.#acquaintances() },
      ports: () => ({ controlPort: this.#port, dataPort: this.#port, clientPort: this.#port }),
      remember: (peer, incarnation) => this.#identity.rememberPeer(peer, incarnation),
      adopt: (lane, peer, stream) => {
        for (const known of this.#links) if (known.peer === peer) known.link.hurry();
        if (lane === 'control') this.#control.adopt(peer, stream);
        else this.#receiver.adopt(peer, stream);
      },
      refused: (peer, lane, code, message) => {
        const text = JSON.stringify({
          level: 'warn',
          message: `${lane} stream of node ${peer} refused (${code}): ${message}`,
        });
        this.#push({ type: 'log', body: Buffer.from(text) });
        this.#wakeMain();
      },
    });
  }

  #reportPeer(peer: NodeId, lane: 'control' | 'append', up: boolean, code: string, message: string): void {
    const body = Buffer.from(JSON.stringify({ code, message }));
    this.#push({ type: 'peer', peer, lane: lane === 'control' ? 0 : 1, up: up ? 1 : 0, body });
    this.#wakeMain();
  }

  #accept(lane: Lane, stream: MessageStream): void {
    if (lane === 'client') this.#clients.adopt(stream);
    else if (lane === 'snapshot')
      stream.close(new RaftlineError(ErrorCode.Closed, 'snapshots are not served yet'));
    else this.#gatekeeper.admit(lane, stream);
    this.#wakeSelf();
  }

  #takeCommands(nowMs: number): boolean {
    let taken = 0;
    while (taken < COMMANDS_PER_POLL && this.#commands.poll()) {
      this.#execute(commandCodec.read(this.#commands), nowMs);
      this.#commands.release();
      taken++;
    }
    return taken > 0;
  }

  #execute(command: ReturnType<typeof commandCodec.read>, nowMs: number): void {
    switch (command.type) {
      case 'sessionOpen':
        this.#replicators.get(command.peer)?.open(command);
        break;
      case 'sessionStream':
        this.#replicators.get(command.peer)?.stream(command);
        break;
      case 'sessionClose':
        this.#replicators.get(command.peer)?.closeSession(command);
        this.#pulse.forget(command.peer, command.group);
        break;
      case 'commit':
        for (const replicator of this.#replicators.values()) {
          replicator.commit(command.group, command.term, command.commit);
        }
        break;
      case 'control': {
        const envelope = Buffer.from(command.body);
        const { peer, heartbeatOf } = command;
        this.#outbox.add(command.after, () => {
          this.#control.send(peer, envelope);
          if (heartbeatOf !== 0) this.#pulse.note(peer, heartbeatOf, envelope, nowMs);
        });
        break;
      }
      case 'appendReply':
        this.#reply(command);
        break;
      case 'applied':
        this.#applied.set(command.group, command.applied);
        break;
      case 'feed':
        this.#feeder.feed(command.group, command.from, command.to);
        break;
      case 'clientReply':
        this.#clients.reply(command.stream, Buffer.from(command.body));
        break;
      case 'clientClose':
        this.#clients.end(command.stream);
        break;
    }
  }

  #reply(command: Extract<ReturnType<typeof commandCodec.read>, { type: 'appendReply' }>): void {
    const { group, peer, term, session, match, hintIndex, hintTerm, applied } = command;
    const kind = command.refused === 1 ? 'refused' : 'durable';
    const reply = {
      type: 'appendReply',
      group,
      from: this.#settings.id,
      to: peer,
      term,
      session,
      kind,
    } as const;
    this.#outbox.add(command.after, () =>
      this.#receiver.reply(peer, { ...reply, match, hintIndex, hintTerm, applied }),
    );
  }
}
