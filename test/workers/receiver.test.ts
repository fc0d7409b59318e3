import { describe, expect, it, vi } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { BatchKind, Codec } from '../../src/base/messages.js';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader } from '../../src/codec/batch.js';
import { encodeConfiguration } from '../../src/codec/configuration.js';
import { encodeEnvelope } from '../../src/codec/envelope.js';
import type { AppendReplyEnvelope } from '../../src/codec/envelope-types.js';
import { Litter } from '../../src/workers/litter.js';
import { Receiver } from '../../src/workers/receiver.js';
import { packEntries, sampleBatch } from '../codec/samples.js';
import { configurationOf, makeBatch } from '../wal/log-tools.js';
import { append, appendReply, Inbox, LIMITS, Meeting, type Remote, ringPair, takeAll } from './parts.js';

/** Node 2's receiver, with peers 1 and 3 that have introduced themselves. */
async function makeWorld(options: { ring?: number; receiveWindowBytes?: number } = {}) {
  const { receiveWindowBytes } = options;
  const meeting = new Meeting({
    ...LIMITS,
    ...(receiveWindowBytes === undefined ? {} : { receiveWindowBytes }),
  });
  const receive = ringPair(options.ring ?? 65_536);
  const inbox = new Inbox();
  const logs: string[] = [];
  const state = { wakes: 0, nowMs: 0, applied: 0 };
  const receiver = new Receiver({
    self: 2,
    groups: [1, 2],
    receive: receive.producer,
    push: inbox.push,
    batchRawBytesMax: 1 << 20,
    log: (message) => logs.push(message),
    wake: () => state.wakes++,
    applied: (group) => (group === 1 ? state.applied : 0),
  });
  let peer = 0;
  await meeting.listen((_lane, stream) => receiver.adopt(peer, stream));
  const open = (id: number): Remote => {
    peer = id;
    return meeting.open('append', `host${id}`);
  };
  const settle = () => {
    for (let idle = 0; idle < 2; ) {
      state.nowMs += 10;
      idle = receiver.poll(state.nowMs) || meeting.network.settle() > 0 ? 0 : idle + 1;
    }
  };
  return { receiver, receive, inbox, logs, open, settle, state, network: meeting.network };
}

const envelopeOf = (batches: readonly Buffer[], changes: Partial<Parameters<typeof append>[0]> = {}) => {
  const first = batches[0] === undefined ? undefined : readBatchHeader(batches[0], 0);
  const place = first === undefined ? {} : { prevIndex: first.firstIndex - 1, prevTerm: first.prevTerm };
  return append({ batches: batches.length, term: 3, ...place, ...changes });
};

const send = (remote: Remote, batches: readonly Buffer[], changes: Parameters<typeof append>[0] = {}) =>
  remote.say(envelopeOf(batches, changes), Buffer.concat(batches));

const batchAt = (firstIndex: number, changes: Partial<Parameters<typeof makeBatch>[0]> = {}) =>
  makeBatch({ firstIndex, term: 3, ...changes });

