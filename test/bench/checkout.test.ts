import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const [RUN, FAILOVER, PROFILE] = ['run', 'failover/run', 'profile'].map((name) =>
  fileURLToPath(new URL(`../../bench/${name}.mjs`, import.meta.url)),
) as [string, string, string];

/** `npm run bench -- …`, over what is built. */
const bench = (...args: string[]) => script(RUN, ...args);

function script(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 110_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

describe('the benchmarks of a checkout', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'raftline-micro-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('measure every part, write it with machine and settings, compare two files, and leave nothing behind', async () => {
    const file = join(directory, 'micro.json');
    const short = ['--time', '10', '--runs', '1', '--batch', '16', '--dir', directory];
    const { code, stdout, stderr } = await bench('micro', ...short, '--json', file);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('128 B entries (json, seed 1), batch 16 KiB, 10 ms a part; 1 runs');
    const results = JSON.parse(readFileSync(file, 'utf8'));
    expect(results.machine).toMatchObject({ node: process.version, commit: expect.any(String) });
    expect(results.settings).toMatchObject({ payload: 128, batchBytesMax: 16_384, timeMs: 10 });
    const names = results.parts.map(({ name }: { name: string }) => name);
    for (const part of ['ring', 'packEntry', 'pure LZ4', 'crc32', 'EntryCursor walk', 'core', 'wal'])
      expect(
        names.some((name: string) => name.includes(part)),
        part,
      ).toBe(true);
    for (const { name, runs } of results.parts) {
      expect(runs, name).toHaveLength(1);
      expect(runs[0].medianMs, name).toBeGreaterThan(0);
    }
    expect(readdirSync(directory)).toEqual(['micro.json']);

    const compared = await bench('compare', file, file);
    expect(compared.code, compared.stderr).toBe(0);
    expect(compared.stdout).toMatch(/core: a batch .* 1\.000 +no verdict below 4 runs/);

    const other = await bench('micro', ...short, '--seed', '2', '--compare', file);
    expect(other, 'refused before anything is measured').toMatchObject({ code: 2, stdout: '' });
    expect(other.stderr).toMatch(/^bench micro: nothing was measured alike: expected .*seed 2.*seed 1/);
    const walls = await bench('micro', ...short, '--only', 'walls', '--compare', file);
    expect(walls).toMatchObject({ code: 2, stdout: '' });
    expect(walls.stderr).toMatch(/--only: expected a part that was measured then, of ring.*'walls'/);
    const [{ name, ...part }] = results.parts;
    const nothing = join(directory, 'nothing.json');
    writeFileSync(nothing, JSON.stringify({ ...results, parts: [{ ...part, name: `no ${name}` }] }));
    expect(await bench('compare', nothing, file)).toMatchObject({
      code: 2,
      stderr: 'bench compare: expected two files with some part in both, received none\n',
    });
  }, 120_000);

  it('say which commands, flags and rows they know', async () => {
    const wrong = [
      [['nothing'], 2, /^bench nothing: expected one of micro, ratio, .*received 'nothing'\n$/],
      [['--help'], 0, /micro .*ratio .*targets /s],
      [['--runs', 'x'], 2, /^bench micro: --runs: expected a whole number from 1 to 1000, received 'x'\n$/],
      [['--time', '10', '--runs', '1', '--only', 'walls'], 2, /--only: expected a part of ring, .*'walls'/s],
      [['compare', '--help'], 0, /^npm run bench -- compare: .*\[OLD NEW\]/s],
      [['memory', '--help'], 0, /usage: npm run bench -- memory .*default 1024.*default \.tmp/s],
      [['compare', 'one.json'], 2, /^bench compare: expected two files .*received 'one.json'\n$/],
      [
        ['profile', '--duration', 'x'],
        2,
        /^raftline bench cluster: --duration: .*received 'x' .*--help\)\n$/,
      ],
      [['memory', '--runs', '2'], 2, /^bench memory: unknown option '--runs'\n$/],
      [
        ['targets', '--row', 'entries-128', '--row', 'soak', '--rate', '9'],
        2,
        /^bench targets: --rate: no notice is taken of it by entries-128, soak\n$/,
      ],
      [
        ['targets', '--row', 'catching-up', '--runs', '1'],
        2,
        /^bench targets: --runs: no notice is taken of it by catching-up\n$/,
      ],
      [['targets', '--row', 'nothing'], 2, /--row: expected one of entries-16, .*soak.*received 'nothing'/],
      [['targets', '--help'], 0, /entries-128, .*--minutes N/s],
      [
        ['ratio', '--seconds', 'many'],
        2,
        /--duration: expected a whole number from 1 to 86400, received 'many'/,
      ],
    ] as const;
    const answers = await Promise.all(wrong.map(([args]) => bench(...args)));
    answers.forEach(({ code, stdout, stderr }, at) => {
      const [args, expected, message] = wrong[at]!;
      expect(stdout + stderr, args.join(' ')).toMatch(message);
      expect(code, args.join(' ')).toBe(expected);
    });
  }, 60_000);

  it.each([
    [
      [FAILOVER, '--kills', 'x'],
      /^failover: --kills: expected a whole number from 1 to 10000, received x\n$/,
    ],
    [[FAILOVER, '--kill', '3'], /^failover: Unknown option '--kill' \(see npm run failover -- --help\)\n$/],
    [[PROFILE, '/nowhere'], /^profile: \/nowhere: no such file\n$/],
    [[PROFILE], /^usage: node bench\/profile.mjs DIR \[COUNT\]\n$/],
  ])('say in one line what is wrong: %s', async (args, message) => {
    const { code, stderr } = await script(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
