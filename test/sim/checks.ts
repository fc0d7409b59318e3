import type { RaftlineError } from '../../src/base/errors.js';
import { crc32 } from '../../src/codec/checksum.js';
import type { RaftStatus } from '../../src/core/ready.js';
import type { SnapshotMachine } from '../../src/engine/snapshot-store.js';
import { Broken, must } from './broken.js';
import type { History } from './history.js';
import { GROUP, type SimNode } from './node.js';

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
  /** `term/voter` → whom it voted for, ever. */
  readonly #votes = new Map<string, number>();
  readonly #nodes: readonly SimNode[];
  readonly #history: History;

  constructor(nodes: readonly SimNode[], history: History) {
    this.#nodes = nodes;
    this.#history = history;
  }

  /** Looks at what the main thread of `node` has just done. */
  afterTurn(node: SimNode): void {
    const replica = node.turn!.replica(GROUP);
    const { applied } = replica.applier;
    const seen = this.#seen.get(node) ?? { commit: 0, term: 0, role: '', applied: 0, leaderOf: 0 };
    this.#seen.set(node, seen);
    const { commitIndex, term, role } = replica;
    if (seen.commit === commitIndex && seen.term === term && seen.role === role && seen.applied === applied)
      return;
    if (seen.role !== role || seen.term !== term) this.#heardNoNonsense(node);
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
    const { invalidMessages } = node.turn!.replica(GROUP).status();
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
    const { durable } = node;
    const { lastIndex, hardState } = durable.promised;
    this.#seen.delete(node);
    this.#chains.set(node, 0);
    // H49: what is not in the log is in a snapshot.
    must(
      durable.base <= node.snapshots.newest(),
      () =>
        `${node.host}: the log begins behind ${durable.base}, the newest snapshot ends at ${node.snapshots.newest()}`,
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
    const { lastIndex, hardState } = node.durable;
    // Said in a term that was left since, it may be a late word about entries that are gone.
    must(
      hardState.term > term || lastIndex >= match,
      () => `${node.host} acknowledged ${match}, but only ${lastIndex} is durable there`,
    );
  }

  /** A vote, for itself or for another, was put on the wire. H1, H2: durable by then, and one a term, for ever. */
  voted(node: SimNode, term: number, candidate: number): void {
    const voter = node.id;
    const { hardState } = node.durable;
    must(
      hardState.term > term || (hardState.term === term && hardState.vote === candidate),
      () =>
        `${node.host} said that it votes for ${candidate} in term ${term}, durable is ${hardState.term}/${hardState.vote}`,
    );
    const key = `${term}/${voter}`;
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
    if (term <= this.leaderTerm) return;
    this.leaderTerm = term;
    const replica = node.turn!.replica(GROUP);
    const last = this.committed.length - 1;
    for (let index = last; index > Math.max(0, last - 8); index--) {
      if (index < node.durable.base) continue;
      must(
        replica.termAt(index) === this.committed[index],
        () => `${node.host} leads term ${term} without the committed ${index}@${this.committed[index]}`,
      );
    }
  }

  #committedTo(node: SimNode, from: number, to: number): void {
    const replica = node.turn!.replica(GROUP);
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
    const copies = this.#nodes.filter((other) => other.durable.holds(index, term!));
    must(
      copies.length * 2 > this.#nodes.length,
      () =>
        `${node.host} committed ${index}@${term}, durable only on ${copies.map((each) => each.host).join(' ')}`,
    );
  }

  /** What still keeps the cluster from being one again; undefined when it is. */
  notConverged(): string | undefined {
    const down = this.#nodes.find((node) => !node.up);
    if (down !== undefined) return `${down.host} is down`;
    const statuses = this.#nodes.map((node) => node.turn!.replica(GROUP).status());
    const leaders = statuses.filter((status) => status.role === 'leader');
    if (leaders.length !== 1) return `${leaders.length} leaders`;
    const leader = leaders[0]!;
    for (const [at, node] of this.#nodes.entries()) {
      const status = statuses[at]!;
      const { applied } = node.turn!.replica(GROUP).applier;
      this.#heardNoNonsense(node);
      if (status.leader !== leader.id) return `${node.host} follows ${status.leader}, not ${leader.id}`;
      if (status.lastIndex !== leader.lastIndex)
        return `${node.host} ends at ${status.lastIndex}, not ${leader.lastIndex}`;
      if (status.commitIndex !== leader.lastIndex)
        return `${node.host} committed ${status.commitIndex} of ${leader.lastIndex}`;
      if (applied !== leader.lastIndex) return `${node.host} applied ${applied} of ${leader.lastIndex}`;
      if (this.chainOf(node) !== this.chainOf(this.#nodes[0]!))
        throw new Broken('equal logs, unequal states');
      if (sessionsOf(node) !== sessionsOf(this.#nodes[0]!)) throw new Broken('equal logs, unequal sessions');
    }
    return undefined;
  }
}

function sessionsOf(node: SimNode): string {
  return JSON.stringify(node.turn!.replica(GROUP).applier.sessionRecords());
}

/** Whether an engine's end is a fault of the engine: anything but what the simulation does to it. */
export function isFault(error: RaftlineError): boolean {
  const expected = ['RAFTLINE_DISK_FAILED', 'RAFTLINE_DISK_FULL', 'RAFTLINE_THREAD_DIED', 'RAFTLINE_CLOSED'];
  return !expected.includes(error.code);
}
