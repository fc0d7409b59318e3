import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { freePorts } from '../../src/bench/free-ports.js';

const MODULE = pathToFileURL('dist/bench/free-ports.js').href;
/** From here on Linux gives ports to connections and to servers that take any. */
const EPHEMERAL_FROM = 32_768;

/** What a process of its own is given; it stays until it is told to end. */
async function another(count: number) {
  const code = `console.log(JSON.stringify(await (await import(${JSON.stringify(MODULE)})).freePorts(${count})));
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const end = () => {
    child.stdin.end();
    return once(child, 'exit');
  };
  return { ports: JSON.parse(line.toString()) as number[], end };
}

it('gives processes that ask at the same time ports that differ, none of which a connection can be given', async () => {
  const others = await Promise.all(Array.from({ length: 6 }, () => another(40)));
  try {
    const all = [...others.flatMap(({ ports }) => ports), ...(await freePorts(40))];
    expect(new Set(all).size).toBe(7 * 40);
    expect(Math.max(...all)).toBeLessThan(EPHEMERAL_FROM);
  } finally {
    // They end by themselves: the stretch that each owns keeps none of them.
    expect(await Promise.all(others.map(({ end }) => end()))).toEqual(others.map(() => [0, null]));
  }
});

it('passes over a port on which somebody listens, and gives it again once it is free', async () => {
  const [port = 0] = await freePorts(1);
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const round = await freePorts(62);
  expect(round).not.toContain(port);
  expect(new Set(round).size).toBe(62);
  await expect(freePorts(63)).rejects.toMatchObject({ code: 'RAFTLINE_ADDRESS_IN_USE' });
  await new Promise((resolve) => server.close(resolve));
  expect(await freePorts(63)).toContain(port);
});

it('gives ports that can be listened on', async () => {
  const [port = 0] = await freePorts(1);
  const server = createServer((socket) => socket.end('here')).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const [heard] = (await once(connect(port, '127.0.0.1'), 'data')) as [Buffer];
  expect(heard.toString()).toBe('here');
  await new Promise((resolve) => server.close(resolve));
});
