import { type GroupId, type NodeId, U32_MAX } from '../base/ids.js';
import { HOSTED_GROUPS_MAX } from '../base/limits.js';
import type { TraceEvent } from '../core/trace-event.js';
import { ENCODER_NAMES } from '../workers/settings.js';
import { checkRow, invalid } from './option-checks.js';
import { optionTable } from './option-table.js';
import { checkPipeline, type PipelineOptions } from './pipeline-options.js';
import type { StateMachine } from './state-machine.js';

/** A group that the engine hosts. */
export interface GroupOptions {
  /** 1 … 2^32 − 1; the same on every node, never reused. */
  id: GroupId;
  stateMachine: StateMachine;
  /** What of `pipeline` is different for this group. */
  pipeline?: PipelineOptions;
}

/** How a read is made linearizable: a quorum is asked, or the leader's lease is trusted while it holds. */
export type ReadPolicy = 'readIndex' | 'lease';

/** How a leader compresses what it seals, within what the configuration allows (its `compressionLevel`). */
export type CompressionPolicy = 'auto' | 'lz4' | 'deflate' | 'none';

/** Takes one transition; must not call back into the engine. `timeMs`: ms since 1970, for people only. */
export type TraceSink = (event: { timeMs: number } & TraceEvent) => void;

/** What `Engine.open` takes. Everything with a default may be left out; see docs/options.md. */
export interface EngineOptions {
  id: NodeId;
  cluster: string;
  dataDirectory: string;
  groups: readonly GroupOptions[];
  listen?: string;
  /**
   * The members' addresses by id, one's own among them or not. At the first start also the bootstrap configuration: these and oneself. Later
   * the log says who is a member, and where.
   */
  peers?: Readonly<Record<number, string>>;
  join?: boolean;
  insecure?: boolean;
  /** A policy, or how many encoders have a thread of their own: 0 to 4. */
  threads?: 'auto' | 'shared' | 'spread' | { encoders: number };
  compression?: CompressionPolicy;
  lz4?: 'auto' | 'native' | 'pure';
  entryBytesMax?: number;
  uncommittedBytesMax?: number;
  durability?: 'sync' | 'os';
  segmentBytes?: number;
  prepareSegments?: boolean;
  election?: {
    timeoutMsMin?: number;
    timeoutMsMax?: number;
    heartbeatIntervalMs?: number;
    handOverAfterMs?: number;
    priority?: number;
  };
  reads?: { policy?: ReadPolicy; clockDriftMax?: number };
  pipeline?: PipelineOptions;
  memory?: { budgetBytes?: number; ringBytes?: number; clientRingBytes?: number };
  transport?: { receiveWindowBytes?: number };
  limits?: { clientStreams?: number; tailStreams?: number };
  /** Told of every transition of Raft's core, with the wall clock's time; see docs/trace.md. */
  trace?: TraceSink;
}

const MiB = 1024 * 1024;
const ENCODERS_MAX = ENCODER_NAMES.length;

/** Options after validation: every default filled in, frozen. */
export interface Config {
  readonly id: NodeId;
  readonly cluster: string;
  readonly dataDirectory: string;
  readonly groups: readonly GroupOptions[];
  readonly listen: string;
  readonly peers: ReadonlyMap<NodeId, string>;
  /** Where others reach this node, as `peers` says it; empty where it does not. */
  readonly ownAddress: string;
  readonly join: boolean;
  readonly insecure: boolean;
  readonly threads: 'auto' | 'shared' | 'spread' | { encoders: number };
  readonly compression: CompressionPolicy;
  readonly lz4: 'auto' | 'native' | 'pure';
  readonly entryBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly durability: 'sync' | 'os';
  readonly segmentBytes: number;
  readonly prepareSegments: boolean;
  readonly election: {
    timeoutMsMin: number;
    timeoutMsMax: number;
    heartbeatIntervalMs: number;
    handOverAfterMs: number;
    priority: number;
  };
  readonly reads: { policy: ReadPolicy; clockDriftMax: number };
  readonly pipeline: Required<PipelineOptions>;
  readonly memory: { budgetBytes: number; ringBytes: number; clientRingBytes: number };
  readonly transport: { receiveWindowBytes: number };
  readonly limits: { clientStreams: number; tailStreams: number };
  readonly trace: TraceSink | undefined;
}

/**
 * Checks options and fills in the defaults.
 * @throws RaftlineError `RAFTLINE_OPTION_INVALID` with `path`, `expected` and `received` of the first fault.
 */
export function parseOptions(options: EngineOptions): Config {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options);
  refuseUnknown(options as unknown as Record<string, unknown>, '');
  const { followers = {} } = checkPipeline('pipeline', options.pipeline ?? {});
  const config: Record<string, unknown> = {};
  const threads = checkThreads(options.threads);
  const single = { ...options, threads: threads === undefined ? options.threads : undefined };
  for (const row of optionTable) assign(config, row.path, checkRow(row, valueAt(single, row.path)));
  if (threads !== undefined) config.threads = threads;
  const lists = { groups: checkGroups(options), peers: checkPeers(options), trace: checkTrace(options) };
  const ownAddress = options.peers?.[options.id] ?? '';
  const pipeline = { ...(config.pipeline as Config['pipeline']), followers };
  const whole = { ...config, ...lists, ownAddress, pipeline } as unknown as Config;
  checkTogether(whole);
  return Object.freeze(whole);
}

