import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, NodeId } from '../base/ids.js';
import { shownAs } from './option-checks.js';

/**
 * Nothing was taken; the same call may go through later, `retryAfterMs` from now at the earliest as far as can be told. `bound` is given where it is
 * one that the caller set.
 */
export function overloaded(
  group: GroupId,
  reason: string,
  retryAfterMs: number,
  bound: { limit?: number } = {},
): RaftlineError {
  const message = `group ${group}: ${reason}; try again in ${retryAfterMs} ms or later`;
  return new RaftlineError(ErrorCode.Overloaded, message, { reason, retryAfterMs, ...bound });
}

/** Nothing was taken; it belongs to the leader, if one is known. `leader` 0: none is. */
export function notLeader(group: GroupId, leader: NodeId, leaderAddress: string): RaftlineError {
  const known = leader === 0 ? 'no leader is known' : `node ${leader} leads`;
  return new RaftlineError(ErrorCode.NotLeader, `group ${group}: this node does not lead; ${known}`, {
    leader,
    leaderAddress: leaderAddress === '' ? undefined : leaderAddress,
  });
}

/** Nothing was taken; who leads next is decided within one election timeout, and it may be this node again. */
export function handingOver(group: GroupId): RaftlineError {
  const message = `group ${group}: this node is handing the leadership over; try again when that is decided`;
  return new RaftlineError(ErrorCode.NotLeader, message, { leader: 0, leaderAddress: undefined });
}

/** It may be asked for again where another one is under way; the others are the caller's mistake. */
export function transferRefused(to: NodeId, reason: 'self' | 'notVoter' | 'transferring'): RaftlineError {
  const what = `transfer to node ${shownAs(to)}`;
  if (reason === 'transferring')
    return new RaftlineError(ErrorCode.MembersBusy, `${what}: another one is under way; try again later`);
  const why = reason === 'self' ? 'it leads already' : 'it is no voter of the configuration in force';
  return new RaftlineError(ErrorCode.OptionInvalid, `${what}: ${why}`, { received: to });
}
