import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Workspace } from '../../src/bench/processes.js';

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
