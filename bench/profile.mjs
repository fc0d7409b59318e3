import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Arguments } from '../dist/cli/arguments.js';
import { benchClusterShape } from '../dist/cli/bench/cluster.js';
import { exitCodeOf, fileError } from '../dist/cli/failure.js';

/**
 * `npm run bench -- profile [flags of raftline bench cluster]` runs the cluster once, each of its threads profiled, and prints the
 * functions with the largest self time of each. `node bench/profile.mjs DIR [COUNT]` prints those of profiles that are there.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COUNT = 15;

export async function profile(args) {
  const given = new Arguments(benchClusterShape, args).text('profile');
  const directory = given ?? join(ROOT, '.tmp', 'profile');
  if (given === undefined) rmSync(directory, { recursive: true, force: true });
  const flags = given === undefined ? [...args, '--profile', directory] : args;
  process.argv.splice(2, process.argv.length, 'bench', 'cluster', ...flags);
  await import('../dist/cli/main.js');
  // A run that failed has said why.
  if (!args.includes('--help') && !process.exitCode) printProfiles(directory, COUNT);
}

function printGiven(directory, count) {
  try {
    printProfiles(directory, count);
  } catch (thrown) {
    const error = fileError(directory, thrown);
    process.stderr.write(`profile: ${error.message}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

function printProfiles(directory, count) {
  for (const path of profilesBelow(directory)) {
    const times = selfTimes(JSON.parse(readFileSync(path, 'utf8')));
    const total = times.reduce((sum, [, time]) => sum + time, 0);
    process.stdout.write(`\n${relative(directory, path)}: ${(total / 1e6).toFixed(1)} s\n`);
    for (const [name, time] of times.slice(0, count)) {
      process.stdout.write(`  ${((100 * time) / total).toFixed(1).padStart(5)} %  ${name}\n`);
    }
  }
}

function profilesBelow(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return profilesBelow(path);
    return name.endsWith('.cpuprofile') ? [path] : [];
  });
}

/** Self time by function, µs, largest first. */
function selfTimes({ nodes, samples, timeDeltas }) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map();
  samples.forEach((id, at) => {
    const name = names.get(id);
    times.set(name, (times.get(name) ?? 0) + timeDeltas[at]);
  });
  return [...times].sort((a, b) => b[1] - a[1]);
}

function nameOf({ functionName, url, lineNumber }) {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url;
  return `${name} ${file.replace(/^.*node_modules\//, '')}:${lineNumber + 1}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [directory, count = COUNT] = process.argv.slice(2);
  if (directory === undefined) {
    process.stderr.write('usage: node bench/profile.mjs DIR [COUNT]\n');
    process.exitCode = 2;
  } else printGiven(directory, Number(count));
}
