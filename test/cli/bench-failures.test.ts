import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Results } from '../../src/bench/results.js';
import { childrenOf } from '../bench/children.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SHORT = ['--duration', '1', '--warmup', '0', '--concurrency', '64'];

interface Bench {
  child: ChildProcess;
  /** Resolves when all that it wrote so far matches. */
  wrote(pattern: RegExp): Promise<void>;
  ended: Promise<{ code: number | null; text: string }>;
}

function bench(...args: string[]): Bench {
  const child = spawn(process.execPath, [MAIN, 'bench', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const waiting: { pattern: RegExp; resolve: () => void }[] = [];
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      for (const { pattern, resolve } of waiting) if (pattern.test(text)) resolve();
    });
  }
  const ended = new Promise<{ code: number | null; text: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, text }));
  });
  const wrote = (pattern: RegExp) => new Promise<void>((resolve) => waiting.push({ pattern, resolve }));
  return { child, wrote, ended };
}

/** Processes of nodes that `parent` has started. */
function nodesOf({ pid }: ChildProcess): number[] {
  return childrenOf(pid!)
    .filter(({ command }) => command.includes('bench/node.js'))
    .map((each) => each.pid);
}

async function killOneNode({ child }: Bench): Promise<void> {
  for (;;) {
    const [, second] = nodesOf(child);
    if (second !== undefined) return void process.kill(second, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('raftline bench that fails midway', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'raftline-bench-failures-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('sums up and writes the runs before, and says which one failed', async () => {
    const json = join(directory, 'results.json');
    const run = bench('cluster', ...SHORT, '--runs', '3', '--dir', directory, '--json', json);
    await run.wrote(/run 1 cluster[\s\S]*entries behind/);
    await killOneNode(run);
    const { code, text } = await run.ended;
    expect(text).toMatch(/raftline bench cluster: run 2 of 3, cluster: node-\d: .*\[RAFTLINE_INTERNAL\]/);
    expect(text).toContain('median (min–max) of 1:');
    expect(code).toBe(1);
    const [measured] = (JSON.parse(readFileSync(json, 'utf8')) as Results).measured;
    expect(measured!.cluster).toHaveLength(1);
    expect(readdirSync(directory)).toEqual(['results.json']);
  }, 60_000);

  it('reports the points of a sweep before, and says which one failed', async () => {
    const files = { html: join(directory, 'report.html'), json: join(directory, 'results.json') };
    const where = ['--dir', directory, '--html', files.html, '--json', files.json];
    const run = bench('sweep', '--depth', '1,2,4', ...SHORT, ...where);
    await run.wrote(/^1 of 3/m);
    await killOneNode(run);
    const { code, text } = await run.ended;
    expect(text).toMatch(
      /raftline bench sweep: run 2 of 3 \(128 B entries, batch 256 KiB, depth 2\): node-\d: /,
    );
    expect(code).toBe(1);
    const { measured } = JSON.parse(readFileSync(files.json, 'utf8')) as Results;
    expect(measured.map(({ settings }) => settings.depth)).toEqual([1]);
    expect(readFileSync(files.html, 'utf8')).toContain('this is what had been measured');
    expect(readdirSync(directory).sort()).toEqual(['report.html', 'results.json']);
  }, 60_000);

  it('keeps an older report and older results while there is nothing to write', async () => {
    const files = { html: join(directory, 'report.html'), json: join(directory, 'results.json') };
    for (const file of Object.values(files)) writeFileSync(file, 'older');
    const flags = ['--html', files.html, '--json', files.json];
    const refused = await bench('sweep', ...flags, '--dir', join(directory, 'nowhere')).ended;
    expect(refused.code, refused.text).toBe(2);
    const run = bench('sweep', ...flags, '--dir', directory, '--duration', '60');
    await run.wrote(/settings × 1 runs/);
    run.child.kill('SIGINT');
    const { code, text } = await run.ended;
    expect(text).toContain('nothing was measured, nothing is written to');
    expect(code).toBe(130);
    for (const file of Object.values(files)) expect(readFileSync(file, 'utf8')).toBe('older');
  }, 60_000);

  it('hands over the rows of targets before the one that fails', async () => {
    const { runRows } = await import(new URL('../../bench/targets/run.mjs', import.meta.url).href);
    const row = (name: string, run: () => Promise<object>) => ({ name, run });
    const rows = [
      row('first', () => Promise.resolve({ figures: [{ met: true }] })),
      row('second', () => Promise.reject(new Error('node-1: has ended'))),
      row('third', () => Promise.resolve({ figures: [] })),
    ];
    const handedOver: string[][] = [];
    const onEnd = (outcomes: { name: string }[]) => handedOver.push(outcomes.map(({ name }) => name));
    const running = runRows(rows, { output: { line: () => {} } }, onEnd);
    await expect(running).rejects.toThrow('row second: node-1: has ended');
    expect(handedOver).toEqual([['first']]);
  });
});
