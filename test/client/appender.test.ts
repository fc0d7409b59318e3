import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { appendAll, bytes, letters, Story, World } from './world.js';

describe('one stream, in order', () => {
  it('C1 C2 numbers entries 1, 2, 3 … and sends them all on one stream', async () => {
    const world = new World();
    const server = (await world.server()).applyAll();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', '', 'c']);
    await world.run();
    appendAll(client, story, ['d']);
    await world.run();
    expect(server.streams).toHaveLength(1);
    expect(server.last.entries).toEqual(['a', '', 'c', 'd']);
    expect(server.last.sequences).toEqual([1, 2, 3, 4]);
    expect(story.lines).toEqual(['1-3 at 101', '4-4 at 104']);
  });

  it('C3 C6 keeps all but one small message back until a stream has answered once, on every stream', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, letters(1, 2000));
    await world.run();
    expect(server.last.proposals).toHaveLength(1);
    const first = server.last.proposals[0]!.count;
    expect(first).toBeLessThan(100);
    server.last.applied(1, first);
    await world.run();
    expect(server.last.sequences).toHaveLength(2000);
    server.last.close();
    await world.pass(1000);
    expect(server.streams).toHaveLength(2);
    expect(server.last.proposals).toHaveLength(1);
    expect(server.last.proposals[0]!.firstSequence).toBe(first + 1);
    expect(server.last.proposals[0]!.count).toBeLessThan(100);
    server.applyAll();
    server.last.applied(first + 1, server.last.proposals[0]!.count);
    await world.run();
    expect(server.last.entries).toEqual(letters(first + 1, 2000 - first));
    expect(client.appender.outstanding).toBe(0);
  });

  it('C5 ignores a second answer, and takes the part of an overlapping one that is new', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b', 'c']);
    await world.run();
    server.last.applied(1, 2);
    server.last.applied(1, 2);
    server.last.applied(2, 2);
    await world.run();
    expect(story.lines).toEqual(['1-2 at 101', '3-3 at 103']);
  });

  it('leaves a server that answers what was not asked, and loses nothing by it', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b']);
    await world.run();
    server.last.applied(2, 5);
    await world.run();
    expect(world.retries).toEqual(['s1:1 RAFTLINE_BYTES_INVALID']);
    server.applyAll();
    await world.pass(1000);
    expect(story.lines).toEqual(['1-2 at 101']);
  });

  it('tells one function once per run, and different functions each their own', async () => {
    const world = new World();
    (await world.server()).applyAll();
    const client = world.client();
    const [one, two] = [new Story(), new Story()];
    appendAll(client, one, ['a', 'b']);
    appendAll(client, two, ['c']);
    appendAll(client, one, ['d']);
    await world.run();
    expect(one.lines).toEqual(['1-2 at 101', '4-4 at 104']);
    expect(two.lines).toEqual(['3-3 at 103']);
  });

  it('carries entries larger than a block and keeps the order around them', async () => {
    const world = new World();
    const server = (await world.server()).applyAll();
    const client = world.client();
    const story = new Story();
    const large = 'x'.repeat(700_000);
    appendAll(client, story, ['a', large, 'b', large, large, 'c']);
    await world.run();
    expect(server.last.entries).toEqual(['a', large, 'b', large, large, 'c']);
    expect(client.appender.outstanding).toBe(0);
  });
});

