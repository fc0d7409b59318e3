import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex } from '../base/ids.js';
import { ENTRY_BYTES_CEILING } from '../base/limits.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { type Lz4Implementations, loadCompression } from '../codec/compression.js';
import { noDecompress, type TryDecompress, wasmDecompressor } from '../codec/lz4-wasm.js';
import { RingConsumer } from '../ring/consumer.js';
import { RingObserver } from '../ring/observer.js';
import { RingProducer } from '../ring/producer.js';
import type { Lane, Listener, MessageStream, Transport } from '../transport/transport.js';
import type { Disk } from '../wal/disk.js';
import { type Identity, openIdentity } from '../wal/identity.js';
import { LogReader, type ReaderOptions } from '../wal/log-reader.js';
import { ClientService } from './client-service.js';
import { Control } from './control.js';
import { Feeder } from './feeder.js';
import { Gatekeeper } from './gatekeeper.js';
import { cursorOf, type EngineMemory, gateOf, logIndexOf, readBackOf } from './memory.js';
import { NearIndex } from './near-index.js';
import { type Near, NearRings } from './near-rings.js';
import { Outbox } from './outbox.js';
import { Peers } from './peers.js';
import { firstDueMs, type Program } from './program.js';
import { Pulse } from './pulse.js';
import { Receiver } from './receiver.js';
import { clientCodec, commandCodec, inboxCodec } from './records.js';
import type { Roster } from './roster.js';
import type { GroupFlow, StoreFacts, WorkerSettings } from './settings.js';

/** Commands that one poll takes at most. */
const COMMANDS_PER_POLL = 256;

type InboxRecord = Parameters<typeof inboxCodec.push>[1];

