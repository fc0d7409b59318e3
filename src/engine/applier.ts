import { assert } from '../base/assert.js';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { BatchFlag, BatchKind, type ConfigurationAt } from '../base/messages.js';
import { type SessionRecord, SessionTable } from '../base/session-table.js';
import { decodeConfiguration } from '../codec/configuration.js';
import { EntryCursor } from '../codec/entries.js';
import { BatchView } from './committed-batch.js';
import type { StateMachine } from './state-machine.js';
import type { ResultAt, Waiters } from './waiters.js';

/** A committed batch, raw, in one of the rings. */
export interface RawBatch {
  readonly term: Term;
  readonly firstIndex: LogIndex;
  readonly count: number;
  readonly kind: number;
  readonly flags: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** What became of a stretch of a remote client's entries. */
export interface SessionRun {
  client: number;
  firstSequence: number;
  count: number;
  index: LogIndex;
  term: Term;
  outcome: 'applied' | 'duplicate' | 'refused';
  code: ErrorCode | '';
  result: Uint8Array | undefined;
}

/** A batch of which the state machine has had a part. */
interface Begun {
  /** How much of it: entries, and the bytes that they take in the payload. */
  entries: number;
  bytes: number;
  /** The fate of remote clients' entries; undefined: there are none among them. */
  readonly runs: SessionRun[] | undefined;
  /** The state machine's answers by position in the batch; undefined: it gave none. */
  results: (Uint8Array | undefined)[] | undefined;
}

/**
 * Applies committed batches of one group, in log order and each once. Entries of remote clients pass the session
 * table first; what it turns away never reaches the state machine.
 */
export class Applier {
  readonly #group: GroupId;
  readonly #machine: StateMachine;
  #sessions = new SessionTable();
  readonly #view = new BatchView();
  readonly #cursor = new EntryCursor();
  #skipped = new Uint8Array(1024);
  /** The last index applied; everything up to it has been, in order. Always the end of a batch. */
  applied: LogIndex = 0;
  /** Of the batch that follows `applied`. */
  #begun: Begun | undefined;
  /** The configuration in force at `applied`; undefined before the first. */
  configuration: ConfigurationAt | undefined;
  entriesApplied = 0;
  duplicates = 0;

  constructor(group: GroupId, machine: StateMachine) {
    this.#group = group;
    this.#machine = machine;
  }

  /** What the state machine has had: beyond `applied` while it has a part of the batch that follows. */
  get reached(): LogIndex {
    return this.applied + (this.#begun?.entries ?? 0);
  }

  /** The session table as of `applied`, if that is all that was `reached`. */
  sessionRecords(): SessionRecord[] {
    return this.#sessions.records();
  }

  /** Goes on from a snapshot, which is ahead of what was applied; `machine` makes the state machine do so. */
  restore(
    snapshot: { index: LogIndex; configuration: ConfigurationAt; sessions: readonly SessionRecord[] },
    machine: () => void,
  ): void {
    const { index, configuration, sessions } = snapshot;
    assert(index > this.applied, 'a snapshot only ever takes a state machine forward');
    this.#guarded(`the snapshot to index ${index}`, index, machine);
    this.#begun = undefined;
    this.#sessions = SessionTable.from(sessions);
    this.configuration = configuration;
    this.applied = index;
  }

  /**
   * Gives the state machine `entriesMax` more entries of the batch that follows `applied`. With the last of them the batch is applied, and who waits for it
   * is told: then returns the fate of remote clients' entries, else undefined.
   */
  apply(
    batch: RawBatch,
    waiters: Waiters | undefined,
    entriesMax = Number.POSITIVE_INFINITY,
  ): SessionRun[] | undefined {
    assert(batch.firstIndex === this.applied + 1, 'batches are applied in log order, each once');
    let runs: SessionRun[] = [];
    if (batch.kind === BatchKind.Data) {
      this.#begun ??= this.#begin(batch);
      const begun = this.#begun;
      this.#deliver(batch, begun, entriesMax);
      if (begun.entries < batch.count) return undefined;
      this.#begun = undefined;
      const { results } = begun;
      runs = begun.runs ?? [];
      const resultAt: ResultAt = results === undefined ? undefined : (position) => results[position];
      if (resultAt !== undefined) this.#keepResults(runs, batch.firstIndex, resultAt);
      waiters?.resolve(batch.firstIndex, batch.term, resultAt);
    } else if (batch.kind === BatchKind.Configuration) this.configuration = this.#configurationIn(batch);
    this.applied = batch.firstIndex + batch.count - 1;
    return runs;
  }

  #begin(batch: RawBatch): Begun {
    const runs = (batch.flags & BatchFlag.Sessions) !== 0 ? this.#judge(batch) : undefined;
    return { entries: 0, bytes: 0, runs, results: undefined };
  }

