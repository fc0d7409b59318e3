import type { RaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import { crc32 } from '../../src/codec/checksum.js';
import type { RaftStatus } from '../../src/core/ready.js';
import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import { Broken, must } from './broken.js';
import { ConfigurationChecks } from './configuration-checks.js';
import type { History } from './history.js';
import { hasLost, tellView } from './member-operator.js';
import type { SimNode } from './node.js';

/** What the last look at a node saw. */
interface Seen {
  commit: number;
  term: number;
  role: string;
  applied: number;
  leaderOf: number;
}

/** An entry that some state machine has taken. */
interface Applied {
  term: number;
  /** Checksum of its bytes. */
  digest: number;
  /** Checksum of all entries up to it: what state machines that took the same entries have in common. */
  chain: number;
}

/** The promises of Raft (figure 3) and of the engine, looked at whenever a node's main thread has run. */
export class Checks {
  /** Terms of the committed entries; index 1 at place 1. */
  readonly committed: number[] = [0];
  /** Term → its leader. */
  readonly leaders = new Map<number, number>();
  /** Newest term that had a leader. */
  leaderTerm = 0;
  readonly #applied: (Applied | undefined)[] = [];
  readonly #chains = new Map<SimNode, number>();
  readonly #seen = new Map<SimNode, Seen>();
  /** `term/voter/incarnation` → whom it voted for, ever. */
  readonly #votes = new Map<string, number>();
  readonly configurations: ConfigurationChecks;
  readonly #group: GroupId;
  readonly #alone: boolean;
  readonly #nodes: readonly SimNode[];
  readonly #history: History;

  /** `alone`: there are no other groups. */
  constructor(group: GroupId, alone: boolean, nodes: readonly SimNode[], history: History) {
    this.#group = group;
    this.#alone = alone;
    this.configurations = new ConfigurationChecks(group);
    this.#nodes = nodes;
    this.#history = history;
  }

  /** Looks at what the main thread of `node` has just done. */
  afterTurn(node: SimNode): void {
    const reconfigured = this.configurations.look(node);
    this.#look(node);
    if (reconfigured) this.configurations.oneAtATime(node, this.committed.length - 1);
  }

  #look(node: SimNode): void {
    const replica = node.replica(this.#group);
    const { applied } = replica.applier;
    const seen = this.#seen.get(node) ?? { commit: 0, term: 0, role: '', applied: 0, leaderOf: 0 };
    this.#seen.set(node, seen);
    const { commitIndex, term, role } = replica;
    if (seen.commit === commitIndex && seen.term === term && seen.role === role && seen.applied === applied)
      return;
    if (seen.role !== role || seen.term !== term) {
      this.#heardNoNonsense(node);
      // H16, H60: a leader that was removed is one until it has handed over.
      const quiet = role === 'follower' || role === 'leader' || !replica.retired;
      must(quiet, () => `${node.host} was removed, knows it, and is ${role} in term ${term}`);
    }
    seen.role = role;
    seen.applied = applied;
    const { durableIndex } = replica;
    must(
      applied <= Math.min(commitIndex, durableIndex),
      () => `${node.host} applied ${applied}, but commit ${commitIndex}, own durable ${durableIndex}`,
    );
    must(term >= seen.term, () => `${node.host} went back from term ${seen.term} to ${term}`);
    seen.term = term;
    if (role === 'leader' && seen.leaderOf !== term) {
      seen.leaderOf = term;
      this.#elected(node, term);
    }
    if (commitIndex > seen.commit) {
      must(replica.termAt(commitIndex) !== undefined, () => `${node.host} committed beyond its log`);
      this.#committedTo(node, seen.commit, commitIndex);
      seen.commit = commitIndex;
    }
  }

  #heardNoNonsense(node: SimNode): void {
    const { invalidMessages } = node.replica(this.#group).status();
    must(invalidMessages === 0, () => `${node.host} was sent nonsense by a correct peer`);
  }

  /** H38: a leader counts as uncommitted what it has proposed, and nothing else. */
  counted(node: SimNode, { uncommittedEntries, commitIndex, lastIndex }: RaftStatus): void {
    must(
      uncommittedEntries <= lastIndex - commitIndex,
      () => `${node.host} counts ${uncommittedEntries} entries as uncommitted, of ${lastIndex - commitIndex}`,
    );
  }

  /** A process has found its log. H1, H31, H76: what was promised is there. */
  recovered(node: SimNode): void {
    const durable = node.durable(this.#group);
    const { lastIndex, hardState } = durable.promised;
    this.#seen.delete(node);
    this.configurations.forget(node);
    this.#chains.set(node, 0);
    // H49: what is not in the log is in a snapshot.
    must(
      durable.base <= node.snapshots.newest(this.#group),
      () =>
        `${node.host}: the log begins behind ${durable.base}, the newest snapshot ends at ${node.snapshots.newest(this.#group)}`,
    );
    const from = Math.max(durable.promised.base, durable.base, lastIndex - 64);
    for (let index = lastIndex; index > from; index--) {
      must(
        durable.termAt(index) === durable.promisedTermAt(index),
        () =>
          `${node.host} lost the durable entry ${index}@${durable.promisedTermAt(index)}: found ${durable.termAt(index)}`,
      );
    }
    const found = durable.hardState;
    const kept =
      found.term > hardState.term ||
      (found.term === hardState.term && (hardState.vote === 0 || found.vote === hardState.vote));
    must(
      kept,
      () =>
        `${node.host} forgot term ${hardState.term} vote ${hardState.vote}: found ${found.term}/${found.vote}`,
    );
  }

  /** H31: an acknowledgement was put on the wire. */
  acknowledged(node: SimNode, term: number, match: number): void {
    const { lastIndex, hardState } = node.durable(this.#group);
    // Said in a term that was left since, it may be a late word about entries that are gone.
    must(
      hardState.term > term || lastIndex >= match,
      () => `${node.host} acknowledged ${match}, but only ${lastIndex} is durable there`,
    );
  }

  /** A vote, for itself or for another, was put on the wire. H1, H2: durable by then, and one a term, for ever. */
  voted(node: SimNode, term: number, candidate: number): void {
    const voter = node.id;
    const { hardState } = node.durable(this.#group);
    must(
      hardState.term > term || (hardState.term === term && hardState.vote === candidate),
      () =>
        `${node.host} said that it votes for ${candidate} in term ${term}, durable is ${hardState.term}/${hardState.vote}`,
    );
    const key = `${term}/${voter}/${node.incarnation}`;
    const known = this.#votes.get(key);
    must(
      known === undefined || known === candidate,
      () => `node ${voter} voted for ${known} and for ${candidate} in term ${term}`,
    );
    this.#votes.set(key, candidate);
  }

  /** The state machine of one life of a node. */
  machineOf(node: SimNode): SnapshotMachine {
    let last = 0;
    return {
      apply: (batch) => {
        let chain = this.#chains.get(node) ?? 0;
        batch.forEach((bytes, index) => {
          chain = this.#take(node, bytes, index, batch.term, chain);
          last = index;
        });
        this.#chains.set(node, chain);
        return undefined;
      },
      takeSnapshot: () => Buffer.from(JSON.stringify({ last, chain: this.chainOf(node) })),
      restoreSnapshot: (state) => {
        const found = JSON.parse(Buffer.from(state).toString()) as { last: number; chain: number };
        must(
          found.last === 0 || this.#applied[found.last]?.chain === found.chain,
          () => `${node.host} restored a state to ${found.last} that nobody had there`,
        );
        ({ last } = found);
        this.#chains.set(node, found.chain);
      },
    };
  }

  /** What stands at `index`, if any state machine has taken it. */
  appliedAt(index: number): Applied | undefined {
    return this.#applied[index];
  }

  chainOf(node: SimNode): number {
    return this.#chains.get(node) ?? 0;
  }

  #take(node: SimNode, bytes: Uint8Array, index: number, term: number, before: number): number {
    const digest = crc32(bytes);
    const chain = (crc32(bytes, (before ^ index) >>> 0) ^ term) >>> 0;
    const known = this.#applied[index];
    if (known === undefined) {
      this.#applied[index] = { term, digest, chain };
      this.#history.applied(bytes, index);
    } else if (known.chain !== chain || known.term !== term) {
      // Thrown from inside the state machine: the node dies of it, and the run ends.
      throw new Broken(
        `${node.host} applied ${index}@${term}, which is not what others applied there (@${known.term})`,
      );
    }
    return chain;
  }

  /** Election safety and leader completeness. */
  #elected(node: SimNode, term: number): void {
    const known = this.leaders.get(term);
    must(
      known === undefined || known === node.id,
      () => `two leaders in term ${term}: ${known} and ${node.id}`,
    );
    this.leaders.set(term, node.id);
    this.#hasVotes(node, term);
    for (const other of this.#nodes) {
      // H15, H67: also where nobody happens to read.
      must(
        other === node || other.turn?.replica(this.#group).leaseHolds !== true,
        () => `${node.host} leads term ${term}, and the lease of ${other.host} holds`,
      );
    }
    if (term <= this.leaderTerm) return;
    this.leaderTerm = term;
    const replica = node.replica(this.#group);
    const last = this.committed.length - 1;
    for (let index = last; index > Math.max(0, last - 8); index--) {
      const own = replica.termAt(index);
      // What it compacted it has applied.
      const isCompacted = own === undefined && index <= replica.applier.applied;
      must(
        isCompacted || own === this.committed[index],
        () => `${node.host} leads term ${term} without the committed ${index}@${this.committed[index]}`,
      );
    }
  }

  /** H3, H4, H61: by a quorum of the voters, each of whom is still the one that the configuration means. */
  #hasVotes(node: SimNode, term: number): void {
    const voted = (id: number): boolean => {
      const voter = this.#nodes.find((each) => each.id === id)!;
      const incarnation = this.configurations.incarnationOf(node, id) || voter.incarnation;
      return id === node.id || this.#votes.get(`${term}/${id}/${incarnation}`) === node.id;
    };
    must(
      this.configurations.isQuorumFor(node, voted),
      () => `${node.host} leads term ${term}, and too few voted for it`,
    );
  }

  #committedTo(node: SimNode, from: number, to: number): void {
    const replica = node.replica(this.#group);
    const { committed } = this;
    const known = committed.length - 1;
    for (let index = from + 1; index <= to; index++) {
      const term = replica.termAt(index);
      if (term === undefined) {
        // In a snapshot: somebody has committed and applied it.
        must(index <= known, () => `${node.host} has a snapshot to ${to}, where ${known} was committed`);
      } else if (index < committed.length) {
        must(
          committed[index] === term,
          () =>
            `${node.host} committed ${index}@${term}, but ${index}@${committed[index]} was committed before`,
        );
      } else {
        committed.push(term);
        this.configurations.committedAt(index, term);
      }
    }
    // The bootstrap entry is committed by decree.
    if (to <= known || to <= 1) return;
    this.#onQuorum(node, to);
    must(
      replica.role !== 'leader' || committed[to] === replica.term,
      () => `${node.host} leads term ${replica.term} and committed ${to}@${committed[to]} by counting`,
    );
  }

  /** H31, H34, H6: committed only on a quorum of durable copies. */
  #onQuorum(node: SimNode, index: number): void {
    const term = this.committed[index];
    const copies = this.#nodes.filter((other) => other.durable(this.#group).holds(index, term!));
    const has = (id: number): boolean => {
      const known = this.configurations.incarnationOf(node, id);
      return this.#nodes.some((other) => other.id === id && other.hasHeld(this.#group, index, term!, known));
    };
    // Who follows may not have the configuration yet by which its leader decided.
    const leads = node.replica(this.#group).leads;
    must(
      leads ? this.configurations.isQuorumFor(node, has) : this.configurations.isQuorumForAny(has),
      () =>
        `${node.host} committed ${index}@${term}, durable only on ${copies.map((each) => each.host).join(' ')}, while in force is ${tellView(node.replica(this.#group).members.view())}`,
    );
  }

  /** What still keeps the cluster from being one again; undefined when it is. */
  notConverged(): string | undefined {
    const leaders = this.#nodes.filter((node) => node.leads(this.#group));
    const [leader] = leaders;
    if (leader === undefined || leaders.length > 1) return `${leaders.length} leaders`;
    const view = leader.replica(this.#group).members.view();
    if (!view.committed || view.votersOutgoing.length > 0) return `in force is ${tellView(view)}`;
    // First the leader, with which the others are compared: its disk may be the last to hold what they have applied.
    for (const node of [leader, ...this.#nodes]) {
      const isMember = view.voters.includes(node.id) || view.learners.includes(node.id);
      const missing =
        isMember && !hasLost(view, node) ? this.#lags(node, leader) : this.#isAbout(node, view.removed);
      if (missing !== undefined) return missing;
    }
    return undefined;
  }

  /** What a member has not yet of what the leader has. */
  #lags(node: SimNode, leader: SimNode): string | undefined {
    const { host } = node;
    if (!node.up) return `${host} is down`;
    this.#heardNoNonsense(node);
    const replica = node.replica(this.#group);
    const status = replica.status();
    const { lastIndex } = leader.replica(this.#group).status();
    if (status.leader !== leader.id) return `${host} follows ${status.leader}, not ${leader.id}`;
    if (status.lastIndex !== lastIndex) return `${host} ends at ${status.lastIndex}, not ${lastIndex}`;
    if (status.commitIndex !== lastIndex) return `${host} committed ${status.commitIndex} of ${lastIndex}`;
    const { applied } = replica.applier;
    if (applied !== lastIndex) return `${host} applied ${applied} of ${lastIndex}`;
    if (this.chainOf(node) !== this.chainOf(leader)) throw new Broken('equal logs, unequal states');
    if (this.#sessionsOf(node) !== this.#sessionsOf(leader)) throw new Broken('equal logs, unequal sessions');
    return undefined;
  }

  /**
   * H60: who was removed and can reach a member learns of it, also where it is still a member for the sake of another group. Whose own log
   * never made it a member, since it was removed before that entry came, has nothing to unlearn: it waits as before.
   */
  #isAbout(node: SimNode, removed: readonly { id: number; incarnation: number }[]): string | undefined {
    const { id, incarnation, host } = node;
    if (!removed.some((gone) => gone.id === id && gone.incarnation === incarnation)) return undefined;
    if (!node.up) return `${host} is down`;
    const { retired, members } = node.replica(this.#group);
    const { voters, votersOutgoing, learners } = members.view();
    // Whom another group keeps is told so only when it asks for votes.
    const mayAsk = [...voters, ...votersOutgoing, ...(this.#alone ? learners : [])];
    if (!mayAsk.includes(id)) return undefined;
    const reaches = voters.some((voter) =>
      this.#nodes.some((other) => other.id === voter && other.leads(this.#group)),
    );
    return retired || !reaches ? undefined : `${host} does not know that it was removed`;
  }

  #sessionsOf(node: SimNode): string {
    return JSON.stringify(node.replica(this.#group).applier.sessionRecords());
  }
}

/** Whether an engine's end is a fault of the engine: anything but what the simulation does to it. */
export function isFault(error: RaftlineError): boolean {
  const expected = ['RAFTLINE_DISK_FAILED', 'RAFTLINE_DISK_FULL', 'RAFTLINE_THREAD_DIED', 'RAFTLINE_CLOSED'];
  return !expected.includes(error.code);
}