/** Everything of a node that talks to others, on one thread: its programs, the links they share, and main's commands. */
export class Network implements Program {
  readonly name = 'network';
  /** What this node decompresses with, and would compress with. */
  readonly lz4: Lz4Implementations;
  readonly #settings: WorkerSettings;
  readonly #transport: Transport;
  readonly #inbox: RingProducer;
  readonly #commands: RingConsumer;
  readonly #wakeMain: () => void;
  /** Something for main was put into a ring since it was last woken. */
  #news = false;
  /** Ends this thread's own sleep; called from I/O callbacks. */
  readonly #wakeSelf: () => void;
  /** Own batches. */
  readonly #near: Near;
  /** Leaders' batches. */
  readonly #received: NearIndex;
  readonly #outbox: Outbox;
  readonly #peers: Peers;
  readonly #receiver: Receiver;
  readonly #control: Control;
  readonly #pulse: Pulse;
  readonly #clients: ClientService;
  readonly #feeder: Feeder;
  readonly #gatekeeper: Gatekeeper;
  readonly #programs: readonly Program[];
  readonly #readers: LogReader[] = [];
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
    const identity = openIdentity(disk, dataDirectory, {
      clusterId: cluster,
      nodeId: id,
      newIncarnation: () => facts.incarnation,
    });
    this.#inbox = new RingProducer(memory.rings.inbox);
    this.#commands = new RingConsumer(memory.rings.commands, 0);
    const main = gateOf(memory, 'main');
    this.#wakeMain = () => main.notify();
    this.#wakeSelf = wakeSelf;
    const index = logIndexOf(memory);
    const openReader = (options: ReaderOptions): LogReader =>
      new LogReader(disk, dataDirectory, index, options);
    const compression = loadCompression(settings.lz4, decompressorOf(memory));
    this.lz4 = compression.implementations;
    const shared = {
      applied: (group: GroupId) => this.#applied.get(group) ?? 0,
      push: (record: InboxRecord) => this.#push(record),
      compression,
      entryBytesMax: settings.entryBytesMax,
      log: (message: string) => this.#log(message),
      // Main is woken at the end of the poll that follows: once, however much has come for it.
      wake: () => {
        this.#news = true;
        this.#wakeSelf();
      },
    };
    this.#near = nearOf(memory);
    this.#received = new NearIndex(new RingObserver(memory.rings.receive));
    this.#outbox = new Outbox(cursorOf(memory, 'durable'));
    this.#peers = new Peers(
      {
        ...shared,
        self: {
          clusterId: cluster,
          node: id,
          incarnation: facts.incarnation,
          groups: [...groups],
          leaseMs: settings.leaseMs,
        },
        transport,
        identity,
        near: this.#near,
        // What was written past the cache has to come from the disk; what was not is in the cache as long as nobody needs it.
        openReader: () => openReader({ pattern: settings.durability === 'sync' ? 'once' : 'anyhow' }),
        flows: settings.flows,
        wakeMain: this.#wakeMain,
        wakeSelf,
        answered: (peer, bytes) => this.#control.take(peer, bytes),
        expel: (peer, cause) => {
          this.#control.expel(peer, cause);
          this.#receiver.expel(peer, cause);
        },
        messageBytesMax: settings.messageBytesMax,
      },
      firstRoster(settings),
    );
    const receive = new RingProducer(memory.rings.receive);
    this.#receiver = new Receiver({
      ...shared,
      self: id,
      groups,
      receive,
      // What is in the receive ring fits into the apply ring too: they have one size.
      batchRawBytesMax: Math.min(settings.batchTakenBytesMax, receive.recordBytesMax - BATCH_PAYLOAD_OFFSET),
    });
    this.#control = new Control({ ...shared, links: this.#peers.controlLinks });
    this.#pulse = new Pulse({
      intervalMs: settings.heartbeatIntervalMs,
      lifeMs: settings.heartbeatLifeMs,
      send: (peer, envelope) => this.#control.send(peer, envelope),
    });
    const feederReader = openReader({ room: readBackOf(memory) });
    this.#readers.push(feederReader);
    this.#feeder = new Feeder({
      ...shared,
      reader: feederReader,
      received: this.#received,
      apply: new RingProducer(memory.rings.apply),
      // What is committed is applied, whatever this node takes from its own clients.
      entryBytesMax: ENTRY_BYTES_CEILING,
      alone: groups.length === 1,
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
      pass: (record) => this.#noted(clientCodec.push(clientRing, record)),
      openReader: () => openReader({}),
      members: () => this.#peers.addresses,
    });
    this.#gatekeeper = this.#makeGatekeeper(identity);
    this.#programs = [
      this.#peers,
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

  dueMs(nowMs: number): number {
    return firstDueMs(this.#programs, nowMs);
  }

  poll(nowMs: number): boolean {
    // What is sent, and commands that were taken, are no news to main, unless it may have been waiting for room.
    if (this.#commands.crowded()) this.#news = true;
    let worked = this.#takeCommands(nowMs);
    if (this.#near.follow()) worked = true;
    if (this.#received.follow()) worked = true;
    if (this.#outbox.poll()) worked = true;
    for (const program of this.#programs) {
      if (program.poll(nowMs)) worked = true;
    }
    if (this.#news) {
      this.#wakeMain();
      this.#feeder.told();
    }
    this.#news = false;
    return worked;
  }

  close(): void {
    for (const program of this.#programs) program.close();
    for (const reader of this.#readers) reader.close();
    this.#transport.close();
  }

  #push(record: InboxRecord): boolean {
    return this.#noted(inboxCodec.push(this.#inbox, record));
  }

  /** Whether something was put into a ring for main, who is to be woken then. */
  #noted(pushed: boolean): boolean {
    if (pushed) this.#news = true;
    return pushed;
  }

  #makeGatekeeper(identity: Identity): Gatekeeper {
    const peers = this.#peers;
    return new Gatekeeper({
      self: () => peers.self,
      acquaintances: peers,
      ports: () => ({ controlPort: this.#port, dataPort: this.#port, clientPort: this.#port }),
      remember: (peer, incarnation) => peers.remember(peer, incarnation),
      rememberBootstrap: (checksum) => identity.rememberBootstrap(checksum),
      adopt: (lane, peer, stream) => {
        peers.hurry(peer);
        if (lane === 'control') this.#control.adopt(peer, stream);
        else this.#receiver.adopt(peer, stream);
      },
      refused: (peer, lane, code, message) =>
        this.#log(`${lane} stream of node ${peer} refused (${code}): ${message}`),
    });
  }

  #log(message: string): void {
    this.#push({ type: 'log', body: Buffer.from(JSON.stringify({ level: 'warn', message })) });
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
        this.#peers.replicator(command.peer)?.open(command);
        break;
      case 'sessionStream':
        this.#peers.replicator(command.peer)?.stream(command);
        break;
      case 'sessionClose':
        this.#peers.replicator(command.peer)?.closeSession(command);
        this.#pulse.forget(command.peer, command.group);
        break;
      case 'commit':
        for (const replicator of this.#peers.replicators()) {
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
      case 'roster':
        this.#peers.setRoster(JSON.parse(command.body.toString()) as Roster);
        this.#clients.tellMembers();
        break;
      case 'flow':
        this.#peers.setFlow(command.group, JSON.parse(command.body.toString()) as GroupFlow);
        break;
      case 'appendReply':
        this.#reply(command);
        break;
      case 'applied':
        this.#applied.set(command.group, command.applied);
        this.#feeder.applied(command);
        break;
      case 'feed':
        this.#feeder.feed(command);
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
    const { group, peer, term, session, match, hintIndex, hintTerm } = command;
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
    const send = (): void => {
      // More may be applied by the time that it leaves.
      const applied = Math.max(command.applied, this.#applied.get(group) ?? 0);
      this.#receiver.reply(peer, { ...reply, match, hintIndex, hintTerm, applied });
    };
    // Acknowledgements are cumulative.
    const newestOf = kind === 'durable' ? `${peer} ${group} ${term} ${session}` : undefined;
    this.#outbox.add(command.after, send, newestOf);
  }
}

function decompressorOf({ memory, wasm }: EngineMemory): TryDecompress {
  return wasm === undefined ? noDecompress : wasmDecompressor(memory, wasm);
}

/** The batches that this node seals as leader, from one encoder or from several. */
function nearOf({ rings, moreEncoders }: EngineMemory): Near {
  if (moreEncoders.length === 0) return new NearIndex(new RingObserver(rings.batch));
  const regions = [rings.batch, ...moreEncoders.map(({ ring }) => ring)];
  return new NearRings(regions.map((region) => new NearIndex(new RingObserver(region), true)));
}

/** Until main has told what the log says, the peers of the options are as good a guess as any. */
function firstRoster(settings: WorkerSettings): Roster {
  const rows = settings.join
    ? []
    : settings.peers.map((peer) => ({ ...peer, incarnation: 0, invited: false }));
  return { rows, address: '', removed: [] };
}
