import type { LogIndex, NodeId, SessionCounter } from '../base/ids.js';

/** What the window to one follower has come to: messages that may be in flight, and the shortest times of late, ms. */
export interface FlowSeen {
  depth: number;
  roundTripMs: number;
  /** Until it was durable there. */
  durableMs: number;
}

/** `applied`: what the follower says that its state machine has taken. */
interface Seen extends FlowSeen {
  readonly session: SessionCounter;
  readonly applied: LogIndex;
}

const NOTHING_SEEN: Seen = { session: 0, applied: 0, depth: 0, roundTripMs: 0, durableMs: 0 };

/** What a leader last heard of its followers beside what its core goes by; forgotten with its leadership. */
export class FollowersSeen {
  readonly #seen = new Map<NodeId, Seen>();

  /** What a follower has applied goes back in a new session only: it may have been started again since. */
  note(follower: NodeId, seen: Seen): void {
    const before = this.of(follower);
    if (seen.session < before.session) return;
    const applied = seen.session === before.session ? Math.max(before.applied, seen.applied) : seen.applied;
    this.#seen.set(follower, { ...seen, applied });
  }

  of(follower: NodeId): Seen {
    return this.#seen.get(follower) ?? NOTHING_SEEN;
  }

  forget(): void {
    this.#seen.clear();
  }
}
