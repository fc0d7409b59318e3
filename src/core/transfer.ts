import type { NodeId } from '../base/ids.js';
import { isJoint } from './membership.js';
import { type RaftState, sendTermOnly } from './raft-state.js';
import type { TransferRefusal } from './ready.js';
import { becomeFollower } from './transitions.js';

/**
 * Begins to hand leadership over (dissertation §3.10). Until it ends no proposal is taken, so that the target can catch up;
 * it ends with a higher term, or without effect after `electionTicksMax` (H14, H15).
 */
export function startTransfer(state: RaftState, to: NodeId): 'started' | TransferRefusal {
  const { role, id, leader } = state;
  if (role !== 'leader') return { refused: 'notLeader', leader };
  if (to === id) return { refused: 'self', leader };
  if (state.transfer !== undefined) return { refused: 'transferring', leader };
  if (!state.configuration.voters.includes(to)) return { refused: 'notVoter', leader };
  beginTransfer(state, to);
  return 'started';
}

export function beginTransfer(state: RaftState, target: NodeId): void {
  state.transfer = { target, elapsed: 0, ordered: false };
  maybeOrderElection(state);
}

/**
 * Sends the order, once, when the target holds all that this leader has: no other log is needed to win. Not in a joint configuration: its
 * way out is the one entry that a leader still appends by itself, and the target would be behind it (H14).
 */
export function maybeOrderElection(state: RaftState): void {
  const { transfer, progress, log } = state;
  if (transfer === undefined || transfer.ordered || isJoint(state.configuration)) return;
  const target = progress.get(transfer.target);
  if (target?.state !== 'replicate' || target.match !== log.lastIndex) return;
  transfer.ordered = true;
  // From here on somebody may be elected whom no lease holds back, at whatever time the order arrives.
  state.leaseForfeited = true;
  sendTermOnly(state, { type: 'timeoutNow', to: transfer.target });
}

/** A transfer that takes too long is given up; a leader that is a voter no longer gives up leading as well (H58). */
export function tickTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer === undefined) return;
  transfer.elapsed += 1;
  if (transfer.elapsed < state.options.electionTicksMax) return;
  state.transfer = undefined;
  if (state.removed) becomeFollower(state, state.term, 0);
}
