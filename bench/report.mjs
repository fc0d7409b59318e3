import { writeFileSync } from 'node:fs';

export const MB = 1e6;
export const MiB = 1024 * 1024;

export function print(line = '') {
  process.stdout.write(`${line}\n`);
}

/** A table of texts; the first column is left-aligned, the others right. */
export function printTable(header, rows) {
  const widths = header.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at].length)));
  const line = (cells) =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  ');
  print(line(header));
  for (const row of rows) print(line(row));
}

export function writeJson(file, value) {
  if (file === undefined) return;
  writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
  print(`written: ${file}`);
}

/** Three significant places, with a thousands separator from 1000 on. */
export function figure(value) {
  if (value === 0) return '0';
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en-US', { maximumFractionDigits: places, maximumSignificantDigits: 4 });
}

/** @param {number[]} values */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/** Nothing is printed without what it was measured with. */
export function conditions(settings) {
  const { payload, nodes, batchBytesMax, depth, compression, outstanding } = settings;
  return `${payload} B entries, ${nodes} nodes, batch ${batchBytesMax / 1024} KiB, depth ${depth}, ${compression}, synced, ${outstanding} outstanding`;
}

export function printMachine(about) {
  const { node, cpu, cores, fileSystem, loadAverage, commit } = about;
  print(
    `${cpu}, ${cores} cores, Node ${node}, ${fileSystem}, load ${loadAverage.join(' ')}, commit ${commit}`,
  );
  if (fileSystem === 'tmpfs') print('WARNING: tmpfs has no disk: syncs cost nothing here. Use --dir.');
  if (loadAverage[0] > cores)
    print('WARNING: the machine is busy with other work: read the ratio, not the figures.');
}
