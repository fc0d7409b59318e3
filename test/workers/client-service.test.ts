import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { loadCompression } from '../../src/codec/compression.js';
import { packedEntryBytes, packSessionEntry } from '../../src/codec/entries.js';
import { encodeEnvelope } from '../../src/codec/envelope.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { ClientService, type ClientServicePorts } from '../../src/workers/client-service.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { flushAll, makeBatch, openLog } from '../wal/log-tools.js';
import { Inbox, LIMITS, Meeting, type Remote } from './parts.js';

type ClientRecord = Parameters<ClientServicePorts['pass']>[0];

const CLIENT = 77;

async function makeWorld(changes: Partial<ClientServicePorts> = {}) {
  const meeting = new Meeting({ ...LIMITS, receiveWindowBytes: 8192 });
  const disk = new FaultyDisk(1);
  const { wal, index } = openLog(disk, '/data');
  const inbox = new Inbox();
  const state = { full: false, passed: [] as ClientRecord[], applied: 0 };
  const service = new ClientService({
    node: 2,
    clusterId: 'c',
    groups: [1, 2],
    entryBytesMax: 1000,
    batchRawBytesMax: 4000,
    batchEntriesMax: 10,
    streamsMax: 3,
    tailsMax: 2,
    push: inbox.push,
    pass: (record) => {
      if (state.full) return false;
      state.passed.push({ ...record });
      return true;
    },
    compression: loadCompression('pure'),
    openReader: () => new LogReader(disk, '/data', index),
    applied: () => state.applied,
    members: () => [],
    wake: () => {},
    ...changes,
  });
  await meeting.listen((_lane, stream) => service.adopt(stream));
  const settle = (now = 0) => {
    for (let idle = 0; idle < 2; ) idle = service.poll(now) || meeting.network.settle() > 0 ? 0 : idle + 1;
  };
  const write = (count: number) => {
    for (let at = 1; at <= count; at++) wal.stageBatch(1, makeBatch({ firstIndex: at }));
    flushAll(wal);
    state.applied = count;
  };
  /** A client that is past its hello. */
  const open = (clientId = CLIENT): Remote => {
    const client = meeting.open('client');
    client.say({ type: 'clientHello', protocolVersion: 1, clusterId: 'c', clientId });
    client.take();
    return client;
  };
  const sequences = () =>
    state.passed.flatMap((record) => (record.type === 'propose' ? [record.firstSequence] : []));
  return { service, meeting, inbox, state, settle, open, write, sequences };
}

/** A propose message of `count` entries from `firstSequence` on; `packedAs` packs them under other numbers. */
function say(
  client: Remote,
  firstSequence: number,
  options: {
    count?: number;
    bytes?: number;
    group?: number;
    clientId?: number;
    packedAs?: [number, number];
    spare?: number;
  } = {},
): void {
  const {
    count = 1,
    bytes = 10,
    group = 1,
    clientId = CLIENT,
    packedAs = [clientId, firstSequence],
    spare = 0,
  } = options;
  const body = Buffer.alloc(count * packedEntryBytes(bytes, true) + spare);
  let at = 0;
  for (let entry = 0; entry < count; entry++) {
    at = packSessionEntry(body, at, packedAs[0], packedAs[1] + entry, Buffer.alloc(bytes));
  }
  client.say({ type: 'propose', group, clientId, firstSequence, count }, body);
}

