import { startCluster } from '../../dist/bench/cluster.js';
import { Histogram } from '../../dist/bench/histogram.js';
import { arrived } from '../../dist/bench/measure.js';
import { sleep } from '../../dist/bench/processes.js';
import { runOnce } from '../../dist/bench/run.js';
import { figure } from '../../dist/cli/bench/print.js';

/** How much it has missed; less for a trial. */
const BYTES = Number(process.env.CATCH_UP_GB ?? 2) * 1e9;
const RATE = 64 * 1024 * 1024;
const LOAD = 0.5;
const LEAST = 0.9;
const MOST = 1.5;
const LOOK_MS = 200;
/** Between full load and the traffic that it comes back beside: everything is warm by then. */
const SETTLE_MS = 2000;
/** Caught up: what it lacks is what is under way. */
const NEAR_BYTES = 8 * 1024 * 1024;
const STOP_TIMEOUT_MS = 120_000;
const LIMIT_MS = 600_000;

/** A follower that comes back, beside traffic. */
export const catchingUpRow = {
  name: 'catching-up',
  own: ['rate', 'data', 'runs', 'minutes'],
  measure: `a follower that catches up ${BYTES / 1e9} GB beside traffic at half the maximum, at ${RATE / 2 ** 20} MiB/s`,
  target: `traffic ≥ ${LEAST} of before; time ≤ ${MOST} × what the throttle says`,
  async run(context) {
    const point = { payload: 1024, batchBytesMax: 256 * 1024 };
    // Noise: the log holds as many bytes as were proposed.
    const full = { ...context.settings(point), data: 'random' };
    const { entriesPerSecond } = await runOnce('cluster', { settings: full, threads: {} }, context.workspace);
    const settings = { ...full, rate: Math.floor(LOAD * entriesPerSecond) };
    context.output.line(
      `  full load: ${figure(entriesPerSecond)} entries/s; traffic at ${figure(settings.rate)}`,
    );
    const side = await startCluster(full, context.workspace);
    const { before, during, seconds, missedBytes } = await catchUp(context, side, full, settings);
    await side.close();
    const traffic = during.rate / before.rate;
    const time = seconds / (missedBytes / RATE);
    const one = (name, value, met) => ({ name, value, low: value, high: value, met });
    return {
      figures: [one('traffic', traffic, traffic >= LEAST), one('time', time, time <= MOST)],
      settings,
      beside: [
        `${trafficText(before)} before, ${trafficText(during)} while it caught up, in ${seconds.toFixed(1)} s`,
      ],
      data: { full: entriesPerSecond, before, during, seconds, missedBytes },
    };
  },
};

async function catchUp({ output }, side, full, settings) {
  const { leader, followers } = side;
  const [, victim] = followers;
  const sample = () => leader.ask('sample', { latencies: true });
  const load = (what) => leader.ask('load', { ...what, groupIds: [1] });
  let completed = 0;
  const stop = async () => {
    completed += await leader.ask('stop', {}, STOP_TIMEOUT_MS);
  };
  await load(settings);
  await sleep(settings.warmupSeconds * 1000);
  const before = await trafficOver(sample, settings.seconds * 1000);
  await stop();
  await victim.halt(leader);
  const from = (await sample()).entries;
  await load(full);
  for (let entries = from; (entries - from) * full.payload < BYTES; ) {
    await sleep(LOOK_MS);
    const { entries: now, failure } = await sample();
    if (failure !== undefined) throw new Error(failure);
    entries = now;
  }
  await stop();
  await leader.ask('tune', { catchUpBytesPerSecond: RATE });
  await load(settings);
  await sleep(SETTLE_MS);
  victim.signal('SIGCONT');
  const began = await sample();
  const missedBytes = (began.entries - from) * full.payload;
  output.line(`  it lacks ${figure(missedBytes)} bytes`);
  const caughtUpMs = await near(leader, full.payload);
  const ended = await sample();
  await stop();
  await arrived(side, completed);
  return { before, during: trafficBetween(began, ended), seconds: caughtUpMs / 1000, missedBytes };
}

async function trafficOver(sample, ms) {
  const first = await sample();
  await sleep(ms);
  return trafficBetween(first, await sample());
}

/** Latencies start anew with each sample, and from the time at which an entry was meant to be sent. */
function trafficBetween(first, last) {
  const latencies = new Histogram();
  latencies.add(last.latencies);
  const rate = ((last.entries - first.entries) * 1000) / (last.atMs - first.atMs);
  return { rate, latency: latencies.percentiles() };
}

function trafficText({ rate, latency: { p50Ms, p99Ms } }) {
  return `${figure(rate)} entries/s (p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms)`;
}

/** How long until every follower lacks only what is under way, ms. */
async function near(leader, payload) {
  const startMs = performance.now();
  for (;;) {
    const { groups } = await leader.ask('status');
    const [{ lastIndex, followers }] = groups;
    const lag = Math.max(...followers.map(({ match }) => lastIndex - match));
    if (lag * payload < NEAR_BYTES) return performance.now() - startMs;
    if (performance.now() - startMs > LIMIT_MS) throw new Error(`not caught up: ${lag} entries are missing`);
    await sleep(LOOK_MS);
  }
}
