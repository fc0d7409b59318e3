import { ErrorCode, type RaftlineError } from '../base/errors.js';
import type { GroupId, Incarnation, LogIndex, NodeId } from '../base/ids.js';
import type { Configuration, ConfigurationAt, MemberIncarnation } from '../base/messages.js';
import type { Roster, RosterRow, Tombstone } from '../workers/roster.js';
import type { StoreFacts } from '../workers/settings.js';
import type { Hub } from './hub.js';

/** What the book reads of a replica. */
export interface Membership {
  readonly group: GroupId;
  readonly commitIndex: LogIndex;
  /** The last committed configuration and every later one; empty before the first. */
  readonly configurations: readonly ConfigurationAt[];
}

export interface PeerBookParts {
  self: NodeId;
  /** Where others reach this node; empty where that is not known. */
  address: string;
  /** The addresses of the options: they hold for whom no configuration names one. */
  hints: ReadonlyMap<NodeId, string>;
  facts: StoreFacts;
  hub: Hub;
  replicas: ReadonlyMap<GroupId, Membership>;
}

/** What became of an invitation so far. */
export type Greeting =
  | { state: 'waiting'; reason: string }
  | { state: 'met'; incarnation: Incarnation }
  | { state: 'refused'; error: PeerEvent };

/** What the network thread tells of an outgoing link. */
export interface PeerEvent {
  id: NodeId;
  lane: 'control' | 'append';
  up: boolean;
  /** Who answered; 0 where the link is down. */
  incarnation: Incarnation;
  /** Where the link leads. */
  address: string;
  code: RaftlineError['code'] | '';
  message: string;
}

/**
 * Who the other nodes are, over all groups: the configurations in force say whom to keep links to and where, the options give
 * the first hints. Whenever that changes, the network thread is told.
 */
export class PeerBook {
  readonly #parts: PeerBookParts;
  readonly #incarnations: Map<NodeId, Incarnation>;
  /** The newest word on each control link. */
  readonly #links = new Map<NodeId, PeerEvent>();
  readonly #invited = new Map<NodeId, string>();
  #told = '';

  constructor(parts: PeerBookParts) {
    this.#parts = parts;
    this.#incarnations = new Map(parts.facts.peers.map(({ id, incarnation }) => [id, incarnation]));
    this.#incarnations.set(parts.self, parts.facts.incarnation);
  }

  /** Where a node is reached; empty where nobody knows. */
  addressOf(id: NodeId): string {
    for (const { configurations } of this.#parts.replicas.values()) {
      for (let at = configurations.length - 1; at >= 0; at--) {
        const known = configurations[at]!.configuration.addresses?.find((member) => member.id === id);
        if (known !== undefined) return known.address;
      }
    }
    return id === this.#parts.self ? this.#parts.address : (this.#parts.hints.get(id) ?? '');
  }

  /** With which incarnation a node was met last; 0: never. */
  incarnationOf(id: NodeId): Incarnation {
    return this.#incarnations.get(id) ?? 0;
  }

  noteLink(event: PeerEvent): void {
    if (event.lane !== 'control') return;
    this.#links.set(event.id, event);
    if (event.up && !this.#invited.has(event.id)) this.#incarnations.set(event.id, event.incarnation);
  }

  /** Opens links to a node that is no member yet, or tries a member's new address. */
  invite(id: NodeId, address: string): void {
    if (this.#invited.get(id) === address) return;
    if (this.#links.get(id)?.up !== true) this.#links.delete(id);
    this.#invited.set(id, address);
    this.update();
  }

  uninvite(id: NodeId): void {
    if (this.#invited.delete(id)) this.update();
  }

  greeting(id: NodeId): Greeting {
    const link = this.#links.get(id);
    if (link === undefined || link.address !== this.#invited.get(id))
      return { state: 'waiting', reason: 'no answer yet' };
    if (link.up) return { state: 'met', incarnation: link.incarnation };
    if (isRefusal(link)) return { state: 'refused', error: link };
    return { state: 'waiting', reason: link.message };
  }

  /** Where the link to a node leads, if it is up; else empty. */
  connectedAt(id: NodeId): string {
    const link = this.#links.get(id);
    return link?.up === true ? link.address : '';
  }

  /** Why a node is not listened to, or does not listen, where it is that and no trouble with the line. */
  refusal(id: NodeId): PeerEvent | undefined {
    const link = this.#links.get(id);
    return link !== undefined && !link.up && isRefusal(link) ? link : undefined;
  }

  /** Tells the network thread whom to know, if that has changed. */
  update(): void {
    const next = this.#roster();
    const roster = JSON.stringify(next);
    if (roster === this.#told) return;
    this.#told = roster;
    // Links of who is gone are closed without a word.
    for (const id of this.#links.keys()) if (!next.rows.some((row) => row.id === id)) this.#links.delete(id);
    this.#parts.hub.command({ type: 'roster', body: Buffer.from(roster) });
    this.#parts.hub.wake();
  }

  #roster(): Roster {
    return { rows: this.#rows(), address: this.addressOf(this.#parts.self), removed: this.#removed() };
  }

  #rows(): RosterRow[] {
    const rows = new Map<NodeId, RosterRow>();
    for (const { configurations } of this.#parts.replicas.values()) {
      for (const { configuration } of configurations) {
        for (const id of idsOf(configuration)) {
          const incarnation = configuration.incarnations.find((member) => member.id === id)?.incarnation ?? 0;
          // Asked for once a member and not once a group: to find it takes a look at every group.
          const address = rows.get(id)?.address ?? this.addressOf(id);
          rows.set(id, { id, address, incarnation, invited: false });
        }
      }
    }
    for (const [id, address] of this.#invited) {
      const member = rows.get(id);
      rows.set(
        id,
        member === undefined ? { id, address, incarnation: 0, invited: true } : { ...member, address },
      );
    }
    rows.delete(this.#parts.self);
    return [...rows.values()].sort((a, b) => a.id - b.id);
  }

  /** Only what is committed counts: an uncommitted removal may yet be undone. */
  #removed(): Tombstone[] {
    const removed = new Map<string, Tombstone>();
    for (const { group, configurations, commitIndex } of this.#parts.replicas.values()) {
      const [committed] = configurations;
      if (committed === undefined || committed.index > commitIndex) continue;
      for (const gone of committed.configuration.removed ?? []) {
        const key = `${gone.id} ${gone.incarnation}`;
        removed.set(key, { ...gone, groups: [...(removed.get(key)?.groups ?? []), group] });
      }
    }
    return [...removed.values()].filter((gone) => !this.#isMember(gone));
  }

  /** Removed from one group, but not from another, which may not know yet as whom it came (0): it is still one of us. */
  #isMember({ id, incarnation }: MemberIncarnation): boolean {
    return [...this.#parts.replicas.values()].some(({ configurations }) =>
      configurations.some(
        ({ configuration }) =>
          idsOf(configuration).includes(id) &&
          configuration.incarnations.every(
            (member) => member.id !== id || member.incarnation === 0 || member.incarnation === incarnation,
          ),
      ),
    );
  }
}

function isRefusal({ code }: PeerEvent): boolean {
  return code === ErrorCode.HandshakeRefused || code === ErrorCode.MemberRemoved;
}

function idsOf({ voters, votersOutgoing, learners }: Configuration): NodeId[] {
  return [...voters, ...votersOutgoing, ...learners];
}
