import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { Members } from '../../src/client/members.js';
import type { MemberRequest } from '../../src/codec/envelope-types.js';
import { type FakeServer, type FakeStream, World } from './world.js';

const VIEW: Members = {
  index: 9,
  committed: true,
  voters: [1, 2],
  votersOutgoing: [],
  learners: [],
  members: [],
  removed: [],
  compressionLevel: 1,
};

/** Answers each question with what `answer` makes of it; undefined: says nothing. */
function answers(
  server: FakeServer,
  answer: (
    request: MemberRequest,
  ) => Partial<Members> | { code: string; leader?: FakeServer | undefined } | undefined,
): MemberRequest[] {
  const asked: MemberRequest[] = [];
  server.onOther = (stream, envelope) => {
    if (envelope.type !== 'memberRequest') return;
    asked.push(envelope);
    const given = answer(envelope);
    if (given !== undefined) reply(stream, given);
  };
  return asked;
}

function reply(
  stream: FakeStream,
  given: Partial<Members> | { code: string; leader?: FakeServer | undefined },
): void {
  const refused = 'code' in given;
  stream.send({
    type: 'memberReply',
    requestId: 1,
    code: refused ? given.code : '',
    message: refused ? `refused: ${given.code}` : '',
    leader: refused ? (given.leader?.id ?? 0) : 0,
    leaderAddress: refused ? (given.leader?.address ?? '') : '',
    json: refused ? '' : JSON.stringify({ ...VIEW, ...given }),
  });
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: { code: string }) => error.code,
  );

async function servers(count: number): Promise<{ world: World; all: FakeServer[] }> {
  const world = new World();
  const all: FakeServer[] = [];
  for (let at = 0; at < count; at++) all.push(await world.server());
  return { world, all };
}

