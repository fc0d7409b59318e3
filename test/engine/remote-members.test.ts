import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { decodeEnvelope } from '../../src/codec/envelope.js';
import { MEMBER_ACTIONS, type MemberReply } from '../../src/codec/envelope-types.js';
import type { Hub } from '../../src/engine/hub.js';
import type { ChangeOptions, MembersRequest, MembersView } from '../../src/engine/members-request.js';
import { RemoteMembers } from '../../src/engine/remote-members.js';
import type { Replica } from '../../src/engine/replica.js';

const VIEW = { index: 5, committed: true, voters: [1, 2, 3] } as unknown as MembersView;

interface Change {
  request: MembersRequest;
  options: ChangeOptions;
  resolve: (view: MembersView) => void;
  reject: (error: Error) => void;
}

/** Main's side of questions about the members of group 1, whose replica does as the test says. */
function makeWorld() {
  const world = { nowMs: 1000, wakes: 0 };
  const said: (MemberReply & { stream: number })[] = [];
  const changes: Change[] = [];
  const replica = {
    group: 1,
    id: 1,
    leads: true,
    leader: 1,
    transferTo: 0,
    refusal: undefined as RaftlineError | undefined,
    status: () => ({ transferTo: replica.transferTo }),
    notLeader: () =>
      new RaftlineError(ErrorCode.NotLeader, 'not the leader', {
        leader: replica.leader,
        leaderAddress: 'n2:1',
      }),
    transferLeadership(to: number) {
      if (replica.refusal !== undefined) throw replica.refusal;
      replica.transferTo = to;
    },
    members: {
      view: () => VIEW,
      begin(
        request: MembersRequest,
        options: ChangeOptions,
        resolve: Change['resolve'],
        reject: Change['reject'],
      ) {
        if (replica.refusal !== undefined) throw replica.refusal;
        changes.push({ request, options, resolve, reject });
      },
    },
  };
  const hub = {
    command({ stream, body }: { stream: number; body: Buffer }) {
      said.push({ stream, ...(decodeEnvelope(Buffer.from(body)).envelope as MemberReply) });
    },
    wake: () => world.wakes++,
  };
  const replicas = new Map([[1, replica as unknown as Replica]]);
  const remote = new RemoteMembers(hub as unknown as Hub, replicas, { nowMs: () => world.nowMs } as never);
  let asked = 0;
  const ask = (action: (typeof MEMBER_ACTIONS)[number], given: object = {}): number => {
    const place = { stream: 9, requestId: ++asked, group: 1, node: 0, compare: 0, expectedIndex: 0 } as const;
    const record = { ...place, timeoutMs: 500, level: 0, body: Buffer.alloc(0), ...given };
    remote.take({ type: 'memberRequest', action: MEMBER_ACTIONS.indexOf(action), ...record });
    return asked;
  };
  /** What was answered since the last call. */
  const answers = () => said.splice(0);
  return { world, remote, replica, changes, ask, answers };
}

