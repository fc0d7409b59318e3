import type { ClientId, LogIndex, Sequence, Term } from './ids.js';
import { SESSION_TABLE_CLIENTS_MAX } from './limits.js';

/**
 * What the table says of one entry. `apply`: it is the client's next one. `duplicate`: applied before. `gap`: an
 * earlier one is missing, so it must not be applied. `expired`: the client's session is not (or no longer) known.
 */
export type SessionVerdict = 'apply' | 'duplicate' | 'gap' | 'expired';

/** Where an applied entry stands; `result` is what the state machine answered, if it did and it is still kept. */
export interface AppliedEntry {
  index: LogIndex;
  term: Term;
  result: Uint8Array | undefined;
}

/** A stretch of one client's sequence that stands at consecutive indexes of one term. */
interface Run {
  sequence: Sequence;
  index: LogIndex;
  term: Term;
  count: number;
}

/** One client's session as plain data, apart from the table that it came from. */
export interface SessionRecord {
  client: ClientId;
  last: Sequence;
  runs: { sequence: Sequence; index: LogIndex; term: Term; count: number }[];
  results: [Sequence, Uint8Array][];
}

interface Session {
  /** The last sequence applied; everything up to it is a duplicate. */
  last: Sequence;
  /** Ascending, the newest last, at most RUNS_MAX. */
  runs: Run[];
  /** Results by sequence, insertion order = ascending, at most RESULTS_MAX. */
  results: Map<Sequence, Uint8Array>;
}

const RUNS_MAX = 256;
const RESULTS_MAX = 256;

/**
 * The replicated session table (Raft dissertation §6.3): makes a retry after an unknown outcome apply once. It is part of
 * the replicated state: a pure function of the log, rebuilt by replay, the same on every replica.
 *
 * The rule is succession: an entry is applied only if its sequence is exactly one more than the last one applied
 * for its client, and a client's first is 1. A stream that lost its middle in a change of leader can
 * therefore neither double an entry nor slip a later one past a lost one.
 *
 * Bounded: `clientsMax` sessions; the one that applied least recently is forgotten, and its client is told `expired`.
 */
export class SessionTable {
  /** Insertion order is order of last use: the first key is the next one to be forgotten. */
  readonly #sessions = new Map<ClientId, Session>();
  readonly #clientsMax: number;
  /** The client used last, which therefore stands last in the map; 0 (no client's id) before the first. */
  #newest: ClientId = 0;

  constructor(clientsMax: number = SESSION_TABLE_CLIENTS_MAX) {
    this.#clientsMax = clientsMax;
  }

  /** A table that goes on where the one that gave these records stood. */
  static from(records: readonly SessionRecord[]): SessionTable {
    const table = new SessionTable();
    for (const { client, last, runs, results } of records) {
      table.#sessions.set(client, { last, runs: runs.map((run) => ({ ...run })), results: new Map(results) });
      table.#newest = client;
    }
    return table;
  }

  /** All sessions, the one used least recently first: the same on every replica that has applied the same entries. */
  records(): SessionRecord[] {
    return [...this.#sessions].map(([client, { last, runs, results }]) => ({
      client,
      last,
      runs: runs.map((run) => ({ ...run })),
      results: [...results],
    }));
  }

  get clients(): number {
    return this.#sessions.size;
  }

  /** Judges an entry and, if the verdict is `apply`, takes it down as applied at (index, term). */
  admit(client: ClientId, sequence: Sequence, index: LogIndex, term: Term): SessionVerdict {
    const session = this.#sessions.get(client);
    if (session === undefined) {
      if (sequence !== 1) return 'expired';
      this.#open(client, { sequence, index, term, count: 1 });
      return 'apply';
    }
    if (sequence <= session.last) return 'duplicate';
    if (sequence !== session.last + 1) return 'gap';
    session.last = sequence;
    extendRuns(session.runs, sequence, index, term);
    this.#touch(client, session);
    return 'apply';
  }

  /** Keeps the state machine's answer to an applied entry, for retries of it. */
  keepResult(client: ClientId, sequence: Sequence, result: Uint8Array): void {
    const results = this.#sessions.get(client)?.results;
    if (results === undefined) return;
    results.set(sequence, result);
    if (results.size > RESULTS_MAX) {
      const oldest = results.keys().next();
      if (oldest.done !== true) results.delete(oldest.value);
    }
  }

  /** Where an applied entry stands, while that is remembered (the client's newest 256 runs). */
  find(client: ClientId, sequence: Sequence): AppliedEntry | undefined {
    const session = this.#sessions.get(client);
    if (session === undefined) return undefined;
    for (let at = session.runs.length - 1; at >= 0; at--) {
      const run = session.runs[at]!;
      if (sequence < run.sequence) continue;
      if (sequence >= run.sequence + run.count) return undefined;
      return {
        index: run.index + (sequence - run.sequence),
        term: run.term,
        result: session.results.get(sequence),
      };
    }
    return undefined;
  }

  /** The last sequence applied for a client, 0 for an unknown one. */
  lastSequence(client: ClientId): Sequence {
    return this.#sessions.get(client)?.last ?? 0;
  }

  #open(client: ClientId, run: Run): void {
    if (this.#sessions.size >= this.#clientsMax) {
      const oldest = this.#sessions.keys().next();
      if (oldest.done !== true) this.#sessions.delete(oldest.value);
    }
    this.#sessions.set(client, { last: run.sequence, runs: [run], results: new Map() });
    this.#newest = client;
  }

  /** Makes the client the most recently used; free of charge while it already is. */
  #touch(client: ClientId, session: Session): void {
    if (this.#newest === client) return;
    this.#newest = client;
    this.#sessions.delete(client);
    this.#sessions.set(client, session);
  }
}

function extendRuns(runs: Run[], sequence: Sequence, index: LogIndex, term: Term): void {
  const last = runs[runs.length - 1];
  if (last !== undefined && last.term === term && last.index + last.count === index) {
    last.count++;
    return;
  }
  runs.push({ sequence, index, term, count: 1 });
  if (runs.length > RUNS_MAX) runs.shift();
}
