import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCompression } from '../codec/compression.js';

const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x5846_5342, 'xfs'],
  [0x9123_683e, 'btrfs'],
  [0x2fc1_2fc1, 'zfs'],
  [0x0102_1994, 'tmpfs'],
  [0x794c_7630, 'overlayfs'],
  [0x6969, 'nfs'],
]);

/** The file system that a directory is on; a number where it is not one of the usual ones. */
function fileSystemOf(directory: string): string {
  const { type } = statfsSync(directory);
  return FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
}

/** What a figure must be read with. */
export interface MachineFacts {
  node: string;
  system: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  fileSystem: string;
  loadAverage: number[];
  raftline: string;
  commit: string;
  /** By name: V8 and the packages that figures depend on. Results of earlier versions do not say. */
  versions?: Record<string, string>;
  at: string;
}

const PACKAGES = ['@grpc/grpc-js', 'lz4-napi', 'flatbuffers', 'piscina'];

export function machineFacts(directory: string): MachineFacts {
  return {
    node: process.version,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    fileSystem: fileSystemOf(directory),
    loadAverage: loadavg().map((value) => Math.round(value * 100) / 100),
    raftline: version(),
    commit: commit(),
    versions: {
      v8: process.versions.v8,
      ...Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    },
    at: new Date().toISOString(),
  };
}

/** Where two results were not taken on the same machine, with the same Node and packages: in words, one line each. */
export function differenceNotes(base: MachineFacts, changed: MachineFacts): string[] {
  const machine = differences(base, changed, ({ cpu, cores, system, fileSystem }) => ({
    processor: cpu,
    cores,
    system,
    'file system': fileSystem,
  }));
  const notes = machine === '' ? [] : [`not of the same machine: ${machine}`];
  if (base.versions === undefined || changed.versions === undefined)
    return [...notes, 'versions of V8 and of packages are not known of both: one of the files is older'];
  const versions = differences(base, changed, ({ node, versions }) => ({ node, ...versions }));
  return versions === '' ? notes : [...notes, `not of the same versions: ${versions}`];
}

function differences(
  base: MachineFacts,
  changed: MachineFacts,
  of: (facts: MachineFacts) => Record<string, string | number>,
): string {
  const [from, to] = [of(base), of(changed)];
  return Object.keys({ ...from, ...to })
    .filter((name) => from[name] !== to[name])
    .map((name) => `${name} ${from[name] ?? 'not known'} → ${to[name] ?? 'not known'}`)
    .join(', ');
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}

/** Of a package as Node finds it from here, without loading it; `absent` where it is not installed, or a native module that does not load. */
function versionOf(name: string): string {
  if (name === 'lz4-napi' && loadCompression('auto').implementations.compressor !== name) return 'absent';
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    const file = join(at, 'node_modules', name, 'package.json');
    if (!existsSync(file)) continue;
    return (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version ?? 'unknown';
  }
  return 'absent';
}

/** Of the checkout that runs, if it is one. */
function commit(): string {
  try {
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim();
    // An installed package may lie in a checkout of somebody else's.
    if (realpathSync(git('rev-parse', '--show-toplevel')) !== realpathSync(cwd)) return 'unknown';
    return git('describe', '--always', '--dirty');
  } catch {
    return 'unknown';
  }
}
