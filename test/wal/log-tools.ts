import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FORMAT_VERSION } from '../../src/base/limits.js';
import {
  type BatchHeader,
  BatchKind,
  Codec,
  type Configuration,
  lastIndexOf,
} from '../../src/base/messages.js';
import { BATCH_PAYLOAD_OFFSET, readBatchHeader, sealBatch, writeBatchHead } from '../../src/codec/batch.js';
import { encodeConfiguration } from '../../src/codec/configuration.js';
import { packEntry, packedEntryBytes } from '../../src/codec/entries.js';
import type { Disk } from '../../src/wal/disk.js';
import { SharedLogIndex } from '../../src/wal/log-index.js';
import { RealDisk } from '../../src/wal/real-disk.js';
import { type RecoveredGroup, Wal } from '../../src/wal/wal.js';

export interface BatchShape {
  group?: number;
  term?: number;
  firstIndex: number;
  prevTerm?: number;
  count?: number;
  entryBytes?: number;
  fill?: number;
  configuration?: Configuration;
}

/** A sealed batch; every entry has the same bytes. */
export function makeBatch(shape: BatchShape): Buffer {
  const { group = 1, term = 1, firstIndex, count = 1, entryBytes = 40, fill = firstIndex } = shape;
  const { configuration } = shape;
  const entry = configuration ? encodeConfiguration(configuration) : Buffer.alloc(entryBytes, fill & 0xff);
  const rawLength = count * packedEntryBytes(entry.length, false);
  const batch = Buffer.alloc(BATCH_PAYLOAD_OFFSET + rawLength);
  writeBatchHead(batch, 0, {
    formatVersion: FORMAT_VERSION,
    group,
    kind: configuration ? BatchKind.Configuration : BatchKind.Data,
    flags: 0,
    term,
    firstIndex,
    count,
    prevTerm: shape.prevTerm ?? (firstIndex === 1 ? 0 : term),
    codec: Codec.None,
    rawLength,
    byteLength: batch.length,
    leaderTimeMs: 0,
    checksum: 0,
  });
  let at = BATCH_PAYLOAD_OFFSET;
  for (let i = 0; i < count; i += 1) at = packEntry(batch, at, entry);
  sealBatch(batch, 0, batch.length);
  return batch;
}

export function configurationOf(...voters: number[]): Configuration {
  return {
    voters,
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    incarnations: [],
    compressionLevel: 0,
  };
}

export function makeIndex(groups: readonly number[], anchors = 64): SharedLogIndex {
  const memory = new SharedArrayBuffer(SharedLogIndex.bytesFor(groups.length, anchors));
  return new SharedLogIndex(memory, 0, groups, anchors);
}

export interface OpenedLog {
  wal: Wal;
  index: SharedLogIndex;
  recovered: Map<number, RecoveredGroup>;
}

export function openLog(
  disk: Disk,
  directory: string,
  options: {
    segmentBytes?: number;
    groups?: readonly number[];
    anchors?: number;
    durability?: 'sync' | 'os';
  } = {},
): OpenedLog {
  const { segmentBytes = 64 * 1024, groups = [1], anchors = 64, durability = 'sync' } = options;
  const index = makeIndex(groups, anchors);
  return { ...Wal.open(disk, { directory, segmentBytes, groups, durability, index }), index };
}

/** Polls the flush under way to its end; returns what the polls said, without 'busy'. */
export function settle(wal: Wal): string[] {
  const said: string[] = [];
  for (let polls = 0; polls < 10_000; polls += 1) {
    const state = wal.poll();
    if (state === 'idle') return said;
    if (state !== 'busy') said.push(state);
  }
  throw new Error('the log never came to rest');
}

export function flushAll(wal: Wal): void {
  wal.flush();
  settle(wal);
}

/** Stages contiguous batches of `count` entries of one term behind `after`; returns them. */
export function stageRun(
  wal: Wal,
  run: {
    group?: number;
    term: number;
    after: number;
    prevTerm: number;
    batches: number;
    count?: number;
    entryBytes?: number;
  },
): Buffer[] {
  const { group = 1, term, batches, count = 1, entryBytes = 40 } = run;
  const staged: Buffer[] = [];
  let firstIndex = run.after + 1;
  let prevTerm = run.prevTerm;
  for (let i = 0; i < batches; i += 1) {
    const batch = makeBatch({
      group,
      term,
      firstIndex,
      prevTerm,
      count,
      entryBytes,
      fill: firstIndex + term,
    });
    wal.stageBatch(group, batch);
    staged.push(batch);
    firstIndex += count;
    prevTerm = term;
  }
  return staged;
}

export function headers(batches: readonly Buffer[]): BatchHeader[] {
  return batches.map((batch) => readBatchHeader(batch, 0));
}

export function span(batch: Buffer): string {
  const header = readBatchHeader(batch, 0);
  return `${header.firstIndex}-${lastIndexOf(header)}@${header.term}`;
}

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'raftline-wal-'));
  return { path: join(path, 'data'), remove: () => rmSync(path, { recursive: true, force: true }) };
}

export const realDisk = new RealDisk();
