import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import ts from 'typescript';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { GrpcTransport, type GrpcTransportOptions } from '../../src/transport/grpc.js';
import { prepareServer, watchSessions } from '../../src/transport/grpc-server-seam.js';
import type { MessageStream } from '../../src/transport/transport.js';
import { aWhile, LIMITS, until, Witness } from './suite.js';

const made: GrpcTransport[] = [];
function transport(options: Partial<GrpcTransportOptions> = {}): GrpcTransport {
  const created = new GrpcTransport({ ...LIMITS, ...options });
  made.push(created);
  return created;
}
afterEach(() => {
  for (const each of made.splice(0)) each.close();
  vi.unstubAllEnvs();
});

/** A server that answers every message with itself. */
async function echoServer(options: Partial<GrpcTransportOptions> = {}) {
  const streams: MessageStream[] = [];
  const closes: RaftlineError[] = [];
  const listener = await transport(options).listen('127.0.0.1:0', (_lane, stream) => {
    streams.push(stream);
    stream.onMessage = (bytes) => stream.send(bytes);
    stream.onClose = (cause) => closes.push(cause);
  });
  return { address: `127.0.0.1:${listener.port}`, port: listener.port, streams, closes };
}

async function echoes(address: string, options: Partial<GrpcTransportOptions> = {}): Promise<Witness> {
  const witness = new Witness(transport(options).connect(address, 'append'));
  witness.stream.send(Buffer.from('echo'));
  await until(() => witness.messages.length + witness.closes.length > 0);
  return witness;
}

describe('gRPC: the receive window', () => {
  async function windowsOf(
    port: number,
  ): Promise<{ stream: number | undefined; connection: number | undefined }> {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const [settings] = (await once(session, 'remoteSettings')) as [{ initialWindowSize?: number }];
    await until(() => (session.state.remoteWindowSize ?? 0) > 65_535);
    const connection = session.state.remoteWindowSize;
    session.destroy();
    return { stream: settings.initialWindowSize, connection };
  }

  it('B14 is really in force at the server: 1 MiB by default, or what the option says', async () => {
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const { port } = await echoServer({ onWarning });
    expect(await windowsOf(port)).toEqual({ stream: 1024 * 1024, connection: 1024 * 1024 });
    const wider = await echoServer({ receiveWindowBytes: 3_000_000, onWarning });
    expect(await windowsOf(wider.port)).toEqual({ stream: 3_000_000, connection: 3_000_000 });
    expect(warnings).toEqual([]);
  });

  it('refuses a window that HTTP/2 does not know', () => {
    for (const receiveWindowBytes of [0, 65_534, 2 ** 31, 1e6 + 0.5, Number.NaN]) {
      const invalid = expect.objectContaining({ code: ErrorCode.OptionInvalid });
      expect(() => transport({ receiveWindowBytes })).toThrow(invalid);
    }
  });

  it('says so, and touches nothing, when a later library has other fields', () => {
    const limits = { windowBytes: 1, connectionsMax: 1 };
    expect(prepareServer({}, limits)).toBe(false);
    expect(prepareServer({ commonServerOptions: 5 }, limits)).toBe(false);
    expect(watchSessions({}, limits)).toBeUndefined();
    expect(watchSessions({ http2Servers: [] }, limits)).toBeUndefined();
    expect(watchSessions({ http2Servers: new Map([[{}, {}]]) }, limits)).toBeUndefined();
  });
});

describe('gRPC: addresses', () => {
  it('S1 listens beyond loopback without TLS only when told to', async () => {
    for (const address of ['0.0.0.0:0', '[::]:0', 'example.test:0', '10.0.0.1:0']) {
      const refused = expect.objectContaining({ code: ErrorCode.InsecureRefused });
      await expect(transport().listen(address, () => {})).rejects.toEqual(refused);
    }
    await (await transport({ insecure: true }).listen('0.0.0.0:0', () => {})).close();
    await (await transport().listen('localhost:0', () => {})).close();
  });

  it('says that an address of another machine cannot be listened on, and writes nothing to the console', async () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { address } = await echoServer();
    const second = transport({ insecure: true });
    await expect(second.listen(address, () => {})).rejects.toMatchObject({ code: ErrorCode.AddressInUse });
    await expect(second.listen('192.0.2.1:0', () => {})).rejects.toMatchObject({
      code: ErrorCode.AddressInvalid,
    });
    expect(errors).not.toHaveBeenCalled();
    errors.mockRestore();
  });

  it('goes to the peer itself, whatever proxy the environment names', async () => {
    for (const name of ['grpc_proxy', 'https_proxy', 'http_proxy']) vi.stubEnv(name, 'http://127.0.0.1:9');
    const { address } = await echoServer();
    expect((await echoes(address)).closes).toEqual([]);
  });

  it('gives every stream a connection of its own, so control never waits behind data', async () => {
    const { address, streams } = await echoServer();
    const client = transport();
    for (const lane of ['control', 'append', 'append'] as const)
      client.connect(address, lane).send(Buffer.alloc(1));
    await until(() => streams.length === 3);
    expect(new Set(streams.map((stream) => stream.remote)).size).toBe(3);
  });
});

