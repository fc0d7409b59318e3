import { expect } from 'vitest';
import type { RaftlineError } from '../../src/base/errors.js';
import { BatchKind } from '../../src/base/messages.js';
import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import { encodeConfiguration } from '../../src/codec/configuration.js';
import type { Disk } from '../../src/wal/disk.js';
import type { SnapshotMark } from '../../src/wal/group-log.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { prepareSegment } from '../../src/wal/segment.js';
import type { RecoveredGroup } from '../../src/wal/wal.js';
import { configurationOf, headers, makeBatch, type OpenedLog, openLog } from './log-tools.js';

/** What one group must add up to: kept in the plainest way, to hold the log against. */
interface ModelGroup {
  term: number;
  vote: number;
  /** The log begins behind it. */
  base: { index: number; term: number };
  /** Where the configuration in force at the base stands; undefined at the base of a whole log. */
  baseConfiguration: number | undefined;
  batches: Buffer[];
  /** Checksum of the batch at index 1, also when that is no longer in the log. */
}

const EMPTY: ModelGroup = {
  term: 0,
  vote: 0,
  base: { index: 0, term: 0 },
  baseConfiguration: undefined,
  batches: [],
};

export const GROUPS = [1, 2, 7];
const SEGMENT_BYTES = 4096;

/** A history made up by a seed: what was staged, in order, and how much of it was reported durable. */
export class History {
  /** states[k]: everything after the first k records, each group's hard state and batches. */
  readonly states: Map<number, ModelGroup>[] = [new Map(GROUPS.map((g) => [g, EMPTY]))];
  durable = 0;
  /** How much was acknowledged: with durability `os` more than is durable. */
  acknowledged = 0;
  /** Staged for the next flush is something that a node must not forget. */
  private binding = false;
  private readonly random: Random;

  constructor(
    seed: number,
    private readonly spares = true,
  ) {
    this.random = seededRandom(seed);
  }

  get staged(): number {
    return this.states.length - 1;
  }

  /** Goes on from what was recovered. */
  continueFrom(k: number): void {
    this.states.length = k + 1;
    this.durable = k;
    this.acknowledged = k;
  }

  /** Runs `steps` flushes; throws what the disk throws. */
  run(disk: Disk, directory: string, log: OpenedLog, steps: number): void {
    const { wal } = log;
    for (let step = 0; step < steps; step += 1) {
      if (this.spares && wal.wantsSpare() && this.random() < 0.3) prepareIfPossible(disk, directory);
      for (let records = randomInteger(this.random, 1, 6); records > 0; records -= 1) this.stageOne(log);
      wal.flush();
      for (let state = wal.poll(); state !== 'idle'; state = wal.poll()) {
        if (state === 'durable') this.acknowledged = this.staged;
      }
      if (wal.hasUnsynced && this.random() < 0.1) wal.syncWritten();
      // A term, a vote or a mark may never be forgotten once it was acknowledged.
      if (!wal.hasUnsynced || this.binding) this.durable = this.staged;
      this.binding = false;
    }
  }

  private stageOne({ wal }: OpenedLog): void {
    const next = new Map(this.states.at(-1)!);
    this.states.push(next);
    const group = GROUPS[randomInteger(this.random, 0, GROUPS.length - 1)]!;
    const old = next.get(group)!;
    const model = { ...old, batches: [...old.batches] };
    next.set(group, model);
    const what = this.random();
    if (what < 0.15 || model.term === 0) {
      model.term += 1;
      model.vote = randomInteger(this.random, 0, 3);
      wal.stageHardState(group, { term: model.term, vote: model.vote });
      this.binding = true;
    } else if (what < 0.3 && model.batches.length > 0) {
      const kept = randomInteger(
        this.random,
        Math.max(0, model.batches.length - 4),
        model.batches.length - 1,
      );
      const from = headers(model.batches)[kept]!.firstIndex;
      wal.stageTruncate(group, from);
      model.batches.length = kept;
    } else if (what < 0.38 && model.batches.length > 0) {
      this.compact(wal, group, model);
    } else if (what < 0.4) {
      this.install(wal, group, model);
    } else {
      const end = endOf(model);
      const firstIndex = end.index + 1;
      const batch = makeBatch({
        group,
        term: model.term,
        firstIndex,
        prevTerm: end.term,
        ...(what > 0.92
          ? { configuration: configurationOf(1, 2, randomInteger(this.random, 3, 9)) }
          : {
              count: randomInteger(this.random, 1, 4),
              entryBytes: randomInteger(this.random, 0, what > 0.88 ? 6000 : 200),
              fill: randomInteger(this.random, 0, 255),
            }),
      });
      wal.stageBatch(group, batch);
      model.batches.push(batch);
    }
  }

  /** The log begins behind one of its batches; the rest of it stays. */
  private compact(wal: OpenedLog['wal'], group: number, model: ModelGroup): void {
    const gone = headers(model.batches).slice(0, randomInteger(this.random, 1, model.batches.length));
    const last = gone.at(-1)!;
    const configuration = gone.findLast((header) => header.kind === BatchKind.Configuration);
    model.base = { index: last.firstIndex + last.count - 1, term: last.term };
    model.baseConfiguration = configuration?.firstIndex ?? model.baseConfiguration ?? 0;
    model.batches = model.batches.slice(gone.length);
    wal.stageSnapshotMark(group, markOf(model, true));
    this.binding = true;
  }

