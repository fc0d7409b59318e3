import { accessSync, constants, mkdirSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { RaftlineError } from '../../base/errors.js';
import { type Results, readResults, requireAlike, type Subject } from '../../bench/results.js';
import { type BenchSettings, pipeDepth } from '../../bench/settings.js';
import { Arguments, type CommandShape, type Flag, usageError } from '../arguments.js';
import { fileError } from '../failure.js';

const KiB = 1024;
const OUTSTANDING_MAX = 1_048_576;
/** A closed loop keeps at most so many outstanding, and so many bytes, unless it is told to: twice that is within every bound of a node. */
const OUTSTANDING_DEFAULT_MAX = 131_072;
const OUTSTANDING_BYTES_DEFAULT_MAX = 64 * KiB * KiB;
/** What an engine's options let a leader hold. */
const OUTSTANDING_BYTES_MAX = 1024 * KiB * KiB;
const DEFAULT_BOUNDS = 'at most 131,072 entries and 64 MiB';
const DEPTH_MAX = 1024;
/** Longer ones come too near to the two seconds after which nodes take a connection for dead. */
const LINK_DELAY_MS_MAX = 500;

/** Flags that say what is measured. */
export const LOAD_FLAGS: readonly Flag[] = [
  { name: 'data', value: 'json|random|FILE', help: 'bytes of the entries (default json: varied records)' },
  { name: 'seed', value: 'N', help: 'seed of the data (default 1)' },
  { name: 'compression', value: 'auto|lz4|deflate|none', help: 'of the batches (default lz4)' },
  { name: 'durability', value: 'sync|os', help: 'of what counts (default sync; os: handed to the system)' },
  {
    name: 'threads',
    value: 'auto|shared|spread|N',
    help: 'threads of a node (default shared: three; N: 1 to 4 encoders with one each)',
  },
  {
    name: 'rate',
    value: 'N',
    help: 'open loop: entries offered a second (default: closed loop, as fast as it goes)',
  },
  {
    name: 'followers-delay',
    value: 'MS',
    help: `delay each direction of every link between nodes (0 to ${LINK_DELAY_MS_MAX}, default 0)`,
  },
  {
    name: 'apply-us',
    value: 'N',
    help: 'µs, by the clock, that state machines work on an entry (default 0)',
  },
  { name: 'duration', value: 'S', help: 'seconds measured of each run (default 10)' },
  { name: 'warmup', value: 'S', help: 'seconds before it (default 2)' },
  { name: 'runs', value: 'N', help: 'runs of each side, interleaved (default 1)' },
];

/** One value of each; a sweep takes lists instead. */
export const POINT_FLAGS: readonly Flag[] = [
  { name: 'payload', value: 'BYTES', help: 'bytes of an entry (default 128)' },
  { name: 'depth', value: 'N|auto', help: 'batches in flight (default auto: as many as are of use)' },
  { name: 'batch', value: 'KIB', help: 'bytes of a batch, in KiB (default 256)' },
];

export const CONCURRENCY_FLAG: Flag = {
  name: 'concurrency',
  value: 'N',
  help: `entries outstanding at most (default: the power of two that fills the pipeline, auto as 8; ${DEFAULT_BOUNDS})`,
};

export const SWEEP_CONCURRENCY_FLAG: Flag = {
  ...CONCURRENCY_FLAG,
  help: `entries outstanding at every point (default: what fills the deepest; ${DEFAULT_BOUNDS})`,
};

export const NODES_FLAG: Flag = { name: 'nodes', value: 'N', help: 'nodes of the cluster (default 3)' };

/** Flags about where it happens and where it goes. */
export const OUTPUT_FLAGS: readonly Flag[] = [
  {
    name: 'dir',
    value: 'DIR',
    help: 'where data directories are made: the disk that is measured (default .)',
  },
  { name: 'json', value: 'FILE', help: 'write the results there' },
  { name: 'compare', value: 'FILE', help: 'say how they differ from the results in FILE' },
  { name: 'profile', value: 'DIR', help: 'write CPU profiles of every process and thread there' },
  { name: 'help', help: 'show this' },
];

export const SIDE_NOTES: readonly string[] = [
  'Every node is a process of its own; every batch is synced on every node before it counts (unless --durability os), and applied by all.',
  'Figures of shared machines drift: compare ratios of one run (--with-limit), not figures of different days.',
];

export interface Point {
  payload: number;
  depth: number | 'auto';
  batchBytesMax: number;
  linkDelayMs: number;
}

/** A load that fills the pipeline: the next power of two, within bounds. An entry larger than a batch is one by itself. */
export function fillingOf({ payload, depth, batchBytesMax }: Omit<Point, 'linkDelayMs'>): number {
  const packed = payload + 4;
  const batch = Math.max(1, Math.floor(batchBytesMax / packed));
  const filling = 2 ** Math.ceil(Math.log2(pipeDepth({ depth }) * batch));
  const bytesMax = Math.floor(OUTSTANDING_BYTES_DEFAULT_MAX / packed);
  return Math.min(OUTSTANDING_DEFAULT_MAX, bytesMax, filling);
}

/** The only proof that something can be made somewhere is to make it. */
function tryDirectory(name: string, path: string): void {
  try {
    rmdirSync(mkdtempSync(join(path, 'bench-')));
  } catch (thrown) {
    throw unwritable(name, path, thrown);
  }
}

function unwritable(name: string, path: string, thrown: unknown): RaftlineError {
  const { code } = thrown as NodeJS.ErrnoException;
  return usageError(`--${name} ${path}: expected a directory that can be written, received ${code}`);
}

export class BenchArguments extends Arguments {
  constructor(shape: CommandShape, args: readonly string[]) {
    super(shape, args);
  }

  choice<Name extends string>(name: string, names: readonly Name[], preset: Name): Name {
    const text = this.text(name);
    if (text === undefined) return preset;
    const found = names.find((each) => each === text);
    if (found !== undefined) return found;
    throw usageError(`--${name}: expected one of ${names.join(', ')}, received '${text}'`);
  }

  /** Whole numbers with commas between. */
  list(name: string, min: number, max: number, preset: readonly number[]): number[] {
    return this.#list(name, `whole numbers from ${min} to ${max}`, preset, (text) => {
      const value = Number(text);
      return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
    });
  }

  /** Depths with commas between, 'auto' among them or not. */
  depths(preset: readonly Point['depth'][]): Point['depth'][] {
    return this.#list('depth', `whole numbers from 1 to ${DEPTH_MAX}, or auto,`, preset, (text) => {
      if (text === 'auto') return text;
      return /^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= DEPTH_MAX ? Number(text) : undefined;
    });
  }

  /** What holds for every point of a sweep, put together with one point. */
  settings(point: Point, nodes = 3, groups = 1): BenchSettings {
    return {
      ...point,
      data: this.#data(),
      seed: this.integer('seed', 0, 0xffff_ffff) ?? 1,
      nodes,
      groups,
      compression: this.choice('compression', ['auto', 'lz4', 'deflate', 'none'], 'lz4'),
      durability: this.choice('durability', ['sync', 'os'], 'sync'),
      threads: this.#threads(),
      concurrency: this.#concurrency(point.payload) ?? fillingOf(point),
      rate: this.integer('rate', 1, 100_000_000),
      clients: 'in-process',
      clientProcesses: 1,
      applyUs: this.integer('apply-us', 0, 1_000_000) ?? 0,
      warmupSeconds: this.integer('warmup', 0, 600) ?? 2,
      seconds: this.integer('duration', 1, 86_400) ?? 10,
    };
  }

  point(): Point {
    return {
      payload: this.integer('payload', 1, KiB * KiB) ?? 128,
      depth: this.text('depth') === 'auto' ? 'auto' : (this.integer('depth', 1, DEPTH_MAX) ?? 'auto'),
      batchBytesMax: (this.integer('batch', 1, 16_384) ?? 256) * KiB,
      linkDelayMs: this.linkDelayMs(),
    };
  }

  linkDelayMs(): number {
    return this.integer('followers-delay', 0, LINK_DELAY_MS_MAX) ?? 0;
  }

  /** @throws RaftlineError `RAFTLINE_USAGE_INVALID` when flags ask for more than can be meant */
  bounded<Item>(items: Item[], max: number, what: string): Item[] {
    if (items.length <= max) return items;
    throw usageError(`expected at most ${max} ${what}, received flags for ${items.length}`);
  }

  runs(): number {
    return this.integer('runs', 1, 1000) ?? 1;
  }

  /** It must be there: what is made in its stead would be on another disk than the one that is meant. */
  directory(): string {
    const path = resolve(this.text('dir') ?? '.');
    try {
      if (!statSync(path).isDirectory())
        throw usageError(`--dir ${path}: expected a directory, received a file`);
    } catch (thrown) {
      throw thrown instanceof RaftlineError ? thrown : fileError(`--dir ${path}`, thrown);
    }
    tryDirectory('dir', path);
    return path;
  }

  /** Where CPU profiles go. Processes that cannot write theirs would only complain at their end. */
  profileDirectory(): string | undefined {
    const text = this.text('profile');
    if (text === undefined) return undefined;
    const path = resolve(text);
    try {
      mkdirSync(path, { recursive: true });
    } catch (thrown) {
      throw unwritable('profile', path, thrown);
    }
    tryDirectory('profile', path);
    return path;
  }

  /** What `--compare` names, if it names anything: results that what is to be measured can be held against. */
  base(subjects: readonly Subject[]): Results | undefined {
    const file = this.text('compare');
    if (file === undefined) return undefined;
    const results = readResults(file);
    requireAlike(results, subjects);
    return results;
  }

  /** Where results go. */
  resultsFile(): string | undefined {
    const file = this.text('json');
    return file === undefined ? undefined : this.#writable('json', file);
  }

  /** Where a report goes. */
  reportFile(preset: string): string {
    return this.#writable('html', resolve(this.text('html') ?? preset));
  }

  /** What cannot be written should say so before the hour is over; what is there stays until there is something to write. */
  #writable(name: string, file: string): string {
    try {
      const found = statSync(file, { throwIfNoEntry: false });
      if (found?.isDirectory()) throw usageError(`--${name} ${file}: expected a file, received a directory`);
      accessSync(found === undefined ? dirname(resolve(file)) : file, constants.W_OK);
    } catch (thrown) {
      throw thrown instanceof RaftlineError ? thrown : fileError(`--${name} ${file}`, thrown);
    }
    return file;
  }

  #list<Value>(
    name: string,
    expected: string,
    preset: readonly Value[],
    read: (text: string) => Value | undefined,
  ): Value[] {
    const text = this.text(name);
    if (text === undefined) return [...preset];
    const values = text.split(',').map(read);
    const good = values.filter((value) => value !== undefined);
    if (good.length === values.length && new Set(good).size === good.length) return good;
    throw usageError(`--${name}: expected different ${expected} with commas between, received '${text}'`);
  }

  #concurrency(payload: number): number | undefined {
    const max = Math.min(OUTSTANDING_MAX, Math.floor(OUTSTANDING_BYTES_MAX / (payload + 4)));
    const given = this.integer('concurrency', 1, OUTSTANDING_MAX);
    if (given === undefined || given <= max) return given;
    throw usageError(
      `--concurrency: expected at most ${max} entries of ${payload} bytes, 1 GiB, received '${given}'`,
    );
  }

  #threads(): BenchSettings['threads'] {
    const text = this.text('threads') ?? 'shared';
    if (text === 'auto' || text === 'shared' || text === 'spread') return text;
    if (text === '1') return 'spread';
    if (/^[2-4]$/.test(text)) return { encoders: Number(text) };
    throw usageError(`--threads: expected one of auto, shared, spread, or 1 to 4, received '${text}'`);
  }

  #data(): BenchSettings['data'] {
    const text = this.text('data') ?? 'json';
    return text === 'json' || text === 'random' ? text : { file: text };
  }
}
