import { RaftlineError } from '../base/errors.js';
import type { LogIndex, Term } from '../base/ids.js';
import {
  type BatchHeader,
  BatchKind,
  type ConfigurationAt,
  type HardState,
  lastIndexOf,
} from '../base/messages.js';
import { loadCompression } from '../codec/compression.js';
import { decodeConfiguration } from '../codec/configuration.js';
import { decodePayload } from '../codec/encoder.js';
import { EntryCursor } from '../codec/entries.js';

/** A run of entries of one term: its first index; it ends where the next one begins. */
export interface TermRun {
  term: Term;
  firstIndex: LogIndex;
}

/** A configuration and the bytes of its entry, which checkpoints repeat. */
export interface StoredConfiguration extends ConfigurationAt {
  bytes: Buffer;
}

/**
 * From here on the log begins behind (index, term): a snapshot holds what came before. With `keepsSuffix` the log has that
 * entry, and what follows it stays (compaction, and Raft §7 rule 6); without, all of the log goes (rule 7).
 */
export interface SnapshotMark {
  index: LogIndex;
  term: Term;
  keepsSuffix: boolean;
  /** The one in force at `index`. */
  configuration: StoredConfiguration;
}

/**
 * What the records of one group add up to. Recovery and the writer run every record through the same methods; each
 * returns what is wrong with the record, or undefined when it follows from what came before, and changes nothing in
 * the first case.
 */
export class GroupLog {
  hardState: HardState = { term: 0, vote: 0 };
  /** What lies before the log: the entry at `base.index` and all below are no longer in it. */
  base: { index: LogIndex; term: Term } = { index: 0, term: 0 };
  lastIndex: LogIndex = 0;
  lastTerm: Term = 0;
  /** Terms and first indexes both grow; covers base.index + 1 … lastIndex. */
  termRuns: TermRun[] = [];
  /** Every configuration in the log and the one in force at its base, by growing index. */
  configurations: StoredConfiguration[] = [];

  append(header: BatchHeader, batch: Buffer): string | undefined {
    if (header.firstIndex !== this.lastIndex + 1) {
      return `a batch begins at index ${header.firstIndex} where ${this.lastIndex + 1} was expected`;
    }
    if (header.prevTerm !== this.lastTerm || header.term < this.lastTerm) {
      return `a batch of term ${header.term} after ${header.prevTerm} follows an entry of term ${this.lastTerm}`;
    }
    const { term, firstIndex } = header;
    if (header.kind === BatchKind.Configuration) {
      const bytes = entryOf(batch, header);
      const stored = bytes === undefined ? undefined : storedConfiguration(firstIndex, term, bytes);
      if (stored === undefined) return `the configuration at index ${firstIndex} cannot be read`;
      this.configurations.push(stored);
    }
    if (term !== this.lastTerm || this.termRuns.length === 0) this.termRuns.push({ term, firstIndex });
    this.lastIndex = lastIndexOf(header);
    this.lastTerm = term;
    return undefined;
  }

  truncate(from: LogIndex): string | undefined {
    if (!(from > this.base.index && from <= this.lastIndex)) {
      return `a truncation from index ${from} of a log of ${this.base.index + 1} to ${this.lastIndex}`;
    }
    while ((this.termRuns.at(-1)?.firstIndex ?? 0) >= from) this.termRuns.pop();
    while ((this.configurations.at(-1)?.index ?? 0) >= from) this.configurations.pop();
    this.lastIndex = from - 1;
    this.lastTerm = this.termRuns.at(-1)?.term ?? this.base.term;
    return undefined;
  }

  /** Only forward: what lies before the log never comes back (H47). */
  startBehind(mark: SnapshotMark): string | undefined {
    const { index, term, keepsSuffix, configuration } = mark;
    if (!(index > this.base.index && configuration.index <= index)) {
      return `a snapshot mark at index ${index} with the configuration of index ${configuration.index} behind base ${this.base.index}`;
    }
    if (keepsSuffix && this.termAt(index) !== term) {
      return `a snapshot mark that keeps what follows ${index}@${term}, where the log has term ${this.termAt(index)}`;
    }
    const later = keepsSuffix ? this.configurations.filter((at) => at.index > index) : [];
    this.configurations = [configuration, ...later];
    if (keepsSuffix) this.forgetRuns(index);
    else this.termRuns = [];
    if (!keepsSuffix || index === this.lastIndex) {
      this.lastIndex = index;
      this.lastTerm = term;
    }
    this.base = { index, term };
    return undefined;
  }

  /** The term of an entry of the log or of its base; undefined elsewhere. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.base.index) return this.base.term;
    if (!(index > this.base.index && index <= this.lastIndex)) return undefined;
    return this.termRuns.findLast((run) => run.firstIndex <= index)?.term;
  }

  private forgetRuns(index: LogIndex): void {
    if (index === this.lastIndex) {
      this.termRuns = [];
      return;
    }
    while ((this.termRuns[1]?.firstIndex ?? Number.POSITIVE_INFINITY) <= index + 1) this.termRuns.shift();
    const [first] = this.termRuns;
    if (first !== undefined) this.termRuns[0] = { term: first.term, firstIndex: index + 1 };
  }

  /** Terms never go back, and a vote within a term never changes (H1). */
  setHardState(next: HardState): string | undefined {
    const { term, vote } = this.hardState;
    if (next.term < term || (next.term === term && vote !== 0 && next.vote !== vote)) {
      return `hard state (term ${next.term}, vote ${next.vote}) after (term ${term}, vote ${vote})`;
    }
    this.hardState = { term: next.term, vote: next.vote };
    return undefined;
  }
}

/** undefined where the bytes are not a configuration. */
export function storedConfiguration(
  index: LogIndex,
  term: Term,
  bytes: Buffer,
): StoredConfiguration | undefined {
  return readable(() => ({ index, term, bytes, configuration: decodeConfiguration(bytes) }));
}

/** A copy of the one entry of a batch that is not data. Pure TypeScript does for the few that are compressed. */
function entryOf(batch: Buffer, header: BatchHeader): Buffer | undefined {
  return readable(() => {
    const payload = decodePayload(batch, 0, header, loadCompression('pure'));
    const cursor = new EntryCursor().reset(payload, 0, payload.length, header.count);
    return cursor.next() ? Buffer.from(cursor.bytes()) : undefined;
  });
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof RaftlineError) return undefined;
    throw thrown;
  }
}
