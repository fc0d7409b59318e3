import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-cli-'));
  writeFileSync(join(directory, 'list.json'), '[1]');
  writeFileSync(join(directory, 'broken.json'), '{"id": 1,}');
  writeFileSync(join(directory, 'wrong.json'), '{"election":{"timeoutMsMin":"soon"}}');
  writeFileSync(join(directory, 'mistyped.json'), '{"listne":"127.0.0.1:0"}');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(command: string): { status: number | null; stdout: string; stderr: string } {
  const args = command
    .split(' ')
    .filter((part) => part !== '')
    .map((part) => part.replace('DIR', directory));
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', input: '', timeout: 30_000 });
}

describe('whatever is wrong with the command line is one line and exit code 2', () => {
  const serve = 'serve --id 1 --cluster c --data DIR/data';
  it.each([
    ['', 'expected a command'],
    ['frobnicate', "received 'frobnicate'"],
    ['serve', '--id ID is missing'],
    ['serve --id 1', '--cluster NAME is missing'],
    ['serve --id 1 --cluster c', '--data DIR is missing'],
    ['serve --id 0 --cluster c --data DIR/data', '--id: expected a whole number'],
    ['serve --id 1e3 --cluster c --data DIR/data', "received '1e3'"],
    ['serve --verbose', "'--verbose'"],
    ['serve --id', '--id'],
    [`${serve} extra`, "unexpected argument 'extra'"],
    [`${serve} --peer 2`, '--peer: expected id=host:port'],
    [`${serve} --peer 2=h:1 --peer 2=h:2`, 'node 2 is given twice'],
    [`${serve} --peer 2=h:1 --peer 3=h:1`, 'h:1 is given twice'],
    [`${serve} --config DIR/missing.json`, 'missing.json: no such file'],
    [`${serve} --config DIR`, 'is a directory'],
    [`${serve} --config DIR/list.json`, 'expected a JSON object'],
    [`${serve} --config DIR/broken.json`, 'expected a JSON object'],
    [`${serve} --config DIR/wrong.json`, 'election.timeoutMsMin'],
    [`${serve} --config DIR/mistyped.json`, 'listne'],
    [`${serve} --listen 0.0.0.0:0`, 'RAFTLINE_INSECURE_REFUSED'],
    [`${serve} --listen nonsense`, 'nonsense'],
    ['append', '--peer ID=HOST:PORT is missing'],
    ['append --peer 1=h:1 --timeout never', '--timeout: expected a whole number'],
    ['append --peer 1=h:99999', 'RAFTLINE_ADDRESS_INVALID'],
    ['tail', '--peer ID=HOST:PORT is missing'],
    ['tail --peer 1=h:1 --peer 2=h:2', 'exactly one'],
    ['tail --peer 1=h:1 --from 0', '--from: expected a whole number'],
    ['status', '--peer ID=HOST:PORT is missing'],
    ['demo DIR/missing', 'missing: no such file'],
    ['demo DIR', 'is a directory'],
    ['demo --records 0', '--records: expected a whole number'],
    ['demo --nodes 2', '--nodes: expected a whole number from 3 to 7'],
    ['demo --ports 1,2', '--ports: expected 3 different ports'],
    ['demo --ports 1,1,1', '--ports: expected 3 different ports'],
    ['demo --ports 1,2,x', "received 'x'"],
    ['demo one two', "unexpected argument 'two'"],
  ])('raftline %s', (command, words) => {
    const { status, stdout, stderr } = run(command);
    expect(stderr).toContain(words);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^raftline/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

describe('help', () => {
  it.each(['--help', 'serve --help', 'append --help', 'tail --help', 'status --help', 'demo --help'])(
    'raftline %s',
    (command) => {
      const { status, stdout, stderr } = run(command);
      expect(stdout).toMatch(/^raftline/);
      expect(stdout).toContain('usage: ');
      expect(stderr).toBe('');
      expect(status).toBe(0);
    },
  );

  it.each(['bench', 'member'])('raftline %s --help lists its commands, and no others', (family) => {
    const { status, stdout, stderr } = run(`${family} --help`);
    const listed = stdout.split('\n').filter((line) => line.startsWith('  '));
    expect(listed).toHaveLength(4);
    for (const line of listed) expect(line).toMatch(new RegExp(`^ {2}${family} \\w+ +\\w`));
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('says its version', () => {
    expect(run('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('servers that are not there', () => {
  it('append fails with 1 and says that nothing was applied', () => {
    const args = [MAIN, 'append', '--peer', '1=127.0.0.1:9', '--timeout', '300'];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', input: 'a\nb\n' });
    expect(stderr).toContain('0 lines acknowledged; lines 1 to 2 certainly not applied');
    expect(status).toBe(1);
  });

  it('status shows which did not answer, and exits with 1', () => {
    const { status, stdout } = run('status --peer 1=127.0.0.1:9');
    expect(stdout).toMatch(/^1 +127\.0\.0\.1:9 .*no answer/m);
    expect(status).toBe(1);
  });

  it('append of nothing is done at once', () => {
    expect(run('append --peer 1=127.0.0.1:9').status).toBe(0);
  });
});
