import { escaped, rounded } from './text.js';

/** A figure with its spread. */
export interface Value {
  y: number;
  low: number;
  high: number;
}

/** A line: one value for each category, or none. */
export interface Line {
  name: string;
  values: readonly (Value | undefined)[];
}

/** Lines over categories, which stand at equal distances. */
export interface Plot {
  title: string;
  /** For who cannot see it. */
  description: string;
  xLabel: string;
  yLabel: string;
  categories: readonly string[];
  /** Categories from this one on stand apart: no line leads to them. */
  apart: number;
  lines: readonly Line[];
  /** A category that a dashed vertical line points out, and what is written there. */
  mark?: { category: number; text: string } | undefined;
  /** Whether y grows by factors. */
  log?: boolean;
}

const WIDTH = 720;
const HEIGHT = 350;
const AREA = { left: 86, right: 18, top: 58, bottom: 50 };
/** Around the categories that stand apart. */
const GAP = 0.4;
const FONT = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif';
const INK = '#1a1a1a';
const FAINT = '#d4d4d4';

/** By Okabe and Ito. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#8b3a8b', '#444444'] as const;
const DASHES = ['', '7 4', '2 3', '10 3 2 3', '4 2'] as const;
const MARKERS = ['circle', 'square', 'triangle', 'diamond', 'cross'] as const;

interface Style {
  colour: string;
  dashes: string;
  marker: (typeof MARKERS)[number];
}

/** A picture that stands by itself: no style sheet, no font and no script from outside. */
export function plotSvg(plot: Plot): string {
  const x = horizontal(plot);
  const y = vertical(plot);
  const text = `font-family="${FONT}" font-size="12" fill="${INK}"`;
  const places = legendPlaces(plot.lines);
  // All below the legend makes room for its further rows.
  const lower = Math.max(0, ...places.map(({ top }) => top));
  const height = HEIGHT + lower;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" ${text}>`,
    `<title>${escaped(plot.title)}</title><desc>${escaped(plot.description)}</desc>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<g transform="translate(0 ${lower})">`,
    axes(plot, x, y),
    plot.mark === undefined ? '' : markSvg(plot.mark, x),
    ...plot.lines.map((line, at) => lineSvg(plot, line, styleOf(at), shift(plot, at), x, y)),
    '</g>',
    legend(plot.lines, places),
    '</svg>',
  ].join('\n');
}

/** Each of 25 lines differs from the others in its colour, dashes and marker taken together: print it in black, it still does. */
function styleOf(at: number): Style {
  const round = Math.floor(at / COLOURS.length);
  const of = <T>(all: readonly T[], further: number): T => all[(at + further) % all.length]!;
  return { colour: of(COLOURS, 0), dashes: of(DASHES, round), marker: of(MARKERS, 2 * round) };
}

/** Lines stand a little beside each other, so that their spreads do not hide one another. */
function shift({ lines }: Plot, at: number): number {
  return lines.length === 1 ? 0 : (at - (lines.length - 1) / 2) * 5;
}

type Scale = (value: number) => number;

/** @returns where the middle of a category is */
function horizontal({ categories, apart }: Plot): Scale {
  const gap = apart < categories.length && apart > 0 ? GAP : 0;
  const step = (WIDTH - AREA.left - AREA.right) / (categories.length + gap);
  return (category) => AREA.left + step * (category + 0.5 + (category >= apart ? gap : 0));
}

function vertical(plot: Plot): { of: Scale; ticks: number[] } {
  const values = plot.lines.flatMap(({ values: all }) => all.filter((each) => each !== undefined));
  const most = Math.max(0, ...values.map(({ high: value }) => value));
  // Where nothing is above 0, or there is nothing at all, any scale will do.
  const high = most > 0 ? most : 1;
  const ticks =
    plot.log === true ? logTicks(Math.min(high, ...values.map(({ low }) => low)), high) : evenTicks(high);
  const [from, to] = [ticks[0]!, ticks[ticks.length - 1]!];
  const part = (value: number): number =>
    plot.log === true
      ? Math.log(Math.max(value, from) / from) / Math.log(to / from)
      : (value - from) / (to - from);
  return { of: (value) => HEIGHT - AREA.bottom - part(value) * (HEIGHT - AREA.top - AREA.bottom), ticks };
}

/** From 0 to above `high`, in steps of 1, 2 or 5 times a power of ten. */
export function evenTicks(high: number): number[] {
  const rough = high / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough) ?? 10 * power;
  const count = Math.ceil(high / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(12)));
}

/** 1, 2 and 5 times powers of ten, from at most `low` to at least `high`. */
export function logTicks(low: number, high: number): number[] {
  const least = Math.max(low, high / 1e6);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); ; power++) {
    for (const times of [1, 2, 5]) {
      const tick = Number((times * 10 ** power).toPrecision(12));
      if (tick <= least) ticks.splice(0, ticks.length, tick);
      else ticks.push(tick);
      if (tick >= high && ticks.length > 1) return ticks;
    }
  }
}

