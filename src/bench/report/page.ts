import { adviceOf, chosenDepth, hasLatencies, type Point, type Series, seriesOf } from '../advice.js';
import type { MachineFacts } from '../machine.js';
import type { Results } from '../results.js';
import { type BenchSettings, conditionsText } from '../settings.js';
import { spreadOf } from '../statistics.js';
import { adviceText } from './advice-text.js';
import { plotsOf } from './figures.js';
import { plotSvg } from './plot.js';
import { escaped, rounded } from './text.js';

const KiB = 1024;
const MiB = 1024 * KiB;
/** Rows of a table that paper does not break. */
const ROWS_ON_A_PAGE = 40;

const STYLE = `
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p.about, figcaption { color: #444; font-size: .85rem; }
p.advice { border-left: 4px solid #1a1a1a; padding: .3rem 0 .3rem .9rem; margin: 1rem 0; }
figure { margin: 1rem 0 1.6rem; break-inside: avoid; } figure svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #d4d4d4; white-space: nowrap; }
th { border-bottom: 2px solid #1a1a1a; vertical-align: bottom; white-space: normal; } th:first-child, td:first-child { text-align: left; }
tr.best td { font-weight: 600; } .wide { overflow-x: auto; }
@page { margin: 15mm; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  h2 { break-before: page; } h2.first { break-before: avoid; } h2, h3 { break-after: avoid; }
  figure svg { max-height: 82mm; } figure { margin: .5rem 0 .8rem; }
  .wide { overflow: visible; } .short { break-inside: avoid; } table { font-size: 7.5pt; } th, td { padding: .15rem .25rem; } tr { break-inside: avoid; }
}
`;

/** The report of a sweep: one file that needs nothing from outside, on a screen or on paper. */
export function sweepPage({ machine, measured }: Results, complete: boolean): string {
  const series = seriesOf(measured);
  const head = `<title>raftline: throughput and latency against depth</title>\n<style>${STYLE}</style>`;
  const partial = complete
    ? ''
    : '<p><strong>The sweep was interrupted: this is what had been measured.</strong></p>';
  return [
    '<!doctype html>',
    `<html lang="en">\n<head>\n<meta charset="utf-8"/>\n<meta name="viewport" content="width=device-width, initial-scale=1"/>\n${head}\n</head>`,
    '<body>',
    '<h1>Throughput and latency against depth</h1>',
    `<p class="about">${escaped(machineText(machine))}</p>`,
    partial,
    busyText(machine),
    '<p>Every point is a cluster of its own: every node a process, and all of them store every batch and apply every entry. ' +
      'Points of one chapter were measured under the same load. Lines join medians; where there were several runs, thin bars reach from the lowest to the highest.</p>',
    ...series.map((each, at) => chapter(each, at === 0)),
    '</body>\n</html>\n',
  ].join('\n');
}

function chapter(series: Series, first: boolean): string {
  const advice = adviceOf(series);
  const { payload, linkDelayMs, points } = series;
  const links = linkDelayMs === 0 ? 'links without added delay' : `links ${linkDelayMs} ms longer each way`;
  const plots = plotsOf(series, advice).map(
    (plot) =>
      `<figure>\n<h3>${escaped(plot.title)}</h3>\n${plotSvg(plot)}\n<figcaption>${escaped(captionOf(points))}</figcaption>\n</figure>`,
  );
  return [
    `<h2${first ? ' class="first"' : ''}>Entries of ${payload} B, ${escaped(links)}</h2>`,
    `<p class="advice">${escaped(adviceText(series, advice))}</p>`,
    ...plots,
    tableOf(points, advice?.recommended),
  ].join('\n');
}

function busyText({ loadAverage: [load = 0], cores }: MachineFacts): string {
  if (load <= cores) return '';
  return '<p><strong>The machine was busy with other work when this began: small differences mean nothing.</strong></p>';
}

