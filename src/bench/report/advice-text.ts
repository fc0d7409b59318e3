import {
  type Advice,
  AUTO_BOUNDS,
  chosenDepth,
  depthOrder,
  ENOUGH,
  highest,
  isFixed,
  isTimed,
  KNEE_P99,
  keepsUp,
  type Point,
  type Series,
} from '../advice.js';
import { shortText } from './figures.js';
import { msText, rounded } from './text.js';

const RUNS_ENOUGH = 3;

/** What to set, in sentences. */
export function adviceText(series: Series, advice: Advice | undefined): string {
  const untimed = untimedText(series);
  if (advice === undefined) return `${nothingText(series)}${untimed}`;
  return `${bestText(series, advice)}${kneeText(series, advice.knee)}${autoText(advice)}${noiseText(advice)}${untimed}`;
}

/** Why nothing can be said of what to set. */
function nothingText({ points }: Series): string {
  if (!points.some(isFixed)) return "Only depth 'auto' was measured: there is nothing to hold it against.";
  if (!points.some((each) => isFixed(each) && isTimed(each))) return 'No fixed depth has a latency to go by.';
  const most = highest(points);
  const { rate } = most.settings;
  const reached = `${rounded(most.throughput.median)} entries/s, at ${shortText(most.settings)}`;
  return keepsUp(most)
    ? `No fixed depth kept up with the ${rounded(rate!)} entries/s offered, 'auto' did: ${reached}. Leave depth at 'auto'.`
    : `Nothing kept up with the ${rounded(rate!)} entries/s offered; the most was ${reached}. Offer less, or leave --rate out, to see what to set.`;
}

/** Settings whose latency nobody knows. */
function untimedText({ points }: Series): string {
  const untimed = points.filter((each) => !isTimed(each)).map(({ settings }) => shortText(settings));
  if (untimed.length === 0) return '';
  return ` Too few entries were completed to take a latency at ${untimed.join('; ')}: take a longer --duration.`;
}

function bestText(series: Series, { fastest, best, recommended }: Advice): string {
  const { payload, linkDelayMs } = series;
  const links = linkDelayMs === 0 ? 'links without added delay' : `links ${linkDelayMs} ms longer each way`;
  const share = best.throughput.median / fastest.throughput.median;
  const { rate } = best.settings;
  const part =
    rate !== undefined
      ? `of ${rounded(rate)} offered`
      : best === fastest
        ? 'the highest throughput measured'
        : `${rounded(100 * share)} % of the highest throughput measured, ${rounded(fastest.throughput.median)} at ${shortText(fastest.settings)}`;
  const { depth, batchBytesMax } = best.settings;
  const reached = `${rounded(best.throughput.median)} entries/s`;
  const p99 = `with a p99 of ${msText(best.p99.median)}.`;
  return recommended === undefined
    ? `Only one fixed setting was measured, which is no choice: ${shortText(best.settings)}, ${reached} ${p99}`
    : `For ${payload} B entries over ${links}, set pipeline.depth to ${depth} and pipeline.batchBytesMax to ${batchBytesMax}: ${reached} (${part}) ${p99}`;
}

function kneeText({ points }: Series, knee: Point | undefined): string {
  if (knee === undefined) return '';
  const { settings } = knee;
  const least = points.every(({ settings: { depth } }) => depthOrder(depth) >= depthOrder(settings.depth));
  if (least) return ` The knee is at or below depth ${settings.depth}, the smallest that was measured.`;
  const less =
    settings.rate === undefined
      ? `reaches less than ${100 * ENOUGH} % of the throughput at this batch size`
      : `does not keep up, or has a p99 of more than ${KNEE_P99} times the lowest`;
  return ` The knee is at depth ${settings.depth}: less depth ${less}.`;
}

function autoText({ best, auto }: Advice): string {
  if (auto === undefined) return '';
  const { point, throughput, p99, good, alike } = auto;
  const measured =
    ` 'auto'${chosenText(point)} reached ${throughput.toFixed(2)} times that throughput at ${p99.toFixed(2)} times that p99` +
    ` (${rounded(point.throughput.median)} entries/s, ${msText(point.p99.median)})`;
  const bounds = `${AUTO_BOUNDS.throughput} and ${AUTO_BOUNDS.p99}`;
  if (good)
    return `${measured}, within its bounds of ${bounds}: leave depth at 'auto' unless the load is always the same.`;
  // Single runs never overlap, and two hardly do.
  const few = Math.min(best.runs.length, point.runs.length) < RUNS_ENOUGH;
  return alike || few
    ? `${measured}, outside its bounds of ${bounds}, but their runs ${alike ? 'overlap' : 'are too few'}: take more before setting a number.`
    : `${measured}, outside its bounds of ${bounds}: here a fixed depth is the better choice.`;
}

function chosenText({ runs }: Point): string {
  const chosen = chosenDepth(runs);
  if (chosen === undefined) return '';
  const { median, min, max } = chosen;
  return min === max ? `, which chose ${median},` : `, which chose ${rounded(median)} (${min} to ${max}),`;
}

/** What the figures cannot carry. */
function noiseText({ best, alike }: Advice): string {
  if (best.runs.length < RUNS_ENOUGH)
    return ` Few runs were taken of each setting: take --runs ${RUNS_ENOUGH} or more before believing small differences.`;
  if (alike.length === 0) return '';
  const others = alike.map(({ settings }) => shortText(settings)).join('; ');
  return ` The runs do not tell it apart from ${others}.`;
}
