import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { electionOf } from '../../src/bench/cluster.js';
import { startSide } from '../../src/bench/parts.js';
import { Workspace } from '../../src/bench/processes.js';

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

describe('a side that does not start', () => {
  let parent = '';
  let workspace: Workspace;
  let target: Server;
  beforeEach(async () => {
    parent = mkdtempSync(join(tmpdir(), 'raftline-parts-'));
    workspace = new Workspace(parent);
    target = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    target.close();
    workspace.dispose();
    rmSync(parent, { recursive: true, force: true });
  });

  it('leaves no proxy and no directory behind', async () => {
    const { port } = target.address() as { port: number };
    let through = 0;
    let answered = false;
    const starting = startSide(workspace, async (parts) => {
      parts.directory('node-1');
      through = (await parts.delayed(5, [port]))[0]!;
      answered = await answers(through);
      throw new Error('no leader');
    });
    await expect(starting).rejects.toThrow('no leader');
    expect(through).not.toBe(port);
    expect(answered).toBe(true);
    expect(await answers(through)).toBe(false);
    expect(readdirSync(workspace.root)).toEqual(['owner']);
  });
});

describe('elections of a benchmark', () => {
  it.each([0, 100, 500])('leave time for an answer over links that take %i ms longer', (linkDelayMs) => {
    const first = electionOf(1, linkDelayMs);
    // Half of it is when a campaign without answers is repeated; an answer takes two passes.
    expect(first.timeoutMsMin! / 2).toBeGreaterThan(2 * linkDelayMs);
    // A vote before the vote, the vote, and the first message of the leader.
    expect(electionOf(2, linkDelayMs).timeoutMsMin).toBeGreaterThan(first.timeoutMsMax! + 5 * linkDelayMs);
  });
});
