import type { Workspace } from '../processes.js';
import { DelayProxy } from '../proxy.js';
import { type BenchSettings, pipeDepth } from '../settings.js';
import type { Side } from '../side.js';
import type { PipeFollowerSettings } from './follower.js';
import type { PipeLeaderSettings } from './leader.js';

/**
 * The bare pipe: the same bytes through the same kinds of threads, rings, streams and synced files as the cluster's, without
 * Raft, checksums, sessions and applying. What it reaches is what this machine gives. Always three processes and one group,
 * driven from the leader's process.
 */
export async function startPipe(settings: BenchSettings, workspace: Workspace): Promise<Side> {
  const { batchBytesMax, compression, durability, concurrency, payload, linkDelayMs } = settings;
  const depth = pipeDepth(settings);
  const windowBytes = (depth + 2) * (batchBytesMax + 1024) + 2 * concurrency * (payload + 8);
  const names = ['pipe-leader', 'pipe-follower-1', 'pipe-follower-2'];
  const directories = names.map((name) => workspace.directory(name));
  const leader = workspace.fork('pipe-leader', './pipe/leader.js');
  const followers = names.slice(1).map((name) => workspace.fork(name, './pipe/follower.js'));
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
  const proxies = linkDelayMs === 0 ? [] : answers.map(({ port }) => new DelayProxy(linkDelayMs, port));
  const ports = proxies.length === 0 ? answers.map(({ port }) => port) : await listenAll(proxies);
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
    close: async () => {
      await workspace.close([leader, ...followers], directories);
      for (const proxy of proxies) proxy.close();
    },
  };
}

function listenAll(proxies: readonly DelayProxy[]): Promise<number[]> {
  return Promise.all(proxies.map((proxy) => proxy.listen()));
}
