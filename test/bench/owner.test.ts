import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { own } from '../../src/bench/owner.js';
import { Workspace } from '../../src/bench/processes.js';

/** Only there does a system tell one boot and one container from another. */
describe.runIf(process.platform === 'linux')('a directory of a benchmark that was killed', () => {
  let parent = '';
  let dead = 0;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'raftline-owner-'));
    dead = spawnSync(process.execPath, ['--version']).pid;
  });
  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  /** As if another process had made it. @returns whether it is still there after the next benchmark in the same place */
  function stays(name: string, change: object | string): boolean {
    const path = join(parent, name);
    mkdirSync(path);
    own(path);
    const file = join(path, 'owner');
    const content = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, typeof change === 'string' ? change : JSON.stringify({ ...content, ...change }));
    mkdirSync(join(path, '1-node-1'));
    writeFileSync(join(path, '1-node-1', 'segment'), 'bytes');
    new Workspace(parent).dispose();
    return existsSync(path);
  }

  it('goes with the next one in the same place', () => {
    expect(stays('bench-a', { pid: dead })).toBe(false);
  });

  it('stays where it is not surely one of a process that is no more', () => {
    expect(stays('bench-b', {}), 'of a process that lives').toBe(true);
    expect(stays('bench-c', { pid: 1 }), "of somebody else's process that lives").toBe(true);
    expect(stays('bench-d', { pid: dead, bootId: 'another' }), 'of another machine').toBe(true);
    expect(stays('bench-e', { pid: dead, pidNamespace: 'pid:[1]' }), 'of another container').toBe(true);
    expect(stays('bench-f', 'mine'), 'that says nothing we know').toBe(true);
    expect(stays('bench-g', { pid: 0 }), 'with no pid').toBe(true);
    expect(stays('other-h', { pid: dead }), 'of another name').toBe(true);
  });
});
