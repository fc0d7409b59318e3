import { randomBytes } from 'node:crypto';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type ClientId, type GroupId, U32_MAX } from '../base/ids.js';
import type { TlsOptions, Transport } from '../transport/transport.js';
import { type ClientClock, systemClock } from './clock.js';
import type { ServerAddresses } from './servers.js';

/** What `new RaftlineClient` takes. */
export interface ClientOptions {
  /** The members' addresses, by node id (then a leader is found by its id) or as a list. */
  servers: ServerAddresses;
  /** Default 1. */
  group?: GroupId;
  /** Name of the cluster that the servers must belong to. Default '': any. */
  cluster?: string;
  /** Entries without an answer at a time, 1 … 2^24. Default 65,536. */
  entriesMax?: number;
  /** Their bytes, packed, 64 KiB … 1 GiB; an empty window takes any entry. Default 8 MiB. */
  bytesMax?: number;
  /** How long to go on without any answer before giving up, ms, 1 … 2^31 − 1. Default 30,000. */
  timeoutMs?: number;
  /** How long one server may stay silent while it owes an answer before another is tried, ms. Default 5,000. */
  serverTimeoutMs?: number;
  /** Mutual TLS. Default: none. */
  tls?: TlsOptions;
  /** Told each time a server could not be used and another try follows; nothing is lost by it. */
  onRetry?: (error: RaftlineError, server: string) => void;
}

/** Options after validation, and what a test may bring instead of the real world. */
export interface ClientConfig {
  readonly servers: ServerAddresses;
  readonly group: GroupId;
  readonly cluster: string;
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly serverTimeoutMs: number;
  readonly onRetry: (error: RaftlineError, server: string) => void;
}

/** The world outside: network, time and chance. */
export interface ClientWorld {
  transport: Transport;
  clock: ClientClock;
  newClientId: () => ClientId;
}

const MiB = 1024 * 1024;

/** @throws RaftlineError `RAFTLINE_OPTION_INVALID` with `path`, `expected` and `received` */
export function parseClientOptions(options: ClientOptions): ClientConfig {
  const cluster = options.cluster ?? '';
  if (typeof cluster !== 'string' || cluster.length > 64) {
    throw invalid('cluster', 'a string of at most 64 characters', cluster);
  }
  if (typeof options.servers !== 'object' || options.servers === null) {
    throw invalid('servers', 'addresses by node id, or a list of addresses', options.servers);
  }
  return {
    servers: options.servers,
    group: integer('group', options.group ?? 1, 1, U32_MAX),
    cluster,
    entriesMax: integer('entriesMax', options.entriesMax ?? 65_536, 1, 1 << 24),
    bytesMax: integer('bytesMax', options.bytesMax ?? 8 * MiB, 64 * 1024, 1024 * MiB),
    timeoutMs: integer('timeoutMs', options.timeoutMs ?? 30_000, 1, 0x7fff_ffff),
    serverTimeoutMs: integer('serverTimeoutMs', options.serverTimeoutMs ?? 5_000, 1, 0x7fff_ffff),
    onRetry: options.onRetry ?? (() => {}),
  };
}

/** Random, 1 … 2^53 − 1. */
export function randomClientId(): ClientId {
  const bytes = randomBytes(8);
  const id = (bytes.readUInt32LE(0) & 0x1f_ffff) * 0x1_0000_0000 + bytes.readUInt32LE(4);
  return id === 0 ? 1 : id;
}

export function realWorld(transport: Transport): ClientWorld {
  return { transport, clock: systemClock, newClientId: randomClientId };
}

/** @throws RaftlineError `RAFTLINE_OPTION_INVALID` unless it is a whole number within the limits */
export function integer(path: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalid(path, `a whole number from ${min} to ${max}`, value);
}

function invalid(path: string, expected: string, value: unknown): RaftlineError {
  const received = String(value).slice(0, 80);
  return new RaftlineError(
    ErrorCode.OptionInvalid,
    `option ${path}: expected ${expected}, received ${received}`,
    { path, expected, received },
  );
}
