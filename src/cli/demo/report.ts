import type { RecordableHistogram } from 'node:perf_hooks';
import type { NodeId } from '../../base/ids.js';
import { byteText, counted, durationText, grouped, table } from '../table.js';
import type { Input } from './input.js';
import { type ReplicationFacts, WINDOW_ENTRIES } from './replication.js';
import type { ReplicaFacts } from './verify.js';

/** A replica after everything has settled. */
export interface Replica extends ReplicaFacts {
  id: NodeId;
  address: string;
  /** Bytes that this process has written to its log since it started. */
  bytesWritten: number;
  syncs: number;
  rssBytes: number;
  /** It was killed and started again: what it counts began anew. */
  restarted: boolean;
}

export interface DemoFacts {
  input: Input;
  replication: ReplicationFacts;
  replicas: readonly Replica[];
  /** Entries that came a second time after the change of leader and were turned away. */
  duplicates: number;
  /** Where the data directories are, if they are kept. */
  kept: string | undefined;
}

export function isIdentical({ replicas }: DemoFacts): boolean {
  return replicas.every(({ difference }) => difference === undefined);
}

/** Entries and bytes a second: over the whole time, and over the time in which there was a leader. */
function rates({ replication }: DemoFacts) {
  const { entries, bytes, elapsedMs, failover } = replication;
  const ledMs = Math.max(elapsedMs - (failover?.ms ?? 0), 0.001);
  const seconds = Math.max(elapsedMs, 0.001) / 1000;
  return {
    entriesPerSecond: entries / seconds,
    bytesPerSecond: bytes / seconds,
    entriesPerSecondLed: (entries / ledMs) * 1000,
    bytesPerSecondLed: (bytes / ledMs) * 1000,
  };
}

/** The log bytes of a process that ran all the time against the bytes of the file. */
function disk({ replicas, replication }: DemoFacts) {
  const replica = replicas.find(({ restarted }) => !restarted);
  if (replica === undefined) return undefined;
  const { id, bytesWritten, syncs } = replica;
  const ratio = replication.bytes === 0 ? null : round(bytesWritten / replication.bytes, 3);
  return { id, bytesWritten, syncs, ratio };
}

