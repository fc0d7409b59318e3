import type { LogIndex, NodeId } from '../base/ids.js';
import type { ConfigurationAt } from '../base/messages.js';
import { isWellFormed } from './membership.js';
import { flushHardState, noteLeader, type RaftState } from './raft-state.js';
import { askForSnapshot, probeAt } from './replication.js';
import { becomeFollower } from './transitions.js';

/**
 * A snapshot from a leader is complete on this node's disk. One that is not ahead of what is committed here is passed over
 * (E6, H46). Where the log holds the snapshot's last entry, what follows it stays; otherwise all of it goes (Raft §7, H47).
 * The configuration is the one of the snapshot's index (H51).
 */
export function installSnapshot(
  state: RaftState,
  snapshot: { index: LogIndex; term: number; configuration: ConfigurationAt },
): void {
  const { log, outbox } = state;
  const { index, term, configuration } = snapshot;
  if (state.role === 'leader' || index <= log.commitIndex) return;
  if (configuration.index > index || !isWellFormed(configuration.configuration)) {
    state.invalidMessages += 1;
    return;
  }
  if (term > state.term) becomeFollower(state, term, 0);
  flushHardState(state);
  const id = outbox.nextOrder();
  const keepsSuffix = log.installSnapshot(id, { index, term }, configuration);
  state.followed.match = Math.min(state.followed.match, log.lastIndex);
  outbox.orders.push({ id, type: 'snapshot', index, term, keepsSuffix, configuration });
}

/** Part of a snapshot came from this term's leader: contact as good as a heartbeat (H53). */
export function noteSnapshotChunk(state: RaftState, from: NodeId, term: number): void {
  if (state.leader === from && state.term === term && state.role !== 'leader') noteLeader(state);
}

/**
 * How sending a snapshot ended. A sent one proves nothing yet: the follower is asked where it stands. After a failure it is
 * offered again once the follower is heard, or an election timeout after the last offer.
 */
export function handleSnapshotResult(state: RaftState, peer: NodeId, index: LogIndex, ok: boolean): void {
  const progress = state.progress.get(peer);
  if (progress?.state !== 'snapshot') return;
  progress.snapshotWanted = false;
  if (!ok) return;
  if (index >= state.log.baseIndex && index <= state.log.lastIndex) probeAt(state, progress, index);
  else askForSnapshot(state, progress);
}

/**
 * The engine dropped the log up to `index`, which is applied, durable and in a snapshot. Followers that need what is
 * gone get a snapshot (A4, H48).
 */
export function handleCompacted(state: RaftState, index: LogIndex): void {
  state.log.compact(index);
  for (const progress of state.progress.values()) {
    if (progress.state !== 'snapshot' && progress.next <= index) askForSnapshot(state, progress);
  }
}
