import type { Incarnation, LogIndex, NodeId } from '../base/ids.js';
import { MEMBERS_MAX, TOMBSTONES_MAX } from '../base/limits.js';
import { BatchKind, type Configuration, type MemberAddress } from '../base/messages.js';
import { isJoint, isVoter, isWellFormed } from './membership.js';
import type { RaftState } from './raft-state.js';
import type { ConfigurationRefusal, ConfigurationTarget, ProposedBatch } from './ready.js';
import { appendOwn, followMembers } from './replication.js';
import { beginTransfer } from './transfer.js';

/** Entries that a learner may lack when it is made a voter (H62): what a healthy follower is behind under load. */
export const PROMOTION_GAP_MAX = 1024;

/**
 * Begins a change from the configuration at `expectedIndex` to `next` (Raft §6). With other voters it goes through a joint
 * configuration, which any leader leaves once it is committed; with the same voters it is one entry. One change at a time
 * (H63, E9), and none before this leadership has committed an entry (H55).
 */
export function changeConfiguration(
  state: RaftState,
  next: ConfigurationTarget,
  expectedIndex: LogIndex,
): ProposedBatch | ConfigurationRefusal {
  const refused = refusalOf(state, next, expectedIndex);
  if (refused !== undefined) return { refused, leader: state.leader };
  return appendConfiguration(state, changed(state.configuration, next));
}

/**
 * What follows once the configuration in force is committed: a joint one is left (H57, by whoever leads), members of
 * older ones get nothing more, and a leader that it leaves out hands over (H58, E8).
 */
export function settleConfiguration(state: RaftState): void {
  const { log, termStart } = state;
  const { index, configuration } = log.configuration;
  if (state.role !== 'leader' || log.commitIndex < Math.max(index, termStart)) return;
  if (isJoint(configuration)) appendConfiguration(state, withoutOutgoing(configuration));
  else if (index > state.settledConfiguration) {
    state.settledConfiguration = index;
    followMembers(state);
    if (!configuration.voters.includes(state.id)) handOver(state);
  }
}

function appendConfiguration(state: RaftState, configuration: Configuration): ProposedBatch {
  const batch = appendOwn(state, BatchKind.Configuration, 1, 0, configuration);
  followMembers(state);
  return batch;
}

/** To the voter that is furthest. Whether it works or not, this leader ends with the transfer. */
function handOver(state: RaftState): void {
  state.removed = true;
  const matchOf = (voter: NodeId) => state.progress.get(voter)?.match ?? 0;
  const [best] = [...state.configuration.voters].sort((a, b) => matchOf(b) - matchOf(a));
  if (best !== undefined) beginTransfer(state, best);
}

function refusalOf(
  state: RaftState,
  next: ConfigurationTarget,
  expectedIndex: LogIndex,
): ConfigurationRefusal['refused'] | undefined {
  const { log, configuration } = state;
  if (state.role !== 'leader') return 'notLeader';
  if (state.transfer !== undefined) return 'transferring';
  if (log.commitIndex < state.termStart) return 'noOwnCommit';
  const { index } = log.configuration;
  if (index !== expectedIndex) return 'conflict';
  if (index > log.commitIndex || isJoint(configuration)) return 'pending';
  if (!isWellFormed(changed(configuration, next)) || memberCount(configuration, next) > MEMBERS_MAX)
    return 'invalid';
  if (replacesIncarnation(configuration, next)) return 'incarnation';
  if (revivesRemoved(configuration, next)) return 'removed';
  const promoted = next.voters.filter((id) => !configuration.voters.includes(id));
  return promoted.every((id) => hasCaughtUp(state, id)) ? undefined : 'lagging';
}

/** Members of both configurations: a joint one must still fit its encoding. */
function memberCount(current: Configuration, next: ConfigurationTarget): number {
  return allMembers(current, next).size;
}

