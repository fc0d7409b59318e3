import type { GroupStatus } from '../engine/status.js';

/** How deep a group's pipeline was at a moment; what 'auto' chose, where it chooses. */
export interface DepthNow {
  /** Batches that might be uncommitted. */
  batches: number;
  /** Messages that might be in flight, by follower. */
  messages: number[];
}

/** Of a group, by the node that leads it. */
export function depthOf(group: GroupStatus | undefined): { depth?: DepthNow } {
  if (group?.role !== 'leader') return {};
  const messages = group.followers.map(({ pipeline }) => pipeline.depthNow);
  return { depth: { batches: group.pipeline.depthNow, messages } };
}
