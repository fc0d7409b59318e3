import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, NodeId } from '../base/ids.js';

/** Nothing was taken; the same call may go through later, `retryAfterMs` from now at the earliest as far as can be told. */
export function overloaded(group: GroupId, reason: string, retryAfterMs: number): RaftlineError {
  const message = `group ${group}: ${reason}; try again in ${retryAfterMs} ms or later`;
  return new RaftlineError(ErrorCode.Overloaded, message, { reason, retryAfterMs });
}

/** Nothing was taken; it belongs to the leader, if one is known. `leader` 0: none is. */
export function notLeader(group: GroupId, leader: NodeId, leaderAddress: string): RaftlineError {
  const known = leader === 0 ? 'no leader is known' : `node ${leader} leads`;
  return new RaftlineError(ErrorCode.NotLeader, `group ${group}: this node does not lead; ${known}`, {
    leader,
    leaderAddress: leaderAddress === '' ? undefined : leaderAddress,
  });
}

const TRANSFER_REFUSALS = {
  self: 'it leads already',
  notVoter: 'it is no voter of the configuration in force',
  transferring: 'a transfer is under way',
} as const;

export function transferRefused(to: NodeId, reason: keyof typeof TRANSFER_REFUSALS): RaftlineError {
  const message = `transfer to node ${to}: ${TRANSFER_REFUSALS[reason]}`;
  return new RaftlineError(ErrorCode.OptionInvalid, message, { received: to });
}
