import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { TailChunk } from '../../src/client/tail.js';
import { packEntry, packedEntryBytes } from '../../src/codec/entries.js';
import type { FakeStream } from './world.js';
import { World } from './world.js';

function packed(entries: readonly string[]): Buffer {
  const size = entries.reduce((sum, { length }) => sum + packedEntryBytes(length, false), 0);
  const payload = Buffer.alloc(size);
  let at = 0;
  for (const entry of entries) at = packEntry(payload, at, Buffer.from(entry, 'latin1'));
  return payload;
}

function sendChunk(stream: FakeStream, firstIndex: number, entries: readonly string[]): void {
  stream.send({ type: 'tailChunk', group: 1, firstIndex, term: 1, count: entries.length }, packed(entries));
}

function sendEnd(stream: FakeStream, lastIndex: number, code = ''): void {
  stream.send({ type: 'tailEnd', lastIndex, code, message: code === '' ? '' : `ended: ${code}` });
}

async function read(chunks: AsyncIterable<TailChunk>): Promise<string[]> {
  const lines: string[] = [];
  for await (const chunk of chunks) {
    chunk.forEach((bytes, index) => {
      lines.push(`${index} ${bytes.toString('latin1')}`);
    });
  }
  return lines;
}

describe('status', () => {
  it('asks one server and gives its answer', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream, envelope) => {
      if (envelope.type !== 'statusRequest') return;
      stream.send({ type: 'statusReply', requestId: envelope.requestId, json: '{"id":1}' });
    };
    const answer = world.client().status(server.address);
    await world.run();
    expect(await answer).toEqual({ id: 1 });
    expect(server.last.closed).toBe(true);
    expect(world.clock.waiting).toBe(0);
  });

  /** What a client makes of a node's answers to its questions, and from which groups on it asked. */
  async function statusOf(answerTo: (fromGroup: number) => object) {
    const world = new World();
    const server = await world.server();
    const asked: number[] = [];
    server.onOther = (stream, envelope) => {
      if (envelope.type !== 'statusRequest') return;
      const { requestId, fromGroup } = envelope;
      asked.push(fromGroup);
      stream.send({ type: 'statusReply', requestId, json: JSON.stringify(answerTo(fromGroup)) });
    };
    const answer = world.client().status(server.address);
    await world.run();
    const status = (await answer) as { groups: { group: number }[]; groupsLeftOut?: number };
    expect(server.last.closed).toBe(true);
    expect(world.clock.waiting).toBe(0);
    return { asked, status, told: status.groups.map(({ group }) => group) };
  }
  const page = (ids: number[], groupsLeftOut?: number) => ({
    id: 1,
    groups: ids.map((group) => ({ group })),
    groupsLeftOut,
  });

  it('asks on for the groups that a message has no room for', async () => {
    const ids = [3, 7, 8, 2 ** 31, 2 ** 32 - 1];
    const { asked, status } = await statusOf((fromGroup) => {
      const left = ids.filter((group) => group >= fromGroup);
      return page(left.slice(0, 2), left.length > 2 ? left.length - 2 : undefined);
    });
    expect(asked).toEqual([0, 8, 2 ** 31 + 1]);
    expect(status).toEqual({ id: 1, groups: ids.map((group) => ({ group })) });
  });

  it('takes what it is told where a node leaves out more than it tells, and asks no more', async () => {
    const older = await statusOf(() => page([3, 7], 2));
    expect(older).toMatchObject({ asked: [0, 8], told: [3, 7], status: { groupsLeftOut: 2 } });
    const silent = await statusOf((fromGroup) => page(fromGroup === 0 ? [3, 7] : [], 2));
    expect(silent).toMatchObject({ asked: [0, 8], told: [3, 7], status: { groupsLeftOut: 2 } });
    const unordered = await statusOf(() => page([7, 3], 2));
    expect(unordered).toMatchObject({ asked: [0], told: [7, 3] });
    const endless = await statusOf((fromGroup) => page([fromGroup + 1], 2));
    expect(endless.told).toHaveLength(1024);
  });

  it('never waits for ever, whatever the server does', async () => {
    const world = new World();
    const [silent, mute, refusing] = [await world.server(), await world.server(), await world.server()];
    mute.welcomes = false;
    refusing.refusal = { code: ErrorCode.HandshakeRefused, message: 'another cluster' };
    const client = world.client({ serverTimeoutMs: 1000 });
    const answers = [silent, mute, refusing].map(({ address }) =>
      client.status(address).catch((error: { code: string }) => error.code),
    );
    answers.push(client.status('nowhere:9').catch((error: { code: string }) => error.code));
    await world.pass(1100);
    expect(await Promise.all(answers)).toEqual([
      ErrorCode.Timeout,
      ErrorCode.Timeout,
      ErrorCode.HandshakeRefused,
      ErrorCode.Unreachable,
    ]);
  });

  it('does not believe an answer that is no JSON', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream) => stream.send({ type: 'statusReply', requestId: 1, json: '{' });
    const failed = expect(world.client().status(server.address)).rejects.toMatchObject({
      code: ErrorCode.BytesInvalid,
    });
    await world.run();
    await failed;
  });
});

