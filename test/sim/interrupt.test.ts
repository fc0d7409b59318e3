import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('npm run sim', () => {
  it('says after Ctrl-C what was done up to then, and exits with 130', async () => {
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'test/sim/tsconfig.json'], {
      cwd: ROOT,
    });
    const options = ['--from', '1', '--seeds', '100000', '--operations', '20', '--leader-changes', '0'];
    const program = ['.tmp/sim/test/sim/main.js', ...options, '--restarts', '0', '--profile', 'calm'];
    const child = spawn(process.execPath, [...program, '--each', '--jobs', '2'], { cwd: ROOT });
    let printed = '';
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
      child.stdout.on('data', (part: Buffer) => {
        const before = printed;
        printed += part;
        if (/^seed 3:/m.test(printed) && !/^seed 3:/m.test(before)) child.kill('SIGINT');
      });
    });
    expect(code).toBe(130);
    expect(printed).toMatch(/\d+ of 100000 seeds · .*simulated s per s/);
    expect(printed).toMatch(/acknowledged \d+: .* a seed, at least \d\d/);
    expect(printed).toMatch(/interrupted; no seed failed so far/);
  }, 120_000);
});