describe('the client service', () => {
  it('welcomes a client, and passes its opening, proposals and closing on in one order', async () => {
    const { meeting, state, settle } = await makeWorld();
    const client = meeting.open('client');
    client.say({ type: 'clientHello', protocolVersion: 1, clusterId: '', clientId: CLIENT });
    expect(client.take()).toMatchObject([{ type: 'clientWelcome', accepted: true, node: 2, clusterId: 'c' }]);
    say(client, 4, { count: 3 });
    say(client, 7);
    client.stream.close();
    settle();
    expect(state.passed).toMatchObject([
      { type: 'opened', client: CLIENT },
      { type: 'propose', firstSequence: 4, count: 3, group: 1, client: CLIENT },
      { type: 'propose', firstSequence: 7, count: 1 },
      { type: 'closed' },
    ]);
    expect(new Set(state.passed.map((record) => ('stream' in record ? record.stream : 0))).size).toBe(1);
  });

  const refusals: [string, Parameters<typeof say>[2], string][] = [
    ['C2 a gap in the sequence', {}, ErrorCode.SequenceGap],
    ['another client’s id', { clientId: 78 }, ErrorCode.BytesInvalid],
    ['D7 a group that is not here', { group: 9 }, ErrorCode.GroupUnknown],
    ['C11 an entry above the limit', { bytes: 1001 }, ErrorCode.EntryTooLarge],
    ['S4 more bytes than a batch takes', { count: 5, bytes: 900 }, ErrorCode.EntryTooLarge],
    ['S4 more entries than a batch takes', { count: 11 }, ErrorCode.EntryTooLarge],
  ];
  for (const [name, options, code] of refusals) {
    it(`C8 ${name}: refused, and nothing behind it slips past`, async () => {
      const { open, settle, sequences } = await makeWorld();
      const client = open();
      say(client, 1);
      const wanted = code === ErrorCode.SequenceGap ? 3 : 2;
      say(client, wanted, options);
      say(client, 2);
      say(client, 3);
      settle();
      expect(client.take()).toMatchObject([
        { type: 'proposeReply', outcome: 'refused', code, firstSequence: wanted },
      ]);
      expect(sequences()).toEqual([1]);
    });
  }

  it('C11 the refusal names limit and size; at the limit an entry goes', async () => {
    const { open, settle, sequences } = await makeWorld();
    const client = open();
    say(client, 1, { bytes: 1000 });
    say(client, 2, { bytes: 0 });
    say(client, 3, { bytes: 1001 });
    settle();
    expect(client.take()).toMatchObject([{ message: expect.stringMatching(/1000.*1001/) }]);
    expect(sequences(), 'an empty entry is an entry').toEqual([1, 2]);
  });

  const nonsense: [string, (client: Remote) => void][] = [
    ['entries packed for another client', (client) => say(client, 1, { packedAs: [78, 1] })],
    ['entries with other sequences', (client) => say(client, 1, { packedAs: [CLIENT, 2] })],
    ['bytes behind the last entry', (client) => say(client, 1, { spare: 3 })],
    [
      'a second hello',
      (client) => client.say({ type: 'clientHello', protocolVersion: 1, clusterId: '', clientId: 5 }),
    ],
    ['no envelope at all', (client) => client.sayBytes(Buffer.alloc(40))],
  ];
  for (const [name, act] of nonsense) {
    it(`S7 ${name}: costs the client its stream`, async () => {
      const { open, settle, sequences, state } = await makeWorld();
      const client = open();
      act(client);
      settle();
      expect(client.closed).toBeDefined();
      expect(sequences()).toEqual([]);
      expect(state.passed.at(-1)).toMatchObject({ type: 'closed' });
    });
  }

  it('refuses other versions, other clusters, and says so', async () => {
    const { meeting, state } = await makeWorld();
    for (const changes of [{ protocolVersion: 2 }, { clusterId: 'd' }]) {
      const client = meeting.open('client');
      client.say({ type: 'clientHello', protocolVersion: 1, clusterId: 'c', clientId: 5, ...changes });
      expect(client.take()).toMatchObject([{ accepted: false, code: ErrorCode.HandshakeRefused }]);
      say(client, 1, { clientId: 5 });
    }
    expect(state.passed).toEqual([]);
  });

  it('S4 serves a bounded number of streams and shows out who does not speak or close', async () => {
    const { meeting, open, settle, state } = await makeWorld();
    const clients = [open(1), open(2), open(3)];
    const late = meeting.open('client');
    late.say({ type: 'clientHello', protocolVersion: 1, clusterId: 'c', clientId: 4 });
    expect(late.take()).toMatchObject([{ accepted: false, code: ErrorCode.Overloaded }]);
    const silent = meeting.open('client');
    settle(1000);
    settle(6000);
    expect(silent.closed).toBeUndefined();
    settle(6001);
    expect([late.closed, silent.closed].every((cause) => cause !== undefined)).toBe(true);
    expect(clients.every(({ closed }) => closed === undefined)).toBe(true);
    expect(state.passed.length).toBe(3);
  });

  it('S14 a full ring pauses the client, and loses nothing', async () => {
    const { open, settle, state, sequences } = await makeWorld();
    const client = open();
    state.full = true;
    for (let sequence = 1; sequence <= 60; sequence++) say(client, sequence, { bytes: 500 });
    settle();
    expect(client.stream.queuedBytes, 'the rest waits at the client').toBeGreaterThan(10_000);
    state.full = false;
    settle();
    expect(sequences()).toEqual(Array.from({ length: 60 }, (_, at) => at + 1));
  });

  it('passes main’s replies on, and after the last word takes nothing more', async () => {
    const { service, open, settle, state, sequences } = await makeWorld();
    const client = open();
    say(client, 1);
    const [first] = state.passed;
    const stream = first !== undefined && 'stream' in first ? first.stream : 0;
    const place = {
      index: 5,
      term: 1,
      outcome: 'applied',
      code: '',
      message: '',
      leader: 0,
      leaderAddress: '',
    } as const;
    const reply = { type: 'proposeReply', group: 1, firstSequence: 1, count: 1, ...place } as const;
    service.reply(stream, encodeEnvelope(reply).bytes);
    service.reply(999, encodeEnvelope(reply).bytes);
    service.end(stream);
    say(client, 2);
    settle();
    expect(client.take()).toMatchObject([{ outcome: 'applied', index: 5 }]);
    expect(sequences()).toEqual([1]);
    settle(100);
    settle(6000);
    expect(client.closed).toBeDefined();
  });

  it('asks main for the status, and tells a client when main is too busy', async () => {
    const { open, inbox, settle } = await makeWorld();
    const client = open(0);
    client.say({ type: 'statusRequest', requestId: 3, fromGroup: 9 });
    expect(inbox.take('statusRequest')).toMatchObject([{ requestId: 3, fromGroup: 9 }]);
    inbox.full = true;
    client.say({ type: 'statusRequest', requestId: 4, fromGroup: 0 });
    settle();
    expect(client.closed).toBeDefined();
  });

  it('a client without an id proposes nothing, but may tail', async () => {
    const { open, settle, sequences, write } = await makeWorld();
    write(3);
    const client = open(0);
    client.say({ type: 'tailRequest', group: 1, from: 2, follow: false });
    settle();
    expect(client.take()).toMatchObject([
      { type: 'tailChunk', firstIndex: 2, count: 1 },
      { type: 'tailChunk', firstIndex: 3, count: 1 },
      { type: 'tailEnd', code: '', lastIndex: 3 },
    ]);
    say(client, 1);
    settle();
    expect(client.take()).toMatchObject([{ outcome: 'refused', code: ErrorCode.BytesInvalid }]);
    expect(sequences()).toEqual([]);
  });

  it('S4 tails are bounded in number, and of known groups', async () => {
    const { open, settle } = await makeWorld();
    const clients = [open(0), open(0), open(0)];
    for (const client of clients) client.say({ type: 'tailRequest', group: 1, from: 1, follow: true });
    settle();
    expect(clients.map((client) => client.take())).toMatchObject([
      [],
      [],
      [{ type: 'tailEnd', code: ErrorCode.Overloaded }],
    ]);
    clients[0]!.stream.close();
    settle();
    clients[2]!.say({ type: 'tailRequest', group: 5, from: 1, follow: true });
    clients[2]!.say({ type: 'tailRequest', group: 1, from: 1, follow: true });
    settle();
    expect(clients[2]!.take()).toMatchObject([{ code: ErrorCode.GroupUnknown }]);
  });

  it('S14 a second tail of one client replaces the first, which gives its files back', async () => {
    const readers: { closed: number }[] = [];
    const openReader = () => {
      const reader = { closed: 0 };
      readers.push(reader);
      return { read: () => undefined, close: () => reader.closed++ } as unknown as LogReader;
    };
    const { open, settle } = await makeWorld({ openReader });
    const client = open(0);
    for (let again = 0; again < 20; again++)
      client.say({ type: 'tailRequest', group: 1, from: 1, follow: true });
    settle();
    expect(readers.map(({ closed }) => closed)).toEqual([...Array(19).fill(1), 0]);
    client.stream.close();
    settle();
    expect(readers.at(-1)!.closed).toBe(1);
  });
});
