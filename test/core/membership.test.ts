import { describe, expect, it } from 'vitest';
import { BatchKind, type Configuration } from '../../src/base/messages.js';
import type { Raft } from '../../src/core/raft.js';
import {
  accepted,
  append,
  configuration,
  electedRaft,
  header,
  heartbeat,
  progressOf,
  refused,
  type Start,
  sessionTo,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

const at = (settings: Configuration, index = 1): Start => ({
  configurations: [{ index, term: 1, configuration: settings }],
});

/** Makes everything ordered so far durable. */
function sync(raft: Raft): void {
  const last = raft.ready()?.orders.at(-1);
  if (last !== undefined) raft.step({ type: 'durable', order: last.id });
}

/** `peers` hold the whole log, and the own disk does. */
function replicate(raft: Raft, peers: number[]): void {
  sync(raft);
  const { lastIndex, term } = raft.status();
  for (const peer of peers) raft.step(accepted(peer, term, sessionTo(raft, peer), lastIndex));
  sync(raft);
}

/** Leader of term 2, its no-op at 2 committed by `peers`. */
function leader(settings: Configuration, peers: number[]): Raft {
  const raft = electedRaft(at(settings), peers);
  replicate(raft, peers);
  expect(raft.status().commitIndex).toBe(2);
  return raft;
}

const inForce = (raft: Raft): Configuration => raft.status().configuration.configuration;

describe('joint consensus', () => {
  it('H14 a transfer waits until the joint configuration is left: nothing is appended behind the order', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    raft.proposeConfiguration(configuration([1, 2]), 1);
    raft.transferLeadership(2);
    const orders = (): number =>
      take(raft).messages.filter(({ message }) => message.type === 'timeoutNow').length;
    sync(raft);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 3));
    expect([raft.status().lastIndex, orders()]).toEqual([4, 0]);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 4));
    expect([raft.status().lastIndex, orders()]).toEqual([4, 1]);
  });

  it('other voters: a joint configuration, and once it is committed the next one, by itself', () => {
    const raft = leader(configuration([1, 2, 3], { learners: [4, 5] }), [2, 3, 4, 5]);
    const batch = raft.proposeConfiguration(configuration([1, 4, 5]), 1);
    const joint = configuration([1, 4, 5], { votersOutgoing: [1, 2, 3] });
    expect(batch).toEqual({
      kind: BatchKind.Configuration,
      term: 2,
      firstIndex: 3,
      prevTerm: 2,
      count: 1,
      configuration: joint,
    });
    expect(inForce(raft)).toEqual(joint);
    replicate(raft, [4, 5]);
    expect(raft.status().commitIndex).toBe(2);
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ commitIndex: 3, lastIndex: 4 });
    expect(inForce(raft)).toEqual(configuration([1, 4, 5]));
    expect(raft.status().progress.map(({ id }) => id)).toEqual([2, 3, 4, 5]);
    replicate(raft, [4]);
    expect(raft.status()).toMatchObject({ commitIndex: 4, lastIndex: 4 });
    expect(raft.status().progress.map(({ id }) => id)).toEqual([4, 5]);
  });

  it('H56 a configuration counts as soon as it stands in the log, on followers too', () => {
    const raft = startRaft();
    const joint = configuration([1, 4, 5], { votersOutgoing: [1, 2, 3] });
    const batch = header(2, 2, 1, 1, BatchKind.Configuration);
    raft.step(append(2, 2, 1, 1, { headers: [batch], configurations: [joint] }));
    take(raft);
    timeOut(raft);
    expect(take(raft).messages.map(({ message }) => message.to)).toEqual([4, 5, 2, 3]);
  });

  it('A1 E8 who stays keeps its session; who leaves is asked, and sent the entry that it leaves by, and nothing after', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    const sessions = [2, 3].map((peer) => sessionTo(raft, peer));
    raft.proposeConfiguration(configuration([1, 2]), 1);
    replicate(raft, [2, 3]);
    expect([2, 3].map((peer) => sessionTo(raft, peer))).toEqual(sessions);
    sync(raft);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 4));
    expect(take(raft).sessions).toEqual([{ type: 'close', peer: 3, session: sessions[1] }]);
  });

  it('learners and levels change in one entry, without a joint one', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    raft.proposeConfiguration(configuration([1, 2, 3], { learners: [4], compressionLevel: 0 }), 1);
    expect(inForce(raft)).toEqual(configuration([1, 2, 3], { learners: [4], compressionLevel: 0 }));
    expect(progressOf(raft, 4)).toMatchObject({ state: 'probe', match: 0 });
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ commitIndex: 3, lastIndex: 3 });
  });

  it('a voter that becomes a learner votes until the joint configuration is left', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    raft.proposeConfiguration(configuration([1, 2], { learners: [3] }), 1);
    expect(inForce(raft)).toEqual(
      configuration([1, 2], { votersOutgoing: [1, 2, 3], learnersNext: [3], learners: [] }),
    );
    replicate(raft, [2, 3]);
    expect(inForce(raft)).toEqual(configuration([1, 2], { learners: [3] }));
  });

  it('H57 a new leader leaves a joint configuration that it finds, after its own first commit', () => {
    const joint = configuration([1, 2, 3], { votersOutgoing: [1, 4, 5] });
    const raft = electedRaft(at(joint), [2, 4]);
    expect(raft.status().lastIndex).toBe(2);
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ commitIndex: 1, lastIndex: 2 });
    replicate(raft, [4]);
    expect(raft.status()).toMatchObject({ commitIndex: 2, lastIndex: 3 });
    expect(inForce(raft)).toEqual(configuration([1, 2, 3]));
  });

  it('H59 E9 a truncated configuration is rolled back, and with it who is asked for votes', () => {
    const raft = startRaft();
    const bigger = configuration([1, 2, 3], { learners: [4] });
    const batch = header(2, 2, 1, 1, BatchKind.Configuration);
    raft.step(append(2, 2, 1, 1, { headers: [batch], configurations: [bigger] }));
    expect(inForce(raft)).toEqual(bigger);
    raft.step(append(3, 3, 1, 1, { headers: [header(3, 2, 1, 1, BatchKind.NoOp)] }));
    expect(raft.status().configuration).toEqual({
      index: 1,
      term: 1,
      configuration: configuration([1, 2, 3]),
    });
  });
});

