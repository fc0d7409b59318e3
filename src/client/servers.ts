import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { NodeId } from '../base/ids.js';
import { parseAddress } from '../transport/address.js';

/** `{ 1: 'host:port', … }` by node id, or just the addresses. */
export type ServerAddresses = Readonly<Record<number, string>> | readonly string[];

const BACKOFF_MS_MIN = 25;
const BACKOFF_MS_MAX = 250;

/**
 * Which server to try next (C14): the leader that the last one named, else the next in turn. Tries follow each other
 * at once within a round over all servers; between rounds there is a wait that doubles up to a bound. Progress clears it.
 */
export class Servers {
  /** Those that were given, then those that were learnt. */
  #addresses: readonly string[];
  readonly #given: readonly string[];
  readonly #byId = new Map<NodeId, string>();
  #hint: string | undefined;
  /** Position of the server that is tried next when there is no hint. */
  #turn = 0;
  /** Tries since the last progress. */
  #tries = 0;
  /** How many of those followed a hint: two servers that name each other must not be asked for ever without a wait. */
  #hintsFollowed = 0;
  /** Given servers that turned us away since one took us in. */
  readonly #refusals = new Set<string>();

  /** @throws RaftlineError `RAFTLINE_OPTION_INVALID` when there is no server, `RAFTLINE_ADDRESS_INVALID` */
  constructor(addresses: ServerAddresses) {
    if (!isList(addresses)) {
      for (const [id, address] of Object.entries(addresses)) this.#byId.set(Number(id), address);
    }
    this.#addresses = isList(addresses) ? [...addresses] : [...this.#byId.values()];
    if (this.#addresses.length === 0) {
      const expected = 'at least one address';
      throw new RaftlineError(
        ErrorCode.OptionInvalid,
        `option servers: expected ${expected}, received none`,
        { path: 'servers', expected, received: 'none' },
      );
    }
    for (const address of this.#addresses) parseAddress(address);
    this.#given = this.#addresses;
  }

  /**
   * A server named the leader. The address that our own user gave for that id goes before the one that was told; one that is
   * none is no hint.
   */
  follow(leader: NodeId, leaderAddress: string): void {
    this.#hint = this.#byId.get(leader) ?? (isAddress(leaderAddress) ? leaderAddress : undefined);
  }

  /** The members are these now: every server that was given may be gone some day. What was given is still tried. */
  learn(members: readonly { id: NodeId; address: string }[]): void {
    const learnt = members.filter(({ id }) => !this.#byId.has(id)).map(({ address }) => address);
    this.#addresses = [...new Set([...this.#given, ...learnt.filter(isAddress)])];
    this.#turn %= this.#addresses.length;
  }

  /** Every address that may be tried. */
  get all(): readonly string[] {
    return this.#addresses;
  }

  /** How long to wait before the next try, ms. */
  delayMs(): number {
    const servers = this.#addresses.length;
    if (this.#hint !== undefined && this.#hintsFollowed < servers) return 0;
    if (this.#tries === 0 || this.#tries % servers !== 0) return 0;
    const rounds = Math.min(this.#tries / servers, 16);
    return Math.min(BACKOFF_MS_MIN * 2 ** (rounds - 1), BACKOFF_MS_MAX);
  }

  /** The address to try now. */
  next(): string {
    this.#tries++;
    const hint = this.#hint;
    this.#hint = undefined;
    if (hint !== undefined) this.#hintsFollowed++;
    const address = hint ?? this.#addresses[this.#turn]!;
    const at = this.#addresses.indexOf(address);
    if (at >= 0) this.#turn = (at + 1) % this.#addresses.length;
    return address;
  }

  /**
   * The server at `address` says that we do not belong to its cluster, or do not speak its protocol. True once most of the
   * given servers say so and none disagrees: those that are left could commit nothing, so trying them again helps nobody.
   */
  turnedAway(address: string): boolean {
    if (this.#given.includes(address)) this.#refusals.add(address);
    if (this.#refusals.size * 2 <= this.#addresses.length) return false;
    this.#refusals.clear();
    return true;
  }

  /** A server took us in. */
  welcomed(): void {
    this.#refusals.clear();
  }

  /** A server did what was asked. */
  progressed(): void {
    this.#tries = 0;
    this.#hintsFollowed = 0;
  }
}

function isList(addresses: ServerAddresses): addresses is readonly string[] {
  return Array.isArray(addresses);
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}