describe('the window', () => {
  it('C11 takes so many entries and no more, and says when there is room again', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ entriesMax: 4 });
    const story = new Story();
    appendAll(client, story, ['a', 'b', 'c', 'd']);
    expect(client.appender.append(bytes('e'), story.callback)).toBe(false);
    let room = false;
    void client.appender.drained().then(() => {
      room = true;
    });
    await world.run();
    expect(room).toBe(false);
    server.last.applied(1, 1);
    await world.run();
    expect(room).toBe(true);
    expect(client.appender.append(bytes('e'), story.callback)).toBe(true);
    server.applyAll();
    server.last.applied(2, 3);
    await world.run();
    expect(server.last.entries).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('bounds bytes as well, but an empty window takes any entry', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ bytesMax: 64 * 1024 });
    const story = new Story();
    appendAll(client, story, ['x'.repeat(1_000_000)]);
    expect(client.appender.append(bytes('y'), story.callback)).toBe(false);
    await world.run();
    server.last.applied(1, 1);
    await world.run();
    expect(client.appender.append(bytes('y'), story.callback)).toBe(true);
  });

  it('takes as many bytes again once the first ones are answered', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ bytesMax: 64 * 1024 });
    const story = new Story();
    const fill = (): number => {
      let taken = 0;
      while (client.appender.append(bytes('x'.repeat(1000)), story.callback)) taken++;
      return taken;
    };
    const first = fill();
    expect(first).toBeGreaterThan(50);
    await world.run();
    server.last.applied(1, server.last.sequences.length);
    await world.run();
    server.last.applied(server.last.proposals[0]!.count + 1, first - server.last.proposals[0]!.count);
    await world.run();
    expect(client.appender.outstanding).toBe(0);
    expect(fill()).toBe(first);
  });

  it('lets append() wait its turn while the window is full', async () => {
    const world = new World();
    const server = (await world.server()).applyAll();
    const client = world.client({ entriesMax: 4 });
    const places = Promise.all(letters(1, 8).map((entry) => client.append(bytes(entry))));
    await expect(client.append(bytes('one too many'))).rejects.toMatchObject({
      code: ErrorCode.Overloaded,
      retryable: true,
      details: { reason: '4 appends already wait for room in the window', retryAfterMs: 1, limit: 4 },
    });
    await world.run();
    expect((await places).map(({ index }) => index)).toEqual([101, 102, 103, 104, 105, 106, 107, 108]);
    expect(server.last.entries).toEqual(letters(1, 8));
  });

  it('reuses its memory over many windows without mixing entries up', async () => {
    const world = new World();
    const server = (await world.server()).applyAll();
    const client = world.client({ entriesMax: 300, bytesMax: 64 * 1024 });
    const story = new Story();
    const entries = Array.from({ length: 3000 }, (_, at) => `${at} ${'z'.repeat((at * 37) % 900)}`);
    for (const entry of entries) {
      while (!client.appender.append(bytes(entry), story.callback)) await world.run();
    }
    await world.run();
    expect(server.last.entries).toEqual(entries);
  });
});