describe('gRPC: hostile and mistaken peers', () => {
  const path = '/raftline.v1.Raftline/Append';
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };

  async function rawSession(port: number): Promise<ClientHttp2Session> {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    return session;
  }

  it('S7 a frame that declares 4 GiB is refused before anything is allocated', async () => {
    const { address, port, closes } = await echoServer();
    const session = await rawSession(port);
    const request = session.request(headers);
    request.on('error', () => {});
    request.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    await until(() => closes.length === 1);
    expect(closes[0]!.code).toBe(ErrorCode.Unreachable);
    session.destroy();
    expect((await echoes(address)).messages.length).toBe(1);
  });

  it('S7 bytes that are no HTTP/2 at all cost the connection only', async () => {
    const { address, port } = await echoServer();
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(Buffer.alloc(4096, 0x5a));
    socket.resume();
    await once(socket, 'close');
    expect((await echoes(address)).messages.length).toBe(1);
  });

  it('S11 a connection carries a bounded number of streams', async () => {
    const { port, streams } = await echoServer({ streamsPerConnectionMax: 3 });
    const session = await rawSession(port);
    expect(session.remoteSettings.maxConcurrentStreams).toBe(3);
    // Node's own client keeps to the limit and holds the others back.
    const requests = Array.from({ length: 10 }, () => session.request(headers));
    for (const request of requests) request.on('error', () => {});
    await until(() => streams.length === 3);
    await aWhile();
    expect(streams.length).toBe(3);
    session.destroy();
  });

  it('S11 a call with a hundred headers is refused', async () => {
    const { port, streams } = await echoServer();
    const session = await rawSession(port);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`x-flood-${n}`, 'y']));
    const request = session.request({ ...headers, ...many });
    request.on('error', () => {});
    await new Promise((closed) => request.once('close', closed));
    expect(request.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(streams).toEqual([]);
    session.destroy();
  });

  it('S11 a listener holds a bounded number of connections', async () => {
    const { address, streams } = await echoServer({ connectionsMax: 2 });
    const held = [await echoes(address), await echoes(address)];
    const third = await echoes(address);
    expect(third.closes.map((cause) => cause.code)).toEqual([ErrorCode.Unreachable]);
    expect(held.map((witness) => witness.closes.length)).toEqual([0, 0]);
    expect(streams.length).toBe(2);
  });

  it('S11 a connection that opens no stream loses its place', async () => {
    const { port } = await echoServer({ idleConnectionMs: 20 });
    const session = await rawSession(port);
    await new Promise((closed) => session.once('close', closed));
    expect(session.destroyed).toBe(true);
  });

  it('B9 a server that has no such service is reported as one that speaks something else', async () => {
    const { Server, ServerCredentials } = await import('@grpc/grpc-js');
    const server = new Server();
    const port = await new Promise<number>((resolvePort, reject) => {
      const credentials = ServerCredentials.createInsecure();
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error ? reject(error) : resolvePort(bound),
      );
    });
    const witness = await echoes(`127.0.0.1:${port}`);
    expect(witness.closes.map((cause) => cause.code)).toEqual([ErrorCode.HandshakeRefused]);
    server.forceShutdown();
  });

  it('finds out that a peer is frozen by itself, through keepalive', async () => {
    // A peer that accepts the connection and then says nothing at all, not even to pings.
    const { createServer } = await import('node:net');
    const frozen = createServer((socket) => socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])));
    frozen.listen(0, '127.0.0.1');
    await once(frozen, 'listening');
    const { port } = frozen.address() as { port: number };
    const client = transport({ keepaliveMs: 100, keepaliveTimeoutMs: 100 });
    const witness = new Witness(client.connect(`127.0.0.1:${port}`, 'control'));
    witness.stream.send(Buffer.from('anybody?'));
    await until(() => witness.closes.length === 1);
    expect(witness.closes[0]!.code).toBe(ErrorCode.Unreachable);
    frozen.close();
  });
});

describe('gRPC: threads', () => {
  it('serves and connects from a worker thread', async () => {
    // Node runs no TypeScript in threads: the few files are translated beside a link to the packages.
    const root = mkdtempSync(join(tmpdir(), 'raftline-transport-'));
    try {
      symlinkSync(resolve('node_modules'), join(root, 'node_modules'));
      writeFileSync(join(root, 'package.json'), '{"type":"module"}');
      for (const floor of ['base', 'transport']) {
        mkdirSync(join(root, floor));
        for (const file of readdirSync(join('src', floor))) {
          const source = readFileSync(join('src', floor, file), 'utf8');
          const options = {
            compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
          };
          writeFileSync(
            join(root, floor, file.replace(/\.ts$/, '.js')),
            ts.transpileModule(source, options).outputText,
          );
        }
      }
      const program = `
        import { parentPort } from 'node:worker_threads';
        import { GrpcTransport } from './transport/grpc.js';
        const transport = new GrpcTransport(${JSON.stringify(LIMITS)});
        const { port } = await transport.listen('127.0.0.1:0', (_lane, stream) => {
          stream.onMessage = (bytes) => stream.send(bytes);
        });
        parentPort.postMessage(port);
        parentPort.once('message', (other) => {
          const stream = transport.connect('127.0.0.1:' + other, 'append');
          stream.onMessage = (bytes) => { parentPort.postMessage(bytes.toString()); transport.close(); parentPort.close(); };
          stream.send(Buffer.from('from the thread'));
        });`;
      writeFileSync(join(root, 'main.js'), program);
      const worker = new Worker(join(root, 'main.js'));
      const [port] = (await once(worker, 'message')) as [number];
      expect((await echoes(`127.0.0.1:${port}`)).messages[0]!.toString()).toBe('echo');
      const here = await echoServer();
      worker.postMessage(here.port);
      expect(await once(worker, 'message')).toEqual(['from the thread']);
      expect(await once(worker, 'exit')).toEqual([0]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
