import type { GroupId } from '../../src/base/ids.js';
import type { Configuration, ConfigurationAt } from '../../src/base/messages.js';
import { must } from './broken.js';
import type { SimNode } from './node.js';

/** A majority of each half that has voters (Raft §6). Written anew, so that it does not err with the engine. */
export function isQuorum(configuration: Configuration, has: (id: number) => boolean): boolean {
  const { voters, votersOutgoing } = configuration;
  return [voters, votersOutgoing].every(
    (half) => half.length === 0 || 2 * half.filter(has).length > half.length,
  );
}

/** What holds of the configurations in the logs of one group, whoever changes them. */
export class ConfigurationChecks {
  /** Every configuration that was seen in a log, by its place. */
  readonly #known = new Map<string, ConfigurationAt>();
  /** What each node had in force when it was looked at last, and since. */
  readonly #inForce = new Map<SimNode, readonly ConfigurationAt[]>();
  readonly #group: GroupId;
  /** In their order. */
  readonly committed: ConfigurationAt[] = [];

  constructor(group: GroupId) {
    this.#group = group;
  }

  /** The main thread of `node` has run. Returns whether it has other configurations now. */
  look(node: SimNode): boolean {
    const { configurations } = node.replica(this.#group);
    const last = configurations.at(-1);
    const before = this.#inForce.get(node)?.at(-1);
    if (last === undefined) return false;
    if (last === before && this.#inForce.get(node)!.length === 1) return false;
    // What was in force before may be gone: rolled back, or a later one was committed.
    const from = before === undefined ? -1 : configurations.indexOf(before);
    const since = configurations.slice(from + 1);
    this.#inForce.set(node, before === undefined ? since : [before, ...since]);
    if (last === before) return false;
    for (const each of configurations) this.#known.set(placeOf(each), each);
    return true;
  }

  /** H55, H63: the next one is not begun before the last one is committed. `committed`: how far the cluster has committed. */
  oneAtATime(node: SimNode, committed: number): void {
    const { configurations } = node.replica(this.#group);
    const open = configurations.filter(({ index }) => index > committed);
    must(open.length <= 1, () => `${node.host} has ${open.length} configurations that are not committed`);
  }

  forget(node: SimNode): void {
    this.#inForce.delete(node);
  }

  /** The cluster has committed the entry of `term` at `index`; called for each in order. */
  committedAt(index: number, term: number): void {
    const next = this.#known.get(`${index}@${term}`);
    if (next === undefined) return;
    const before = this.committed.at(-1);
    this.committed.push(next);
    if (before === undefined) return;
    must(
      quorumsMeet(before.configuration, next.configuration),
      () => `a quorum at ${before.index} and one at ${next.index} have nobody in common`,
    );
  }

  /** Whether those who `have` something are a quorum of a configuration by which `node` may have decided in its last turn. */
  isQuorumFor(node: SimNode, has: (id: number) => boolean): boolean {
    const candidates = this.#inForce.get(node) ?? [];
    return candidates.some(({ configuration }) => isQuorum(configuration, has));
  }

  /** Of whoever decides by a configuration that `node` may not have yet. */
  isQuorumForAny(has: (id: number) => boolean): boolean {
    return [...this.#inForce.keys()].some((node) => this.isQuorumFor(node, has));
  }

  /** As `node` has it now: what its members came as; 0 where that is not known. */
  incarnationOf(node: SimNode, id: number): number {
    const { configurations } = node.replica(this.#group);
    const members = configurations.at(-1)?.configuration.incarnations ?? [];
    return members.find((member) => member.id === id)?.incarnation ?? 0;
  }
}

const placeOf = ({ index, term }: ConfigurationAt): string => `${index}@${term}`;

/** Whether every quorum of one shares a member with every quorum of the other; tried for all sets of members. */
function quorumsMeet(a: Configuration, b: Configuration): boolean {
  const ids = [...new Set([...a.voters, ...a.votersOutgoing, ...b.voters, ...b.votersOutgoing])];
  for (let set = 0; set < 2 ** ids.length; set++) {
    const isInSet = (id: number): boolean => ((set >> ids.indexOf(id)) & 1) === 1;
    if (isQuorum(a, isInSet) && isQuorum(b, (id) => !isInSet(id))) return false;
  }
  return true;
}