describe('a configuration that only one who leaves holds', () => {
  // Voters 1 and 2 become voter 1 and learner 2. Leader 1 lost what it had sent and not synced; 2 holds the last entry.
  const joint = configuration([2], { votersOutgoing: [1, 2], learnersNext: [1] });
  const last = configuration([2], { learners: [1] });
  const start = {
    terms: [1, 2, 2],
    configurations: [
      { index: 1, term: 1, configuration: configuration([1, 2]) },
      { index: 2, term: 2, configuration: joint },
      { index: 3, term: 2, configuration: last },
    ],
  };

  it('H56 leads by the votes of those who stay, commits it, and hands over', () => {
    const raft = startRaft(start);
    timeOut(raft);
    raft.step(voteReply(2, 3));
    expect(raft.status()).toMatchObject({ role: 'leader', term: 3 });
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ commitIndex: 4, transferTo: 2 });
    expect(raft.propose(1, 1)).toMatchObject({ refused: 'transferring' });
  });

  it('H16 once it is known to be committed, it campaigns no more', () => {
    const raft = startRaft({ ...start, commit: 3 });
    for (let i = 0; i < 5; i++) timeOut(raft);
    expect(raft.status()).toMatchObject({ role: 'follower', term: 2 });
  });
});

describe('what is refused', () => {
  const refusal = (raft: Raft, next: Configuration, index = 1) => {
    const result = raft.proposeConfiguration(next, index);
    return 'refused' in result ? result.refused : 'taken';
  };

  it('H55 no change before an entry of the own term is committed', () => {
    const raft = electedRaft(at(configuration([1, 2, 3])), [2]);
    expect(refusal(raft, configuration([1, 2]))).toBe('noOwnCommit');
    replicate(raft, [2]);
    expect(refusal(raft, configuration([1, 2]))).toBe('taken');
  });

  it('H63 E9 one change at a time, each from the configuration that its author saw', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    expect(refusal(raft, configuration([1, 2]), 2)).toBe('conflict');
    expect(refusal(raft, configuration([1, 2]))).toBe('taken');
    expect(refusal(raft, configuration([1, 3]), 1)).toBe('conflict');
    expect(refusal(raft, configuration([1, 3]), 3)).toBe('pending');
    replicate(raft, [2, 3]);
    expect(refusal(raft, configuration([1, 3]), 4)).toBe('pending');
    replicate(raft, [2]);
    expect(refusal(raft, configuration([1]), 4)).toBe('taken');
  });

  it('H62 a voter must have been a learner that has caught up', () => {
    const raft = leader(configuration([1, 2, 3], { learners: [4] }), [2, 3]);
    const promoted = configuration([1, 2, 3, 4]);
    expect(refusal(raft, configuration([1, 2, 3, 5]))).toBe('lagging');
    expect(refusal(raft, promoted)).toBe('lagging');
    raft.propose(1030, 1);
    replicate(raft, [2, 3]);
    raft.step(accepted(4, 2, sessionTo(raft, 4), 7));
    expect(progressOf(raft, 4)).toMatchObject({ state: 'replicate', match: 7 });
    expect(refusal(raft, promoted)).toBe('lagging');
    raft.step(accepted(4, 2, sessionTo(raft, 4), 8));
    expect(refusal(raft, promoted)).toBe('taken');
  });

  it('H62 H17 a voter must hold the configuration that made it a member, however short the log: else it would give no vote', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    expect(refusal(raft, configuration([1, 2, 3], { learners: [4] }))).toBe('taken');
    replicate(raft, [2, 3]);
    const { index } = raft.status().configuration;
    const promoted = configuration([1, 2, 3, 4]);
    raft.step(refused(4, 2, sessionTo(raft, 4), index, 0, 0));
    raft.step(accepted(4, 2, sessionTo(raft, 4), index - 1));
    expect(progressOf(raft, 4)).toMatchObject({ state: 'replicate', match: index - 1 });
    expect(refusal(raft, promoted, index)).toBe('lagging');
    raft.step(accepted(4, 2, sessionTo(raft, 4), index));
    expect(refusal(raft, promoted, index)).toBe('taken');
  });

  it('H61 a member keeps its incarnation until it has left', () => {
    const known = [
      { id: 1, incarnation: 11 },
      { id: 2, incarnation: 22 },
      { id: 3, incarnation: 33 },
    ];
    const raft = leader(configuration([1, 2, 3], { incarnations: known }), [2, 3]);
    const wiped = [{ id: 3, incarnation: 99 }];
    expect(refusal(raft, configuration([1, 2, 3], { incarnations: wiped }))).toBe('incarnation');
    expect(refusal(raft, configuration([1, 2]))).toBe('taken');
    expect(inForce(raft).incarnations).toEqual(known);
    replicate(raft, [2, 3]);
    expect(inForce(raft).incarnations).toEqual(known.slice(0, 2));
    replicate(raft, [2]);
    expect(refusal(raft, configuration([1, 2], { learners: [3], incarnations: wiped }), 4)).toBe('taken');
    expect(inForce(raft).incarnations).toEqual([...known.slice(0, 2), ...wiped]);
    expect(progressOf(raft, 3)).toMatchObject({ state: 'probe', match: 0 });
  });

  it('what cannot be a configuration, who does not lead, and who is handing over', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    for (const bad of [
      configuration([]),
      configuration([1, 1]),
      configuration([1, 2], { learners: [2] }),
      configuration([1], { learners: Array.from({ length: 64 }, (_, i) => i + 2) }),
    ])
      expect(refusal(raft, bad)).toBe('invalid');
    raft.transferLeadership(2);
    expect(refusal(raft, configuration([1, 2]))).toBe('transferring');
    expect(refusal(startRaft(), configuration([1, 2]))).toBe('notLeader');
  });
});