function valueAt(options: unknown, path: string): unknown {
  let value: unknown = options;
  for (const name of path.split('.')) {
    if (value === undefined || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function assign(config: Record<string, unknown>, path: string, value: unknown): void {
  const [section, name] = path.split('.') as [string, string | undefined];
  if (name === undefined) {
    config[section] = value;
    return;
  }
  config[section] ??= {};
  (config[section] as Record<string, unknown>)[name] = value;
}

/** Options that are not single values; each is checked by a function of its own. */
const BESIDE_THE_TABLE = ['groups', 'peers', 'trace', 'pipeline.followers'];

/** A mistyped name would otherwise be a default in silence. */
function refuseUnknown(options: Record<string, unknown>, prefix: string): void {
  for (const name of Object.keys(options)) {
    const path = `${prefix}${name}`;
    if (BESIDE_THE_TABLE.includes(path)) continue;
    if (optionTable.some((row) => row.path === path)) continue;
    const section = optionTable.some((row) => row.path.startsWith(`${path}.`));
    if (!section) throw invalid(path, 'no option of this name (see docs/options.md)', options[name]);
    const inner = options[name];
    if (inner === undefined) continue;
    if (typeof inner !== 'object' || inner === null) throw invalid(path, 'an object', inner);
    refuseUnknown(inner as Record<string, unknown>, `${path}.`);
  }
}

/** Instead of one of the names: how many encoders have a thread of their own. */
function checkThreads(threads: unknown): { encoders: number } | undefined {
  if (typeof threads !== 'object' || threads === null || !('encoders' in threads)) return undefined;
  const { encoders, ...others } = threads as Record<string, unknown>;
  const [unknown] = Object.entries(others);
  if (unknown !== undefined) throw invalid(`threads.${unknown[0]}`, 'no option of this name', unknown[1]);
  if (!Number.isSafeInteger(encoders) || (encoders as number) < 0 || (encoders as number) > ENCODERS_MAX)
    throw invalid('threads.encoders', `a whole number from 0 to ${ENCODERS_MAX}`, encoders);
  return { encoders: encoders as number };
}

function checkGroups(options: EngineOptions): readonly GroupOptions[] {
  const groups: unknown = options.groups;
  if (!Array.isArray(groups) || groups.length === 0 || groups.length > HOSTED_GROUPS_MAX) {
    throw invalid('groups', `a list of 1 to ${HOSTED_GROUPS_MAX} groups`, groups);
  }
  const seen = new Set<number>();
  groups.forEach((group: Partial<GroupOptions> | undefined, at) => {
    const id = group?.id;
    if (!Number.isSafeInteger(id) || id! < 1 || id! > U32_MAX) {
      throw invalid(`groups[${at}].id`, `a whole number from 1 to ${U32_MAX}`, id);
    }
    if (seen.has(id!)) throw invalid(`groups[${at}].id`, 'an id that no other group has', id);
    seen.add(id!);
    if (typeof group?.stateMachine?.apply !== 'function') {
      throw invalid(`groups[${at}].stateMachine`, 'an object with a function `apply`', group?.stateMachine);
    }
    if (group.pipeline !== undefined) checkPipeline(`groups[${at}].pipeline`, group.pipeline);
  });
  return groups as GroupOptions[];
}

function checkTrace({ trace }: EngineOptions): TraceSink | undefined {
  if (trace === undefined || typeof trace === 'function') return trace;
  throw invalid('trace', 'a function', trace);
}

function checkPeers(options: EngineOptions): ReadonlyMap<NodeId, string> {
  const peers = new Map<NodeId, string>();
  const given: unknown = options.peers ?? {};
  if (typeof given !== 'object' || given === null)
    throw invalid('peers', 'an object of id → host:port', given);
  for (const [key, address] of Object.entries(given as Record<string, unknown>)) {
    const id = Number(key);
    if (!Number.isSafeInteger(id) || id < 1 || id > U32_MAX) {
      throw invalid(`peers.${key}`, `an id from 1 to ${U32_MAX}`, key);
    }
    if (typeof address !== 'string' || !/^.+:\d{1,5}$/.test(address))
      throw invalid(`peers.${key}`, 'host:port', address);
    if (id !== options.id) peers.set(id, address);
  }
  if (peers.size > 63) throw invalid('peers', 'at most 63 other members', peers.size);
  return peers;
}

/** The largest batches that the engine or any of its groups is opened with. */
export function batchBytesCeiling({ pipeline, groups }: Pick<Config, 'pipeline' | 'groups'>): number {
  const own = groups.map((group) => group.pipeline?.batchBytesMax ?? 0);
  return Math.max(pipeline.batchBytesMax, ...own);
}

function checkTogether(config: Config): void {
  const { election } = config;
  if (config.cluster.length > 64) throw invalid('cluster', 'at most 64 characters', config.cluster);
  if (election.timeoutMsMax <= election.timeoutMsMin) {
    throw invalid(
      'election.timeoutMsMax',
      `more than election.timeoutMsMin (${election.timeoutMsMin})`,
      election.timeoutMsMax,
    );
  }
  if (election.heartbeatIntervalMs * 2 > election.timeoutMsMin) {
    throw invalid(
      'election.heartbeatIntervalMs',
      `at most half of election.timeoutMsMin (${election.timeoutMsMin})`,
      election.heartbeatIntervalMs,
    );
  }
  const largest = Math.max(config.entryBytesMax, batchBytesCeiling(config));
  if (config.uncommittedBytesMax < largest) {
    throw invalid(
      'uncommittedBytesMax',
      `at least the largest entry and batch (${largest})`,
      config.uncommittedBytesMax,
    );
  }
  if (config.segmentBytes < largest + MiB) {
    throw invalid(
      'segmentBytes',
      `at least 1 MiB more than the largest entry and batch (${largest + MiB})`,
      config.segmentBytes,
    );
  }
}
