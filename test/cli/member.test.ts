import { type SpawnSyncReturns, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts } from '../../src/bench/free-ports.js';
import { Engine, Ledger, leads, single, temporaryDirectory, until } from '../engine/world.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

type Answer = Pick<SpawnSyncReturns<string>, 'status' | 'stdout' | 'stderr'>;

/** Runs the command beside the nodes of this process. */
function run(command: string): Promise<Answer> {
  const child = spawn(process.execPath, [MAIN, ...command.split(' ')], { stdio: ['ignore', 'pipe', 'pipe'] });
  const answer: Answer = { status: null, stdout: '', stderr: '' };
  child.stdout.on('data', (block: Buffer) => {
    answer.stdout += block.toString();
  });
  child.stderr.on('data', (block: Buffer) => {
    answer.stderr += block.toString();
  });
  return new Promise((resolve) => child.on('close', (status) => resolve({ ...answer, status })));
}

describe('what is wrong with the command line is one line and exit code 2', () => {
  it.each([
    ['member list', '--peer ID=HOST:PORT is missing'],
    ['member list 4 --peer 1=h:1', "unexpected argument '4'"],
    ['member add --peer 1=h:1', 'expected ID=HOST:PORT, received'],
    ['member add 4 --peer 1=h:1', "expected ID=HOST:PORT, received '4'"],
    ['member add 0=h:1 --peer 1=h:1', "expected ID=HOST:PORT, received '0=h:1'"],
    ['member add 4=h:1 5=h:2 --peer 1=h:1', "unexpected argument '5=h:2'"],
    ['member promote x --peer 1=h:1', "expected a node id, received 'x'"],
    ['member remove --peer 1=h:1', "expected a node id, received ''"],
    ['member remove 4294967296 --peer 1=h:1', "received '4294967296'"],
    ['member remove 4 --peer 1=h:1 --expect soon', '--expect: expected a whole number'],
    ['member remove 4 --peer 1=h:1 --timeout 0', '--timeout: expected a whole number'],
    ['transfer --peer 1=h:1', "expected a node id, received ''"],
    ['compression --peer 1=h:1', "expected none, lz4 or deflate, received ''"],
    ['compression 2 --peer 1=h:1', "expected none, lz4 or deflate, received '2'"],
    ['compression lz4', '--peer ID=HOST:PORT is missing'],
    ['member frobnicate', 'frobnicate'],
    ['member', 'member'],
  ])('raftline %s', async (command, words) => {
    const { status, stdout, stderr } = await run(command);
    expect(stderr).toContain(words);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect([status, stdout]).toEqual([2, '']);
  });

  it.each(['list', 'add', 'promote', 'remove'])('raftline member %s --help', async (command) => {
    const { status, stdout, stderr } = await run(`member ${command} --help`);
    expect(stdout).toMatch(
      new RegExp(`^raftline member ${command}: .*\n\nusage: raftline member ${command} `),
    );
    expect([status, stderr]).toEqual([0, '']);
  });
});

describe('members of a cluster that runs', () => {
  const engines: Awaited<ReturnType<typeof Engine.open>>[] = [];
  const directories: ReturnType<typeof temporaryDirectory>[] = [];
  const addresses: string[] = [];
  let peer = '';

  beforeAll(async () => {
    for (const [at, port] of (await freePorts(2)).entries()) {
      const directory = temporaryDirectory();
      directories.push(directory);
      addresses.push(`127.0.0.1:${port}`);
      const options = single(directory.path, new Ledger(), {
        id: at + 1,
        listen: addresses[at]!,
        join: at === 1,
      });
      engines.push(await Engine.open(options));
    }
    await leads(engines[0]!);
    peer = `--peer 1=${addresses[0]}`;
  });
  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    for (const directory of directories) directory.remove();
  });

  const membersAsJson = async (): Promise<{ index: number; voters: number[]; learners: number[] }> =>
    JSON.parse((await run(`member list ${peer} --json`)).stdout);

  it('lists, adds, promotes, hands over and removes, and prints what is in force then', async () => {
    const alone = await run(`member list ${peer}`);
    expect(alone.stderr).toBe('');
    expect(alone.stdout).toBe(
      `configuration 1, committed, compression lz4\nnode  role   address         incarnation\n   1  voter  ${addresses[0]}\n`.replace(
        'address  ',
        'address'.padEnd(addresses[0]!.length - 5),
      ),
    );
    const learning = await run(`member add 2=${addresses[1]} --learner ${peer}`);
    expect(learning.stdout).toMatch(/^configuration \d+, committed, compression lz4\n/);
    expect(learning.stdout).toContain(
      `2  learner  ${addresses[1]}  ${String(engines[1]!.status().incarnation).padStart(16)}`,
    );
    const { index } = await membersAsJson();

    const stale = await run(`member promote 2 --expect ${index - 1} ${peer}`);
    expect(stale.stderr).toMatch(
      /^raftline member promote: .* in force is index .*\[RAFTLINE_MEMBERS_CHANGED\]\n$/,
    );
    expect([stale.status, stale.stdout]).toEqual([1, '']);
    expect((await run(`member promote 2 --expect ${index} ${peer}`)).status).toBe(0);
    expect(await membersAsJson()).toMatchObject({ voters: [1, 2], learners: [] });

    const now = await membersAsJson();
    expect((await run(`compression deflate --expect ${index} ${peer}`)).stderr).toContain(
      'RAFTLINE_MEMBERS_CHANGED',
    );
    const deflating = await run(`compression deflate --expect ${now.index} ${peer}`);
    expect(deflating.stdout).toMatch(/^configuration \d+, committed, compression deflate\n/);
    expect(await membersAsJson()).toMatchObject({ voters: [1, 2], compressionLevel: 2 });
    expect(engines[0]!.group(1).status().configuration.compressionLevel).toBe(2);
    // What is so already is done, and makes no new configuration.
    expect((await run(`compression deflate ${peer}`)).stdout).toBe(deflating.stdout);

    expect((await run(`transfer 2 ${peer}`)).status).toBe(0);
    await leads(engines[1]!);
    // Asked of one that leads no more: it names the leader, and the question goes there.
    const removed = await run(`member remove 1 ${peer} --json`);
    expect(JSON.parse(removed.stdout)).toMatchObject({ voters: [2], removed: [{ id: 1 }] });
    await until('it was told', () => engines[0]!.group(1).status().membership === 'removed');
    const seen = await run(`status --peer 1=${addresses[0]} --peer 2=${addresses[1]}`);
    expect(seen.stdout).toMatch(/^ +1 .* removed /m);
    expect(seen.stdout).toMatch(/^ +2 .* leader /m);
    const last = await run(`member remove 2 --peer 2=${addresses[1]}`);
    expect(last.stderr).toMatch(/last voter \[RAFTLINE_MEMBER_INVALID\]\n$/);
    expect(last.status).toBe(1);
  });
});
