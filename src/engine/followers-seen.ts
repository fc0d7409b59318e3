import type { LogIndex, NodeId } from '../base/ids.js';

/** What the window to one follower has come to: messages that may be in flight, and the shortest times of late, ms. */
export interface FlowSeen {
  depth: number;
  roundTripMs: number;
  /** Until it was durable there. */
  durableMs: number;
}

const NOTHING_SEEN = { applied: 0, depth: 0, roundTripMs: 0, durableMs: 0 };

/** What a leader last heard of its followers beside what its core goes by; forgotten with its leadership. */
export class FollowersSeen {
  readonly #seen = new Map<NodeId, FlowSeen & { applied: LogIndex }>();

  /** `applied`: what it says that its state machine has taken. */
  note(follower: NodeId, seen: FlowSeen & { applied: LogIndex }): void {
    this.#seen.set(follower, seen);
  }

  of(follower: NodeId): FlowSeen & { applied: LogIndex } {
    return this.#seen.get(follower) ?? NOTHING_SEEN;
  }

  forget(): void {
    this.#seen.clear();
  }
}