describe('the receiver', () => {
  it('makes garbage for what gRPC held of a message, so that it is collected soon', async () => {
    const { open, settle } = await makeWorld();
    const drop = vi.spyOn(Litter.prototype, 'drop');
    const batches = [batchAt(1, { entryBytes: 5000 })];
    send(open(1), batches);
    settle();
    const noted = drop.mock.calls.map(([bytes]) => bytes);
    drop.mockRestore();
    expect(noted).toHaveLength(1);
    expect(noted[0]).toBeGreaterThan(5000);
  });

  it('hands bytes to the ring, heads to main, and says received', async () => {
    const { inbox, open, receive, settle, state } = await makeWorld();
    const peer = open(1);
    const batches = [batchAt(1, { count: 2 }), batchAt(3)];
    send(peer, batches, { session: 9, commit: 1 });
    settle();
    expect(inbox.take('append')).toEqual([
      {
        type: 'append',
        group: 1,
        peer: 1,
        term: 3,
        session: 9,
        prevIndex: 0,
        prevTerm: 0,
        commit: 1,
        batches: 2,
        body: Buffer.concat(batches.map((batch) => batch.subarray(0, BATCH_PAYLOAD_OFFSET))),
      },
    ]);
    expect(Buffer.concat(takeAll(receive.consumer)).equals(Buffer.concat(batches))).toBe(true);
    expect(peer.take()).toMatchObject([
      { type: 'appendReply', kind: 'received', match: 3, session: 9, term: 3, from: 2, to: 1 },
    ]);
    expect(state.wakes).toBeGreaterThan(0);
  });

  it('says with received how far its state machine is by then', async () => {
    const { open, receiver, network, state } = await makeWorld();
    const peer = open(1);
    state.applied = 4;
    send(peer, [batchAt(1)]);
    receiver.poll(state.nowMs);
    state.applied = 6;
    state.nowMs += 5;
    receiver.poll(state.nowMs);
    network.settle();
    expect(peer.take()).toMatchObject([{ kind: 'received', match: 1, applied: 6 }]);
  });

  it('leaves received unsaid while durable may say it, for four messages or 5 ms, unless the leader asks for it', async () => {
    const { inbox, open, receiver, network, state } = await makeWorld();
    const peer = open(1);
    const told = (): unknown[] => {
      receiver.poll(state.nowMs);
      network.settle();
      return peer
        .take()
        .map((reply) => ((reply as AppendReplyEnvelope).kind === 'received' ? reply : 'durable'));
    };
    const durable = (match: number): void =>
      receiver.reply(1, appendReply({ from: 2, to: 1, term: 3, session: 1, match }));
    send(peer, [batchAt(1)]);
    expect(told()).toEqual([]);
    durable(1);
    expect(told()).toEqual(['durable']);
    state.nowMs += 100;
    expect(told(), 'what is durable was received').toEqual([]);
    send(peer, [batchAt(2)]);
    expect(told()).toEqual([]);
    durable(1);
    state.nowMs += 5;
    expect(told(), 'an older one does not say it').toMatchObject(['durable', { match: 2 }]);
    for (const index of [3, 4, 5]) send(peer, [batchAt(index)]);
    expect(told()).toEqual([]);
    send(peer, [batchAt(6)]);
    expect(told()).toMatchObject([{ match: 6 }]);
    send(peer, [batchAt(7)], { more: false });
    expect(told()).toMatchObject([{ match: 7 }]);
    expect(inbox.take('append').length, 'main hears of each at once').toBe(7);
  });

  it('coalesces received: one a group for all that came since the last poll', async () => {
    const { open, settle } = await makeWorld();
    const peer = open(1);
    for (const index of [1, 2, 3]) send(peer, [batchAt(index)]);
    send(peer, [batchAt(1, { group: 2 })], { group: 2 });
    settle();
    const replies = peer.take() as AppendReplyEnvelope[];
    expect(replies.map(({ group, match }) => [group, match])).toEqual([
      [1, 3],
      [2, 1],
    ]);
  });

  it('T5 what is for a group that is not on this node is never acknowledged, and costs its sender the stream', async () => {
    const world = await makeWorld();
    const remote = world.open(1);
    world.settle();
    send(remote, [], { group: 9, prevIndex: 4, prevTerm: 1 });
    world.settle();
    expect(world.inbox.take('append')).toEqual([]);
    expect(remote.heard).toEqual([]);
    expect(remote.closed?.code).toBe(ErrorCode.Unreachable);
  });

  it('a batch that is too large is refused in words that name the option and both figures, for each leader and group once', async () => {
    const { open, settle, inbox, logs } = await makeWorld();
    for (const group of [1, 2, 1]) {
      const remote = open(1);
      send(remote, [batchAt(1, { group, entryBytes: 1 << 20 })], { group });
      settle();
      expect(remote.closed?.code).toBe(ErrorCode.Unreachable);
    }
    const text = (group: number): string =>
      `append of node 1 refused: group ${group}: a batch of 1048580 bytes, node 2 takes at most 1048576; ` +
      'give every member the larger pipeline.batchBytesMax';
    expect(logs).toEqual([text(1), text(2)]);
    expect(inbox.take('append')).toEqual([]);
  });

  it('an empty append is received at its previous index', async () => {
    const { open, settle, inbox } = await makeWorld();
    const peer = open(1);
    peer.say(append({ term: 3, prevIndex: 7, prevTerm: 2, commit: 5 }));
    settle();
    expect(inbox.take('append')).toMatchObject([{ prevIndex: 7, prevTerm: 2, commit: 5, batches: 0 }]);
    expect(peer.take()).toMatchObject([{ kind: 'received', match: 7 }]);
  });

  it('what is not data reaches main whole', async () => {
    const { open, settle, inbox } = await makeWorld();
    const batch = batchAt(1, { configuration: configurationOf(1, 2, 3) });
    send(open(1), [batch]);
    settle();
    expect((inbox.take('append')[0]!.body as Buffer).equals(batch)).toBe(true);
  });

  it('ring and inbox have one order, though the ring fills up in the middle of messages of several peers', async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = seededRandom(seed);
      const { inbox, open, receive, receiver, network } = await makeWorld({
        ring: 4096,
        receiveWindowBytes: 4096,
      });
      const peers = [1, 3].map((id) => ({ id, remote: open(id), next: 1, sent: 0 }));
      const told: string[] = [];
      const stored: string[] = [];
      let paused = 0;
      for (let step = 0; step < 4000 && told.length < 160; step++) {
        const peer = peers[randomInteger(random, 0, 1)]!;
        const choice = randomInteger(random, 0, 3);
        if (choice === 0 && peer.sent < 80 && peer.remote.stream.queuedBytes < 20_000) {
          const count = Math.min(randomInteger(random, 1, 4), 80 - peer.sent);
          const batches = Array.from({ length: count }, (_, at) =>
            batchAt(peer.next + at, {
              group: peer.id === 1 ? 1 : 2,
              entryBytes: randomInteger(random, 0, 900),
            }),
          );
          const envelope = envelopeOf(batches, { from: peer.id, group: peer.id === 1 ? 1 : 2 });
          const { bytes, bodyOffset } = encodeEnvelope(envelope, Buffer.concat(batches).length);
          Buffer.concat(batches).copy(bytes, bodyOffset);
          expect(peer.remote.stream.send(bytes)).toBe(true);
          peer.next += count;
          peer.sent += count;
        } else if (choice === 1) {
          if (receive.consumer.poll()) {
            const { group, firstIndex } = readBatchHeader(receive.consumer.bytes, receive.consumer.offset);
            stored.push(`${group}/${firstIndex}`);
            receive.consumer.release();
          }
        } else if (choice === 2) {
          inbox.full = random() < 0.3;
          if (!receiver.poll(0)) paused++;
        } else network.step();
        for (const { body } of inbox.take('append')) {
          for (let at = 0; at < body!.length; at += BATCH_PAYLOAD_OFFSET) {
            const { group, firstIndex } = readBatchHeader(body as Buffer, at);
            told.push(`${group}/${firstIndex}`);
          }
        }
      }
      for (const batch of takeAll(receive.consumer)) {
        const { group, firstIndex } = readBatchHeader(batch, 0);
        stored.push(`${group}/${firstIndex}`);
      }
      expect(told.length, `seed ${seed}`).toBe(160);
      expect(stored, `seed ${seed}`).toEqual(told);
      expect(paused, `seed ${seed}`).toBeGreaterThan(0);
    }
  });

  it('A15 pauses a peer while a ring is full, and holds only what was on its way', async () => {
    const { inbox, open, receive, settle } = await makeWorld({ receiveWindowBytes: 4096 });
    const peer = open(1);
    inbox.full = true;
    for (let index = 1; index <= 40; index++) {
      const { bytes, bodyOffset } = encodeEnvelope(envelopeOf([batchAt(index)]), 128);
      batchAt(index).copy(bytes, bodyOffset);
      expect(batchAt(index).length).toBe(128);
      peer.stream.send(bytes);
    }
    settle();
    const reachedRing = takeAll(receive.consumer).length;
    expect(reachedRing, 'one waits for room in the inbox').toBe(1);
    expect(peer.take()).toEqual([]);
    expect(peer.stream.queuedBytes, 'the rest waits at the sender').toBeGreaterThan(1000);
    inbox.full = false;
    settle();
    expect(inbox.take('append').length).toBe(40);
    expect(peer.take().at(-1)).toMatchObject({ kind: 'received', match: 40 });
  });

  const spoiled: [string, () => { batches: Buffer[]; changes?: Parameters<typeof append>[0] }][] = [
    [
      'a batch with a flipped bit',
      () => {
        const batch = batchAt(1);
        batch[100] = batch[100]! ^ 1;
        return { batches: [batch] };
      },
    ],
    ['a sender that is somebody else', () => ({ batches: [batchAt(1)], changes: { from: 3 } })],
    ['another receiver', () => ({ batches: [batchAt(1)], changes: { to: 1 } })],
    ['a group that is not here', () => ({ batches: [batchAt(1, { group: 5 })], changes: { group: 5 } })],
    ['a batch of another group', () => ({ batches: [batchAt(1, { group: 2 })] })],
    ['fewer batches than announced', () => ({ batches: [batchAt(1)], changes: { batches: 2 } })],
    ['more batches than announced', () => ({ batches: [batchAt(1), batchAt(2)], changes: { batches: 1 } })],
    ['a gap between batches', () => ({ batches: [batchAt(1), batchAt(3)] })],
    [
      'a previous term that is not the one before',
      () => ({ batches: [batchAt(1), batchAt(2, { prevTerm: 1 })] }),
    ],
    [
      'a batch that does not continue the previous index',
      () => ({ batches: [batchAt(2)], changes: { prevIndex: 0, prevTerm: 0 } }),
    ],
    ['a batch of a later term than the leader’s', () => ({ batches: [batchAt(1, { term: 4 })] })],
    ['more bytes than a batch may have', () => ({ batches: [batchAt(1, { entryBytes: 1 << 20 })] })],
    [
      'a configuration that is none',
      () => ({
        batches: [
          sampleBatch(packEntries([Buffer.from('junk')]), {
            group: 1,
            term: 3,
            firstIndex: 1,
            prevTerm: 0,
            kind: BatchKind.Configuration,
          }),
        ],
      }),
    ],
    [
      'a configuration whose entry does not fit',
      () => ({
        batches: [
          sampleBatch(Buffer.alloc(8, 0xff), {
            group: 1,
            term: 3,
            firstIndex: 1,
            prevTerm: 0,
            kind: BatchKind.Configuration,
          }),
        ],
      }),
    ],
    [
      'a configuration that is compressed',
      () => {
        const content = packEntries([encodeConfiguration(configurationOf(1, 2))]);
        const head = {
          group: 1,
          term: 3,
          firstIndex: 1,
          prevTerm: 0,
          kind: BatchKind.Configuration,
        } as const;
        return {
          batches: [sampleBatch(content, { ...head, codec: Codec.Deflate, rawLength: content.length + 1 })],
        };
      },
    ],
    [
      'more heads than main could take at once',
      () => {
        const payload = packEntries([Buffer.alloc(0)]);
        const batches = Array.from({ length: 7000 }, (_, at) =>
          sampleBatch(payload, { group: 1, term: 3, firstIndex: at + 1, prevTerm: at === 0 ? 0 : 3 }),
        );
        return { batches };
      },
    ],
    [
      'a no-op larger than main could take',
      () => ({
        batches: [
          sampleBatch(packEntries([Buffer.alloc(700_000)]), {
            group: 1,
            term: 3,
            firstIndex: 1,
            prevTerm: 0,
            kind: BatchKind.NoOp,
          }),
        ],
      }),
    ],
  ];
  for (const [name, make] of spoiled) {
    it(`S7 ${name}: costs that stream, and no other`, async () => {
      const { inbox, open, receive, settle } = await makeWorld({ ring: 1 << 22 });
      const [bad, good] = [open(1), open(3)];
      const { batches, changes } = make();
      send(bad, batches, changes);
      settle();
      expect(bad.closed?.code).toBe(ErrorCode.Unreachable);
      expect(inbox.take('append')).toEqual([]);
      expect(takeAll(receive.consumer)).toEqual([]);
      send(good, [batchAt(1)], { from: 3 });
      settle();
      expect(good.closed).toBeUndefined();
      expect(inbox.take('append')).toMatchObject([{ peer: 3 }]);
    });
  }

  it('S7 no bytes at all crash it', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const { open, settle, inbox } = await makeWorld();
      const peer = open(1);
      const batches = [batchAt(1), batchAt(2)];
      const { bytes, bodyOffset } = encodeEnvelope(envelopeOf(batches), Buffer.concat(batches).length);
      Buffer.concat(batches).copy(bytes, bodyOffset);
      const at = randomInteger(random, 0, bytes.length - 1);
      bytes[at] = bytes[at]! ^ (1 << randomInteger(random, 0, 7));
      peer.sayBytes(bytes.subarray(0, randomInteger(random, 1, bytes.length)));
      settle();
      expect(peer.closed, `seed ${seed}`).toBeDefined();
      expect(inbox.records).toEqual([]);
    }
  });

  it('a newer stream of a peer replaces the older, and replies go to the newest', async () => {
    const { open, receiver, network } = await makeWorld();
    const first = open(1);
    const second = open(1);
    network.settle();
    expect(first.closed).toBeDefined();
    receiver.reply(1, {
      ...(append({}) as object),
      type: 'appendReply',
      kind: 'durable',
      match: 4,
      hintIndex: 0,
      hintTerm: 0,
      applied: 0,
    } as AppendReplyEnvelope);
    network.settle();
    expect(second.take()).toMatchObject([{ kind: 'durable', match: 4 }]);
    expect(first.take()).toEqual([]);
    receiver.reply(8, {
      ...(append({}) as object),
      type: 'appendReply',
      kind: 'durable',
      match: 4,
      hintIndex: 0,
      hintTerm: 0,
      applied: 0,
    } as AppendReplyEnvelope);
  });

  it('what was taken in of a stream that broke meanwhile still reaches main in order', async () => {
    const { inbox, open, receive, settle } = await makeWorld({ ring: 4096 });
    const peer = open(1);
    const batches = [1, 2, 3, 4].map((index) => batchAt(index, { entryBytes: 1200 }));
    send(peer, batches);
    peer.stream.close();
    settle();
    expect(inbox.records).toEqual([]);
    const stored: number[] = [];
    for (let round = 0; round < 4; round++) {
      for (const batch of takeAll(receive.consumer)) stored.push(readBatchHeader(batch, 0).firstIndex);
      settle();
    }
    expect(stored).toEqual([1, 2, 3, 4]);
    expect(inbox.take('append')).toMatchObject([{ batches: 4 }]);
  });
});
