import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { ErrorCode, RaftlineError } from '../base/errors.js';

/**
 * Below the ports that systems give out by themselves (from 32,768 on Linux, 49,152 elsewhere): neither a connection
 * nor a server that asks for any port gets one of these before the node that it is meant for.
 */
const LOWEST = 10_240;
const HIGHEST = 32_767;
/** Whoever listens on the first port of a stretch owns the others: two processes never choose the same. */
const STRETCH = 64;
const ATTEMPTS_MAX = 100;

/** First port of the stretch that is this process's until it ends, and the place in it last given out. */
let owned: Promise<number> | undefined;
let lastAt = 0;

/** Ports of loopback on which nobody listens, and that no other process that asks here is given. At most 63. */
export async function freePorts(count: number): Promise<number[]> {
  owned ??= ownStretch();
  const first = await owned;
  const ports: number[] = [];
  for (let tried = 1; ports.length < count; tried++) {
    if (tried >= STRETCH) throw noneFree(`${count} of ${STRETCH - 1} ports from ${first} on`);
    lastAt = (lastAt % (STRETCH - 1)) + 1;
    const server = await listening(first + lastAt);
    if (server === undefined) continue;
    ports.push(first + lastAt);
    await new Promise((resolve) => server.close(resolve));
  }
  return ports;
}

async function ownStretch(): Promise<number> {
  const stretches = Math.floor((HIGHEST + 1 - LOWEST) / STRETCH);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const first = LOWEST + STRETCH * randomInt(stretches);
    const server = await listening(first);
    if (server === undefined) continue;
    server.unref();
    return first;
  }
  throw noneFree(`one of ${stretches} stretches from ${LOWEST} on, ${ATTEMPTS_MAX} attempts`);
}

/** Undefined: the port is somebody else's. */
function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server));
  });
}

function noneFree(wanted: string): RaftlineError {
  return new RaftlineError(ErrorCode.AddressInUse, `ports of 127.0.0.1: ${wanted}: not so many are free`);
}
