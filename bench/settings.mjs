import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Settings
 * @property {number} payload bytes of an entry
 * @property {number} seconds measured, after the warm-up
 * @property {number} warmup seconds
 * @property {number} runs of each side
 * @property {number} nodes always three: the pipe has three
 * @property {number} depth batches in flight
 * @property {number} batchBytesMax
 * @property {number} outstanding proposals of the closed loop
 * @property {'lz4' | 'none'} compression
 * @property {'auto' | 'shared' | 'spread'} threads of the cluster's nodes
 * @property {number} gb of the memory benchmark
 * @property {number} seed of the data
 * @property {string} dir where the data directories are made: on the disk that is to be measured
 * @property {string | undefined} json file for the results
 * @property {string | undefined} profile directory for CPU profiles
 */

/** Flags: type, default, limits, meaning. */
export const FLAGS = {
  payload: { value: 128, min: 1, max: 1024 * 1024, help: 'bytes of an entry' },
  seconds: { value: 5, min: 1, max: 3600, help: 'time measured of each run' },
  warmup: {
    value: undefined,
    min: 0,
    max: 600,
    help: 'seconds before it (default: 2, or --seconds if less)',
  },
  runs: { value: 3, min: 1, max: 100, help: 'runs of each side, interleaved' },
  depth: { value: 8, min: 1, max: 1024, help: 'pipeline.depth' },
  batch: { value: 256, min: 1, max: 16_384, help: 'pipeline.batchBytesMax in KiB' },
  outstanding: {
    value: undefined,
    min: 1,
    max: 1_048_576,
    help: 'proposals of the closed loop (default: the power of two that fills the pipeline)',
  },
  compression: { value: 'lz4', oneOf: ['lz4', 'none'], help: 'of the batches' },
  threads: {
    value: 'shared',
    oneOf: ['auto', 'shared', 'spread'],
    help: 'threads of a node; the pipe has three',
  },
  gb: { value: 1, min: 0.01, max: 100, help: 'memory: gigabytes replicated' },
  seed: { value: 1, min: 0, max: 0xffff_ffff, help: 'of the data' },
  dir: { value: undefined, help: 'where data directories are made (default: .tmp of this checkout)' },
  json: { value: undefined, help: 'file for the results' },
  profile: { value: undefined, help: 'ratio: directory for CPU profiles of every process and thread' },
};

/**
 * @param {string[]} args
 * @returns {{ commands: string[], settings: Settings }}
 */
export function parseSettings(args) {
  const options = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: 'string' }]));
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const read = (name) => readFlag(name, FLAGS[name], values[name]);
  const payload = read('payload');
  const seconds = read('seconds');
  const depth = read('depth');
  const batchBytesMax = read('batch') * 1024;
  const filling = 2 ** Math.ceil(Math.log2((depth * batchBytesMax) / (payload + 4)));
  const settings = {
    payload,
    seconds,
    warmup: read('warmup') ?? Math.min(2, seconds),
    runs: read('runs'),
    nodes: 3,
    depth,
    batchBytesMax,
    outstanding: read('outstanding') ?? Math.max(1, Math.min(131_072, filling)),
    compression: read('compression'),
    threads: read('threads'),
    gb: read('gb'),
    seed: read('seed'),
    dir: read('dir') ?? fileURLToPath(new URL('../.tmp', import.meta.url)),
    json: read('json'),
    profile: read('profile'),
  };
  return { commands: positionals, settings };
}

function readFlag(name, flag, given) {
  if (given === undefined) return flag.value;
  if (flag.oneOf !== undefined && !flag.oneOf.includes(given)) {
    throw new Error(`--${name}: expected one of ${flag.oneOf.join(', ')}, received ${given}`);
  }
  if (flag.min === undefined) return given;
  const value = Number(given);
  if (!(value >= flag.min && value <= flag.max)) {
    throw new Error(`--${name}: expected a number from ${flag.min} to ${flag.max}, received ${given}`);
  }
  return value;
}
