import { assert } from '../base/assert.js';
import type { LogIndex, NodeId, OrderId, Term } from '../base/ids.js';
import type { Configuration, ConfigurationAt } from '../base/messages.js';
import { isMember, isVoter, type Life, mayMean, membersOf, NO_CONFIGURATION } from './membership.js';
import type { RecoveredState } from './options.js';
import { TermMap } from './term-map.js';

/**
 * The log without its bytes: the term of every entry, the configurations in it, and how far the disk and the cluster
 * have got with it. Rules: base ≤ commit ≤ last; durable ≤ last; the committed part never changes. Commit may be
 * ahead of durable, when others were faster than the own disk.
 */
export class RaftLog {
  readonly #terms: TermMap;
  /** The last committed configuration and all later ones, ascending by index. */
  #configurations: ConfigurationAt[];
  #commitIndex: LogIndex;
  #durableIndex: LogIndex;
  #durableOrder: OrderId = 0;
  /** Log writes that are not durable yet, in order, each with the last entry of it that is still in the log. */
  readonly #pending: { order: OrderId; lastIndex: LogIndex }[] = [];

  constructor(recovered: RecoveredState) {
    this.#terms = new TermMap(recovered.base, recovered.termRuns, recovered.lastIndex);
    this.#configurations = [...recovered.configurations];
    this.#commitIndex = recovered.commitIndex;
    this.#durableIndex = recovered.lastIndex;
    assert(recovered.commitIndex >= recovered.base.index, 'recovered base ≤ commit');
    assert(recovered.commitIndex <= recovered.lastIndex, 'recovered commit ≤ last');
    this.#forgetOldConfigurations();
  }

  get baseIndex(): LogIndex {
    return this.#terms.baseIndex;
  }

  get lastIndex(): LogIndex {
    return this.#terms.lastIndex;
  }

  get lastTerm(): Term {
    return this.#terms.lastTerm;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  /** Every entry up to here is on this node's disk as it stands in this log. */
  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  get durableOrder(): OrderId {
    return this.#durableOrder;
  }

  /** The last committed configuration and all later ones, ascending; empty before the first. */
  get configurations(): readonly ConfigurationAt[] {
    return this.#configurations;
  }

  /** The configuration in force: the latest in the log, committed or not (Raft §6). */
  get configuration(): ConfigurationAt {
    return this.#configurations.at(-1) ?? NO_CONFIGURATION;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#terms.termAt(index);
  }

  /** See `TermMap.lastAtMost`. */
  lastAtMost(index: LogIndex, term: Term): LogIndex {
    return this.#terms.lastAtMost(index, term);
  }

  /** Whether (term, index) is further than this log's end: the last term decides, then the length (Raft §5.4.1). */
  isBehind(term: Term, index: LogIndex): boolean {
    return term > this.lastTerm || (term === this.lastTerm && index > this.lastIndex);
  }

  /**
   * Member of the committed configuration or of a later one in this log. Not only of the latest: that one may yet be
   * rolled back, and then by a leader whom it leaves out.
   */
  knows(id: NodeId): boolean {
    return this.#configurations.some((at) => isMember(at.configuration, id));
  }

  /**
   * Whether `id` votes in the committed configuration or in a later one. Who is left out by an entry that is not known to
   * be committed may be the only one that holds it, and must be able to lead until it is. A configuration that means another life
   * is about somebody else, who had this id before (H61).
   */
  mayLead(life: Life): boolean {
    return this.#configurations.some(
      ({ configuration }) => isVoter(configuration, life.id) && mayMean(configuration, life),
    );
  }

  /** All whom `knows` knows, each once. */
  get members(): Set<NodeId> {
    return new Set(this.#configurations.flatMap((at) => membersOf(at.configuration)));
  }

  /** Takes in the batch that `order` writes. */
  append(order: OrderId, term: Term, count: number, configuration: Configuration | undefined): void {
    this.#terms.append(term, count);
    this.#pending.push({ order, lastIndex: this.lastIndex });
    if (configuration !== undefined) {
      this.#configurations.push({ index: this.lastIndex, term, configuration });
    }
  }

  /**
   * Everything from `from` on goes, with the configurations in it (E9). Writes of it that are still on their way to
   * the disk say nothing about what takes its place (H32).
   */
  truncate(from: LogIndex): void {
    assert(from > this.#commitIndex, 'a committed entry is never truncated');
    this.#terms.truncate(from);
    this.#durableIndex = Math.min(this.#durableIndex, from - 1);
    for (const write of this.#pending) write.lastIndex = Math.min(write.lastIndex, from - 1);
    while ((this.#configurations.at(-1)?.index ?? 0) >= from) this.#configurations.pop();
  }

  /** Every order up to this one is on disk. */
  markDurable(order: OrderId): void {
    if (order <= this.#durableOrder) return;
    this.#durableOrder = order;
    let done = 0;
    for (const write of this.#pending) {
      if (write.order > order) break;
      this.#durableIndex = Math.max(this.#durableIndex, write.lastIndex);
      done += 1;
    }
    this.#pending.splice(0, done);
  }

  /** Moves the commit index forward, never back. */
  maybeCommit(index: LogIndex): boolean {
    if (index <= this.#commitIndex) return false;
    assert(index <= this.lastIndex, 'commit ≤ last');
    this.#commitIndex = index;
    this.#forgetOldConfigurations();
    return true;
  }

  /** The engine dropped everything up to `index`. */
  compact(index: LogIndex): void {
    assert(
      index <= this.#commitIndex && index <= this.#durableIndex,
      'only what is committed and durable goes',
    );
    if (index > this.baseIndex) this.#terms.compact(index);
  }

  /**
   * A snapshot takes the place of everything up to its index; `order` writes that down. Returns whether the entries
   * behind it stay: they do where the log holds the entry that the snapshot ends with.
   */
  installSnapshot(
    order: OrderId,
    last: { index: LogIndex; term: Term },
    configuration: ConfigurationAt,
  ): boolean {
    const keepsSuffix = this.termAt(last.index) === last.term;
    const later = keepsSuffix ? this.#configurations.filter((at) => at.index > last.index) : [];
    this.#configurations = [configuration, ...later];
    if (keepsSuffix) {
      this.#terms.compact(last.index);
    } else {
      // What was committed is part of the snapshot; nothing else of the old log says anything about the new one.
      const agreed = this.#commitIndex;
      this.#durableIndex = Math.min(this.#durableIndex, agreed);
      for (const write of this.#pending) write.lastIndex = Math.min(write.lastIndex, agreed);
      this.#terms.reset(last.index, last.term);
    }
    this.#pending.push({ order, lastIndex: last.index });
    this.#commitIndex = last.index;
    return keepsSuffix;
  }

  #forgetOldConfigurations(): void {
    while ((this.#configurations[1]?.index ?? Number.POSITIVE_INFINITY) <= this.#commitIndex) {
      this.#configurations.shift();
    }
  }
}