/** In ms; null where nothing was measured. */
function percentiles(histogram: RecordableHistogram): { p50: number | null; p99: number | null } {
  if (histogram.count === 0) return { p50: null, p99: null };
  return { p50: histogram.percentile(50) / 1000, p99: histogram.percentile(99) / 1000 };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

export function reportAsJson(facts: DemoFacts): Record<string, unknown> {
  const { input, replication, replicas, duplicates, kept } = facts;
  const { entriesPerSecond, bytesPerSecond, entriesPerSecondLed, bytesPerSecondLed } = rates(facts);
  const { failover, latency, latencyAcrossFailover } = replication;
  return {
    file: input.path,
    entries: replication.entries,
    bytes: replication.bytes,
    elapsedMs: round(replication.elapsedMs, 3),
    entriesPerSecond: round(entriesPerSecond, 1),
    bytesPerSecond: round(bytesPerSecond, 1),
    entriesPerSecondWithLeader: round(entriesPerSecondLed, 1),
    bytesPerSecondWithLeader: round(bytesPerSecondLed, 1),
    windowEntries: WINDOW_ENTRIES,
    latencyMs: percentiles(latency),
    latencyAcrossFailoverMs: percentiles(latencyAcrossFailover),
    failoverMs: failover === undefined ? null : round(failover.ms, 3),
    failover: failover ?? null,
    duplicatesTurnedAway: duplicates,
    disk: disk(facts) ?? null,
    replicas: replicas.map(({ id, sha256, entries, lastIndex, rssBytes, difference }) => ({
      id,
      sha256,
      entries,
      lastIndex,
      rssBytes,
      ...(difference === undefined ? {} : { difference }),
    })),
    inputSha256: input.facts.sha256,
    identical: isIdentical(facts),
    ...(kept === undefined ? {} : { directory: kept }),
  };
}

export function reportAsText(facts: DemoFacts): string {
  const lines = [...summary(facts), '', replicaTable(facts), ''];
  for (const { id, difference } of facts.replicas) {
    if (difference !== undefined) lines.push(`DIFFERENT: node ${id}: ${difference}`);
  }
  if (isIdentical(facts)) {
    lines.push(
      `identical: all ${facts.replicas.length} replicas are byte for byte the input, each entry once and in order`,
    );
  }
  if (facts.kept !== undefined) lines.push(`kept: ${facts.kept}`);
  return `${lines.join('\n')}\n`;
}

function summary(facts: DemoFacts): string[] {
  const { input, replication, replicas, duplicates } = facts;
  const { failover, latency, latencyAcrossFailover, entries, bytes, elapsedMs } = replication;
  const { entriesPerSecond, bytesPerSecond, entriesPerSecondLed, bytesPerSecondLed } = rates(facts);
  const { recordBytes } = input;
  const what =
    recordBytes === undefined
      ? counted(entries, 'line')
      : `${counted(entries, 'record')} of ${counted(recordBytes, 'byte')}`;
  const rows: string[][] = [
    ['input', `${input.path}: ${what}, ${byteText(bytes)}`],
    ['replicated', `to ${replicas.length} nodes in ${durationText(elapsedMs)}`],
    ['throughput', `${grouped(entriesPerSecond)} entries/s, ${byteText(bytesPerSecond)}/s`],
  ];
  if (failover !== undefined) {
    rows.push([
      '',
      `${grouped(entriesPerSecondLed)} entries/s, ${byteText(bytesPerSecondLed)}/s while there was a leader`,
    ]);
  }
  const { p50, p99 } = percentiles(latency);
  if (p50 !== null && p99 !== null) {
    const inFlight = `up to ${grouped(WINDOW_ENTRIES)} entries in flight`;
    rows.push(['commit latency', `p50 ${durationText(p50)}, p99 ${durationText(p99)} (${inFlight})`]);
  }
  const across = percentiles(latencyAcrossFailover);
  if (across.p50 !== null && across.p99 !== null) {
    const count = `of ${grouped(latencyAcrossFailover.count)} that waited for the next leader`;
    rows.push([
      'across failover',
      `p50 ${durationText(across.p50)}, p99 ${durationText(across.p99)} (${count})`,
    ]);
  }
  if (failover !== undefined) {
    const { killed, afterEntries, nextLeader, ms } = failover;
    rows.push([
      'leader killed',
      `node ${killed}, after ${grouped(afterEntries)} entries; node ${nextLeader} took over`,
    ]);
    rows.push(['without a leader', `${durationText(ms)}, from the kill to the next acknowledgement`]);
    rows.push(['sent again', `${grouped(duplicates)} entries came twice and were turned away`]);
  }
  const written = disk(facts);
  if (written !== undefined) {
    const ratio = written.ratio === null ? '' : ` (${written.ratio.toFixed(2)} of what came in)`;
    rows.push([
      'on disk',
      `${byteText(written.bytesWritten)}${ratio}, ${grouped(written.syncs)} syncs, at node ${written.id}`,
    ]);
  }
  const width = Math.max(...rows.map(([title = '']) => title.length));
  return rows.map(([title = '', text]) => `${title.padEnd(width)}  ${text}`);
}

function replicaTable({ input, replicas }: DemoFacts): string {
  const rows = replicas.map((replica) => [
    `node ${replica.id}`,
    grouped(replica.entries),
    grouped(replica.lastIndex),
    replica.sha256,
  ]);
  const { entries, sha256 } = input.facts;
  return table([
    ['replica', 'entries', 'last index', 'sha-256'],
    ...rows,
    ['input', grouped(entries), '', sha256],
  ]);
}
