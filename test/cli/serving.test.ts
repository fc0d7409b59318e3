import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const FULL = '/dev/full';

let directory: string;
let node: ChildProcess;
let peer: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-cli-'));
  const args = ['serve', '--id', '1', '--cluster', 'right', '--listen', '127.0.0.1:0'];
  node = spawn(process.execPath, [MAIN, ...args, '--data', join(directory, 'data')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ready = await new Promise<string>((resolve, reject) => {
    node.stdout?.once('data', (block: Buffer) => resolve(block.toString()));
    node.once('exit', () => reject(new Error('the node ended before it was ready')));
  });
  peer = `1=${(JSON.parse(ready) as { address: string }).address}`;
}, 30_000);

afterAll(async () => {
  const ended = new Promise((resolve) => node.once('exit', resolve));
  node.kill('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true, force: true });
});

function run(args: readonly string[], input = '', stdout: 'pipe' | number = 'pipe') {
  const stdio = ['pipe', stdout, 'pipe'] as const;
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    input,
    stdio: [...stdio],
    timeout: 30_000,
  });
}

describe('a node that serves', () => {
  it('takes lines, and says in its status which LZ4 it runs', () => {
    const { status, stderr } = run(['append', '--peer', peer], 'a\nb\n');
    expect([status, stderr]).toEqual([0, 'raftline append: 2 lines acknowledged\n']);
    const answer = run(['status', '--peer', peer]);
    expect(answer.stdout).toMatch(/^node .* applied +lz4\n +1 .* leader .* (lz4-napi|pure), webassembly\n/);
    expect(answer.status).toBe(0);
  });

  it.each([
    ['append', 'raftline append: 0 lines acknowledged; line 1 certainly not applied: '],
    ['tail', 'raftline tail: '],
  ])('turns %s for another cluster away at once', (command, words) => {
    const { status, stderr } = run([command, '--peer', peer, '--cluster', 'wrong'], 'hi\n');
    expect(stderr).toBe(`${words}cluster: expected right, received wrong [RAFTLINE_HANDSHAKE_REFUSED]\n`);
    expect(status).toBe(1);
  });
});

describe.runIf(existsSync(FULL))('an output that is full is one line and exit code 1', () => {
  const runFull = (args: readonly string[], input: string) => {
    const full = openSync(FULL, 'w');
    try {
      return run(args, input, full);
    } finally {
      closeSync(full);
    }
  };

  it('append says how many lines were acknowledged all the same', () => {
    const { status, stderr } = runFull(['append', '--peer', peer, '--json'], 'a\nb\n');
    expect(stderr).toMatch(
      /^raftline append: 2 lines acknowledged; cannot write to the standard output: ENOSPC.*\n$/,
    );
    expect(status).toBe(1);
  });

  it.each(['tail', 'status', 'tail --follow'])('%s', (command) => {
    const { status, stderr } = runFull([...command.split(' '), '--peer', peer], '');
    expect(stderr).toMatch(/^raftline: cannot write to the standard output: ENOSPC.*\n$/);
    expect(status).toBe(1);
  });
});

describe('a busy port', () => {
  it('of the demo is told without a hint to its help, which could not say more', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const free = [port, 65_001, 65_002].join(',');
    const { status, stderr } = run(['demo', '--ports', free, '--dir', directory]);
    other.close();
    expect(stderr).toMatch(/^raftline demo: node \d: .*\[RAFTLINE_ADDRESS_IN_USE\]\n$/m);
    expect(stderr).not.toContain('--help');
    expect(status).toBe(2);
  });
});
