import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { temporaryDirectory, until } from '../engine/world.js';
import { Registers } from './registers.js';

const HANG_DISK = fileURLToPath(new URL('hang-disk.mjs', import.meta.url));
/** Elections wait long: a leader that is only late for a moment is not deposed by them. */
const OPTIONS = {
  election: { timeoutMsMin: 1000, timeoutMsMax: 2000, heartbeatIntervalMs: 100, handOverAfterMs: 800 },
  prepareSegments: false,
};

let cluster: Registers | undefined;
const directory = temporaryDirectory();
afterEach(async () => {
  await cluster?.end();
  directory.remove();
});

/** Whether `node` says in its log that it hands over, for this reason. */
async function handsOver(node: Registers['nodes'][number], reason: RegExp): Promise<string> {
  let said: string[] = [];
  let asking = false;
  await until(`node ${node.id} hands over`, () => {
    if (!asking) {
      asking = true;
      void node.ask('status').then(({ logs = [] }) => {
        said = logs;
        asking = false;
      });
    }
    return said.some((line) => reason.test(line));
  });
  return said.find((line) => reason.test(line))!;
}

it('H44 a leader whose disk hangs hands over, though its heartbeats go on; the others write', async () => {
  const hang = `${directory.path}/hang-`;
  cluster = await Registers.start(OPTIONS, (id) => ({
    execArgv: ['--import', HANG_DISK],
    env: { ...process.env, RAFTLINE_TEST_HANG: `${hang}${id}` },
  }));
  const leader = await cluster.write(1);
  writeFileSync(`${hang}${leader.id}`, '');
  // The others hold it at once; here it never gets to the disk.
  const write = leader.ask('write', { value: 2 });
  expect(await handsOver(leader, /being handed to node/)).toContain('the disk has finished no write for');
  const others = cluster.nodes.filter((node) => node !== leader);
  const next = await cluster.write(3, others);
  expect((await next.ask('read')).value).toBe(3);
  expect((await leader.ask('status')).role).not.toBe('leader');
  // In the log of the others it was, and became part of theirs; here nobody can know.
  expect((await write).code).toBe('RAFTLINE_OUTCOME_UNKNOWN');
}, 60_000);

it('H43 a leader whose main thread is late for its ticks hands over, though its heartbeats are repeated; all of them write on', async () => {
  cluster = await Registers.start(OPTIONS);
  const leader = await cluster.write(1);
  await leader.ask('busy', { ms: 600 });
  expect(await handsOver(leader, /being handed to node/)).toContain('late to its ticks');
  const others = cluster.nodes.filter((node) => node !== leader);
  const next = await cluster.write(2, others);
  expect((await next.ask('read')).value).toBe(2);
}, 60_000);
