import { type Parts, startSide } from '../parts.js';
import type { Workspace } from '../processes.js';
import { type BenchSettings, pipeDepth } from '../settings.js';
import type { Side } from '../side.js';
import type { PipeFollowerSettings } from './follower.js';
import type { PipeLeaderSettings } from './leader.js';

/**
 * The bare pipe: the same bytes through the same kinds of threads, rings, streams and synced files as the cluster's, without
 * Raft, checksums, sessions and applying. What it reaches is what this machine gives. Always three processes and one group,
 * driven from the leader's process.
 */
export function startPipe(settings: BenchSettings, workspace: Workspace): Promise<Side> {
  return startSide(workspace, (parts) => startProcesses(settings, parts));
}

async function startProcesses(settings: BenchSettings, parts: Parts): Promise<Omit<Side, 'close'>> {
  const { batchBytesMax, compression, durability, linkDelayMs } = settings;
  const depth = pipeDepth(settings);
  const windowBytes = pipeWindowBytes(settings);
  const names = ['pipe-leader', 'pipe-follower-1', 'pipe-follower-2'];
  const directories = names.map((name) => parts.directory(name));
  const leader = parts.fork('pipe-leader', './pipe/leader.js');
  const followers = names.slice(1).map((name) => parts.fork(name, './pipe/follower.js'));
  const answers = await Promise.all(
    followers.map((child, at) => {
      const open: PipeFollowerSettings = {
        directory: directories[at + 1]!,
        batchBytesMax,
        windowBytes,
        durability,
      };
      return child.ask<{ port: number }>('open', open);
    }),
  );
  const followerPorts = answers.map(({ port }) => port);
  const ports = await parts.delayed(linkDelayMs, followerPorts);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const open: PipeLeaderSettings = {
    directory: directories[0]!,
    addresses,
    depth,
    batchBytesMax,
    compression: compression === 'none' ? 'none' : 'lz4',
    durability,
    windowBytes,
  };
  await leader.ask('open', open);
  return {
    name: 'pipe',
    threads: { main: ['client'], 'worker-1': ['sync'], 'worker-2': ['compress', 'send'] },
    leader,
    leaderAddress: '',
    followers,
    loaders: [leader],
  };
}

/** What may be under way at a time. */
export function pipeWindowBytes(settings: BenchSettings): number {
  const { batchBytesMax, concurrency, payload } = settings;
  return (pipeDepth(settings) + 2) * (batchBytesMax + 1024) + 2 * concurrency * (payload + 8);
}
