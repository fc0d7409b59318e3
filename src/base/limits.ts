/**
 * Hard limits of the formats. Options move within them; a number from outside beyond them is refused before
 * anything is allocated (security promises S4, S5).
 */

/** Version of the batch format. A node reads every version up to its own. */
export const FORMAT_VERSION = 1;
/** Version of the handshake and the envelopes. */
export const PROTOCOL_VERSION = 1;

/** Largest entry that an option may allow, bytes. */
export const ENTRY_BYTES_CEILING = 64 * 1024 * 1024;
/** Largest raw payload of one batch, bytes: a largest entry with its packing. */
export const BATCH_RAW_BYTES_CEILING = ENTRY_BYTES_CEILING + 64;
/** Entries that a remote client puts into one message, unless one alone is larger, bytes; every server takes so many. */
export const PROPOSE_BYTES_MAX = 256 * 1024;
/** Most entries in one batch. */
export const BATCH_ENTRIES_CEILING = 1 << 20;
/** What stands in a message around the payload of a batch, at most: its head and an envelope. */
export const ENVELOPE_BYTES_MAX = 64 * 1024;
/** Largest message on any stream, bytes: a largest batch, its head and an envelope. */
export const MESSAGE_BYTES_CEILING = BATCH_RAW_BYTES_CEILING + ENVELOPE_BYTES_MAX;
/** Largest handshake or control message, bytes. */
export const CONTROL_MESSAGE_BYTES_MAX = 64 * 1024;
/** Most groups on a node. */
export const HOSTED_GROUPS_MAX = 1024;
/** Most members in a configuration. */
export const MEMBERS_MAX = 64;
/** Removed members that a configuration remembers; the one that went first is forgotten first. */
export const TOMBSTONES_MAX = 256;
/** Longest JSON in a message, characters. */
export const JSON_CHARS_MAX = 256 * 1024;
/** Longest address of a member, characters. */
export const ADDRESS_CHARS_MAX = 256;
/** Sessions that the replicated session table remembers; the one unused for longest goes first (C12). */
export const SESSION_TABLE_CLIENTS_MAX = 4096;
