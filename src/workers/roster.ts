import type { GroupId, Incarnation, NodeId } from '../base/ids.js';
import type { MemberIncarnation } from '../base/messages.js';

/** Another node that this one keeps links to. */
export interface RosterRow {
  id: NodeId;
  /** `host:port` of its lanes; empty where nobody has said it yet: such a node is not gone to. */
  address: string;
  /** 0: not known yet; then the one counts that was remembered at the first meeting. */
  incarnation: Incarnation;
  /** No member yet: asked whether it is there and who it is, before it is made one. */
  invited: boolean;
}

/** Who was removed, and from which groups. Of others it may be a member, though the log of this node has not come so far. */
export interface Tombstone extends MemberIncarnation {
  groups: GroupId[];
}

/** Whom the network thread is to know, as main says it from the configurations in force: the whole each time. */
export interface Roster {
  /** Everyone but this node; at most `MEMBERS_MAX`. */
  rows: RosterRow[];
  /** This node's own address for peers and clients; empty where it has none that others could use. */
  address: string;
  /** Tombstones of the committed configurations, of those who are in no group as far as this node knows. */
  removed: Tombstone[];
}
