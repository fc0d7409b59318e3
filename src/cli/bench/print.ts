import { compressibility, makePool } from '../../bench/data.js';
import { differenceNotes, type MachineFacts, machineFacts } from '../../bench/machine.js';
import type { RunResult } from '../../bench/measure.js';
import {
  compareResults,
  dataNote,
  FIGURES,
  figureOf,
  limitRatio,
  type Measured,
  type Results,
  verdictText,
} from '../../bench/results.js';
import { type BenchSettings, conditionsText } from '../../bench/settings.js';
import { intervalText } from '../../bench/statistics.js';
import { note, type Output } from '../output.js';
import { table } from '../table.js';

const MiB = 1024 * 1024;

/** Four significant places, with a thousands separator. */
export function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
}

export function printMachine(output: Output, directory: string): MachineFacts {
  const about = machineFacts(directory);
  const { cpu, cores, node, fileSystem, loadAverage, raftline, commit } = about;
  output.line(
    `${cpu}, ${cores} cores, Node ${node}, ${fileSystem}, load ${loadAverage.join(' ')}, raftline ${raftline} (${commit})`,
  );
  if (fileSystem === 'tmpfs') note('warning: tmpfs has no disk, syncs cost nothing here; use --dir');
  if (loadAverage[0]! > cores) note('warning: the machine is busy with other work; read ratios, not figures');
  return about;
}

/**
 * Machine and data, once both are known to be good.
 * @returns what results say of them
 * @throws RaftlineError for data that cannot be read, or are less than one entry of some payload
 */
export function printSubject(
  output: Output,
  directory: string,
  settings: readonly BenchSettings[],
): Pick<Results, 'machine' | 'compressibility'> {
  const payloads = settings.map(({ payload }) => payload);
  const data = settings
    .filter(({ payload }, at) => payloads.indexOf(payload) === at)
    .map((each) => ({
      payload: each.payload,
      ...compressibility(makePool(each), each.batchBytesMax),
    }));
  const machine = printMachine(output, directory);
  for (const { payload, ratio, lz4, repeatedBytes } of data) {
    const repeated =
      repeatedBytes === undefined
        ? ''
        : `; each holds the same ${repeatedBytes.toLocaleString('en-US')} bytes over and over`;
    output.line(
      `data: ${lz4} makes full batches of ${payload} B entries ${ratio.toFixed(2)} times smaller${repeated}`,
    );
  }
  return { machine, compressibility: Object.fromEntries(data.map(({ payload, ratio }) => [payload, ratio])) };
}

export function printRun(output: Output, settings: BenchSettings, run: number, result: RunResult): void {
  const { side, entriesPerSecond, mbPerSecond, latency, depth } = result;
  const list = (values: readonly number[], digits: number): string =>
    values.length === 0 ? 'not known' : values.map((value) => value.toFixed(digits)).join('/');
  const alone = settings.nodes === 1;
  const toFollowers = depth === undefined || alone ? '' : `, to followers ${list(depth.messages, 0)}`;
  output.line(
    `run ${run} ${side}: ${figure(entriesPerSecond)} entries/s, ${figure(mbPerSecond)} MB/s [${conditionsText(settings, side)}]`,
  );
  output.line(`  ${latencyText(latency)}`);
  output.line(
    `  ${figure(result.batchesPerSecond)} batches/s of ${figure(result.entriesPerBatch)} entries, ` +
      `compressed ${result.compressionRatio.toFixed(2)} times, ${cpuText(result)}` +
      (result.overloaded > 0 ? `, ${result.overloaded} refused as overloaded` : '') +
      (depth === undefined ? '' : `, depth ${depth.batches}${toFollowers}`),
  );
  const rss = list(
    result.rssBytes.map((bytes) => bytes / MiB),
    0,
  );
  output.line(
    `  by node, leader first: syncs/s ${list(result.syncsPerSecond, 0)}, cores ${list(result.cores, 2)}, ` +
      `RSS ${rss} MiB, event loop p99 ${list(result.loopDelayP99Ms, 1)} ms, entries behind 0${alone ? '' : `/${list(result.behind, 0)}`}`,
  );
}

function latencyText({ samples, p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: RunResult['latency']): string {
  if (samples === 0) return 'latency not known (0 samples)';
  const [p50, p90, p99, p999] = [p50Ms, p90Ms, p99Ms, p999Ms].map((ms) => ms.toFixed(2));
  return `latency p50 ${p50} p90 ${p90} p99 ${p99} p99.9 ${p999} max ${maxMs.toFixed(1)} ms (${figure(samples)} samples)`;
}

function cpuText({ cpuUsPerEntry }: RunResult): string {
  return cpuUsPerEntry === 0 ? 'CPU not known' : `${figure(cpuUsPerEntry)} µs CPU an entry`;
}

/** Medians and ends over the runs, and the ratio to the bare pipe where both were measured. */
export function printSummary(output: Output, measured: Measured): void {
  const { cluster, pipe, settings } = measured;
  const runs = Math.max(cluster.length, pipe.length);
  output.line(`\nmedian (min–max) of ${runs}: ${conditionsText(settings)}`);
  const both = cluster.length > 0 && pipe.length > 0;
  const head = ['', ...(pipe.length > 0 ? ['bare pipe'] : []), ...(cluster.length > 0 ? ['cluster'] : [])];
  // What no run could tell is 0 in all of them.
  const told = FIGURES.filter(({ of }) => [...pipe, ...cluster].some((run) => of(run) > 0));
  const rows = told.map(({ name, of }) => {
    const found = [figureOf(pipe, of), figureOf(cluster, of)].filter((each) => each !== undefined);
    const cells = found.map(({ median, min, max }) => `${figure(median)} (${figure(min)}–${figure(max)})`);
    const quotient = both ? [(found[1]!.median / found[0]!.median).toFixed(3)] : [];
    return [name, ...cells, ...quotient];
  });
  output.line(table([[...head, ...(both ? ['cluster / pipe'] : [])], ...rows]));
  const ratio = limitRatio(measured);
  if (ratio !== undefined)
    output.line(`\nthe cluster reaches ${ratio.toFixed(3)} of the bare pipe's entries/s`);
}

/** @throws RaftlineError `RAFTLINE_USAGE_INVALID` when the two have nothing in common */
export function printChanges(output: Output, base: Results, changed: Results): void {
  const changes = compareResults(base, changed);
  for (const difference of differenceNotes(base.machine, changed.machine)) output.line(difference);
  const data = dataNote(base, changed);
  if (data !== undefined) output.line(data);
  let conditions = '';
  for (const change of changes) {
    const title = `${change.side}: ${change.conditions}`;
    if (title !== conditions) output.line(`\nagainst the other results, ${title}`);
    conditions = title;
    const interval = intervalText(change.quotient);
    output.line(
      `  ${change.figure.padEnd(28)} ${figure(change.base)} → ${figure(change.changed)}: ` +
        `${change.quotient.ratio.toFixed(3)} times${interval && ` (95 %: ${interval})`}, ${verdictText(change)}`,
    );
  }
}
