import type { Incarnation, NodeId } from '../base/ids.js';
import { MEMBERS_MAX } from '../base/limits.js';
import type { Configuration, ConfigurationAt } from '../base/messages.js';

/** In force in a log without any configuration: nobody votes, so nothing is decided. */
export const NO_CONFIGURATION: ConfigurationAt = {
  index: 0,
  term: 0,
  configuration: {
    voters: [],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    incarnations: [],
    compressionLevel: 0,
  },
};

/** Votes in either half of the configuration. */
export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);
}

/** A node as a configuration may mean it. */
export interface Life {
  id: NodeId;
  /** 0: not known. */
  incarnation: Incarnation;
  /** It came to a cluster that was there. */
  joined: boolean;
}

/**
 * Whether this life of `id` is meant. A configuration names the incarnations of all who came later; where it names none, it means a
 * founder.
 */
export function mayMean({ incarnations }: Configuration, { id, incarnation, joined }: Life): boolean {
  const meant = incarnations.find((member) => member.id === id)?.incarnation ?? 0;
  if (meant === 0) return !joined;
  return incarnation === 0 || meant === incarnation;
}

export function isMember(configuration: Configuration, id: NodeId): boolean {
  return isVoter(configuration, id) || configuration.learners.includes(id);
}

/** Everyone but `self` whose vote is asked for, each once. */
export function otherVoters(configuration: Configuration, self: NodeId): NodeId[] {
  const voters = new Set([...configuration.voters, ...configuration.votersOutgoing]);
  return [...voters].filter((id) => id !== self);
}

/** Everyone who gets the log. `learnersNext` still vote in the outgoing half. */
export function membersOf(configuration: Configuration): NodeId[] {
  return [...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners];
}

/** A change of voters is under way: both halves decide (Raft §6). */
export function isJoint(configuration: Configuration): boolean {
  return configuration.votersOutgoing.length > 0;
}

/** Whether `self` decides alone: the only voter of every half that has voters. */
export function votesAlone(configuration: Configuration, self: NodeId): boolean {
  return configuration.voters.includes(self) && otherVoters(configuration, self).length === 0;
}

/** A configuration from outside must have voters, name each once, and stay within `MEMBERS_MAX`. */
export function isWellFormed(configuration: Configuration): boolean {
  const { voters, votersOutgoing, learners, learnersNext } = configuration;
  const isSet = (ids: NodeId[]) => new Set(ids).size === ids.length;
  return (
    voters.length >= 1 &&
    voters.length + votersOutgoing.length + learners.length <= 2 * MEMBERS_MAX &&
    isSet(voters) &&
    isSet(votersOutgoing) &&
    isSet(learners) &&
    isSet(learnersNext) &&
    learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id)) &&
    !learners.some((id) => isVoter(configuration, id))
  );
}