describe('questions about members', () => {
  it('go to the leader that a server names, and say exactly what is asked for', async () => {
    const { world, all } = await servers(3);
    const [first, , third] = all as [FakeServer, FakeServer, FakeServer];
    answers(first, () => ({ code: ErrorCode.NotLeader, leader: third }));
    const asked = answers(third, () => ({ voters: [1, 2, 3] }));
    const client = world.client({ group: 7 });
    const added = client.addMember(
      { id: 4, address: 's4:1', as: 'learner' },
      { expectedIndex: 9, timeoutMs: 500 },
    );
    await world.pass(100);
    expect(await added).toMatchObject({ index: 9, voters: [1, 2, 3] });
    expect(asked).toEqual([
      {
        type: 'memberRequest',
        requestId: 1,
        group: 7,
        action: 'learn',
        node: 4,
        address: 's4:1',
        compare: true,
        expectedIndex: 9,
        // What is left of its time.
        timeoutMs: 450,
        level: 0,
      },
    ]);
    expect(all[1]!.streams).toEqual([]);
    expect(third.last.closed).toBe(true);
    expect(world.clock.waiting).toBe(0);
  });

  it('are about the compression level as well; what no leader could take is refused before it is sent', async () => {
    const { world, all } = await servers(1);
    const asked = answers(all[0]!, ({ level }) => ({ compressionLevel: level }));
    const client = world.client();
    const set = client.setCompressionLevel(2, { expectedIndex: 9 });
    await world.pass(100);
    expect(await set).toMatchObject({ compressionLevel: 2 });
    expect(asked).toMatchObject([{ action: 'compression', level: 2, compare: true, expectedIndex: 9 }]);
    for (const [path, refused] of [
      ['level', client.setCompressionLevel(3)],
      ['level', client.setCompressionLevel(0.5)],
      ['id', client.removeMember(-1)],
      ['timeoutMs', client.members({ timeoutMs: 0 })],
      ['expectedIndex', client.promoteMember(2, { expectedIndex: Number.NaN })],
    ] as const) {
      await expect(refused).rejects.toMatchObject({ code: ErrorCode.OptionInvalid, details: { path } });
    }
    expect(asked).toHaveLength(1);
  });

  it('are asked again while the reason passes, and end with the first that does not', async () => {
    const { world, all } = await servers(1);
    const codes = [ErrorCode.MembersBusy, ErrorCode.NotLeader, ErrorCode.MembersChanged];
    const asked = answers(all[0]!, () => ({ code: codes.shift()! }));
    const failed = codeOf(world.client().removeMember(2));
    await world.pass(2000);
    expect(await failed).toBe(ErrorCode.MembersChanged);
    expect(asked).toHaveLength(3);
  });

  it('H14 a transfer that was not taken over is tried again, with a pause for proposals, until its time is over', async () => {
    const { world, all } = await servers(1);
    const codes = [ErrorCode.MembersBusy, ErrorCode.Timeout, ErrorCode.Timeout, ''];
    const asked = answers(all[0]!, () => {
      const code = codes.shift()!;
      return code === '' ? VIEW : { code };
    });
    const moved = world.client().transferLeadership(2);
    await world.pass(900);
    expect(asked).toHaveLength(2);
    await world.pass(3000);
    expect(await moved).toEqual(VIEW);
    expect(asked).toHaveLength(4);

    answers(all[0]!, () => ({ code: ErrorCode.Timeout }));
    const never = codeOf(world.client().transferLeadership(2, { timeoutMs: 2500 }));
    await world.pass(4000);
    expect(await never).toBe(ErrorCode.Timeout);
    const change = codeOf(world.client().removeMember(2));
    await world.pass(100);
    expect(await change, 'whose time is over on the server').toBe(ErrorCode.Timeout);
    expect(world.clock.waiting).toBe(0);
  });

  it('end in time: certain where nothing was sent, unknown where a change was, certain for a list', async () => {
    const { world, all } = await servers(1);
    all[0]!.welcomes = false;
    const client = world.client({ serverTimeoutMs: 300 });
    const unsent = codeOf(client.removeMember(2, { timeoutMs: 1000 }));
    await world.pass(1700);
    expect(await unsent).toBe(ErrorCode.Timeout);
    all[0]!.welcomes = true;
    const sent = codeOf(client.removeMember(2, { timeoutMs: 1000 }));
    const list = codeOf(client.members({ timeoutMs: 1000 }));
    await world.pass(1700);
    expect([await sent, await list]).toEqual([ErrorCode.OutcomeUnknown, ErrorCode.Timeout]);
    expect(world.clock.waiting).toBe(0);
  });

  it('do not wait for a server that does not even say who it is', async () => {
    const { world, all } = await servers(2);
    all[0]!.welcomes = false;
    answers(all[1]!, () => VIEW);
    const client = world.client({ serverTimeoutMs: 1000 });
    const [list, change] = [client.members(), client.removeMember(2, { expectedIndex: 9 })];
    await world.pass(1100);
    expect([await list, await change]).toEqual([VIEW, VIEW]);
  });

  it('a change is asked of the new leader when the one that took it hangs; a compare-and-set ends as unknown', async () => {
    const { world, all } = await servers(3);
    const [hung, leader] = all as [FakeServer, FakeServer, FakeServer];
    const inVain = answers(hung, () => undefined);
    const asked = answers(leader, () => VIEW);
    const client = world.client({ serverTimeoutMs: 1000 });
    const change = client.removeMember(2);
    await world.pass(1200);
    expect(await change).toEqual(VIEW);
    expect(inVain.map(({ action }) => action)).toEqual(['remove']);
    expect(asked.map(({ action }) => action)).toEqual(['list', 'remove']);
    expect(hung.streams.every(({ closed }) => closed)).toBe(true);

    const again = world.client({ serverTimeoutMs: 1000 });
    const compared = codeOf(again.removeMember(2, { expectedIndex: 9 }));
    await world.pass(1200);
    expect(await compared).toBe(ErrorCode.OutcomeUnknown);
  });

  it('a change may take its time while nobody else leads', async () => {
    const { world, all } = await servers(2);
    const [leader, other] = all as [FakeServer, FakeServer];
    const asked = answers(leader, () => undefined);
    answers(other, () => ({ code: ErrorCode.NotLeader, leader }));
    const change = world.client({ serverTimeoutMs: 1000 }).addMember({ id: 4, address: 's4:1' });
    await world.pass(30_000);
    reply(leader.last, VIEW);
    await world.pass(100);
    expect(await change).toEqual(VIEW);
    expect(asked).toHaveLength(1);
  });

  it('what was sent and lost is asked again, except a compare-and-set', async () => {
    const { world, all } = await servers(1);
    let streams = 0;
    all[0]!.onOther = (stream) => {
      streams++;
      if (streams === 1 || streams === 3) stream.close();
      else reply(stream, VIEW);
    };
    const client = world.client();
    const plain = client.promoteMember(2);
    await world.pass(200);
    expect(await plain).toEqual(VIEW);
    const compared = codeOf(client.promoteMember(2, { expectedIndex: 9 }));
    await world.pass(200);
    expect(await compared).toBe(ErrorCode.OutcomeUnknown);
    expect(streams).toBe(3);
  });

  it('find the members when every server that was given is gone', async () => {
    const { world, all } = await servers(2);
    const [given, learnt] = all as [FakeServer, FakeServer];
    const where = { members: [{ id: 2, address: learnt.address, incarnation: 5 }] };
    answers(given, () => where);
    answers(learnt, () => where);
    const client = world.client({ servers: [given.address] });
    const first = client.members();
    await world.pass(100);
    await first;
    world.network.crash('s1');
    const second = client.members();
    await world.pass(1000);
    expect(await second).toMatchObject(where);
    // The appender was told as well, without a question.
    const appending = world.client({ servers: [learnt.address] });
    learnt.applyAll();
    const appended = appending.append(Buffer.from('x'));
    await world.run();
    await appended;
    learnt.last.send({ type: 'memberNews', json: JSON.stringify([{ id: 9, address: 's9:1' }]) });
    await world.run();
    world.network.crash('s2');
    const elsewhere = codeOf(appending.members({ timeoutMs: 300 }));
    await world.network.transport('s9').listen('s9:1', (_lane, stream) => {
      stream.close();
      all.length = 0;
    });
    await world.pass(6000);
    await elsewhere;
    expect(all).toEqual([]);
  });

  it('do not believe an answer that is no JSON, or no answer', async () => {
    const { world, all } = await servers(1);
    all[0]!.onOther = (stream) =>
      stream.send({
        type: 'memberReply',
        requestId: 1,
        code: '',
        message: '',
        leader: 0,
        leaderAddress: '',
        json: '{',
      });
    const failed = world.client().members({ timeoutMs: 100 });
    const told = expect(failed).rejects.toMatchObject({
      code: ErrorCode.Timeout,
      message: expect.stringContaining('expected members as JSON'),
    });
    await world.pass(200);
    await told;
    all[0]!.onOther = (stream) => stream.send({ type: 'statusReply', requestId: 1, json: '{}' });
    const other = expect(world.client().members({ timeoutMs: 100 })).rejects.toMatchObject({
      message: expect.stringContaining('expected memberReply, received statusReply'),
    });
    await world.pass(200);
    await other;
  });

  it('end with the client: closed, or unknown where a change was sent', async () => {
    const { world } = await servers(1);
    const client = world.client();
    const [list, change] = [codeOf(client.members()), codeOf(client.removeMember(2))];
    await world.run();
    client.close();
    await world.pass(100);
    expect([await list, await change]).toEqual([ErrorCode.Closed, ErrorCode.OutcomeUnknown]);
    expect(await codeOf(client.members())).toBe(ErrorCode.Closed);
  });
});