function axes(plot: Plot, x: Scale, { of, ticks }: { of: Scale; ticks: number[] }): string {
  const right = WIDTH - AREA.right;
  const bottom = HEIGHT - AREA.bottom;
  const rows = ticks.map(
    (tick) =>
      `<line x1="${AREA.left}" x2="${right}" y1="${at(of(tick))}" y2="${at(of(tick))}" stroke="${FAINT}"/>` +
      `<text x="${AREA.left - 8}" y="${at(of(tick) + 4)}" text-anchor="end">${rounded(tick)}</text>`,
  );
  const columns = plot.categories.map(
    (name, category) =>
      `<text x="${at(x(category))}" y="${bottom + 18}" text-anchor="middle">${escaped(name)}</text>`,
  );
  const middle = (AREA.top + bottom) / 2;
  return [
    ...rows,
    `<line x1="${AREA.left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="${INK}"/>`,
    ...columns,
    `<text x="${(AREA.left + right) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escaped(plot.xLabel)}</text>`,
    `<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escaped(plot.yLabel)}</text>`,
  ].join('\n');
}

function lineSvg(
  plot: Plot,
  { values }: Line,
  style: Style,
  shifted: number,
  x: Scale,
  y: { of: Scale },
): string {
  const points = values.flatMap((value, category) =>
    value === undefined ? [] : [{ category, x: x(category) + shifted, y: y.of(value.y), value }],
  );
  const joined = points.filter(({ category }) => category < plot.apart);
  const path = joined
    .map((point, order) => `${order === 0 ? 'M' : 'L'}${at(point.x)} ${at(point.y)}`)
    .join(' ');
  const dashes = style.dashes === '' ? '' : ` stroke-dasharray="${style.dashes}"`;
  const spreads = points
    .filter(({ value }) => value.high > value.low)
    .map(
      (point) =>
        `<line x1="${at(point.x)}" x2="${at(point.x)}" y1="${at(y.of(point.value.low))}" y2="${at(y.of(point.value.high))}" stroke="${style.colour}"/>`,
    );
  return [
    joined.length > 1
      ? `<path d="${path}" fill="none" stroke="${style.colour}" stroke-width="2"${dashes}/>`
      : '',
    ...spreads,
    ...points.map((point) => markerSvg(style, point.x, point.y)),
  ].join('\n');
}

function markerSvg({ marker, colour }: Style, x: number, y: number): string {
  const drawn = `fill="#ffffff" stroke="${colour}" stroke-width="2"`;
  switch (marker) {
    case 'circle':
      return `<circle cx="${at(x)}" cy="${at(y)}" r="4" ${drawn}/>`;
    case 'square':
      return `<rect x="${at(x - 4)}" y="${at(y - 4)}" width="8" height="8" ${drawn}/>`;
    case 'triangle':
      return `<path d="M${at(x)} ${at(y - 5)} l5 9 h-10 z" ${drawn}/>`;
    case 'diamond':
      return `<path d="M${at(x)} ${at(y - 6)} l5 6 l-5 6 l-5 -6 z" ${drawn}/>`;
    case 'cross':
      return `<path d="M${at(x - 4)} ${at(y - 4)} l8 8 m0 -8 l-8 8" ${drawn}/>`;
  }
}

function markSvg({ category, text }: { category: number; text: string }, x: Scale): string {
  const middle = x(category);
  const anchor = middle > WIDTH / 2 ? 'end' : 'start';
  const beside = anchor === 'end' ? middle - 6 : middle + 6;
  return [
    `<line x1="${at(middle)}" x2="${at(middle)}" y1="${AREA.top - 14}" y2="${HEIGHT - AREA.bottom}" stroke="${INK}" stroke-dasharray="3 3"/>`,
    `<text x="${at(beside)}" y="${AREA.top - 6}" text-anchor="${anchor}" font-weight="600">${escaped(text)}</text>`,
  ].join('\n');
}

/** About what a letter takes. */
const LETTER = 6.6;
/** From one row of the legend to the next. */
const LEGEND_ROW = 18;

/** Where each line's part of the legend begins, from the left edge and below the first row. */
function legendPlaces(lines: readonly Line[]): { left: number; top: number }[] {
  let [left, top] = [AREA.left, 0];
  return lines.map(({ name }) => {
    const width = 54 + name.length * LETTER;
    if (left > AREA.left && left + width > WIDTH) [left, top] = [AREA.left, top + LEGEND_ROW];
    const place = { left, top };
    left += width;
    return place;
  });
}

function legend(lines: readonly Line[], places: readonly { left: number; top: number }[]): string {
  return lines
    .map(({ name }, order) => {
      const style = styleOf(order);
      const dashes = style.dashes === '' ? '' : ` stroke-dasharray="${style.dashes}"`;
      const { left, top } = places[order]!;
      const middle = 18 + top;
      return [
        `<line x1="${at(left)}" x2="${at(left + 32)}" y1="${middle}" y2="${middle}" stroke="${style.colour}" stroke-width="2"${dashes}/>`,
        markerSvg(style, left + 16, middle),
        `<text x="${at(left + 38)}" y="${middle + 4}">${escaped(name)}</text>`,
      ].join('');
    })
    .join('\n');
}

/** A coordinate: a tenth of a unit is enough. */
function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}
