import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  type handleBidiStreamingCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status as Status,
  type StatusObject,
} from '@grpc/grpc-js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { foreignText, formatAddress, insecureRefused, isLoopback, parseAddress } from './address.js';
import { BaseStream, reasonOf } from './base-stream.js';
import { bindError, probe } from './bind-probe.js';
import { type HttpSession, prepareServer, watchSessions } from './grpc-server-seam.js';
import {
  LANES,
  type Lane,
  type Listener,
  type MessageStream,
  RECEIVE_WINDOW_BYTES_DEFAULT,
  type TlsOptions,
  type Transport,
  type TransportOptions,
} from './transport.js';

export interface GrpcTransportOptions extends TransportOptions {
  /** Mutual TLS in both directions, 1.3 only. Without it, only loopback may listen unless `insecure`. */
  tls?: TlsOptions;
  /** Allows listening beyond loopback without TLS: anyone who reaches the port can speak to the engine. */
  insecure?: boolean;
  /** How often an idle connection is tried, ms, and how long its answer may take. Defaults 1000 and 2000. */
  keepaliveMs?: number;
  keepaliveTimeoutMs?: number;
  /** Streams that one connection to us may carry; ours carry one each. Default 16 (S11). */
  streamsPerConnectionMax?: number;
  /** Connections that one listener holds; further ones are dropped at once. Default 1024. */
  connectionsMax?: number;
  /** How long a connection to us may be without a stream, ms. Default 30,000. */
  idleConnectionMs?: number;
  /** Told once per transport when something could not be set up as intended but work goes on. */
  onWarning?: (message: string) => void;
}

type Duplex = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

const identity = (bytes: Buffer): Buffer => bytes;

function methodOf(lane: Lane): MethodDefinition<Buffer, Buffer> & { path: string } {
  const name = lane.charAt(0).toUpperCase() + lane.slice(1);
  return {
    path: `/raftline.v1.Raftline/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

/** The one gRPC service: per lane a method that carries raw bytes both ways. */
const METHODS = Object.fromEntries(LANES.map((lane) => [lane, methodOf(lane)])) as Record<
  Lane,
  ReturnType<typeof methodOf>
>;

/** One end of a bidirectional call, as a stream of messages. */
class GrpcStream extends BaseStream {
  readonly #call: Duplex;
  readonly #hangUp: (cause: RaftlineError, unwritten: boolean) => void;

  constructor(
    id: number,
    remote: string,
    options: TransportOptions,
    call: Duplex,
    hangUp: (cause: RaftlineError, unwritten: boolean) => void,
  ) {
    super(id, remote, options);
    this.#call = call;
    this.#hangUp = hangUp;
    // The library reports a failed call as an event that ends the process when nobody listens; the calls' own
    // endings below say the same.
    call.on('error', () => {});
    call.on('end', () => this.unreachable('the peer closed it'));
  }

  /** Starts delivering; kept apart so that whoever is given the stream sets its handlers first. */
  start(): void {
    this.#call.on('data', (bytes: Buffer) => this.deliver(bytes));
  }

  /** The call ended with a gRPC status. A good one is followed by the messages still on their way, and `end`. */
  statusReceived({ code, details }: Pick<StatusObject, 'code' | 'details'>): void {
    if (code === Status.OK) return;
    const reason = `${Status[code] ?? code} ${foreignText(withoutNote(details))}`;
    if (code === Status.UNIMPLEMENTED) {
      const message = `${this.remote} does not speak this version of raftline's protocol: ${reason}`;
      this.end(new RaftlineError(ErrorCode.HandshakeRefused, message, { remote: this.remote }));
    } else this.unreachable(reason);
  }

  cancelled(): void {
    this.unreachable('the connection or the call was cut');
  }

  override pause(): void {
    this.#call.pause();
  }

  override resume(): void {
    if (!this.closed) this.#call.resume();
  }

  protected override write(bytes: Buffer, written: () => void): void {
    this.#call.write(bytes, (error?: Error | null) => {
      if (error === undefined || error === null) written();
    });
  }

  protected override release(cause: RaftlineError, unwritten: boolean): void {
    this.#hangUp(cause, unwritten);
    // Nobody reads any more: what still arrives must drain, or the connection could not end.
    this.#call.resume();
  }
}

