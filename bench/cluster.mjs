import { freePorts, until } from './processes.mjs';

const START_TIMEOUT_MS = 30_000;

/**
 * Three real processes over loopback, every batch synced on each, the client inside the leader.
 *
 * @param {import('./settings.mjs').Settings} settings
 * @param {import('./processes.mjs').Workspace} workspace
 */
export async function startCluster(settings, workspace) {
  const ids = Array.from({ length: settings.nodes }, (_, at) => at + 1);
  const ports = await freePorts(ids.length);
  const peers = Object.fromEntries(ids.map((id, at) => [id, `127.0.0.1:${ports[at]}`]));
  const directories = ids.map((id) => workspace.directory(`node-${id}`));
  const nodes = ids.map((id) => workspace.fork(`node-${id}`, './node.mjs'));
  const { depth, batchBytesMax, compression, threads } = settings;
  const uncommittedBytesMax = Math.max(16 * 1024 * 1024, 4 * settings.outstanding * (settings.payload + 4));
  await Promise.all(
    ids.map((id, at) =>
      nodes[at].ask('open', {
        id,
        directory: directories[at],
        peers,
        pipeline: { depth, batchBytesMax },
        compression,
        threads,
        uncommittedBytesMax,
        first: id === ids[0],
      }),
    ),
  );
  const { at, ready } = await until('a leader with its followers', START_TIMEOUT_MS, async () => {
    const found = await Promise.all(nodes.map((node) => node.ask('ready')));
    const place = found.findIndex((answer) => answer !== undefined);
    return place < 0 ? undefined : { at: place, ready: found[place] };
  });
  const leader = nodes[at];
  return {
    name: 'cluster',
    threads: ready.threads,
    leader,
    followers: nodes.filter((node) => node !== leader),
    close: () => workspace.close(nodes, directories),
  };
}