describe('tail', () => {
  it('gives entries with their indexes, in order, until the server says that this is all', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream, envelope) => {
      expect(envelope).toMatchObject({ type: 'tailRequest', group: 1, from: 5, follow: false });
      sendChunk(stream, 5, ['a', '', 'c']);
      sendChunk(stream, 9, ['d']);
      sendEnd(stream, 9);
    };
    const lines = read(world.client().tail(server.address, 5));
    await world.run();
    expect(await lines).toEqual(['5 a', '6 ', '7 c', '9 d']);
    expect(server.last.closed).toBe(true);
    expect(world.clock.waiting).toBe(0);
  });

  it('gives everything that arrived before an error, and then the error', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream) => {
      sendChunk(stream, 1, ['a']);
      sendEnd(stream, 1, ErrorCode.LogDamaged);
    };
    const seen: string[] = [];
    const reading = (async () => {
      for await (const chunk of world.client().tail(server.address)) {
        chunk.forEach((bytes) => {
          seen.push(`${bytes}`);
        });
      }
    })();
    const failed = expect(reading).rejects.toMatchObject({ code: ErrorCode.LogDamaged });
    await world.run();
    await failed;
    expect(seen).toEqual(['a']);
  });

  it('reports a stream that breaks without a last word', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream) => {
      sendChunk(stream, 1, ['a']);
    };
    const failed = expect(read(world.client().tail(server.address))).rejects.toMatchObject({
      code: ErrorCode.Unreachable,
    });
    await world.run();
    world.network.crash('s1');
    await world.run();
    await failed;
  });

  it('ends after silence without follow, and waits for ever with it', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ serverTimeoutMs: 1000 });
    const failed = expect(read(client.tail(server.address))).rejects.toMatchObject({
      code: ErrorCode.Timeout,
    });
    await world.pass(1100);
    await failed;
    const lines = read(client.tail(server.address, 1, true));
    await world.pass(100_000);
    sendChunk(server.last, 1, ['late']);
    sendEnd(server.last, 1);
    await world.run();
    expect(await lines).toEqual(['1 late']);
  });

  it('stops fetching while the reader is busy, so that memory stays bounded', async () => {
    const world = new World();
    const server = await world.server();
    const entries = Array.from({ length: 18 }, (_, at) => `${at} ${'x'.repeat(100_000)}`);
    server.onOther = (stream) => {
      for (const [at, entry] of entries.entries()) sendChunk(stream, at + 1, [entry]);
      sendEnd(stream, 18);
    };
    const chunks = world.client().tail(server.address);
    const first = chunks.next();
    await world.run();
    expect((await first).done).toBe(false);
    await world.run();
    expect(server.last.queuedBytes).toBeGreaterThan(100_000);
    const rest = read(chunks);
    await world.run();
    expect(await rest).toHaveLength(17);
  });

  it.each([1, 3])('refuses a chunk of two entries whose head says %i', async (count) => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream) => {
      stream.send({ type: 'tailChunk', group: 1, firstIndex: 1, term: 1, count }, packed(['a', 'b']));
      sendEnd(stream, 1);
    };
    const failed = expect(read(world.client().tail(server.address))).rejects.toMatchObject({
      code: ErrorCode.BytesInvalid,
    });
    await world.run();
    await failed;
  });

  it('ends the stream when the reader leaves the loop', async () => {
    const world = new World();
    const server = await world.server();
    server.onOther = (stream) => {
      sendChunk(stream, 1, ['a']);
    };
    const left = (async () => {
      for await (const _ of world.client().tail(server.address, 1, true)) break;
    })();
    await world.run();
    await left;
    await world.run();
    expect(server.last.closed).toBe(true);
  });
});

describe('options', () => {
  it.each([
    [{ servers: {} }, ErrorCode.OptionInvalid],
    [{ servers: ['no port'] }, ErrorCode.AddressInvalid],
    [{ group: 0 }, ErrorCode.OptionInvalid],
    [{ entriesMax: 0 }, ErrorCode.OptionInvalid],
    [{ bytesMax: 1 }, ErrorCode.OptionInvalid],
    [{ timeoutMs: 1.5 }, ErrorCode.OptionInvalid],
    [{ cluster: 'x'.repeat(65) }, ErrorCode.OptionInvalid],
  ])('refuses %j with a code', async (options, code) => {
    const world = new World();
    await world.server();
    expect(() => world.client(options)).toThrow(expect.objectContaining({ code }));
  });
});
