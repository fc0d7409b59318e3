/**
 * The bare pipe: the same bytes through the same kinds of threads, rings, streams and synced files as the cluster's, without
 * Raft, checksums, sessions and applying. What it reaches is what this machine gives.
 *
 * @param {import('../settings.mjs').Settings} settings
 * @param {import('../processes.mjs').Workspace} workspace
 */
export async function startPipe(settings, workspace) {
  const names = ['pipe-leader', 'pipe-follower-1', 'pipe-follower-2'];
  const directories = names.map((name) => workspace.directory(name));
  const files = ['./pipe/leader.mjs', './pipe/follower.mjs', './pipe/follower.mjs'];
  const children = names.map((name, at) => workspace.fork(name, files[at]));
  const [leader, ...followers] = children;
  const { depth, batchBytesMax, compression } = settings;
  const answers = await Promise.all(
    followers.map((child, at) => child.ask('open', { directory: directories[at + 1], batchBytesMax })),
  );
  const ports = answers.map(({ port }) => port);
  await leader.ask('open', { directory: directories[0], ports, depth, batchBytesMax, compression });
  return {
    name: 'pipe',
    threads: { main: ['client'], 'worker-1': ['sync'], 'worker-2': ['compress+send'] },
    leader,
    followers,
    close: () => workspace.close(children, directories),
  };
}
