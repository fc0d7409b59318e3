import { execFileSync } from 'node:child_process';
import { realpathSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

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
  at: string;
}

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
    at: new Date().toISOString(),
  };
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
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