describe('who leaves', () => {
  it('H58 E8 a leader that is left out does not count itself, and hands over once that is committed', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    raft.proposeConfiguration(configuration([2, 3]), 1);
    replicate(raft, [2, 3]);
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ lastIndex: 4, commitIndex: 3, role: 'leader' });
    raft.step(accepted(3, 2, sessionTo(raft, 3), 4));
    expect(raft.status()).toMatchObject({ commitIndex: 4, transferTo: 2, role: 'leader' });
    expect(take(raft).messages).toMatchObject([{ message: { type: 'timeoutNow', to: 2 } }]);
    expect(raft.propose(1, 1)).toMatchObject({ refused: 'transferring' });
    timeOut(raft);
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 0 });
  });

  it('E8 a leaver that does not answer is removed all the same', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    const session = sessionTo(raft, 3);
    raft.proposeConfiguration(configuration([1, 2]), 1);
    replicate(raft, [2]);
    expect(raft.status()).toMatchObject({ commitIndex: 3, lastIndex: 4 });
    expect(sessionTo(raft, 3)).toBe(session);
    sync(raft);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 4));
    expect(raft.status()).toMatchObject({ commitIndex: 4, role: 'leader' });
    expect(take(raft).sessions).toEqual([{ type: 'close', peer: 3, session }]);
    expect(raft.status().progress.map(({ id }) => id)).toEqual([2]);
  });

  it('H16 H58 it never campaigns again', () => {
    const raft = leader(configuration([1, 2, 3]), [2, 3]);
    raft.proposeConfiguration(configuration([2, 3]), 1);
    replicate(raft, [2, 3]);
    replicate(raft, [2, 3]);
    for (let i = 0; i < 5; i++) timeOut(raft);
    expect(raft.status()).toMatchObject({ role: 'follower', term: 2 });
  });

  it('H60 votes and acknowledgements of who was removed count for nothing, and nobody listens to it', () => {
    const raft = leader(configuration([1, 2, 3, 4]), [2, 3, 4]);
    raft.proposeConfiguration(configuration([1, 2, 3]), 1);
    replicate(raft, [2, 3, 4]);
    const session = sessionTo(raft, 4);
    replicate(raft, [2, 3]);
    raft.propose(1, 1);
    sync(raft);
    raft.step(accepted(4, 2, session, 5));
    raft.step(voteRequest(4, 9, 2, 4));
    expect(raft.status()).toMatchObject({ commitIndex: 4, term: 2, role: 'leader' });
    raft.step(heartbeat(2, 3));
    timeOut(raft);
    raft.step(voteReply(4, 4));
    expect(raft.status().role).toBe('candidate');
  });

  it('H16 H60 who is told that it was removed campaigns no more, but follows and votes; a leader knows better', () => {
    const orderToCampaign = (term: number) =>
      ({ type: 'timeoutNow', group: 7, from: 2, to: 1, term }) as const;
    const raft = startRaft({}, { preVote: true });
    timeOut(raft);
    expect(raft.status()).toMatchObject({ role: 'candidate', preVoting: true });
    raft.step({ type: 'retired' });
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 0 });
    take(raft);
    for (let times = 0; times < 5; times++) timeOut(raft);
    raft.step(orderToCampaign(1));
    expect(raft.ready()).toBeUndefined();
    raft.step(voteRequest(2, 2, 1, 1));
    raft.step(heartbeat(2, 2));
    expect(take(raft).messages.map(({ message }) => message)).toMatchObject([
      { type: 'voteReply', granted: true },
      { type: 'heartbeatReply' },
    ]);
    expect(raft.status()).toMatchObject({ role: 'follower', leader: 2, term: 2 });
    raft.step(orderToCampaign(2));
    expect(raft.status().role).toBe('follower');

    const leads = electedRaft();
    leads.step({ type: 'retired' });
    expect(leads.status().role).toBe('leader');
  });

  it('H60 who was removed and asks for votes is told as whom it went; a stranger hears nothing', () => {
    const gone = [
      { id: 4, incarnation: 44 },
      { id: 5, incarnation: 5 },
      { id: 4, incarnation: 444 },
    ];
    const members = configuration([1, 2, 3], { removed: gone });
    const raft = startRaft({
      configurations: [{ index: 1, term: 1, configuration: members }],
      terms: [1, 2],
    });
    for (const from of [4, 6]) {
      raft.step(voteRequest(from, 2, 1, 1));
      raft.step({ ...voteRequest(from, 3, 1, 1), preVote: true });
    }
    const told = { type: 'voteReply', to: 4, term: 2, granted: false, removed: 444 };
    expect(take(raft).messages.map(({ message }) => message)).toMatchObject([
      { ...told, preVote: false },
      { ...told, preVote: true },
    ]);
    expect(raft.status().term).toBe(2);
  });

  it('a joint configuration without the outgoing half of a learner to be is refused from outside', () => {
    const raft = startRaft();
    const bad = configuration([1, 2], { learnersNext: [3] });
    const batch = header(2, 2, 1, 1, BatchKind.Configuration);
    raft.step(append(2, 2, 1, 1, { headers: [batch], configurations: [bad] }));
    expect(raft.status()).toMatchObject({ invalidMessages: 1, lastIndex: 1 });
  });
});
