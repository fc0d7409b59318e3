import type { Entry, ToyNode } from './cluster-node.js';

/** Raft's promises (figure 3), looked at after every step of a toy cluster. Throws at the first one broken. */
export class ClusterChecks {
  /** Term → its leader. */
  readonly leaders = new Map<number, number>();
  /** Term → how much was committed when its leader was last looked at. */
  readonly #leaderSaw = new Map<number, number>();
  /** What was ever committed, index 1 at place 0. */
  readonly committed: Entry[] = [];
  /** Term and index in one number → the one entry that may ever be there, and the term before it. */
  readonly #created = new Map<number, { entry: Entry; prevTerm: number }>();

  constructor(readonly nodes: readonly ToyNode[]) {}

  /** `node` is the only one that changed. */
  check(node: ToyNode): void {
    if (!node.up) return;
    const status = node.raft.status();
    must(status.invalidMessages === 0, `node ${node.id} was sent nonsense`);
    must(status.lastIndex === node.log.length, 'the core knows its log');
    this.#checkLog(node);
    this.#checkDurable(node, status.durableIndex);
    if (status.role === 'leader') this.#checkLeader(node, status.term);
    this.#checkCommit(node);
  }

  #checkLog(node: ToyNode): void {
    for (let i = node.log.length - 1; i >= 0; i--) {
      const entry = node.log[i] as Entry;
      const prevTerm = node.log[i - 1]?.term ?? 0;
      const key = entry.term * 1e6 + i + 1;
      const known = this.#created.get(key);
      must(i < node.base || node.raft.termAt(i + 1) === entry.term, 'the core knows its terms');
      if (known === undefined) this.#created.set(key, { entry, prevTerm });
      else {
        must(known.entry.header === entry.header && known.prevTerm === prevTerm, `log matching at ${i + 1}`);
        // What is further down was looked at when it came.
        if (node.log.length - i > 16) return;
      }
    }
  }

  #checkDurable(node: ToyNode, durableIndex: number): void {
    for (let i = Math.max(0, durableIndex - 8); i < durableIndex; i++) {
      must(node.disk.entries[i]?.header === node.log[i]?.header, `durable at ${i + 1} on node ${node.id}`);
    }
  }

  #checkLeader(node: ToyNode, term: number): void {
    const known = this.leaders.get(term);
    must(known === undefined || known === node.id, `two leaders in term ${term}: ${known} and ${node.id}`);
    this.leaders.set(term, node.id);
    // A leader only appends: looked at once as it is elected, and again when older terms commit behind its back.
    if (known === node.id && this.#leaderSaw.get(term) === this.committed.length) return;
    this.#leaderSaw.set(term, this.committed.length);
    for (const [i, entry] of this.committed.entries()) {
      if (entry.term > term) break;
      must(node.log[i]?.header === entry.header, `leader ${node.id} of ${term} lacks committed ${i + 1}`);
    }
  }

  #checkCommit(node: ToyNode): void {
    const known = Math.min(node.commitIndex, this.committed.length);
    for (let i = Math.max(0, known - 8); i < known; i++) {
      must(
        node.log[i]?.header === this.committed[i]?.header,
        `node ${node.id} committed another entry at ${i + 1}`,
      );
    }
    for (let i = known; i < node.commitIndex; i++) {
      const entry = node.log[i] as Entry;
      const holds = (id: number) => this.nodes[id - 1]?.disk.entries[i]?.header === entry.header;
      // Who leaves a joint configuration in the same step has counted in both halves, the new one among them.
      const { voters, votersOutgoing } = node.raft.status().configuration.configuration;
      for (const half of [voters, votersOutgoing].filter(({ length }) => length > 0)) {
        const copies = half.filter(holds).length;
        must(copies > half.length / 2, `${i + 1} committed on ${copies} durable copies of ${half.length}`);
      }
      this.committed.push(entry);
    }
  }

  /** After everything was healed. */
  checkConverged(): string | undefined {
    const leading = this.nodes.filter((node) => node.raft.status().role === 'leader');
    if (leading.length !== 1) return `${leading.length} leaders`;
    const leader = leading[0] as ToyNode;
    if (leader.raft.status().transferTo !== 0) return `${leader.id} is handing over`;
    const at = leader.raft.status().configuration;
    const { voters, votersOutgoing, learners } = at.configuration;
    if (votersOutgoing.length > 0) return 'joint for ever';
    for (const node of this.nodes) {
      if (!voters.includes(node.id) && !learners.includes(node.id)) continue;
      if (node.reads.size > 0) return `a read waits on node ${node.id}`;
      const same =
        node.log.length === leader.log.length && node.log.every((e, i) => e.header === leader.log[i]?.header);
      if (!same) return `node ${node.id} has another log than ${leader.id}`;
      if (node.commitIndex !== leader.log.length)
        return `node ${node.id} committed ${node.commitIndex} of ${leader.log.length}`;
    }
    return undefined;
  }
}

function must(holds: boolean, promise: string): void {
  if (!holds) throw new Error(promise);
}
