import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { Configuration, ConfigurationAt } from '../../src/base/messages.js';
import type { ConfigurationRefusal, ConfigurationTarget } from '../../src/core/ready.js';
import { Members, type MembersReplica } from '../../src/engine/members.js';
import type { ChangeOptions, MembersRequest } from '../../src/engine/members-request.js';
import type { Greeting, PeerBook } from '../../src/engine/peer-book.js';

const FIRST: Configuration = {
  ...{ voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], incarnations: [] },
  compressionLevel: 0,
};

/** A leader whose every configuration entry is committed at once, unless the core refuses it as the test says. */
function makeWorld() {
  const world = {
    nowMs: 0,
    greeting: { state: 'waiting', reason: 'nobody there' } as Greeting,
    refused: undefined as ConfigurationRefusal['refused'] | undefined,
    refusal: undefined as { code: string; message: string } | undefined,
    invited: new Map<number, string>(),
    connectedAt: '',
  };
  const configurations: ConfigurationAt[] = [{ index: 1, term: 2, configuration: FIRST }];
  const replica = {
    ...{ group: 1, leads: true, commitIndex: 1, configurations },
    termAt: () => 2,
    notLeader: () => new RaftlineError(ErrorCode.NotLeader, 'this node does not lead'),
    placeConfiguration(target: ConfigurationTarget, expectedIndex: number) {
      const isPromotion = target.voters.length > 3;
      if (world.refused !== undefined && (world.refused !== 'lagging' || isPromotion))
        return { refused: world.refused, leader: 1 };
      if (expectedIndex !== configurations.at(-1)!.index) return { refused: 'conflict', leader: 1 };
      const index = ++replica.commitIndex;
      const configuration = { ...FIRST, ...target, votersOutgoing: [], learnersNext: [] } as Configuration;
      configurations.splice(0, 1, { index, term: 2, configuration });
      return { kind: 3, term: 2, firstIndex: index, prevTerm: 2, count: 1, configuration };
    },
  };
  const book = {
    addressOf: (id: number) => (id < 4 || configurations[0]!.index > 1 ? `n${id}:1` : ''),
    incarnationOf: () => 0,
    invite: (id: number, address: string) => world.invited.set(id, address),
    uninvite: (id: number) => world.invited.delete(id),
    greeting: () => world.greeting,
    connectedAt: () => world.connectedAt,
    refusal: () => world.refusal,
  };
  const clock = { nowMs: () => world.nowMs };
  /** Another leader has changed something in between. */
  const changeByOthers = (): void => {
    const [{ configuration }] = configurations as [ConfigurationAt];
    configurations.splice(0, 1, { index: ++replica.commitIndex, term: 2, configuration });
  };
  const members = new Members(
    replica as unknown as MembersReplica,
    book as unknown as PeerBook,
    clock as never,
  );
  let outcome = 'open';
  const begin = (request: MembersRequest, options: ChangeOptions = {}): void => {
    outcome = 'open';
    members.begin(
      request,
      options,
      () => {
        outcome = 'done';
      },
      (error) => {
        outcome = (error as RaftlineError).code;
      },
    );
  };
  /** What became of it by then. */
  const outcomeAfter = (ms: number): string => {
    world.nowMs += ms;
    members.poll();
    return outcome;
  };
  return { world, begin, outcomeAfter, members, changeByOthers };
}

const ADD = { type: 'add', id: 4, address: 'n4:1', as: 'voter' } as const;

describe('a join is given up', () => {
  it('E7 when the node does not answer for ten seconds; it is not tried any longer, and nothing was changed', () => {
    const { world, begin, outcomeAfter, members } = makeWorld();
    begin(ADD);
    expect([...world.invited]).toEqual([[4, 'n4:1']]);
    expect(outcomeAfter(10_000)).toBe('open');
    expect(outcomeAfter(1)).toBe(ErrorCode.Unreachable);
    expect([...world.invited]).toEqual([]);
    expect(members.view()).toMatchObject({ index: 1, voters: [1, 2, 3], learners: [] });
  });

  it('E7 at once when the node answers that it is somebody else', () => {
    const { world, begin, outcomeAfter } = makeWorld();
    world.greeting = {
      state: 'refused',
      error: { code: ErrorCode.HandshakeRefused, message: 'not I' } as never,
    };
    begin(ADD);
    expect(outcomeAfter(0)).toBe(ErrorCode.HandshakeRefused);
    expect([...world.invited]).toEqual([]);
  });

  it('E7 H62 when it has not caught up in time: a learner then, and asked for again it goes on from there', () => {
    const { world, begin, outcomeAfter, members } = makeWorld();
    world.greeting = { state: 'met', incarnation: 444 };
    begin({ ...ADD, as: 'learner' }, { timeoutMs: 1000 });
    expect(outcomeAfter(0)).toBe('done');
    world.refused = 'lagging';
    begin(ADD, { timeoutMs: 1000 });
    expect(outcomeAfter(1000)).toBe('open');
    expect(outcomeAfter(1)).toBe(ErrorCode.MemberLagging);
    expect(members.view()).toMatchObject({ index: 2, voters: [1, 2, 3], learners: [4] });
    world.refused = undefined;
    begin(ADD, { timeoutMs: 1000 });
    expect(outcomeAfter(0)).toBe('done');
    expect(members.view()).toMatchObject({ index: 3, voters: [1, 2, 3, 4], learners: [] });
  });
});

