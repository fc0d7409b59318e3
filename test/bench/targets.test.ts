import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Workspace } from '../../src/bench/processes.js';
import { BenchArguments } from '../../src/cli/bench/flags.js';
import type { Output } from '../../src/cli/output.js';
import { measuredAt, SETTINGS } from './figures.js';

/** A row of `npm run bench -- targets`, over what is built. */
const row = (name: string) => import(new URL(`../../bench/targets/${name}.mjs`, import.meta.url).href);

it('a soak keeps the newest segments of every node and nothing else goes', async () => {
  const { forgetOldSegments } = await row('soak');
  const parent = mkdtempSync(join(tmpdir(), 'raftline-soak-'));
  const workspace = new Workspace(parent);
  try {
    const directory = workspace.directory('node-1');
    const names = Array.from({ length: 20 }, (_, at) => `${String(at + 1).padStart(10, '0')}.segment`);
    for (const name of [...names, 'identity']) writeFileSync(join(directory, name), '');
    const before = readdirSync(workspace.root);
    forgetOldSegments(workspace.root);
    expect(readdirSync(directory).sort()).toEqual([...names.slice(4), 'identity']);
    expect(readdirSync(workspace.root)).toEqual(before);
  } finally {
    workspace.dispose();
    rmSync(parent, { recursive: true, force: true });
  }
});

it("depth 'auto' is held against the best fixed one, or it is said why not", async () => {
  const { heldAgainst } = await row('auto-depth');
  const { printOutcomes } = await row('run');
  const at = (depth: number | 'auto', linkDelayMs: number, entries: number, p99: number, rate?: number) =>
    measuredAt({ depth, linkDelayMs, rate }, [entries, p99], [entries, p99]);
  const near = [at(1, 0, 1000, 10), at(8, 0, 990, 20), at('auto', 0, 980, 11)];
  const { figures, beside } = heldAgainst(near);
  expect(figures).toMatchObject([
    { name: '0 ms, throughput', value: 0.98, met: true },
    { name: '0 ms, p99', value: 1.1, met: true },
  ]);
  expect(beside[0]).toMatch(/^0 ms: the best is 1 .*, auto 980 entries\/s/);

  const { latency, ...run } = at('auto', 5, 1000, 10).cluster[0]!;
  const untimed = { ...at('auto', 5, 1000, 10), cluster: [{ ...run, latency: { ...latency, samples: 0 } }] };
  const tooFast = [at(1, 20, 500, 10, 2000), at('auto', 20, 500, 11, 2000)];
  const missing = heldAgainst([at(1, 5, 1000, 10), untimed, ...tooFast]);
  expect(missing.figures).toEqual([
    { name: '5 ms', missing: "not known, since depth 'auto' had no latencies", met: false },
    {
      name: '20 ms',
      missing: 'not known, since no fixed depth had latencies and kept up with 2,000 entries/s',
      met: false,
    },
  ]);
  const lines: string[] = [];
  const output = { line: (text: string) => lines.push(text) } as unknown as Output;
  const outcome = { ...missing, name: 'row', measure: 'm', target: 't', settings: SETTINGS, load: [0, 0] };
  const simple = { stream: { mbPerSecond: 1, p50Ms: 1 }, sync4KiBMs: 1, sync256KiBMs: 1, copyGBPerSecond: 1 };
  printOutcomes(output, [outcome], simple);
  expect(lines.join('\n')).toMatch(/5 ms: not known, since depth 'auto' had no latencies +MISSED/);
});

it('a row has the duration that is told, or its own', async () => {
  const { contextOf, targetsShape } = await row('run');
  const { stoppedFollowerRow } = await row('stopped-follower');
  /** Of all rows, and of one that stands for a minute where nobody tells. */
  const secondsOf = async (...args: string[]) => {
    const context = contextOf(new BenchArguments(targetsShape, args), {}, {});
    const asked: { seconds?: number }[] = [];
    const settings = (point: object) => {
      asked.push(context.settings(point));
      throw new Error('enough');
    };
    await expect(stoppedFollowerRow.run({ ...context, settings })).rejects.toThrow('enough');
    return [context.settings({}).seconds, asked[0]!.seconds];
  };
  expect(await secondsOf()).toEqual([5, 60]);
  expect(await secondsOf('--duration', '2')).toEqual([2, 2]);
});

it('what a bare pipe knows nothing of is refused before anything is measured', async () => {
  const { refuseFlags, targetsShape } = await row('run');
  const { throughputRows, latencyRow } = await row('against-pipe');
  const { stoppedFollowerRow } = await row('stopped-follower');
  const refuse =
    (rows: object[], ...args: string[]) =>
    () =>
      refuseFlags(new BenchArguments(targetsShape, args), rows);
  expect(refuse(throughputRows, '--compression', 'deflate')).toThrow(
    "--compression: expected one of lz4, none for entries-16, received 'deflate'",
  );
  expect(refuse([stoppedFollowerRow, latencyRow], '--compression', 'auto')).toThrow(/for latency-depth-1/);
  expect(refuse([latencyRow], '--apply-us', '20')).toThrow(/--apply-us: no notice is taken of it by latency/);
  expect(refuse([stoppedFollowerRow], '--threads', 'many')).toThrow(/--threads: expected one of/);
  expect(refuse([latencyRow], '--compression', 'none')).not.toThrow();
  expect(refuse([stoppedFollowerRow], '--compression', 'deflate', '--apply-us', '20')).not.toThrow();
});
