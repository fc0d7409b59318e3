import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { DemoCluster } from '../../dist/cli/demo/cluster.js';
import { NodeProcess } from '../../dist/cli/demo/node-process.js';
import { RaftlineClient } from '../../dist/client/index.js';

/** No acknowledgement for so long would be more than an election, also on a busy machine. */
const GAP_MS_MAX = 10_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it('goes from three members to five and back to three, replacing every original one, under continuous appends: nothing lost, doubled or reordered', async () => {
  const cluster = await DemoCluster.prepare({ nodes: 3, ports: [], parentDirectory: tmpdir(), options: {} });
  const client = new RaftlineClient({ servers: cluster.addresses, timeoutMs: 60_000 });
  const joinFile = join(cluster.directory, 'join.json');
  writeFileSync(joinFile, JSON.stringify({ join: true }));
  const joined = new Map<number, NodeProcess>();
  let running = true;
  const answers: number[] = [];
  let longestGapMs = 0;
  const writer = async (): Promise<void> => {
    let last = performance.now();
    for (let line = 1; running; line++) {
      const { index } = await client.append(Buffer.from(`line ${line}`));
      answers.push(index);
      longestGapMs = Math.max(longestGapMs, performance.now() - last);
      last = performance.now();
      await wait(5);
    }
  };
  try {
    await cluster.start();
    await cluster.leader(client);
    const writing = writer();
    for (const id of [4, 5, 6]) {
      const address = `127.0.0.1:${await freePort()}`;
      const place = {
        dataDirectory: join(cluster.directory, `node-${id}`),
        logFile: join(cluster.directory, `node-${id}.log`),
      };
      const node = new NodeProcess({
        id,
        address,
        cluster: cluster.name,
        peers: {},
        configFile: joinFile,
        ...place,
      });
      joined.set(id, node);
      await node.start();
      await client.addMember({ id, address });
      if (id === 4) await client.removeMember(1);
      if (id === 5) expect((await client.members()).voters).toEqual([2, 3, 4, 5]);
    }
    expect((await client.members()).voters).toEqual([2, 3, 4, 5, 6]);
    await client.removeMember(2);
    const last = await client.removeMember(3);
    expect(last.voters).toEqual([4, 5, 6]);
    await Promise.all([...cluster.nodes.values()].map((node) => node.kill()));
    const before = answers.length;
    while (answers.length < before + 20) await wait(5);
    running = false;
    await writing;
    expect(answers).toEqual([...new Set(answers)].sort((a, b) => a - b));
    for (const { plan } of joined.values()) {
      const lines: string[] = [];
      for (let tries = 0; lines.length < answers.length && tries < 100; tries++) {
        lines.length = 0;
        for await (const chunk of client.tail(plan.address))
          chunk.forEach((bytes) => {
            lines.push(bytes.toString());
          });
        if (lines.length < answers.length) await wait(50);
      }
      expect(lines).toEqual(answers.map((_, at) => `line ${at + 1}`));
    }
    console.info(
      `${answers.length} lines; longest time without an acknowledgement ${Math.round(longestGapMs)} ms`,
    );
    expect(longestGapMs).toBeLessThan(GAP_MS_MAX);
  } finally {
    running = false;
    client.close();
    for (const node of joined.values()) node.killNow();
    cluster.destroyNow(false);
  }
}, 300_000);
