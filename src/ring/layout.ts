/**
 * Where things lie in shared memory. Every word that one thread writes has a 64-byte line of its own, so that two
 * writers never fight over a cache line.
 *
 *   a ring's region (starts on a line)
 *   ┌───────────┬──────────────────────────────────────────────────────────────┐
 *   │ line 0    │ identity: magic, capacity, consumers     written by initRing │
 *   │ line 1    │ published: low, era                      written by producer │
 *   │ line 2    │ claimed up to: low, era                  written by producer │
 *   │ line 3    │ released: low, era                       written by consumer 0│
 *   │ …         │ one line for each further gating consumer                    │
 *   ├───────────┼──────────────────────────────────────────────────────────────┤
 *   │ data      │ `capacity` bytes of records              written by producer │
 *   └───────────┴──────────────────────────────────────────────────────────────┘
 *
 *   a record (starts on 8 bytes, never crosses the end of the data)
 *   ┌──────────────┬─────────────────────────────────┬─────────────┬───────────┐
 *   │ u32 length   │ u32 low(position) + kind        │ payload     │ 0…7 bytes │
 *   └──────────────┴─────────────────────────────────┴─────────────┴───────────┘
 *   Positions are multiples of 8, so the kind (record or padding) lives in the low three bits of the marker. The
 *   rest of the marker names the record's own position: bytes of an earlier lap are never taken for a record.
 *   Padding fills the rest of the data where the next record does not fit in one piece; its length is unused.
 */

/** A cache line: the distance that keeps two writers apart, and the alignment of everything handed out. */
export const LINE_BYTES = 64;
/** 32-bit words in a line. */
export const LINE_WORDS = LINE_BYTES / 4;

/** Lines of a region, counted from its start. */
export const IDENTITY_LINE = 0;
export const PUBLISHED_LINE = 1;
export const CLAIMED_LINE = 2;
export const FIRST_CONSUMER_LINE = 3;

/** Words of the identity line. */
export const MAGIC_WORD = 0;
export const CAPACITY_WORD = 1;
export const CONSUMERS_WORD = 2;
/** What an initialised region's first word holds. */
export const RING_MAGIC = 0x52_49_4e_47;

/** Words of a position's line. */
export const LOW_WORD = 0;
export const ERA_WORD = 1;

/** The smallest and the largest data area, bytes. Twice the largest still fits the signed distance of two positions. */
export const CAPACITY_MIN = 4096;
export const CAPACITY_MAX = 2 ** 30;

export const RECORD_HEADER_BYTES = 8;
export const RECORD_ALIGNMENT = 8;
/** Kinds in the low bits of a record's marker. 0 is none: zeroed memory holds no record. */
export const RECORD_KIND = 1;
export const PADDING_KIND = 2;
