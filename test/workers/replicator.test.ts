import { describe, expect, it } from 'vitest';
import { readBatchHeader } from '../../src/codec/batch.js';
import type { AppendEnvelope } from '../../src/codec/envelope-types.js';
import { makeBatch } from '../wal/log-tools.js';
import { append, appendReply } from './parts.js';
import { ACK_TIMEOUT_MS, batchAt, makeStreaming, makeWorld } from './replicator-world.js';

describe('the replicator', () => {
  it('A2 probes with one empty append, and says nothing more until it is answered', async () => {
    const world = await makeWorld();
    world.replicator.open({ group: 1, session: 7, term: 3, prevIndex: 9, prevTerm: 2 });
    world.publish(batchAt(10, { prevTerm: 2 }));
    expect(world.heard()).toEqual([append({ session: 7, term: 3, prevIndex: 9, prevTerm: 2 })]);
    world.now = ACK_TIMEOUT_MS / 2;
    expect(world.heard()).toEqual([]);
    world.reply({ session: 7, term: 3, match: 9, kind: 'received' });
    expect(world.heard(), 'that it was received is no answer').toEqual([]);
    world.reply({ session: 7, term: 3, match: 9, kind: 'durable', applied: 5 });
    expect(world.inbox.take('appendReply')).toMatchObject([
      { group: 1, peer: 2, term: 3, session: 7, refused: 0, match: 9, applied: 5 },
    ]);
    expect(world.heard(), 'main decides what comes next').toEqual([]);
    world.replicator.stream({ group: 1, session: 7, next: 10 });
    expect(world.heard()).toMatchObject([{ prevIndex: 9, prevTerm: 2, batches: 1 }]);
  });

  it('a batch that fits into no message is told of and holds up only its own group', async () => {
    const world = await makeWorld();
    for (const group of [1, 2]) {
      world.replicator.open({ group, session: group, term: 3, prevIndex: 0, prevTerm: 0 });
      world.heard();
      world.reply({ group, session: group, term: 3, match: 0 });
      world.replicator.stream({ group, session: group, next: 1 });
    }
    world.write(batchAt(1, { entryBytes: 1 << 20 }));
    world.publish(batchAt(1, { group: 2 }));
    expect(world.heard()).toMatchObject([{ group: 2, batches: 1 }]);
    expect(world.tooLarge[0]).toMatch(
      /^group 1: a batch of 10485\d\d bytes, this node sends at most 983040;.*batchBytesMax/,
    );
  });

  it('A15 E3 a refusal is reported with its hint, and the session says nothing more', async () => {
    const world = await makeWorld();
    world.replicator.open({ group: 1, session: 7, term: 3, prevIndex: 9, prevTerm: 2 });
    world.heard();
    world.reply({ session: 7, term: 3, kind: 'refused', match: 9, hintIndex: 4, hintTerm: 1 });
    world.publish(batchAt(10));
    world.replicator.commit(1, 3, 12);
    expect(world.heard()).toEqual([]);
    expect(world.inbox.take('appendReply')).toMatchObject([
      { refused: 1, match: 9, hintIndex: 4, hintTerm: 1, session: 7 },
    ]);
    world.replicator.stream({ group: 1, session: 7, next: 10 });
    expect(world.heard(), 'an ended session does not come back').toEqual([]);
    world.replicator.open({ group: 1, session: 8, term: 3, prevIndex: 4, prevTerm: 1 });
    expect(world.heard()).toMatchObject([{ session: 8, prevIndex: 4, prevTerm: 1, batches: 0 }]);
  });

  it('B6 asks for received where something waits for room in a small window, and now and then', async () => {
    const world = await makeStreaming({ depth: 2 });
    const asked = (): boolean[] => world.heard().map(({ more }) => !more);
    const publish = (index: number): boolean[] => {
      world.publish(batchAt(index));
      return asked();
    };
    const received = (match: number): void => world.reply({ term: 3, kind: 'received', match });
    expect([publish(1), publish(2)]).toEqual([[false], [false]]);
    received(2);
    expect([publish(3), publish(4), publish(5)], 'nobody had waited yet').toEqual([[false], [false], []]);
    received(4);
    expect(asked()).toEqual([true]);
    const later: boolean[] = [];
    for (let index = 6; index <= 36; index++) {
      received(index - 1);
      later.push(...publish(index));
    }
    expect(later.filter(Boolean).length).toBe(2);
  });

  it('streams up to its depth, and received makes room', async () => {
    const world = await makeStreaming({ depth: 3, inflightBytesMax: 1 << 20 });
    const sent: AppendEnvelope[] = [];
    for (let index = 1; index <= 10; index++) {
      world.publish(batchAt(index));
      sent.push(...world.heard());
    }
    expect(sent.map(({ prevIndex, batches }) => [prevIndex, batches])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
    world.reply({ term: 3, kind: 'received', match: 2 });
    expect(world.inbox.take('appendReply'), 'received is not for main').toEqual([]);
    const more = world.heard();
    expect(
      more.map(({ prevIndex, batches }) => [prevIndex, batches]),
      'all that waits, in one message',
    ).toEqual([[3, 7]]);
    world.reply({ term: 3, kind: 'durable', match: 3 });
    expect(world.inbox.take('appendReply')).toMatchObject([{ match: 3, refused: 0 }]);
  });

  it('H37 bytes in flight go beyond their bound by less than a batch, and a batch larger than the bound is sent, too', async () => {
    const inflightBytesMax = 1000;
    const world = await makeStreaming({ depth: 1000, inflightBytesMax });
    const sizes = [300, 300, 300, 300, 5000, 5000, 300, 300];
    const batches = sizes.map((entryBytes, at) => batchAt(at + 1, { entryBytes }));
    let inflight: { last: number; bytes: number }[] = [];
    const heard: number[] = [];
    const take = (): void => {
      for (const { prevIndex, batches: count } of world.heard()) {
        const held = inflight.reduce((sum, { bytes }) => sum + bytes, 0);
        const lengths = batches.slice(prevIndex, prevIndex + count).map(({ length }) => length);
        const bytes = lengths.reduce((sum, length) => sum + length, 0);
        expect(held, 'there is room when a message goes').toBeLessThan(inflightBytesMax);
        if (count > 1) expect(held + bytes).toBeLessThanOrEqual(inflightBytesMax);
        inflight.push({ last: prevIndex + count, bytes });
        heard.push(...lengths);
      }
    };
    for (const batch of batches) {
      world.publish(batch);
      take();
    }
    expect(heard.length, 'the second begins below the bound and goes beyond it').toBe(2);
    while (inflight.length > 0) {
      const match = inflight[0]!.last;
      inflight = inflight.slice(1);
      world.reply({ term: 3, kind: 'received', match });
      take();
    }
    expect(heard).toEqual(batches.map(({ length }) => length));
  });

  it('what the follower has applied is the newest that any of its answers said, and is told with the next durable one', async () => {
    const world = await makeStreaming();
    world.publish(batchAt(1));
    world.heard();
    world.reply({ term: 3, kind: 'received', match: 1, applied: 7 });
    world.reply({ term: 3, kind: 'durable', match: 1, applied: 5 });
    world.reply({ term: 3, kind: 'durable', match: 1, applied: 8 });
    world.reply({ term: 3, kind: 'durable', match: 1, applied: 6 });
    expect(world.inbox.take('appendReply').map((reply) => reply.applied)).toEqual([7, 8, 8]);
    world.replicator.open({ group: 1, session: 2, term: 3, prevIndex: 1, prevTerm: 3 });
    world.heard();
    world.reply({ term: 3, session: 2, match: 1, applied: 2 });
    const anew = 'it was started again, and applies its log from the beginning';
    expect(world.inbox.take('appendReply'), anew).toMatchObject([{ session: 2, applied: 2 }]);
  });

  it('a message that the network still holds keeps its bytes, whatever is sent behind it', async () => {
    const world = await makeStreaming({ depth: 8, receiveWindowBytes: 600 });
    const batches = [1, 2, 3, 4, 5].map((index) => batchAt(index, { entryBytes: 100 + index }));
    const { follower } = world;
    follower.stream.pause();
    follower.bodies.length = 0;
    for (const batch of batches) {
      world.publish(batch);
      world.settle();
    }
    expect(follower.bodies.length, 'most of them wait at this end').toBe(0);
    follower.stream.resume();
    world.settle();
    expect(follower.bodies).toEqual(batches);
  });

  it('depth and bytes may be changed while messages are in flight: nothing is lost or sent twice, and the new limits hold at once', async () => {
    const world = await makeStreaming({ depth: 4 });
    const sent: AppendEnvelope[] = [];
    const publish = (from: number, to: number): void => {
      for (let index = from; index <= to; index++) {
        world.publish(batchAt(index));
        sent.push(...world.heard());
      }
    };
    publish(1, 6);
    expect(sent.length).toBe(4);
    world.tune({ depth: 2 });
    world.reply({ term: 3, kind: 'received', match: 2 });
    sent.push(...world.heard());
    expect(sent.length, 'two are still in flight: as many as may be').toBe(4);
    world.tune({ depth: 6 });
    sent.push(...world.heard());
    publish(7, 12);
    expect(sent.length, 'four more').toBe(8);
    world.tune({ inflightBytesMax: 1 });
    world.reply({ term: 3, kind: 'received', match: 7 });
    expect(world.heard(), 'more bytes in flight than may be').toEqual([]);
    world.tune({ inflightBytesMax: 1 << 20 });
    sent.push(...world.heard());
    const covered = sent.flatMap(({ prevIndex, batches }) =>
      Array.from({ length: batches }, (_, at) => prevIndex + 1 + at),
    );
    expect(covered).toEqual(Array.from({ length: 12 }, (_, at) => at + 1));
  });

  it('with auto it is the follower’s disk that makes room, and main is told what the depth comes to and why', async () => {
    const world = await makeStreaming({ depth: 'auto' });
    for (let index = 1; index <= 20; index++) {
      world.publish(batchAt(index));
      world.settle();
    }
    expect(world.heard().length, 'it begins with eight').toBe(8);
    world.now = 4;
    world.reply({ term: 3, kind: 'received', match: 8 });
    expect(world.heard(), 'received, not durable').toEqual([]);
    world.now = 10;
    world.reply({ term: 3, kind: 'durable', match: 7 });
    expect(world.heard().length).toBeGreaterThan(0);
    world.reply({ term: 3, kind: 'durable', match: 8 });
    expect(world.inbox.take('appendReply').at(-1)).toMatchObject({ match: 8, roundTripMs: 4, durableMs: 10 });
    world.now += ACK_TIMEOUT_MS;
    world.settle();
    expect(world.link.up, 'a slow disk is no dead stream: what was received is not missed').toBe(true);
  });

  it('H39 one look reads back at most a MiB from the disk, so that the others wait no longer than that for what is sent to them', async () => {
    const world = await makeStreaming({
      depth: 1000,
      inflightBytesMax: 1 << 26,
      catchUpBytesPerSecond: 1e10,
      segmentBytes: 1 << 24,
    });
    for (let at = 0; at < 200; at++) world.write(batchAt(at + 1, { entryBytes: 20_000 }));
    const total = 200 * 20_000;
    const looks: number[] = [];
    for (let got = 0; got < total; ) {
      world.now += 25;
      expect(world.replicator.poll(world.now)).toBe(true);
      world.network.settle();
      const bytes = world.follower.bodies.reduce((sum, { length }) => sum + length, 0);
      world.follower.take();
      got += bytes;
      if (bytes > 0) looks.push(bytes);
    }
    expect(Math.max(...looks)).toBeLessThan(1024 * 1024 + 300_000);
    expect(looks.length, 'and not much less').toBeLessThan(8);
  });

  it('H39 what is read from the disk is paced, bytes as stored; what is near is not, and comes in its turn', async () => {
    const catchUpBytesPerSecond = 1024 * 1024;
    const world = await makeStreaming({ depth: 1000, inflightBytesMax: 1 << 26, catchUpBytesPerSecond });
    const behind = Array.from({ length: 100 }, (_, at) => batchAt(at + 1, { entryBytes: 20_000 }));
    for (const batch of behind) world.write(batch);
    const total = behind.reduce((sum, { length }) => sum + length, 0);
    const got: Buffer[] = [];
    const receive = (): number => {
      world.settle();
      got.push(...world.follower.bodies);
      world.follower.take();
      return got.reduce((sum, { length }) => sum + length, 0);
    };
    expect(receive(), 'one message at once').toBeLessThan(400_000);
    const startMs = world.now;
    while (receive() < total) {
      world.now += 25;
      expect(world.now - startMs, 'it should be done').toBeLessThan(5000);
      world.reply({ term: 3, kind: 'received', match: 100 });
    }
    const seconds = (world.now - startMs) / 1000;
    expect((total - 300_000) / seconds).toBeLessThan(1.1 * catchUpBytesPerSecond);
    expect(total / seconds).toBeGreaterThan(0.8 * catchUpBytesPerSecond);
    expect(Buffer.concat(got).equals(Buffer.concat(behind))).toBe(true);
    const more = Array.from({ length: 40 }, (_, at) => batchAt(at + 101, { entryBytes: 20_000 }));
    for (const batch of more) world.publish(batch);
    expect(receive() - total, 'near: at once').toBe(more.reduce((sum, { length }) => sum + length, 0));
    const before = receive();
    world.write(batchAt(101, { entryBytes: 20_000, count: 40 }));
    world.write(batchAt(141, { entryBytes: 20_000 }));
    world.now += 25;
    expect(receive(), 'and does not count').toBeGreaterThan(before);
  });

  it('a message is its batches, byte for byte, in order', async () => {
    const world = await makeStreaming();
    const batches = [1, 2, 3].map((index) => batchAt(index));
    for (const batch of batches) world.publish(batch);
    world.settle();
    expect(Buffer.concat(world.follower.bodies).equals(Buffer.concat(batches))).toBe(true);
  });

  it('A6 H28 is bounded in bytes as well', async () => {
    const world = await makeStreaming({ depth: 100, inflightBytesMax: 10_000 });
    let bytes = 0;
    for (let index = 1; index <= 50; index++) {
      world.publish(batchAt(index, { entryBytes: 1000 }));
      for (const { batches } of world.heard()) bytes += batches * 1100;
    }
    expect(bytes).toBeGreaterThan(8000);
    expect(bytes).toBeLessThan(11_200);
  });

  it('A7 E2 a commit index that moves alone goes out in one empty append', async () => {
    const world = await makeStreaming();
    world.publish(batchAt(1));
    expect(world.heard()).toMatchObject([{ batches: 1, commit: 0 }]);
    world.replicator.commit(1, 3, 1);
    expect(world.heard(), 'it waits for company').toEqual([]);
    expect(world.replicator.dueMs(world.now)).toBe(world.now + 2);
    world.now += 2;
    expect(world.heard()).toEqual([append({ term: 3, prevIndex: 1, prevTerm: 3, commit: 1 })]);
    expect(world.replicator.dueMs(world.now)).toBe(Number.POSITIVE_INFINITY);
    world.replicator.commit(1, 3, 1);
    world.now += 2;
    expect(world.heard(), 'it did not move').toEqual([]);
    world.replicator.commit(1, 4, 9);
    world.now += 2;
    expect(world.heard(), 'the commit of another term is not this session’s').toEqual([]);
    world.replicator.commit(1, 3, 2);
    world.publish(batchAt(2));
    expect(world.heard(), 'with data it travels along').toMatchObject([{ batches: 1, commit: 2 }]);
  });

  it('A2 H26 replies of another session move nothing', async () => {
    const world = await makeStreaming({ depth: 2 });
    for (const index of [1, 2, 3]) {
      world.publish(batchAt(index));
      world.settle();
    }
    world.heard();
    world.reply({ term: 3, session: 99, kind: 'received', match: 2 });
    world.reply({ term: 3, session: 99, kind: 'durable', match: 2 });
    world.reply({ term: 3, session: 99, kind: 'refused', match: 2 });
    world.reply({ term: 3, session: 1, group: 2, kind: 'durable', match: 2 });
    expect(world.heard(), 'the window is as full as before').toEqual([]);
    expect(world.inbox.take('appendReply')).toEqual([]);
    world.reply({ term: 3, session: 1, kind: 'received', match: 1 });
    expect(world.heard()).toMatchObject([{ prevIndex: 2, batches: 1 }]);
  });

  it('A12 a later term in a reply of any session is told to main', async () => {
    const world = await makeStreaming();
    world.reply({ term: 9, session: 99, kind: 'refused', match: 0 });
    expect(world.inbox.take('appendReply')).toMatchObject([{ term: 9 }]);
    world.inbox.full = true;
    world.reply({ term: 9, session: 99, kind: 'refused', match: 0 });
    world.reply({ term: 3, session: 1, match: 0 });
    world.inbox.full = false;
    world.settle();
    expect(world.inbox.take('appendReply'), 'not hidden by a reply of the old term').toMatchObject([
      { term: 9 },
    ]);
  });

  it('H28 a break is told once, and nothing more goes out in the old session', async () => {
    const world = await makeStreaming();
    world.publish(batchAt(1));
    world.heard();
    world.network.cut('leader', 'node');
    world.settle();
    expect(world.inbox.take('sessionBroken')).toMatchObject([{ group: 1, peer: 2, session: 1 }]);
    world.network.heal('leader', 'node');
    world.publish(batchAt(2));
    world.replicator.commit(1, 3, 1);
    world.now += 5000;
    world.settle();
    expect(world.link.up).toBe(true);
    expect(world.followers.length).toBe(2);
    expect(world.heard()).toEqual([]);
    world.network.cut('leader', 'node');
    world.settle();
    world.network.heal('leader', 'node');
    expect(world.inbox.take('sessionBroken'), 'it was told already').toEqual([]);
    world.now += 5000;
    world.replicator.open({ group: 1, session: 2, term: 3, prevIndex: 0, prevTerm: 0 });
    expect(world.heard()).toMatchObject([{ session: 2, batches: 0 }]);
  });

  it('H26 what the broken stream still says is not counted in the next session', async () => {
    const world = await makeStreaming({ depth: 1 });
    world.publish(batchAt(1));
    world.publish(batchAt(2));
    world.heard();
    world.link.reset('test');
    world.settle();
    world.replicator.open({ group: 1, session: 2, term: 3, prevIndex: 0, prevTerm: 0 });
    world.replicator.onReply(appendReply({ term: 3, session: 1, match: 1 }));
    world.settle();
    expect(world.inbox.take('appendReply')).toEqual([]);
  });

  it('a session that has not said anything survives a break: it was never under way', async () => {
    const world = await makeWorld();
    world.network.cut('leader', 'node');
    world.replicator.open({ group: 1, session: 1, term: 3, prevIndex: 0, prevTerm: 0 });
    world.settle();
    world.network.heal('leader', 'node');
    world.now += 5000;
    expect(world.heard()).toMatchObject([{ session: 1, batches: 0 }]);
    expect(world.inbox.take('sessionBroken')).toEqual([]);
  });

  it('H29 H42 a follower that says nothing any more loses its stream after a bound', async () => {
    const world = await makeStreaming();
    world.publish(batchAt(1));
    world.heard();
    world.now += ACK_TIMEOUT_MS;
    world.settle();
    expect(world.inbox.take('sessionBroken')).toEqual([]);
    world.now += 1;
    world.settle();
    expect(world.inbox.take('sessionBroken')).toMatchObject([{ session: 1 }]);
  });

  it('H39 H28 a follower that never answers holds a bounded window and bounded memory', async () => {
    const world = await makeStreaming({ depth: 8, inflightBytesMax: 64 * 1024, receiveWindowBytes: 4096 });
    world.network.hold('leader', 'node');
    let most = 0;
    for (let index = 1; index <= 2000; index++) {
      world.publish(batchAt(index, { entryBytes: 2000 }));
      world.settle();
      most = Math.max(most, world.link.stream?.queuedBytes ?? 0);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(64 * 1024 + 4096);
  });

  it('a full inbox loses no acknowledgement: the newest is told when there is room, a refusal above all', async () => {
    const world = await makeStreaming();
    for (const index of [1, 2, 3]) world.publish(batchAt(index));
    world.heard();
    world.inbox.full = true;
    world.reply({ term: 3, match: 1 });
    world.reply({ term: 3, match: 3 });
    world.inbox.full = false;
    world.settle();
    expect(world.inbox.take('appendReply').map(({ match }) => match)).toEqual([3]);
    world.inbox.full = true;
    world.reply({ term: 3, kind: 'refused', match: 3, hintIndex: 1, hintTerm: 1 });
    world.reply({ term: 3, kind: 'durable', match: 3 });
    world.network.cut('leader', 'node');
    world.settle();
    world.inbox.full = false;
    world.settle();
    expect(world.inbox.records.map(({ type }) => type)).toEqual(['appendReply', 'sessionBroken']);
    expect(world.inbox.take('appendReply')).toMatchObject([{ refused: 1 }]);
  });

  it('sessions of two groups share the stream and nothing else', async () => {
    const world = await makeStreaming({ depth: 1 });
    world.replicator.open({ group: 2, session: 2, term: 8, prevIndex: 4, prevTerm: 8 });
    world.publish(batchAt(1));
    world.publish(makeBatch({ group: 2, firstIndex: 5, term: 8, prevTerm: 8 }));
    const heard = world.heard();
    expect(heard.map(({ group, term, batches }) => [group, term, batches]).sort()).toEqual([
      [1, 3, 1],
      [2, 8, 0],
    ]);
    world.replicator.closeSession({ group: 1, session: 1 });
    world.reply({ group: 1, term: 3, kind: 'received', match: 1 });
    world.publish(batchAt(2));
    expect(world.heard(), 'main closed it').toEqual([]);
    world.reply({ group: 2, session: 2, term: 8, match: 4 });
    world.replicator.stream({ group: 2, session: 2, next: 5 });
    expect(world.heard()).toMatchObject([{ group: 2, prevIndex: 4, batches: 1 }]);
    expect(readBatchHeader(world.follower.bodies[0] ?? batchAt(1), 0).term).toBeGreaterThan(0);
  });

  it('B12 closing an older session does not end the newer one', async () => {
    const world = await makeStreaming();
    world.replicator.open({ group: 1, session: 2, term: 3, prevIndex: 0, prevTerm: 0 });
    world.replicator.closeSession({ group: 1, session: 1 });
    expect(world.heard()).toMatchObject([{ session: 2 }]);
  });
});
