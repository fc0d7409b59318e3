import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePorts } from '../../dist/bench/free-ports.js';
import type { NodeProcess as NativeNodeProcess } from '../../dist/cli/demo/node-process.js';
import { RaftlineClient } from '../../dist/client/index.js';
import type { EngineStatus } from '../../dist/index.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LINES = 3000;

type NodeProcessClass = typeof NativeNodeProcess;

/** The built package with everything that it depends on, except what is native. */
function copyWithoutAddon(to: string): void {
  cpSync(join(ROOT, 'dist'), join(to, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(to, 'package.json'));
  mkdirSync(join(to, 'node_modules'));
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (/lz4/.test(name) || name.startsWith('.')) continue;
    symlinkSync(join(ROOT, 'node_modules', name), join(to, 'node_modules', name));
  }
}

async function nodeProcessOf(root: string): Promise<NodeProcessClass> {
  const url = pathToFileURL(join(root, 'dist/cli/demo/node-process.js')).href;
  return ((await import(/* @vite-ignore */ url)) as { NodeProcess: NodeProcessClass }).NodeProcess;
}

const directory = mkdtempSync(join(tmpdir(), 'raftline-native-free-'));
const bare = join(directory, 'bare');
const addresses: Record<number, string> = {};
const running: NativeNodeProcess[] = [];

beforeAll(async () => {
  mkdirSync(bare);
  copyWithoutAddon(bare);
  writeFileSync(join(directory, 'config.json'), '{}');
  for (const [at, port] of (await freePorts(3)).entries()) addresses[at + 1] = `127.0.0.1:${port}`;
});

afterAll(() => {
  for (const node of running) node.killNow();
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

/** Starts the three nodes, each from the checkout or from the copy, on the data that is there. */
async function start(roots: readonly string[]): Promise<NativeNodeProcess[]> {
  const nodes = await Promise.all(
    roots.map(async (root, at) => {
      const id = at + 1;
      const files = { dataDirectory: join(directory, `data-${id}`), logFile: join(directory, `${id}.log`) };
      const plan = { id, address: addresses[id]!, cluster: 'native-free', peers: addresses, ...files };
      const NodeProcess = await nodeProcessOf(root);
      const node = new NodeProcess({ ...plan, configFile: join(directory, 'config.json') });
      running.push(node);
      return node;
    }),
  );
  await Promise.all(nodes.map((node) => node.start()));
  return nodes;
}

function lineOf(number: number): Buffer {
  return Buffer.from(JSON.stringify({ number, customer: `customer-${number % 97}`, state: 'accepted' }));
}

async function appendLines(client: RaftlineClient, from: number): Promise<void> {
  const appends: Promise<unknown>[] = [];
  for (let number = from; number < from + LINES; number++) appends.push(client.append(lineOf(number)));
  await Promise.all(appends);
}

async function tailOf(client: RaftlineClient, id: number, wanted: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const chunk of client.tail(addresses[id]!, 1, true)) {
    chunk.forEach((bytes) => {
      lines.push(bytes.toString());
    });
    if (lines.length >= wanted) break;
  }
  return lines;
}

async function lz4Of(client: RaftlineClient, id: number): Promise<EngineStatus['lz4']> {
  return ((await client.status(addresses[id]!)) as EngineStatus).lz4;
}

async function compressedBatches(client: RaftlineClient): Promise<number> {
  let compressed = 0;
  for (const id of [1, 2, 3]) {
    compressed += ((await client.status(addresses[id]!)) as EngineStatus).encoder.compressed;
  }
  return compressed;
}

it('runs without any native addon: elects, commits compressed batches, survives restarts, reads and is read by nodes that have it', async () => {
  expect(existsSync(join(bare, 'node_modules/lz4-napi'))).toBe(false);
  const plans = [
    [bare, bare, bare],
    [ROOT, bare, bare],
    [bare, ROOT, ROOT],
  ];
  let written = 0;
  for (const roots of plans) {
    const nodes = await start(roots);
    const client = new RaftlineClient({ servers: addresses });
    for (const [at, root] of roots.entries()) {
      const compressor = root === bare ? 'pure' : 'lz4-napi';
      expect(await lz4Of(client, at + 1)).toEqual({ compressor, decompressor: 'webassembly' });
    }
    await appendLines(client, written + 1);
    written += LINES;
    expect(await compressedBatches(client)).toBeGreaterThan(0);
    const expected = Array.from({ length: written }, (_, at) => lineOf(at + 1).toString());
    for (const id of [1, 2, 3]) expect(await tailOf(client, id, written)).toEqual(expected);
    client.close();
    expect(await Promise.all(nodes.map((node) => node.close()))).toEqual([undefined, undefined, undefined]);
  }
}, 120_000);