describe('a change', () => {
  it.each([
    ['transferring', ErrorCode.Timeout],
    ['noOwnCommit', ErrorCode.Timeout],
    ['pending', ErrorCode.MembersBusy],
    ['conflict', ErrorCode.MembersChanged],
    ['removed', ErrorCode.MemberRemoved],
    ['incarnation', ErrorCode.MemberInvalid],
    ['invalid', ErrorCode.MemberInvalid],
    ['notLeader', ErrorCode.NotLeader],
  ] as const)(
    'that the core refuses as %s ends with %s, at the latest when its time is over',
    (refused, code) => {
      const { world, begin, outcomeAfter } = makeWorld();
      world.refused = refused;
      begin({ type: 'remove', id: 2 }, { timeoutMs: 1000 });
      outcomeAfter(0);
      expect(outcomeAfter(1001)).toBe(code);
    },
  );

  it('H61 of a member that is refused since its directory was lost says so', () => {
    const { world, begin, outcomeAfter } = makeWorld();
    const again = { type: 'add', id: 2, address: 'n2:1', as: 'voter' } as const;
    begin(again);
    expect(outcomeAfter(0)).toBe('done');
    world.refusal = { code: ErrorCode.HandshakeRefused, message: 'a wiped node' };
    begin(again);
    expect(outcomeAfter(0)).toBe(ErrorCode.MemberInvalid);
  });

  it('of a member to an address where it is not, leaves it where it answers', () => {
    const { world, begin, outcomeAfter, members } = makeWorld();
    const move = { type: 'add', id: 2, address: 'wrong:1', as: 'learner' } as const;
    world.connectedAt = 'n2:1';
    begin(move);
    expect(outcomeAfter(10_000)).toBe('open');
    expect([...world.invited], 'the link that it has is not touched').toEqual([]);
    expect(outcomeAfter(1)).toBe(ErrorCode.MemberInvalid);

    // One that has just moved: the link to where it was did not know yet.
    world.greeting = { state: 'met', incarnation: 222 };
    begin({ ...move, address: 'other:1' });
    world.connectedAt = '';
    expect(outcomeAfter(500)).toBe('done');
    expect(members.view().index).toBe(2);
    world.connectedAt = 'other:1';
    begin({ ...move, address: 'other:1' });
    expect(outcomeAfter(0), 'where it is').toBe('done');
  });

  it('E9 of two steps compares with each: with what was there before it, and then with what its own first step left', () => {
    const { world, begin, outcomeAfter, members } = makeWorld();
    world.greeting = { state: 'met', incarnation: 444 };
    begin(ADD, { expectedIndex: 1 });
    expect(outcomeAfter(0)).toBe('done');
    expect(members.view()).toMatchObject({ index: 3, voters: [1, 2, 3, 4] });

    const late = makeWorld();
    late.world.greeting = { state: 'met', incarnation: 444 };
    late.world.refused = 'lagging';
    late.begin(ADD, { expectedIndex: 1 });
    expect(late.outcomeAfter(1)).toBe('open');
    expect(late.members.view()).toMatchObject({ index: 2, learners: [4] });
    // This node did not lead for a while, and nobody looked at the change under way meanwhile.
    late.changeByOthers();
    late.world.refused = undefined;
    expect(late.outcomeAfter(1)).toBe(ErrorCode.MembersChanged);
    expect(late.members.view()).toMatchObject({ index: 3, voters: [1, 2, 3], learners: [4] });
  });
});
