import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Results } from '../../src/bench/results.js';
import { Engine, Ledger, until } from '../engine/world.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function raftline(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { timeout: 110_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** As a terminal and a service manager do: its processes are told as well. */
function interrupt({ pid }: ChildProcess, signal: NodeJS.Signals): true {
  return process.kill(-pid!, signal);
}

describe('raftline bench', () => {
  const REPORT = join(tmpdir(), `raftline-bench-refused-${process.pid}.html`);
  afterAll(() => rmSync(REPORT, { force: true }));

  it('says in one line what it cannot measure, and exits with 2', async () => {
    const wrong = [
      [['bench'], /expected bench cluster, bench limit.*received nothing more/],
      [['bench', 'foo'], /expected bench cluster.*received 'foo'/],
      [['bench', 'cluster', '--payload', '0'], /--payload: expected a whole number from 1 to 1048576/],
      [['bench', 'cluster', '--data', 'nowhere'], /nowhere/],
      [['bench', 'cluster', '--with-limit', '--nodes', '5'], /--nodes: the bare pipe has three nodes/],
      [['bench', 'cluster', '--peer', '1=127.0.0.1:1', '--depth', '4'], /--depth: the cluster at --peer/],
      [
        ['bench', 'cluster', '--compression', 'zip'],
        /--compression: expected one of auto, lz4, deflate, none/,
      ],
      [['bench', 'sweep', '--compression', 'zip'], /--compression: expected one of auto, lz4, deflate, none/],
      [
        ['bench', 'limit', '--compression', 'deflate'],
        /--compression: expected one of lz4, none, received 'd/,
      ],
      [
        ['bench', 'cluster', '--with-limit', '--compression', 'auto'],
        /--compression: the bare pipe has .* LZ4/,
      ],
      [
        ['bench', 'cluster', '--with-limit', '--apply-us', '20'],
        /--apply-us: the bare pipe .* applies nothing/,
      ],
      [['bench', 'cluster', '--client-processes', '2'], /--client-processes: only with --clients remote/],
      [
        ['bench', 'cluster', '--clients', 'remote', '--client-processes', '8', '--concurrency', '1'],
        /--client-processes: expected at most one for each of 1 entries outstanding .* received 8/,
      ],
      [['bench', 'limit', '--threads', 'auto'], /unknown option '--threads'/],
      [['bench', 'limit', '--rate', '20'], /unknown option '--rate'/],
      [['bench', 'limit', '--compare', 'package.json'], /package.json: expected a result of raftline bench/],
      [
        ['bench', 'cluster', '--payload', '1048576', '--concurrency', '1024'],
        /--concurrency: expected at most 1023 entries of 1048576 bytes, 1 GiB, received '1024'/,
      ],
      [
        ['bench', 'limit', '--depth', '1024', '--batch', '16384'],
        /--depth, --batch, --concurrency: expected at most 512 MiB under way in the bare pipe, received \d+ MiB/,
      ],
      [
        ['bench', 'cluster', '--with-limit', '--payload', '1024', '--concurrency', '1000000'],
        /--concurrency: expected at most 512 MiB under way in the bare pipe/,
      ],
      [['bench', 'cluster', '--threads', '5'], /--threads: expected one of auto, shared, spread, or 1 to 4,/],
      [['bench', 'cluster', '--depth', 'all'], /--depth: expected a whole number from 1 to 1024/],
      [
        ['bench', 'sweep', '--depth', '1,,auto'],
        /--depth: expected different whole numbers from 1 to 1024, or auto,/,
      ],
      [['bench', 'sweep', '--batch', '64,64'], /--batch: expected different whole numbers from 1 to 16384/],
      [['bench', 'sweep', '--html', '/nowhere/report.html'], /--html \/nowhere\/report.html: no such file/],
      [['bench', 'compare', '--base', 'package.json'], /expected the file NEW/],
      [
        ['bench', 'cluster', '--json', '/nowhere/results.json'],
        /--json \/nowhere\/results.json: no such file/,
      ],
      [['bench', 'cluster', '--json', '.'], /--json .: expected a file, received a directory/],
      [
        ['bench', 'cluster', '--followers-delay', '501'],
        /--followers-delay: expected a whole number from 0 to 500/,
      ],
      [['bench', 'cluster', '--followers-delay', '-5'], /is written --followers-delay=-5/],
      [
        ['bench', 'sweep', '--payload', '8,100000', '--data', 'package.json', '--html', REPORT],
        /expected at least one entry of 100000 bytes/,
      ],
      [['bench', 'limit', '--dir', '/proc'], /--dir \/proc: /],
      [
        ['bench', 'limit', '--profile', 'package.json'],
        /--profile .*package.json: expected a directory that can be written, received/,
      ],
      [
        ['bench', 'cluster', '--peer', '1=127.0.0.1:1', '--clients', 'in-process'],
        /--clients: expected remote for the cluster at --peer, received 'in-process'/,
      ],
      [['bench', 'limit', '--dir', '/nowhere'], /--dir \/nowhere: no such file/],
      [['bench', 'limit', '--dir', 'package.json'], /package.json: expected a directory, received a file/],
    ] as const;
    const answers = await Promise.all(wrong.map(([args]) => raftline(...args)));
    answers.forEach(({ code, stdout, stderr }, at) => {
      const [args, message] = wrong[at]!;
      expect(stdout, args.join(' ')).toBe('');
      expect(stderr, args.join(' ')).toMatch(message);
      expect(stderr.trim().split('\n').at(-1), args.join(' ')).toMatch(/^raftline( bench|:)/);
      expect(code, args.join(' ')).toBe(2);
    });
  }, 60_000);

  it('measures a cluster and the bare pipe in one run, says with what, writes it, compares, and leaves nothing behind', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raftline-bench-'));
    try {
      const file = join(directory, 'results.json');
      const flags = ['--duration', '1', '--warmup', '0', '--concurrency', '512', '--dir', directory];
      const { code, stdout, stderr } = await raftline(
        'bench',
        'cluster',
        ...flags,
        '--with-limit',
        '--json',
        file,
      );
      expect(code, stderr).toBe(0);
      expect(stdout).toContain(
        '128 B entries (json), 3 nodes, batch 256 KiB, depth 8, lz4, synced on every node',
      );
      expect(stdout).toMatch(/the cluster reaches 0?\.?\d.* of the bare pipe's entries\/s/);
      const results = JSON.parse(readFileSync(file, 'utf8')) as Results;
      const [{ cluster, pipe }] = results.measured as [Results['measured'][0]];
      for (const [run] of [cluster, pipe]) {
        expect(run!.entriesPerSecond).toBeGreaterThan(0);
        expect(run!.latency.samples).toBeGreaterThan(0);
        expect(run!.syncsPerSecond).toHaveLength(3);
        expect(Math.min(...run!.syncsPerSecond)).toBeGreaterThan(0);
        expect(run!.compressionRatio).toBeGreaterThan(1.5);
      }
      expect(readdirSync(directory)).toEqual(['results.json']);

      const again = await raftline('bench', 'cluster', ...flags, '--depth', '8', '--compare', file);
      expect(again.code, again.stderr).toBe(0);
      const other = await raftline('bench', 'limit', ...flags, '--depth', '4', '--compare', file);
      expect(other.stderr).toMatch(
        /nothing was measured alike: expected pipe with .*depth 4.*received cluster with /,
      );
      const deep = await raftline('bench', 'limit', ...flags, '--seed', '2', '--compare', file);
      expect(deep.stderr, 'the depth that the pipe has, told or not').toMatch(
        /expected pipe with .*depth 8,.*received /,
      );
      expect(other, 'refused before anything is measured').toMatchObject({ code: 2, stdout: '' });
      const compared = await raftline('bench', 'compare', '--base', file, file);
      expect(compared.code, compared.stderr).toBe(0);
      expect(compared.stdout).toMatch(
        /cluster: 128 B entries[\s\S]*entries\/s .* 1\.000 times, no verdict below 4 runs/,
      );
      expect(again.stdout).toMatch(/entries\/s +[\d,.]+ → [\d,.]+: [\d.]+ times, no verdict below 4 runs/);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 120_000);

  it.each([
    ['SIGINT', 130, 2],
    ['SIGTERM', 143, 1],
  ] as const)(
    'sweeps until %s, then writes the report of what it has, and leaves nothing else behind',
    async (signal, exitCode, afterRuns) => {
      const directory = mkdtempSync(join(tmpdir(), 'raftline-sweep-'));
      try {
        const files = { html: join(directory, 'report.html'), json: join(directory, 'results.json') };
        const load = [
          '--depth',
          '1,8',
          '--duration',
          '1',
          '--warmup',
          '0',
          '--concurrency',
          '512',
          '--compression',
          'deflate',
          '--runs',
          '50',
        ];
        const flags = [...load, '--dir', directory, '--html', files.html, '--json', files.json];
        const child = spawn(process.execPath, [MAIN, 'bench', 'sweep', ...flags], {
          detached: true,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const notes = ['\n'];
        let done = false;
        child.stdout.resume();
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          notes.push(text);
          if (!done && notes.join('').includes(`\n${afterRuns} of 100, about `))
            done = interrupt(child, signal);
        });
        const code = await new Promise((resolve) => child.once('close', resolve));
        expect(code, notes.join('')).toBe(exitCode);
        const { benchmark, measured } = JSON.parse(readFileSync(files.json, 'utf8')) as Results;
        expect(benchmark).toBe('sweep');
        expect(measured.map(({ settings }) => settings.depth)).toEqual([1, 8].slice(0, afterRuns));
        for (const { settings, cluster } of measured) {
          expect(settings.concurrency).toBe(512);
          expect(cluster.length).toBeGreaterThan(0);
        }
        // It was deflate indeed: LZ4 makes these batches 3.7 times smaller.
        expect(measured[0]!.cluster[0]!.compressionRatio).toBeGreaterThan(4.4);
        const page = readFileSync(files.html, 'utf8');
        expect(page).toContain('The sweep was interrupted');
        expect(page).toMatch(
          afterRuns === 1 ? /Only one fixed setting was measured/ : /set pipeline.depth to (1|8) and/,
        );
        expect(readdirSync(directory).sort()).toEqual(['report.html', 'results.json']);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    120_000,
  );

  it('offers a rate to several groups over links that take longer, from clients in processes of their own', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raftline-bench-'));
    try {
      const file = join(directory, 'results.json');
      const clients = ['--clients', 'remote', '--client-processes', '2', '--groups', '2', '--rate', '500'];
      const flags = ['--duration', '1', '--warmup', '1', '--followers-delay', '30', '--data', 'random'];
      const where = ['--dir', directory, '--json', file];
      const { code, stdout, stderr } = await raftline('bench', 'cluster', ...clients, ...flags, ...where);
      expect(code, stderr).toBe(0);
      expect(stdout).toContain('2 groups');
      expect(stdout).toContain('remote 500 entries/s offered, links delayed by 30 ms each way');
      const [measured] = (JSON.parse(readFileSync(file, 'utf8')) as Results).measured;
      const [run] = measured!.cluster;
      expect(run!.latency.samples).toBeGreaterThan(100);
      // There and back: no commit can be faster than the link.
      expect(run!.latency.p50Ms).toBeGreaterThan(60);
      expect(run!.compressionRatio).toBeLessThan(1.1);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 120_000);

  it('loads a cluster that runs already, and tells what its nodes tell', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raftline-bench-'));
    const groups = [1, 2].map((id) => ({ id, stateMachine: new Ledger() }));
    const dataDirectory = join(directory, 'node');
    const engine = await Engine.open({
      id: 1,
      cluster: 'running',
      dataDirectory,
      groups,
      pipeline: { depth: 3, batchBytesMax: 65_536 },
      // What the group does not allow is not what it does.
      compression: 'deflate',
      durability: 'os',
      threads: { encoders: 2 },
    });
    try {
      const peer = ['--peer', `1=${engine.status().address}`, '--groups', '2', '--dir', directory];
      const load = ['--duration', '1', '--warmup', '1', '--concurrency', '64'];
      const { code, stdout, stderr } = await raftline('bench', 'cluster', ...peer, ...load);
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/run 1 cluster: [\d,.]+ entries\/s/);
      expect(stdout).toMatch(/ [\d,.]+ µs CPU an entry/);
      expect(stdout).toContain(
        '1 node, 2 groups, batch 64 KiB, depth 3, lz4, written, not synced, on every node, remote closed loop of 64, 2 encoders',
      );
      expect(stdout).toMatch(
        /by node, leader first: syncs\/s \d+, cores \d+\.\d\d, RSS [1-9]\d* MiB, event loop p99 \d/,
      );
      const applied = engine.status().groups.map(({ entriesApplied }) => entriesApplied);
      expect(Math.min(...applied)).toBeGreaterThan(10);
    } finally {
      await engine.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }, 120_000);

  it('refuses a run in which a node of such a cluster was started anew', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'raftline-bench-'));
    const dataDirectory = join(directory, 'node');
    const open = (listen: string) =>
      Engine.open({
        id: 1,
        cluster: 'running',
        dataDirectory,
        listen,
        groups: [{ id: 1, stateMachine: new Ledger() }],
      });
    let engine = await open('127.0.0.1:0');
    try {
      const { address } = engine.status();
      const load = ['--duration', '6', '--warmup', '0', '--rate', '200', '--dir', directory];
      const ended = raftline('bench', 'cluster', '--peer', `1=${address}`, ...load);
      await until('entries of the load', () => engine.status().groups[0]!.entriesApplied > 100);
      await engine.close();
      engine = await open(address);
      const { code, stdout, stderr } = await ended;
      expect(stderr).toMatch(/RAFTLINE_(UNREACHABLE|NOT_LEADER)\]\n$/);
      expect(code).toBe(1);
      expect(stdout).not.toContain('run 1');
    } finally {
      await engine.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }, 60_000);
});