/** What was the same at all points, and which values the others had. */
function captionOf(points: readonly Point[]): string {
  const values = (of: (settings: BenchSettings) => string | number): string =>
    [...new Set(points.map(({ settings }) => of(settings)))].join(', ');
  const { settings } = points[0]!;
  const { min, max } = spreadOf(points.map(({ runs }) => runs.length));
  const runs = min === max ? String(min) : `${min} to ${max}`;
  const conditions = conditionsText(settings)
    .replace(/batch [\d.]+ KiB/, `batch ${values(({ batchBytesMax }) => batchBytesMax / KiB)} KiB`)
    .replace(/depth \w+/, `depth ${values(({ depth }) => depth)}`);
  const each = `${settings.seconds} s after ${settings.warmupSeconds} s of warm-up`;
  return `${conditions}; seed ${settings.seed}; ${runs} × ${each}`;
}

const COLUMNS: readonly [string, (point: Point) => string][] = [
  ['batch, KiB', ({ settings }) => String(settings.batchBytesMax / KiB)],
  ['depth', depthText],
  ['entries/s (lowest–highest)', ({ throughput: { median, min, max } }) => rangeText(median, min, max)],
  ['MB/s', median((run) => run.mbPerSecond)],
  ['p50, ms', latency((run) => run.latency.p50Ms)],
  ['p90, ms', latency((run) => run.latency.p90Ms)],
  ['p99, ms', latency((run) => run.latency.p99Ms)],
  ['p99.9, ms', latency((run) => run.latency.p999Ms)],
  ['batches/s', median((run) => run.batchesPerSecond)],
  ['entries a batch', median((run) => run.entriesPerBatch)],
  ['CPU, µs an entry', median((run) => run.cpuUsPerEntry)],
  ['syncs/s, leader', median((run) => run.syncsPerSecond[0] ?? 0)],
  ['RSS, MiB, leader', median((run) => (run.rssBytes[0] ?? 0) / MiB)],
];

/** What `'auto'` had chosen at the end of each run. */
function depthText({ settings, runs }: Point): string {
  const chosen = chosenDepth(runs);
  return settings.depth === 'auto' && chosen !== undefined
    ? `auto (${rounded(chosen.median)})`
    : String(settings.depth);
}

function median(of: (run: Point['runs'][0]) => number): (point: Point) => string {
  return ({ runs }) => rounded(spreadOf(runs.map(of)).median);
}

function latency(of: (run: Point['runs'][0]) => number): (point: Point) => string {
  return ({ runs, ...point }) => {
    const timed = runs.filter(hasLatencies);
    return timed.length === 0 ? '–' : median(of)({ ...point, runs: timed });
  };
}

function rangeText(middle: number, low: number, high: number): string {
  return low === high ? rounded(middle) : `${rounded(middle)} (${rounded(low)}–${rounded(high)})`;
}

function tableOf(points: readonly Point[], best: Point | undefined): string {
  const head = COLUMNS.map(([name]) => `<th>${escaped(name)}</th>`).join('');
  const rows = points.map((point) => {
    const cells = COLUMNS.map(
      ([, of], at) => `<td>${escaped(of(point))}${at === 1 && point === best ? ' ★' : ''}</td>`,
    );
    return `<tr${point === best ? ' class="best"' : ''}>${cells.join('')}</tr>`;
  });
  const kept = points.length <= ROWS_ON_A_PAGE ? ' short' : '';
  return `<div class="wide${kept}"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table></div>`;
}

function machineText({
  cpu,
  cores,
  memoryBytes,
  node,
  system,
  fileSystem,
  loadAverage,
  raftline,
  commit,
  versions = {},
  at,
}: MachineFacts): string {
  const packages = Object.entries(versions).map(([name, version]) => `, ${name} ${version}`);
  return (
    `${cpu}, ${cores} cores, ${rounded(memoryBytes / 1e9)} GB, ${system}, ${fileSystem}; Node ${node}, raftline ${raftline} (${commit})${packages.join('')}; ` +
    `load ${loadAverage.join(' ')} at the start; ${at}`
  );
}
