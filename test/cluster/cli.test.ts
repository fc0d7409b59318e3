import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePorts } from '../../dist/bench/free-ports.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let directory: string;
let addresses: string[];
let peerFlags: string[];
const started: ChildProcess[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-cli-cluster-'));
  addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  peerFlags = addresses.flatMap((address, at) => ['--peer', `${at + 1}=${address}`]);
});

afterEach(async () => {
  await Promise.all(started.splice(0).map(stop));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function serveArgs(id: number): string[] {
  const data = join(directory, `node-${id}`);
  return [
    'serve',
    '--id',
    String(id),
    '--cluster',
    'cli',
    '--listen',
    addresses[id - 1]!,
    ...peerFlags,
    '--data',
    data,
  ];
}

/** Starts a member; resolves with its ready line once it listens. */
async function serve(id: number): Promise<{ child: ChildProcess; ready: Record<string, unknown> }> {
  const child = spawn(process.execPath, [MAIN, ...serveArgs(id)], { stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, ready: JSON.parse(line.toString('utf8')) as Record<string, unknown> };
}

function run(args: readonly string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], {
    input: Buffer.from(input, 'latin1'),
    encoding: 'latin1',
    timeout: 50_000,
    maxBuffer: 64 * 1024 * 1024,
  });
}

const tail = (id: number, ...flags: string[]) =>
  run(['tail', '--peer', `${id}=${addresses[id - 1]}`, ...flags]);

/** Reads a replica until it has `count` lines: a follower learns of a commit a moment after the client. */
function tailUntil(id: number, count: number): string {
  for (let tries = 0; tries < 50; tries++) {
    const { stdout } = tail(id);
    if (stdout.split('\n').length > count) return stdout;
  }
  return tail(id).stdout;
}

describe('three members by hand', () => {
  it('replicates lines, shows them on every member, survives a restart, and refuses a second owner', async () => {
    const nodes = await Promise.all([1, 2, 3].map(serve));
    expect(nodes[0]!.ready).toEqual({
      event: 'ready',
      id: 1,
      address: addresses[0],
      pid: nodes[0]!.child.pid,
    });

    const first = run(['append', ...peerFlags, '--json'], 'one\n\ntwo \u00ff\r\nlast without newline');
    expect(first.stderr).toBe('');
    expect(first.status).toBe(0);
    const acknowledged = first.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { line: number; index: number; term: number });
    expect(acknowledged.map(({ line }) => line)).toEqual([1, 2, 3, 4]);
    const expected = 'one\n\ntwo \u00ff\r\nlast without newline\n';
    for (const id of [1, 2, 3]) expect(tailUntil(id, 4)).toBe(expected);

    const asJson = tail(2, '--json')
      .stdout.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number; term: number; base64: string });
    expect(asJson.map(({ index, term }) => ({ index, term }))).toEqual(
      acknowledged.map(({ index, term }) => ({ index, term })),
    );
    expect(Buffer.from(asJson[2]!.base64, 'base64').toString('latin1')).toBe('two \u00ff\r');
    expect(tail(3, '--from', String(acknowledged[3]!.index)).stdout).toBe('last without newline\n');

    const locked = run(serveArgs(1).map((arg) => (arg === addresses[0] ? '127.0.0.1:0' : arg)));
    expect(locked.stderr).toContain('RAFTLINE_DIRECTORY_LOCKED');
    expect(locked.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(locked.status).toBe(2);
    const busy = run(
      serveArgs(1).map((arg) => arg.replace(join(directory, 'node-1'), join(directory, 'other'))),
    );
    expect(busy.stderr).toContain('RAFTLINE_ADDRESS_IN_USE');
    expect(busy.status).toBe(2);

    const status = run(['status', ...peerFlags, '--json']);
    expect(status.status).toBe(0);
    const members = JSON.parse(status.stdout) as { groups: { role: string; followers: unknown[] }[] }[];
    expect(members.map(({ groups }) => groups[0]!.role).sort()).toEqual(['follower', 'follower', 'leader']);
    const shown = run(['status', ...peerFlags]).stdout;
    expect(shown).toMatch(/the leader's view/);
    expect(shown).toMatch(/\n +1 {2}wal-writer, encoder(\+|, )network +auto +sync +\d+ of 512 MiB\n/);

    for (const { child } of nodes) {
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number | null];
      expect(code).toBe(0);
    }
    await Promise.all([1, 2, 3].map(serve));
    expect(run(['append', ...peerFlags], 'after the restart\n').status).toBe(0);
    for (const id of [1, 2, 3]) expect(tailUntil(id, 5)).toBe(`${expected}after the restart\n`);
  });

  it('goes on with the other two when one is gone, follows a tail live, and leaves quietly when its reader has', async () => {
    const nodes = await Promise.all([1, 2, 3].map(serve));
    const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}`).join('\n');
    expect(run(['append', ...peerFlags], lines).status).toBe(0);
    await stop(nodes[0]!.child);

    const follow = spawn(process.execPath, [MAIN, 'tail', '--peer', `2=${addresses[1]}`, '--follow'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.push(follow);
    let seen = '';
    const arrived = new Promise<void>((resolve) => {
      follow.stdout.on('data', (block: Buffer) => {
        seen = (seen + block.toString('latin1')).slice(-100);
        if (seen.endsWith('\nlive\n')) resolve();
      });
    });
    expect(run(['append', ...peerFlags], 'live').status).toBe(0);
    await arrived;

    const script = `"$0" "$1" tail --peer 2=${addresses[1]} | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const piped = spawnSync('bash', ['-c', script, process.execPath, MAIN], { encoding: 'utf8' });
    expect(piped.stderr).toBe('');
    expect(piped.stdout).toMatch(/^[^\n]+\n0\n$/);
  });
});

describe('the main job', () => {
  it('is identical on three replicas, says so as JSON, and leaves nothing behind', () => {
    const parent = join(directory, 'demo');
    const file = join(directory, 'input.txt');
    const lines = Array.from({ length: 30_000 }, (_, at) => `${at} ${'x'.repeat(at % 50)}`);
    writeFileSync(file, lines.join('\n'));
    const { status, stdout, stderr } = run(['demo', file, '--json', '--dir', parent]);
    expect(stderr).not.toContain('raftline demo:');
    expect(status).toBe(0);
    const facts = JSON.parse(stdout) as {
      failoverMs: number;
      inputSha256: string;
      replicas: { id: number; sha256: string; entries: number; lastIndex: number }[];
    };
    expect(facts).toMatchObject({ entries: 30_000, bytes: readFileSync(file).length, identical: true });
    expect(facts.failoverMs).toBeGreaterThan(0);
    expect(facts.replicas.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(new Set(facts.replicas.map(({ sha256 }) => sha256))).toEqual(new Set([facts.inputSha256]));
    expect(new Set(facts.replicas.map(({ lastIndex }) => lastIndex)).size).toBe(1);
    expect(readdirSync(parent)).toEqual([]);
  });

  it('takes binary records, and keeps its directories when asked', () => {
    const parent = join(directory, 'kept');
    const file = join(directory, 'input.bin');
    writeFileSync(file, Buffer.from(Array.from({ length: 100_003 }, (_, at) => (at * at) & 255)));
    const { status, stdout } = run(['demo', file, '--records', '100', '--keep', '--dir', parent]);
    expect(stdout).toContain('identical: all 3 replicas');
    expect(status).toBe(0);
    const [kept = ''] = readdirSync(parent);
    expect(readdirSync(join(parent, kept))).toEqual(expect.arrayContaining(['node-1', 'node-2', 'node-3']));
  });
});