/** The library ends some reasons with a note on name resolution, also when it has none. */
function withoutNote(details: string): string {
  return details.replace(/ Resolution note: .*$/s, '');
}

/** Streams over gRPC (HTTP/2, TCP). Every `connect` has a connection of its own. Works in worker threads. */
export class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #receiveWindowBytes: number;
  readonly #credentials: ChannelCredentials;
  readonly #listeners = new Set<GrpcListener>();
  readonly #outgoing = new Set<GrpcStream>();
  #streamsMade = 0;
  #closed = false;
  #warned = false;

  /** @throws OptionInvalid */
  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#receiveWindowBytes = checkWindow(options.receiveWindowBytes ?? RECEIVE_WINDOW_BYTES_DEFAULT);
    this.#credentials = credentialsOf(options.tls);
  }

  async listen(address: string, onStream: (lane: Lane, stream: MessageStream) => void): Promise<Listener> {
    const parsed = parseAddress(address);
    const { tls, insecure = false } = this.#options;
    if (this.#closed) throw new RaftlineError(ErrorCode.Closed, 'transport: closed');
    if (tls === undefined && !insecure && !isLoopback(parsed.host)) {
      throw insecureRefused(address);
    }
    const listener = new GrpcListener(
      this.#serverOptions(),
      this.#options,
      () => ++this.#streamsMade,
      onStream,
    );
    await listener.bind(parsed, this.#receiveWindowBytes, () => this.#warnOfWindow());
    if (this.#closed) {
      await listener.close();
      throw new RaftlineError(ErrorCode.Closed, 'transport: closed while it began to listen');
    }
    this.#listeners.add(listener);
    listener.onClose = () => this.#listeners.delete(listener);
    return listener;
  }

  connect(address: string, lane: Lane): MessageStream {
    const client = new Client(targetOf(address), this.#credentials, this.#channelOptions());
    const call = client.makeBidiStreamRequest(METHODS[lane].path, identity, identity, new Metadata(), {});
    const stream: GrpcStream = new GrpcStream(++this.#streamsMade, address, this.#options, call, () => {
      this.#outgoing.delete(stream);
      call.cancel();
      client.close();
    });
    this.#outgoing.add(stream);
    call.on('status', (received: StatusObject) => stream.statusReceived(received));
    stream.start();
    if (this.#closed) queueMicrotask(() => stream.close());
    return stream;
  }

  close(): void {
    this.#closed = true;
    for (const stream of [...this.#outgoing]) stream.close();
    for (const listener of [...this.#listeners]) void listener.close();
  }

  #warnOfWindow(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#options.onWarning?.(
      'this version of the gRPC library does not let the receive window be opened: appends arrive at about a ' +
        'quarter of the speed, and floods of streams are bounded less tightly',
    );
  }

  /** What client and server have in common. */
  #commonOptions(): ChannelOptions {
    const { messageBytesMax, keepaliveMs = 1000, keepaliveTimeoutMs = 2000 } = this.#options;
    return {
      'grpc.max_send_message_length': messageBytesMax,
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
      'grpc.enable_channelz': 0,
    };
  }

  #channelOptions(): ChannelOptions {
    return {
      ...this.#commonOptions(),
      'grpc.keepalive_permit_without_calls': 1,
      // Without the second one the library says "written" for the first MiB even when nobody is there.
      'grpc.enable_retries': 0,
      'grpc.per_rpc_retry_buffer_size': 0,
      // A connection per stream: control never waits behind data.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc-node.flow_control_window': this.#receiveWindowBytes,
    };
  }

  #serverOptions(): ChannelOptions {
    return {
      ...this.#commonOptions(),
      'grpc.max_concurrent_streams': this.#options.streamsPerConnectionMax ?? 16,
      // Ours carry a stream for all their life; one without may not keep a place for ever.
      'grpc.max_connection_idle_ms': this.#options.idleConnectionMs ?? 30_000,
    };
  }
}

/** A gRPC server on one address. */
class GrpcListener implements Listener {
  onClose: () => void = () => {};
  readonly #server: Server;
  readonly #options: GrpcTransportOptions;
  readonly #nextId: () => number;
  readonly #streams = new Set<GrpcStream>();
  /** By the peer's address and port: how a call's connection is found. */
  #sessions: ReadonlyMap<string, HttpSession> = new Map();
  #port = 0;
  #closing: Promise<void> | undefined;

  constructor(
    serverOptions: ChannelOptions,
    options: GrpcTransportOptions,
    nextId: () => number,
    onStream: (lane: Lane, stream: MessageStream) => void,
  ) {
    this.#options = options;
    this.#nextId = nextId;
    this.#server = new Server(serverOptions);
    const handlers: Record<string, handleBidiStreamingCall<Buffer, Buffer>> = {};
    for (const lane of LANES) handlers[lane] = (call) => this.#accept(lane, call, onStream);
    this.#server.addService(METHODS, handlers);
  }

  get port(): number {
    return this.#port;
  }

  async bind({ host, port }: { host: string; port: number }, windowBytes: number, onMissing: () => void) {
    const { tls, connectionsMax = 1024 } = this.#options;
    const limits = { windowBytes, connectionsMax };
    await probe({ host, port });
    const prepared = prepareServer(this.#server, limits);
    const serverCredentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(tls.ca, [{ private_key: tls.key, cert_chain: tls.cert }], true);
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`dns:${formatAddress({ host, port })}`, serverCredentials, (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(
            bindError(formatAddress({ host, port }), /EADDRINUSE/.exec(error.message)?.[0] ?? '', error),
          );
      });
    });
    const sessions = watchSessions(this.#server, limits);
    if (sessions !== undefined) this.#sessions = sessions;
    if (!prepared || sessions === undefined) onMissing();
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      for (const stream of [...this.#streams]) stream.close();
      this.#server.tryShutdown(() => resolve());
      this.#server.forceShutdown();
      this.onClose();
    });
    return this.#closing;
  }

  #accept(
    lane: Lane,
    call: ServerDuplexStream<Buffer, Buffer>,
    onStream: (lane: Lane, s: MessageStream) => void,
  ) {
    const remote = call.getPeer();
    const stream: GrpcStream = new GrpcStream(
      this.#nextId(),
      remote,
      this.#options,
      call,
      (cause, unwritten) => {
        this.#streams.delete(stream);
        this.#hangUp(call, remote, cause, unwritten);
      },
    );
    this.#streams.add(stream);
    call.on('cancelled', () => stream.cancelled());
    onStream(lane, stream);
    if (!stream.closed) stream.start();
  }

  /**
   * Ends a call from the server's side. The library only ends it behind what is being written, which with a stuck
   * peer is never: then the whole connection goes, and with it what the library still holds.
   */
  #hangUp(
    call: ServerDuplexStream<Buffer, Buffer>,
    remote: string,
    cause: RaftlineError,
    unwritten: boolean,
  ): void {
    const session = this.#sessions.get(remote);
    if (unwritten && session !== undefined) session.destroy();
    else if (cause.code === ErrorCode.Closed) call.end();
    else call.emit('error', { code: Status.ABORTED, details: reasonOf(cause) });
  }
}

/** HTTP/2's own bounds: what a connection starts with, and what a window can be. */
const WINDOW_BYTES_MIN = 65_535;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;

function checkWindow(bytes: number): number {
  if (Number.isInteger(bytes) && bytes >= WINDOW_BYTES_MIN && bytes <= WINDOW_BYTES_MAX) return bytes;
  const expected = `a whole number from ${WINDOW_BYTES_MIN} to ${WINDOW_BYTES_MAX}`;
  const message = `receiveWindowBytes: expected ${expected}, received ${bytes}`;
  throw new RaftlineError(ErrorCode.OptionInvalid, message, { expected, received: bytes });
}

function credentialsOf(tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  try {
    return credentials.createSsl(tls.ca, tls.key, tls.cert);
  } catch (thrown) {
    const reason = foreignText(thrown instanceof Error ? thrown.message : String(thrown));
    const message = `tls: expected PEM texts of an authority, a certificate and its key, received ${reason}`;
    throw new RaftlineError(ErrorCode.OptionInvalid, message, {}, thrown);
  }
}

/** `dns:` keeps the library from reading a host's name as a scheme of its own. */
function targetOf(address: string): string {
  return `dns:${formatAddress(parseAddress(address))}`;
}