describe('leaders come and go', () => {
  it('C14 follows the hint to the leader, and sends the same entries there', async () => {
    const world = new World();
    const [one, two, three] = [await world.server(), await world.server(), await world.server()];
    three.applyAll();
    one.pointTo(three);
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b']);
    await world.run();
    expect(two.streams).toHaveLength(0);
    expect(three.last.sequences).toEqual([1, 2]);
    expect(story.lines).toEqual(['1-2 at 101']);
    expect(client.leader).toBe(3);
  });

  it('C14 tries the servers in turn without a hint, and waits between rounds', async () => {
    const world = new World();
    const servers = [await world.server(), await world.server(), await world.server()];
    for (const server of servers) server.pointTo(undefined);
    const client = world.client();
    void client.append(bytes('a')).catch(() => {});
    await world.run();
    expect(servers.map(({ streams }) => streams.length)).toEqual([1, 1, 1]);
    await world.pass(24);
    expect(servers.map(({ streams }) => streams.length)).toEqual([1, 1, 1]);
    await world.pass(2);
    expect(servers.map(({ streams }) => streams.length)).toEqual([2, 2, 2]);
    await world.pass(10_000);
    const tries = servers.map(({ streams }) => streams.length);
    expect(Math.max(...tries)).toBeLessThan(60);
    expect(Math.min(...tries)).toBeGreaterThan(30);
  });

  it('forgets the waits of before once a server has answered', async () => {
    const world = new World();
    const [one, two, three] = [await world.server(), await world.server(), await world.server()];
    for (const server of [one, two, three]) server.pointTo(undefined);
    const client = world.client();
    void client.append(bytes('a'));
    await world.pass(1000);
    three.applyAll();
    await world.pass(1000);
    const tries = two.streams.length;
    three.last.close();
    two.applyAll();
    one.pointTo(undefined);
    const place = client.append(bytes('b'));
    await world.run();
    expect(await place).toEqual({ index: 102, term: 1 });
    expect(two.streams).toHaveLength(tries + 1);
  });

  it('does not run in circles when two servers name each other', async () => {
    const world = new World();
    const [one, two] = [await world.server(), await world.server()];
    one.pointTo(two);
    two.pointTo(one);
    const client = world.client();
    void client.append(bytes('a')).catch(() => {});
    await world.pass(1000);
    expect(one.streams.length + two.streams.length).toBeLessThan(30);
  });

  it('C4 C6 sends everything unanswered again under the same numbers when the leader dies', async () => {
    const world = new World();
    const [one, two] = [await world.server(), await world.server()];
    const client = world.client();
    const story = new Story();
    appendAll(client, story, letters(1, 5));
    await world.run();
    one.last.applied(1, 2);
    await world.run();
    world.network.crash('s1');
    await world.run();
    expect(two.last.sequences).toEqual([3, 4, 5]);
    expect(two.last.entries).toEqual(letters(3, 3));
    expect(two.last.proposals[0]!.clientId).toBe(7000);
    two.last.reply({ firstSequence: 3, count: 1, outcome: 'duplicate', index: 77 });
    two.last.reply({ firstSequence: 4, count: 1, outcome: 'duplicate' });
    two.last.applied(5, 1);
    await world.run();
    expect(story.lines).toEqual(['1-2 at 101', '3-3 at 77 again', '4-4 at 0 again', '5-5 at 105']);
  });

  it.each([
    ['unknown', ErrorCode.OutcomeUnknown],
    ['refused', ErrorCode.SequenceGap],
    ['refused', ErrorCode.Overloaded],
    ['refused', ErrorCode.Closed],
  ] as const)('retries by itself after %s %s', async (outcome, code) => {
    const world = new World();
    const [one, two] = [await world.server(), await world.server()];
    two.applyAll();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b', 'c']);
    await world.run();
    one.last.applied(1, 1);
    one.last.reply({ firstSequence: 2, count: 2, outcome, code, message: 'no' });
    await world.run();
    expect(two.last.sequences).toEqual([2, 3]);
    expect(story.lines).toEqual(['1-1 at 101', '2-3 at 102']);
  });

  it('goes on to the next server when one accepts and then says nothing', async () => {
    const world = new World();
    const [one, two] = [await world.server(), (await world.server()).applyAll()];
    const client = world.client({ serverTimeoutMs: 1000 });
    const story = new Story();
    appendAll(client, story, ['a']);
    await world.pass(900);
    expect(one.last.sequences).toEqual([1]);
    expect(two.streams).toHaveLength(0);
    await world.pass(200);
    expect(story.lines).toEqual(['1-1 at 101']);
    expect(one.last.closed).toBe(true);
    expect(two.last.sequences).toEqual([1]);
  });

  it('does not reconnect while nothing is outstanding, and does at the next append', async () => {
    const world = new World();
    const server = (await world.server()).applyAll();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a']);
    await world.run();
    server.last.close();
    await world.pass(10_000);
    expect(server.streams).toHaveLength(1);
    appendAll(client, story, ['b']);
    await world.run();
    expect(server.streams).toHaveLength(2);
    expect(story.lines).toEqual(['1-1 at 101', '2-2 at 102']);
  });

  it('leaves no timer behind once everything is answered', async () => {
    const world = new World();
    (await world.server()).applyAll();
    const client = world.client();
    void client.append(bytes('a'));
    await world.pass(1000);
    expect(world.clock.waiting).toBe(0);
  });
});