/** A new data directory under an old id forgot its votes: it must leave first, and come back as somebody new (H61). */
function replacesIncarnation(current: Configuration, next: ConfigurationTarget): boolean {
  return current.incarnations.some(({ id, incarnation }) => {
    const given = next.incarnations.find((member) => member.id === id)?.incarnation ?? 0;
    return incarnation !== 0 && given !== 0 && given !== incarnation;
  });
}

/** What was removed stays removed (H60): its log and its votes may be of a time that nobody else remembers. */
function revivesRemoved({ removed = [] }: Configuration, next: ConfigurationTarget): boolean {
  return next.incarnations.some(({ id, incarnation }) =>
    removed.some((gone) => gone.id === id && gone.incarnation === incarnation),
  );
}

/** Near the end of the log, and past the configuration that made it a member: who does not know one gives no vote. */
function hasCaughtUp({ progress, log }: RaftState, id: NodeId): boolean {
  const { state, match = 0 } = progress.get(id) ?? {};
  return (
    state === 'replicate' && match >= log.configuration.index && log.lastIndex - match <= PROMOTION_GAP_MAX
  );
}

function changed(current: Configuration, next: ConfigurationTarget): Configuration {
  const incarnations = mergedIncarnations(current, next);
  const addresses = mergedAddresses(current, next);
  const { voters, learners, compressionLevel } = next;
  const sameVoters = voters.length === current.voters.length && voters.every((id) => isVoter(current, id));
  const joint: Configuration = {
    voters: [...voters],
    votersOutgoing: sameVoters ? [] : [...current.voters],
    // Who votes until the joint configuration is left, becomes a learner only then.
    learners: learners.filter((id) => sameVoters || !isVoter(current, id)),
    learnersNext: learners.filter((id) => !sameVoters && isVoter(current, id)),
    incarnations,
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(current.removed === undefined ? {} : { removed: current.removed }),
    compressionLevel,
  };
  return sameVoters ? withoutOutgoing(joint) : joint;
}

/** Who is in neither half any more is a member no longer, and gets a tombstone where it is known as whom it came. */
function withoutOutgoing(joint: Configuration): Configuration {
  const { addresses: allAddresses = [], removed: goneBefore = [], ...rest } = joint;
  const learners = [...joint.learners, ...joint.learnersNext];
  const members = new Set([...joint.voters, ...learners]);
  const incarnations = joint.incarnations.filter(({ id }) => members.has(id));
  const addresses = allAddresses.filter(({ id }) => members.has(id));
  const gone = joint.incarnations.filter(({ id, incarnation }) => !members.has(id) && incarnation !== 0);
  const removed = [...goneBefore, ...gone].slice(-TOMBSTONES_MAX);
  return {
    ...rest,
    votersOutgoing: [],
    learners,
    learnersNext: [],
    incarnations,
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(removed.length === 0 ? {} : { removed }),
  };
}

function mergedAddresses(current: Configuration, next: ConfigurationTarget): MemberAddress[] {
  const known = new Map<NodeId, string>();
  for (const { id, address } of [...(current.addresses ?? []), ...(next.addresses ?? [])])
    known.set(id, address);
  const members = allMembers(current, next);
  return [...known]
    .filter(([id]) => members.has(id))
    .map(([id, address]) => ({ id, address }))
    .sort((a, b) => a.id - b.id);
}

function allMembers(current: Configuration, next: ConfigurationTarget): Set<NodeId> {
  return new Set([...current.voters, ...current.learners, ...next.voters, ...next.learners]);
}

/** What is known of a member stays known, whether or not the change names it. */
function mergedIncarnations(
  current: Configuration,
  next: ConfigurationTarget,
): Configuration['incarnations'] {
  const known = new Map<NodeId, Incarnation>();
  for (const { id, incarnation } of [...current.incarnations, ...next.incarnations]) {
    if (incarnation !== 0 || !known.has(id)) known.set(id, incarnation);
  }
  const members = allMembers(current, next);
  return [...known]
    .filter(([id]) => members.has(id))
    .map(([id, incarnation]) => ({ id, incarnation }))
    .sort((a, b) => a.id - b.id);
}
