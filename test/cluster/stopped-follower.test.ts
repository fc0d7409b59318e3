import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePorts } from '../../dist/bench/free-ports.js';
import type { NodeSample } from '../../dist/bench/node.js';
import { type Child, sleep, until, Workspace } from '../../dist/bench/processes.js';
import type { EngineStatus } from '../../src/engine/status.js';

const MiB = 1024 * 1024;
const PAYLOAD = 1024;
const RING_BYTES = MiB;
/** What passes while a follower is stopped: many times what any ring or window holds. */
const ENTRIES_MEANWHILE = 40_000;
/** The bound is 64 MiB after a long load; what a young process's heap grows by itself comes on top here. */
const GROWTH_MAX = 128 * MiB;
const PATIENCE_MS = 90_000;
const IDS = [1, 2, 3];

let workspace: Workspace;
let nodes: Child[];

beforeAll(async () => {
  workspace = new Workspace(new URL('../../.tmp', import.meta.url).pathname);
  const ports = await freePorts(3);
  const peers = Object.fromEntries(IDS.map((id, at) => [id, `127.0.0.1:${ports[at]}`]));
  nodes = IDS.map((id) => workspace.fork(`node-${id}`, './node.js'));
  await Promise.all(
    nodes.map((node, at) => {
      const id = IDS[at]!;
      const timeouts =
        id === 1 ? { timeoutMsMin: 500, timeoutMsMax: 600 } : { timeoutMsMin: 4000, timeoutMsMax: 6000 };
      return node.ask('open', {
        id,
        cluster: 'stopped',
        directory: workspace.directory(`node-${id}`),
        listen: `127.0.0.1:${ports[at]}`,
        peers,
        groupIds: [1],
        pipeline: { depth: 'auto', inflightBytesMax: MiB, batchBytesMax: 65_536 },
        entryBytesMax: 65_536,
        memory: { ringBytes: RING_BYTES, clientRingBytes: MiB },
        uncommittedBytesMax: 4 * MiB,
        election: { ...timeouts, heartbeatIntervalMs: 100 },
        applyUs: 0,
      });
    }),
  );
  await until('node 1 leads', PATIENCE_MS, () => nodes[0]!.ask('ready'));
}, 120_000);

afterAll(() => workspace.dispose());

const sample = (node: Child): Promise<NodeSample> => node.ask('sample', {});
const status = (): Promise<EngineStatus> => nodes[0]!.ask('status');

async function applied(node: Child, entries: number): Promise<NodeSample> {
  return until(`${entries} entries`, PATIENCE_MS, async () => {
    const found = await sample(node);
    if (found.failure !== undefined) throw new Error(found.failure);
    return found.entries >= entries ? found : undefined;
  });
}

it('H39 H40 A11 a follower that is stopped holds up nobody and no memory; when it goes on it is sent the log from disk, beside the load', async () => {
  const [leader, follower, stopped] = nodes as [Child, Child, Child];
  await leader.ask('load', { payload: PAYLOAD, data: 'random', seed: 1, concurrency: 256, groupIds: [1] });
  await applied(leader, 5000);
  await applied(stopped, 1000);
  stopped.signal('SIGSTOP');
  const before = await sample(leader);
  const after = await applied(leader, before.entries + ENTRIES_MEANWHILE);
  const other = await applied(follower, before.entries + ENTRIES_MEANWHILE - 2000);
  const growth = after.rssBytes - before.rssBytes;
  const seconds = (after.atMs - before.atMs) / 1000;
  console.info(
    `${ENTRIES_MEANWHILE} entries of ${PAYLOAD} B in ${seconds.toFixed(1)} s beside a stopped follower; the leader's RSS grew by ${(growth / MiB).toFixed(1)} MiB; the other follower was ${after.entries - other.entries} behind`,
  );
  expect(growth).toBeLessThan(GROWTH_MAX);
  const { groups, rings } = await status();
  const behind = groups[0]!.followers.find(({ id }) => id === 3)!;
  expect(groups[0]!.commitIndex - behind.match, 'it was really left behind').toBeGreaterThan(
    ENTRIES_MEANWHILE / 2,
  );
  expect(rings.batch!.capacityBytes, 'and by more than rings hold').toBeLessThan(
    (ENTRIES_MEANWHILE * PAYLOAD) / 4,
  );

  stopped.signal('SIGCONT');
  const caughtUp = await until('it has caught up beside the load', PATIENCE_MS, async () => {
    const [most, its] = await Promise.all([sample(leader), sample(stopped)]);
    return most.entries - its.entries < 3000 ? its : undefined;
  });
  expect(caughtUp.entries).toBeGreaterThan(before.entries + ENTRIES_MEANWHILE);
  const completed = await leader.ask<number>('stop', {}, PATIENCE_MS);
  const samples = await Promise.all(nodes.map((node) => applied(node, completed)));
  await sleep(100);
  expect(samples.map(({ entries }) => entries)).toEqual([completed, completed, completed]);
  expect(new Set(samples.map(({ digest }) => digest)).size, 'every entry once, in the one order').toBe(1);
  expect(new Set(samples.map(({ terms }) => terms)).size, 'nobody was deposed').toBe(1);
}, 300_000);
