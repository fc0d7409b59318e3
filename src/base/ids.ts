/**
 * The numbers that everything is addressed by. All are plain numbers below 2^53, so that no BigInt is made on
 * the way of a batch; on disk and on the wire the 64-bit ones take eight bytes.
 */

/** A member of the cluster: 1 … 2^32 − 1, given with `--id` and never reused for another data directory. */
export type NodeId = number;

/** A replication group: 1 … 2^32 − 1, never reused within a cluster. */
export type GroupId = number;

/** A leadership period (Raft §5.1). 0 means "before the first term". */
export type Term = number;

/** The position of an entry in its group's log. The first entry is 1; 0 means "before the first entry". */
export type LogIndex = number;

/** A remote client's identity: random, 1 … 2^53 − 1. Names a session in the replicated session table. */
export type ClientId = number;

/** A client's own number for an entry: 1, 2, 3 … without gaps. */
export type Sequence = number;

/**
 * The number of a disk write that was ordered. Grows by one per order of its numbering scope: the core numbers
 * its group's orders, the engine numbers all orders of all groups (that is the number the wal-writer publishes).
 */
export type OrderId = number;

/**
 * The counter of a replication session: (group, peer, term, counter). Grows with every session that a leader
 * opens to a peer within one process life; acknowledgements under an old counter count for nothing.
 */
export type SessionCounter = number;

/** A data directory's random identity, made at its first start: 1 … 2^53 − 1. Tells a wiped node from the old one. */
export type Incarnation = number;

/** The largest number that an id of 64 bits may have here: what a JavaScript number holds exactly. */
export const SAFE_MAX = Number.MAX_SAFE_INTEGER;
export const U32_MAX = 0xffff_ffff;
