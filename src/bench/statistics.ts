/** The middle one, the ends, and how sure the middle is. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** A quotient of two medians, with the interval in which it lies at the given confidence. */
export interface Quotient {
  ratio: number;
  low: number;
  high: number;
  /** Whether 1 lies outside the interval, and there were runs enough to tell. */
  significant: boolean;
  /** Of the side that had fewer. */
  runs: number;
}

/** Fewer runs give an interval, but no verdict: all of four on one side of four others happens by chance once in 35 times. */
const RUNS_FOR_VERDICT = 4;

/** Resamplings of a bootstrap: the ends of a 95 % interval are then right within about a hundredth of its width. */
const RESAMPLINGS = 2000;
const CONFIDENCE = 0.95;

/**
 * How `changed` compares with `base`, by a percentile bootstrap over the runs of each. Few runs give a wide interval, as they
 * should.
 * @param random a seeded source: the same figures give the same interval
 */
export function compareRuns(
  base: readonly number[],
  changed: readonly number[],
  random: () => number,
): Quotient {
  const ratio = spreadOf(changed).median / spreadOf(base).median;
  const draws = Array.from(
    { length: RESAMPLINGS },
    () => spreadOf(resampled(changed, random)).median / spreadOf(resampled(base, random)).median,
  ).sort((a, b) => a - b);
  const tail = (1 - CONFIDENCE) / 2;
  const low = draws[Math.floor(tail * RESAMPLINGS)]!;
  const high = draws[Math.ceil((1 - tail) * RESAMPLINGS) - 1]!;
  const runs = Math.min(base.length, changed.length);
  return { ratio, low, high, runs, significant: runs >= RUNS_FOR_VERDICT && (low > 1 || high < 1) };
}

/** What to say of a quotient that is not significant. */
export function nothingShown({ runs }: Quotient): string {
  return runs < RUNS_FOR_VERDICT ? `no verdict below ${RUNS_FOR_VERDICT} runs` : 'no difference shown';
}

/** The ends of the interval; none of a single run on either side, which has nothing to vary. */
export function intervalText({ low, high, runs }: Quotient): string {
  return runs > 1 ? `${low.toFixed(3)}–${high.toFixed(3)}` : '';
}

function resampled(values: readonly number[], random: () => number): number[] {
  return values.map(() => values[Math.floor(random() * values.length)]!);
}

/**
 * The line of least squares through points of x and y: how much y grows for one of x, and the standard error of that. Both are 0 with
 * fewer than three points, through which any line goes.
 */
export function slopeOf(points: readonly (readonly [number, number])[]): { slope: number; error: number } {
  const count = points.length;
  if (count < 3) return { slope: 0, error: 0 };
  const sum = (of: (x: number, y: number) => number): number =>
    points.reduce((total, [x, y]) => total + of(x, y), 0);
  const [meanX, meanY] = [sum((x) => x) / count, sum((_, y) => y) / count];
  const squares = sum((x) => (x - meanX) ** 2);
  const slope = sum((x, y) => (x - meanX) * (y - meanY)) / squares;
  const left = sum((x, y) => (y - meanY - slope * (x - meanX)) ** 2);
  return { slope, error: Math.sqrt(left / (count - 2) / squares) };
}
