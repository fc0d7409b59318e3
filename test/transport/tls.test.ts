import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { GrpcTransport } from '../../src/transport/grpc.js';
import type { TlsOptions } from '../../src/transport/transport.js';
import { LIMITS, until, Witness } from './suite.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** An authority and a certificate of it for 127.0.0.1, made for this run. */
function makeTls(root: string, name: string): TlsOptions {
  const file = (kind: string): string => join(root, `${name}-${kind}`);
  const run = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore' });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', `/CN=${name}`];
  run('req', '-x509', ...newKey, ...subject, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-days', '2');
  run('req', '-new', ...newKey, ...subject, '-keyout', file('key.pem'), '-out', file('csr.pem'));
  writeFileSync(file('ext'), 'subjectAltName=IP:127.0.0.1\n');
  const signer = [
    '-CA',
    file('ca.pem'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-extfile',
    file('ext'),
  ];
  run('x509', '-req', '-in', file('csr.pem'), ...signer, '-out', file('cert.pem'), '-days', '1');
  return {
    ca: readFileSync(file('ca.pem')),
    cert: readFileSync(file('cert.pem')),
    key: readFileSync(file('key.pem')),
  };
}

it('refuses what is no certificate when the transport is made', () => {
  const nonsense = Buffer.from('-----BEGIN NOTHING-----');
  const attempt = (): GrpcTransport =>
    new GrpcTransport({ ...LIMITS, tls: { ca: nonsense, cert: nonsense, key: nonsense } });
  expect(attempt).toThrow(expect.objectContaining({ code: ErrorCode.OptionInvalid }));
});

describe.skipIf(!hasOpenssl)('gRPC: mutual TLS', () => {
  const root = mkdtempSync(join(tmpdir(), 'raftline-tls-'));
  afterAll(() => rmSync(root, { recursive: true }));

  it('S1 lets peers of one authority in over TLS 1.3, and nobody else', async () => {
    const ours = makeTls(root, 'ours');
    const theirs = makeTls(root, 'theirs');
    const accepted: Witness[] = [];
    const server = new GrpcTransport({ ...LIMITS, tls: ours });
    // With TLS, listening beyond loopback needs no further word.
    const listener = await server.listen('0.0.0.0:0', (_lane, stream) => accepted.push(new Witness(stream)));
    const address = `127.0.0.1:${listener.port}`;
    const attempt = (tls?: TlsOptions): { client: GrpcTransport; witness: Witness } => {
      const client = new GrpcTransport({ ...LIMITS, ...(tls === undefined ? {} : { tls }) });
      const witness = new Witness(client.connect(address, 'append'));
      witness.stream.send(Buffer.from('let me in'));
      return { client, witness };
    };

    const friend = attempt(ours);
    await until(() => accepted[0]?.messages.length === 1);
    const strangers = [attempt(), attempt(theirs), attempt({ ...theirs, ca: ours.ca })];
    await until(() => strangers.every(({ witness }) => witness.closes.length === 1));
    for (const { witness } of strangers) expect(witness.closes[0]!.code).toBe(ErrorCode.Unreachable);
    expect(accepted.length).toBe(1);

    const old = connectTls({ host: '127.0.0.1', port: listener.port, ...ours, maxVersion: 'TLSv1.2' });
    const refusal = await new Promise<string>((resolve) => {
      old.once('error', (error) => resolve(error.message));
      old.once('secureConnect', () => resolve('accepted'));
    });
    expect(refusal).toMatch(/protocol version/);
    for (const { client } of [friend, ...strangers]) client.close();
    server.close();
  });
});
