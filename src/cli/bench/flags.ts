import { resolve } from 'node:path';
import type { BenchSettings } from '../../bench/settings.js';
import { Arguments, type CommandShape, type Flag, usageError } from '../arguments.js';

const KiB = 1024;
const OUTSTANDING_MAX = 1_048_576;
/** A closed loop keeps at most so many outstanding unless it is told to: the pipeline is full long before. */
const OUTSTANDING_DEFAULT_MAX = 131_072;

/** Flags that say what is measured. */
export const LOAD_FLAGS: readonly Flag[] = [
  { name: 'data', value: 'json|random|FILE', help: 'bytes of the entries (default json: varied records)' },
  { name: 'seed', value: 'N', help: 'seed of the data (default 1)' },
  { name: 'compression', value: 'lz4|none', help: 'of the batches (default lz4)' },
  { name: 'threads', value: 'auto|shared|spread', help: 'threads of a node (default shared: three)' },
  {
    name: 'rate',
    value: 'N',
    help: 'open loop: entries offered a second (default: closed loop, as fast as it goes)',
  },
  {
    name: 'followers-delay',
    value: 'MS',
    help: 'delay each direction of every link between nodes (default 0)',
  },
  { name: 'duration', value: 'S', help: 'seconds measured of each run (default 10)' },
  { name: 'warmup', value: 'S', help: 'seconds before it (default 2)' },
  { name: 'runs', value: 'N', help: 'runs of each side, interleaved (default 1)' },
];

/** One value of each; a sweep takes lists instead. */
export const POINT_FLAGS: readonly Flag[] = [
  { name: 'payload', value: 'BYTES', help: 'bytes of an entry (default 128)' },
  { name: 'depth', value: 'N', help: 'batches in flight (default 8)' },
  { name: 'batch', value: 'KIB', help: 'bytes of a batch, in KiB (default 256)' },
];

export const CONCURRENCY_FLAG: Flag = {
  name: 'concurrency',
  value: 'N',
  help: 'entries outstanding at most (default: the power of two that fills the pipeline)',
};

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
  'Every node is a process of its own; every batch is synced on every node before it counts, and applied by all.',
  'Figures of shared machines drift: compare ratios of one run (--with-limit), not figures of different days.',
];

export interface Point {
  payload: number;
  depth: number;
  batchBytesMax: number;
  linkDelayMs: number;
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
    const text = this.text(name);
    if (text === undefined) return [...preset];
    const values = text.split(',').map(Number);
    const good = values.every((value) => Number.isInteger(value) && value >= min && value <= max);
    if (good && new Set(values).size === values.length && !text.split(',').includes('')) return values;
    throw usageError(
      `--${name}: expected whole numbers from ${min} to ${max} with commas between, received '${text}'`,
    );
  }

  /** What holds for every point of a sweep, put together with one point. */
  settings(point: Point, nodes = 3, groups = 1): BenchSettings {
    const { payload, depth, batchBytesMax } = point;
    const filling = 2 ** Math.ceil(Math.log2((depth * batchBytesMax) / (payload + 4)));
    const preset = Math.max(1, Math.min(OUTSTANDING_DEFAULT_MAX, filling));
    return {
      ...point,
      data: this.#data(),
      seed: this.integer('seed', 0, 0xffff_ffff) ?? 1,
      nodes,
      groups,
      compression: this.choice('compression', ['lz4', 'none'], 'lz4'),
      threads: this.choice('threads', ['auto', 'shared', 'spread'], 'shared'),
      concurrency: this.integer('concurrency', 1, OUTSTANDING_MAX) ?? preset,
      rate: this.integer('rate', 1, 100_000_000),
      clients: 'in-process',
      clientProcesses: 1,
      warmupSeconds: this.integer('warmup', 0, 600) ?? 2,
      seconds: this.integer('duration', 1, 86_400) ?? 10,
    };
  }

  point(): Point {
    return {
      payload: this.integer('payload', 1, KiB * KiB) ?? 128,
      depth: this.integer('depth', 1, 1024) ?? 8,
      batchBytesMax: (this.integer('batch', 1, 16_384) ?? 256) * KiB,
      linkDelayMs: this.integer('followers-delay', 0, 10_000) ?? 0,
    };
  }

  runs(): number {
    return this.integer('runs', 1, 1000) ?? 1;
  }

  directory(): string {
    return resolve(this.text('dir') ?? '.');
  }

  #data(): BenchSettings['data'] {
    const text = this.text('data') ?? 'json';
    return text === 'json' || text === 'random' ? text : { file: text };
  }
}