  /** Walks the batch past the session table, marks what is turned away, and joins equal fates into runs. */
  #judge(batch: RawBatch): SessionRun[] {
    if (this.#skipped.length < batch.count) this.#skipped = new Uint8Array(batch.count * 2);
    const runs: SessionRun[] = [];
    const cursor = this.#cursor.reset(batch.bytes, batch.start, batch.end, batch.count);
    while (cursor.next()) {
      const at = cursor.position;
      this.#skipped[at] = 0;
      if (!cursor.hasSession) continue;
      const { clientId, sequence } = cursor;
      const index = batch.firstIndex + at;
      const verdict = this.#sessions.admit(clientId, sequence, index, batch.term);
      if (verdict === 'apply') {
        extend(runs, {
          client: clientId,
          firstSequence: sequence,
          index,
          term: batch.term,
          outcome: 'applied',
          code: '',
        });
        continue;
      }
      this.#skipped[at] = 1;
      this.duplicates++;
      if (verdict === 'duplicate') {
        const known = this.#sessions.find(clientId, sequence);
        const place = { index: known?.index ?? 0, term: known?.term ?? 0 };
        extend(
          runs,
          { client: clientId, firstSequence: sequence, ...place, outcome: 'duplicate', code: '' },
          known?.result,
        );
      } else {
        const code = verdict === 'gap' ? ErrorCode.SequenceGap : ErrorCode.SessionExpired;
        extend(runs, {
          client: clientId,
          firstSequence: sequence,
          index: 0,
          term: 0,
          outcome: 'refused',
          code,
        });
      }
    }
    return runs;
  }

  /** The next part of a batch. */
  #deliver(batch: RawBatch, begun: Begun, entriesMax: number): void {
    const at = begun.entries;
    const count = Math.min(batch.count - at, entriesMax);
    const start = batch.start + begun.bytes;
    const end = at + count === batch.count ? batch.end : this.#endOf(batch, start, count);
    const skipped = begun.runs === undefined ? undefined : this.#skipped.subarray(at, at + count);
    const firstIndex = batch.firstIndex + at;
    const place = { group: this.#group, term: batch.term, firstIndex, count };
    const view = this.#view.set(place, batch.bytes, start, end, skipped);
    begun.entries += count;
    begun.bytes = end - batch.start;
    this.entriesApplied += view.count;
    if (view.count === 0) return;
    const answers = this.#guarded(`batch ${firstIndex}@${batch.term}`, firstIndex, () =>
      checkedResults(this.#machine.apply(view), view.count),
    );
    if (answers === undefined) return;
    begun.results ??= new Array<Uint8Array | undefined>(batch.count).fill(undefined);
    let next = 0;
    for (let part = 0; part < count; part++)
      if (skipped?.[part] !== 1) begun.results[at + part] = answers[next++];
  }

  /** Where `count` entries that begin at `start` end. */
  #endOf(batch: RawBatch, start: number, count: number): number {
    const cursor = this.#cursor.reset(batch.bytes, start, batch.end, count);
    while (cursor.next());
    return cursor.start + cursor.length;
  }

  #guarded<T>(what: string, index: LogIndex, run: () => T): T {
    try {
      return run();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const message = `group ${this.#group}: the state machine failed on ${what}: ${reason}`;
      throw new RaftlineError(ErrorCode.StateMachineFailed, message, { group: this.#group, index }, thrown);
    }
  }

  /** What is not data stands alone in its batch: one entry. */
  #configurationIn(batch: RawBatch): ConfigurationAt {
    const cursor = this.#cursor.reset(batch.bytes, batch.start, batch.end, batch.count);
    cursor.next();
    const configuration = decodeConfiguration(cursor.bytes());
    return { index: batch.firstIndex, term: batch.term, configuration };
  }

  /** The session table remembers answers, so that a retry of an applied entry gets the same one. */
  #keepResults(runs: SessionRun[], firstIndex: LogIndex, resultAt: NonNullable<ResultAt>): void {
    for (const run of runs) {
      if (run.outcome !== 'applied') continue;
      for (let at = 0; at < run.count; at++) {
        const result = resultAt(run.index + at - firstIndex);
        if (result === undefined) continue;
        this.#sessions.keepResult(run.client, run.firstSequence + at, result);
        if (run.count === 1) run.result = result;
      }
    }
  }
}

/** Answers are positional and given at once: a promise, or a list of another length, would be a silent mistake. */
function checkedResults(
  results: readonly (Uint8Array | undefined)[] | undefined,
  count: number,
): readonly (Uint8Array | undefined)[] | undefined {
  if (results === undefined) return undefined;
  if (!Array.isArray(results)) throw new TypeError('apply must return nothing or an array, and not be async');
  if (results.length !== count)
    throw new TypeError(`apply returned ${results.length} answers to ${count} entries`);
  for (const result of results) {
    if (result !== undefined && !(result instanceof Uint8Array)) {
      throw new TypeError(
        `apply returned an answer that is a ${typeof result}, expected a Uint8Array or undefined`,
      );
    }
  }
  return results;
}

/** Adds one entry's fate to the last run if it continues it. A result stands alone in its run. */
function extend(runs: SessionRun[], entry: Omit<SessionRun, 'count' | 'result'>, result?: Uint8Array): void {
  const last = runs[runs.length - 1];
  const continues =
    last !== undefined &&
    result === undefined &&
    last.result === undefined &&
    last.client === entry.client &&
    last.outcome === entry.outcome &&
    last.code === entry.code &&
    last.term === entry.term &&
    last.firstSequence + last.count === entry.firstSequence &&
    (entry.outcome === 'refused' ||
      (last.index === 0 ? entry.index === 0 : last.index + last.count === entry.index));
  if (continues) last.count++;
  else runs.push({ ...entry, count: 1, result });
}
