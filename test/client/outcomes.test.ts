import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { appendAll, bytes, letters, Story, World } from './world.js';

describe('three outcomes', () => {
  it('H69 gives up after the time limit: unknown what was sent, timeout what never was', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ timeoutMs: 2000 });
    const story = new Story();
    appendAll(client, story, letters(1, 500));
    await world.pass(2100);
    const sent = server.streams[0]!.sequences.length;
    expect(sent).toBeGreaterThan(0);
    expect(story.lines).toEqual([`1-${sent} RAFTLINE_OUTCOME_UNKNOWN`, `${sent + 1}-500 RAFTLINE_TIMEOUT`]);
    await client.appender.settled();
  });

  it('times out as certain when no server was ever reached', async () => {
    const world = new World();
    await world.server();
    world.network.cut('client', 's1');
    const client = world.client({ timeoutMs: 1000 });
    const failed = expect(client.append(bytes('a'))).rejects.toMatchObject({
      code: ErrorCode.Timeout,
      message: expect.stringContaining('link'),
    });
    await world.pass(1100);
    await failed;
  });

  it('goes on after giving up, as a new client: the old numbers have a gap', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client({ timeoutMs: 1000 });
    const story = new Story();
    appendAll(client, story, ['a', 'b']);
    await world.pass(1100);
    server.applyAll();
    appendAll(client, story, ['c']);
    await world.run();
    expect(story.lines).toEqual(['1-2 RAFTLINE_OUTCOME_UNKNOWN', '1-1 at 101']);
    expect(server.last.proposals[0]).toMatchObject({ clientId: 7001, firstSequence: 1, entries: ['c'] });
  });

  it('C7 fails a refused entry and those after it, and settles those before it first', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b', 'huge', 'd']);
    await world.run();
    server.last.refuse(3, ErrorCode.EntryTooLarge);
    await world.pass(100);
    expect(story.lines).toEqual([]);
    expect(client.appender.append(bytes('e'), story.callback)).toBe(false);
    expect(server.last.entries).toEqual(['a', 'b']);
    server.last.reply({ firstSequence: 1, count: 2, outcome: 'duplicate', index: 50 });
    await world.run();
    expect(story.lines).toEqual(['1-2 at 50 again', '3-4 RAFTLINE_ENTRY_TOO_LARGE']);
    server.applyAll();
    appendAll(client, story, ['e']);
    await world.run();
    expect(server.last.proposals[0]).toMatchObject({ clientId: 7001, firstSequence: 1, entries: ['e'] });
  });

  it('tells an unknown group at once, as certainly not done', async () => {
    const world = new World();
    const server = await world.server();
    server.onPropose = (stream, { firstSequence }) => stream.refuse(firstSequence, ErrorCode.GroupUnknown);
    const client = world.client();
    const failed = expect(client.append(bytes('a'))).rejects.toMatchObject({ code: ErrorCode.GroupUnknown });
    await world.run();
    await failed;
  });

  it('tells at once, as certainly not done, that a cluster is another one', async () => {
    const world = new World();
    const server = await world.server();
    server.refusal = { code: ErrorCode.HandshakeRefused, message: 'cluster: expected c, received wrong' };
    const client = world.client({ cluster: 'wrong' });
    const story = new Story();
    appendAll(client, story, ['a', 'b']);
    await world.run();
    expect(story.lines).toEqual(['1-2 RAFTLINE_HANDSHAKE_REFUSED']);
    expect([server.streams.length, world.retries]).toEqual([1, []]);
    server.refusal = undefined;
    server.applyAll();
    appendAll(client, story, ['c']);
    await world.run();
    expect(story.lines[1]).toBe('1-1 at 101');
  });

  it('believes most of the servers, not one, that the cluster is another one, and waits for none that is down', async () => {
    const world = new World();
    const servers = [await world.server(), await world.server(), await world.server()] as const;
    const refusal = { code: ErrorCode.HandshakeRefused, message: 'cluster: expected c, received d' };
    servers[0].refusal = refusal;
    world.network.cut('client', 's2');
    const client = world.client();
    const story = new Story();
    servers[2].applyAll();
    appendAll(client, story, ['a']);
    await world.pass(500);
    expect(story.lines).toEqual(['1-1 at 101']);
    servers[2].refusal = refusal;
    servers[2].last.close();
    await world.run();
    appendAll(client, story, ['b']);
    await world.pass(500);
    expect(story.lines.slice(1)).toEqual(['2-2 RAFTLINE_HANDSHAKE_REFUSED']);
  });

  it('leaves unknown what was sent before the servers turned it away', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a']);
    await world.run();
    server.refusal = { code: ErrorCode.HandshakeRefused, message: 'cluster: expected c, received d' };
    server.last.close();
    appendAll(client, story, ['b']);
    await world.pass(100);
    expect(story.lines).toEqual(['1-1 RAFTLINE_OUTCOME_UNKNOWN', '2-2 RAFTLINE_HANDSHAKE_REFUSED']);
  });

  it('tries again where a server is only overloaded', async () => {
    const world = new World();
    const server = await world.server();
    server.refusal = { code: ErrorCode.Overloaded, message: 'more than 256 client streams' };
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a']);
    await world.pass(1000);
    expect(story.lines).toEqual([]);
    server.refusal = undefined;
    server.applyAll();
    await world.pass(1000);
    expect(story.lines).toEqual(['1-1 at 101']);
  });

  it('C12 an expired session leaves unknown what an earlier stream carried, and refuses the rest', async () => {
    const world = new World();
    const [one, two] = [await world.server(), await world.server()];
    two.onPropose = (stream, { firstSequence }) => stream.refuse(firstSequence, ErrorCode.SessionExpired);
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a', 'b']);
    await world.run();
    one.last.close();
    appendAll(client, story, ['c']);
    await world.run();
    expect(story.lines).toEqual(['1-2 RAFTLINE_OUTCOME_UNKNOWN', '3-3 RAFTLINE_SESSION_EXPIRED']);
  });

  it('refuses what no cluster could take, before sending', async () => {
    const world = new World();
    await world.server();
    const client = world.client();
    const huge = new Uint8Array(64 * 1024 * 1024 + 1);
    await expect(client.append(huge)).rejects.toMatchObject({
      code: ErrorCode.EntryTooLarge,
      details: { limit: 64 * 1024 * 1024 },
    });
  });

  it('H66 H69 close() answers everything: unknown what was sent, closed the rest, and nothing works after it', async () => {
    const world = new World();
    const server = await world.server();
    const client = world.client();
    const story = new Story();
    appendAll(client, story, ['a']);
    await world.run();
    appendAll(client, story, ['b']);
    client.close();
    client.close();
    expect(story.lines).toEqual(['1-1 RAFTLINE_OUTCOME_UNKNOWN', '2-2 RAFTLINE_CLOSED']);
    expect(world.clock.waiting).toBe(0);
    await world.pass(60_000);
    expect(server.last.closed).toBe(true);
    expect(world.clock.waiting).toBe(0);
    await expect(client.append(bytes('c'))).rejects.toMatchObject({ code: ErrorCode.Closed });
    expect(() => client.appender.append(bytes('c'), story.callback)).toThrow('closed');
    await client.appender.drained();
  });

  it('may be closed from inside a callback', async () => {
    const world = new World();
    (await world.server()).applyAll();
    const client = world.client();
    const story = new Story();
    client.appender.append(bytes('a'), () => client.close());
    appendAll(client, story, ['b']);
    await world.run();
    expect(story.lines).toEqual(['2-2 RAFTLINE_OUTCOME_UNKNOWN']);
  });
});