  /** A snapshot from elsewhere takes the place of the whole log. */
  private install(wal: OpenedLog['wal'], group: number, model: ModelGroup): void {
    const index = randomInteger(this.random, model.base.index + 1, endOf(model).index + 20);
    model.base = { index, term: model.term };
    model.baseConfiguration = index;
    model.batches = [];
    wal.stageSnapshotMark(group, markOf(model, false));
    this.binding = true;
  }
}

function endOf({ base, batches }: ModelGroup): { index: number; term: number } {
  const last = headers(batches).at(-1);
  return last === undefined ? base : { index: last.firstIndex + last.count - 1, term: last.term };
}

function markOf({ base, baseConfiguration }: ModelGroup, keepsSuffix: boolean): SnapshotMark {
  const configuration = configurationOf(1, 2, 3);
  const bytes = encodeConfiguration(configuration);
  return {
    ...base,
    keepsSuffix,
    configuration: { index: baseConfiguration!, term: 1, configuration, bytes },
  };
}

/** A preparation that fails costs nothing but time. */
function prepareIfPossible(disk: Disk, directory: string): void {
  try {
    prepareSegment(disk, { directory, segmentBytes: SEGMENT_BYTES });
  } catch (thrown) {
    expect((thrown as RaftlineError).code).toMatch(/^RAFTLINE_DISK_/);
  }
}

export function openHistory(
  disk: Disk,
  directory: string,
  anchors = 8,
  durability: 'sync' | 'os' = 'sync',
): OpenedLog {
  return openLog(disk, directory, { segmentBytes: SEGMENT_BYTES, groups: GROUPS, anchors, durability });
}

/** A short text that is the same exactly for the same hard states and the same batches. */
function fingerprint(state: Map<number, ModelGroup>): string {
  const parts = [...state].map(([group, model]) => {
    const { term, vote, base, baseConfiguration, batches } = model;
    const runs: string[] = [];
    const configurations = baseConfiguration === undefined ? [] : [baseConfiguration];
    let lastTerm = base.term;
    for (const header of headers(batches)) {
      if (header.term !== lastTerm || runs.length === 0) runs.push(`${header.term}:${header.firstIndex}`);
      lastTerm = header.term;
      if (header.kind === 3) configurations.push(header.firstIndex);
    }
    const lastIndex = endOf(model).index;
    return `${group}: ${term}/${vote} behind ${base.index}@${base.term} ${runs} last ${lastIndex}@${lastTerm} conf ${configurations}`;
  });
  return parts.join('\n');
}

function fingerprintRecovered(recovered: Map<number, RecoveredGroup>): string {
  const parts = GROUPS.map((group) => {
    const found = recovered.get(group)!;
    const runs = found.termRuns.map((run) => `${run.term}:${run.firstIndex}`);
    const configurations = found.configurations.map((configuration) => configuration.index);
    const { term, vote } = found.hardState;
    const { base } = found;
    return `${group}: ${term}/${vote} behind ${base.index}@${base.term} ${runs} last ${found.lastIndex}@${found.lastTerm} conf ${configurations}`;
  });
  return parts.join('\n');
}

/** Reads a whole group, from index `first` on, in pieces of `bytesMax`. */
export function readAll(
  reader: LogReader,
  group: number,
  last: number,
  bytesMax: number,
  first = 1,
): Buffer[] {
  const all: Buffer[] = [];
  for (let from = first; from <= last; ) {
    const read = reader.read(group, from, last, bytesMax);
    if (read === undefined) throw new Error(`group ${group}: nothing at index ${from} of ${last}`);
    all.push(...read.batches.map((batch) => Buffer.from(batch)));
    const header = read.headers.at(-1)!;
    from = header.firstIndex + header.count;
  }
  return all;
}

/**
 * The recovered log must be the history's state after some k records, at least all that were reported durable. Reads
 * every batch back as well. Returns k.
 */
export function expectPrefix(
  history: History,
  disk: Disk,
  directory: string,
  log: OpenedLog,
  story: string,
): number {
  const reader = new LogReader(disk, directory, log.index);
  const stored = GROUPS.map((group) => {
    const { base, lastIndex } = log.recovered.get(group)!;
    expect([reader.isGone(group, base.index), reader.isGone(group, base.index + 1)]).toEqual([true, false]);
    return Buffer.concat(readAll(reader, group, lastIndex, 2000, base.index + 1)).toString('hex');
  });
  reader.close();
  const found = `${fingerprintRecovered(log.recovered)}\n${stored}`;
  for (let k = history.staged; k >= history.durable; k -= 1) {
    const state = history.states[k]!;
    const batches = GROUPS.map((group) => Buffer.concat(state.get(group)!.batches).toString('hex'));
    if (`${fingerprint(state)}\n${batches}` === found) return k;
  }
  return expect.fail(`${story}: not a prefix with the ${history.durable} durable records:\n${found}`);
}
