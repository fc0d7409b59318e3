/** Columns aligned under their heads; those that hold only numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const columns = head.map((title, at) => {
    const full = body.filter((row) => row.length === head.length);
    return {
      width: Math.max(title.length, ...full.map((row) => row[at]?.length ?? 0)),
      numeric: full.length > 0 && full.every((row) => /^[\d,.]*$/.test(row[at] ?? '')),
    };
  });
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => {
        const column = columns[at];
        return column?.numeric === true ? cell.padStart(column.width) : cell.padEnd(column?.width ?? 0);
      })
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}

/** 1234567 as 1,234,567. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `1 line`, `2 lines`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Bytes in the unit that suits them, powers of 1000. */
export function byteText(bytes: number): string {
  if (bytes < 999.5) return `${Math.round(bytes)} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds as people read them. */
export function durationText(ms: number): string {
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(ms < 100_000 ? 2 : 0)} s`;
}
