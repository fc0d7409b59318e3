import { startCluster } from './cluster.mjs';
import { makePool, measureRatio } from './data.mjs';
import { machine } from './machine.mjs';
import { measure } from './measure.mjs';
import { startPipe } from './pipe/pipe.mjs';
import { Workspace } from './processes.mjs';
import { conditions, figure, MiB, print, printMachine, printTable, spread, writeJson } from './report.mjs';

/** Cluster against bare pipe, interleaved: both see the same moods of the machine. */
export async function ratio(settings) {
  const workspace = new Workspace({ parent: settings.dir, profileDirectory: settings.profile });
  const about = machine(workspace.root);
  const data = measureRatio(makePool(settings), settings.batchBytesMax);
  print(`ratio: cluster against bare pipe, ${conditions(settings)}`);
  printMachine(about);
  print(`data: JSON-like, varied; ${data.lz4} makes full batches ${data.ratio.toFixed(2)} times smaller`);
  print(
    `${settings.runs} runs of each, interleaved, ${settings.seconds} s after ${settings.warmup} s of warm-up\n`,
  );
  const results = { pipe: [], cluster: [] };
  const threads = {};
  for (let run = 0; run < settings.runs; run++) {
    for (const start of [startPipe, startCluster]) {
      const side = await start(settings, workspace);
      const result = await measure(side, settings);
      await side.close();
      results[side.name].push(result);
      threads[side.name] = side.threads;
      printRun(run, result, settings);
    }
  }
  const summary = printSummary(results, settings);
  writeJson(settings.json, { benchmark: 'ratio', machine: about, settings, data, threads, results, summary });
}

function printRun(run, result, settings) {
  const { side, entriesPerSecond, p50Ms, p99Ms } = result;
  const list = (values, digits) => values.map((value) => value.toFixed(digits)).join('/');
  print(`run ${run + 1} ${side}: ${figure(entriesPerSecond)} entries/s [${conditions(settings)}]`);
  print(
    `  ${figure(result.mbPerSecond)} MB/s, commit p50 ${p50Ms.toFixed(2)} ms p99 ${p99Ms.toFixed(2)} ms, ` +
      `${figure(result.batchesPerSecond)} batches/s of ${figure(result.entriesPerBatch)} entries, ` +
      `compressed ${result.compressionRatio.toFixed(2)}×`,
  );
  print(
    `  leader/followers: syncs/s ${list(result.syncsPerSecond, 0)}, cores ${list(result.cpu, 2)}, ` +
      `RSS ${list(
        result.rssBytes.map((bytes) => bytes / MiB),
        0,
      )} MiB, behind 0/${list(result.behind, 0)} entries` +
      (result.overloaded > 0 ? `, ${result.overloaded} refused as overloaded` : ''),
  );
}

function printSummary({ pipe, cluster }, settings) {
  const names = ['entriesPerSecond', 'mbPerSecond', 'p50Ms', 'p99Ms', 'batchesPerSecond', 'cpuUsPerEntry'];
  const summary = { pipe: {}, cluster: {} };
  const show = ({ median, min, max }) => `${figure(median)} (${figure(min)}–${figure(max)})`;
  const rows = names.map((name) => {
    summary.pipe[name] = spread(pipe.map((result) => result[name]));
    summary.cluster[name] = spread(cluster.map((result) => result[name]));
    const quotient = summary.cluster[name].median / summary.pipe[name].median;
    return [name, show(summary.pipe[name]), show(summary.cluster[name]), quotient.toFixed(3)];
  });
  print(`\nmedian (min–max) of ${settings.runs}: ${conditions(settings)}`);
  printTable(['', 'bare pipe', 'cluster', 'cluster / pipe'], rows);
  summary.ratio = summary.cluster.entriesPerSecond.median / summary.pipe.entriesPerSecond.median;
  print(`\nratio of entries/s: ${summary.ratio.toFixed(3)}`);
  return summary;
}