describe('what remote clients ask about members', () => {
  it('is answered by the leader, on the stream and under the number of the question', () => {
    const { ask, answers, replica, world } = makeWorld();
    const requestId = ask('list', { stream: 12 });
    expect(answers()).toEqual([
      expect.objectContaining({ stream: 12, requestId, code: '', message: '', json: JSON.stringify(VIEW) }),
    ]);
    expect(world.wakes).toBe(1);
    replica.leads = false;
    replica.leader = 2;
    for (const action of MEMBER_ACTIONS) ask(action, { node: 2 });
    expect(answers()).toEqual(
      MEMBER_ACTIONS.map(() =>
        expect.objectContaining({ code: ErrorCode.NotLeader, leader: 2, leaderAddress: 'n2:1', json: '' }),
      ),
    );
    ask('list', { group: 7 });
    expect(answers()).toMatchObject([{ code: ErrorCode.GroupUnknown, leader: 0 }]);
  });

  it('is a change with all that was said, answered when it ends, however it ends', () => {
    const { ask, answers, changes, replica } = makeWorld();
    ask('add', { node: 4, body: Buffer.from('n4:1'), compare: 1, expectedIndex: 5 });
    ask('learn', { node: 5, body: Buffer.from('n5:1') });
    ask('promote', { node: 5 });
    ask('compression', { level: 2, compare: 1, expectedIndex: 6 });
    const last = ask('remove', { node: 1 });
    expect(answers()).toEqual([]);
    expect(changes.map(({ request, options }) => [request, options])).toEqual([
      [
        { type: 'add', id: 4, address: 'n4:1', as: 'voter' },
        { expectedIndex: 5, timeoutMs: 500 },
      ],
      [{ type: 'add', id: 5, address: 'n5:1', as: 'learner' }, { timeoutMs: 500 }],
      [{ type: 'promote', id: 5 }, { timeoutMs: 500 }],
      [
        { type: 'compression', level: 2 },
        { expectedIndex: 6, timeoutMs: 500 },
      ],
      [{ type: 'remove', id: 1 }, { timeoutMs: 500 }],
    ]);
    changes[4]!.reject(new RaftlineError(ErrorCode.OutcomeUnknown, 'who knows'));
    changes[0]!.resolve({ ...VIEW, index: 8 });
    expect(answers()).toMatchObject([
      { requestId: last, code: ErrorCode.OutcomeUnknown, message: 'who knows', json: '' },
      { requestId: last - 4, code: '', json: JSON.stringify({ ...VIEW, index: 8 }) },
    ]);
    replica.refusal = new RaftlineError(ErrorCode.MembersBusy, 'later');
    ask('promote', { node: 5 });
    expect(answers()).toMatchObject([{ code: ErrorCode.MembersBusy, message: 'later' }]);
  });
});

describe('a transfer asked for from outside', () => {
  it('is answered when the other one leads, and at once where it leads already', () => {
    const { ask, answers, remote, replica } = makeWorld();
    ask('transfer', { node: 1 });
    expect(answers()).toMatchObject([{ code: '', json: JSON.stringify(VIEW) }]);
    ask('transfer', { node: 2 });
    remote.poll();
    expect(answers()).toEqual([]);
    replica.leads = false;
    replica.leader = 0;
    replica.transferTo = 0;
    // Elected by nobody yet that is known here.
    remote.poll();
    expect(answers()).toEqual([]);
    replica.leader = 2;
    remote.poll();
    remote.poll();
    expect(answers()).toMatchObject([{ code: '', json: JSON.stringify(VIEW) }]);
  });

  it('fails where the core gave it up, somebody else leads, or the time is over', () => {
    const { ask, answers, remote, replica, world } = makeWorld();
    ask('transfer', { node: 2 });
    replica.transferTo = 0;
    remote.poll();
    expect(answers()).toMatchObject([{ code: ErrorCode.Timeout, leader: 1 }]);
    ask('transfer', { node: 2 });
    replica.leads = false;
    replica.leader = 3;
    remote.poll();
    expect(answers()).toMatchObject([{ code: ErrorCode.Timeout, leader: 3 }]);
    for (const leads of [true, false]) {
      replica.leads = true;
      ask('transfer', { node: 2 });
      replica.leads = leads;
      replica.leader = leads ? 1 : 0;
      world.nowMs += 499;
      remote.poll();
      expect(answers()).toEqual([]);
      world.nowMs += 1;
      remote.poll();
      expect(answers()).toMatchObject([{ code: ErrorCode.Timeout }]);
    }
  });

  it('is refused as the replica refuses it, and beyond so many at a time', () => {
    const { ask, answers, replica, remote } = makeWorld();
    replica.refusal = new RaftlineError(ErrorCode.OptionInvalid, 'it is no voter');
    ask('transfer', { node: 9 });
    expect(answers()).toMatchObject([{ code: ErrorCode.OptionInvalid, message: 'it is no voter' }]);
    replica.refusal = undefined;
    for (let at = 0; at < 64; at++) ask('transfer', { node: 2 });
    expect(answers()).toEqual([]);
    ask('transfer', { node: 2 });
    expect(answers()).toMatchObject([{ code: ErrorCode.Overloaded }]);
    replica.leader = 2;
    remote.poll();
    expect(answers()).toHaveLength(64);
  });
});
