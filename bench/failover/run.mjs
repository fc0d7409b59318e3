import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { toRaftlineError } from '../../dist/base/errors.js';
import { machineFacts } from '../../dist/bench/machine.js';
import { sleep, Workspace } from '../../dist/bench/processes.js';
import { usageError } from '../../dist/cli/arguments.js';
import { ExitCode, exitCodeOf } from '../../dist/cli/failure.js';
import { Cluster } from './cluster.mjs';
import { Writer } from './writer.mjs';

/** Whole numbers: default, lowest, highest, meaning. */
const FLAGS = {
  kills: [20, 1, 10_000, 'times that the leader is killed (SIGKILL) and started again'],
  nodes: [3, 3, 9, 'processes'],
  rate: [2000, 0, 100_000, 'entries a second that a client appends all the while'],
  payload: [100, 0, 65_536, 'bytes of an entry'],
  min: [500, 50, 60_000, 'election.timeoutMsMin'],
  max: [1000, 51, 120_000, 'election.timeoutMsMax'],
  heartbeat: [100, 5, 30_000, 'election.heartbeatIntervalMs'],
};

function print(line) {
  process.stdout.write(`${line}\n`);
}

function usage() {
  print(
    'npm run failover [-- flags]      how long a cluster is without a leader after a kill (docs/benchmarks.md)\n',
  );
  for (const [name, [value, , , help]] of Object.entries(FLAGS)) {
    print(`  --${name.padEnd(10)} ${help} (default ${value})`);
  }
  print(`  --${'dir'.padEnd(10)} where data directories are made (default: .tmp of this checkout)`);
  print(`  --${'json'.padEnd(10)} file for the results`);
  print(`  --${'trace'.padEnd(10)} print what each survivor noted`);
}

function parse(args) {
  const options = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: 'string' }]));
  const { values } = parsed({
    args,
    options: { ...options, dir: { type: 'string' }, json: { type: 'string' }, trace: { type: 'boolean' } },
  });
  const settings = {
    dir: values.dir ?? fileURLToPath(new URL('../../.tmp', import.meta.url)),
    json: values.json,
    trace: values.trace === true,
  };
  for (const [name, [value, min, max]] of Object.entries(FLAGS)) {
    const number = values[name] === undefined ? value : Number(values[name]);
    if (!(Number.isInteger(number) && number >= min && number <= max)) {
      throw usageError(`--${name}: expected a whole number from ${min} to ${max}, received ${values[name]}`);
    }
    settings[name] = number;
  }
  return settings;
}

function parsed(config) {
  try {
    return parseArgs(config);
  } catch (thrown) {
    throw usageError(`${thrown.message.split('. ', 1)[0]} (see npm run failover -- --help)`);
  }
}

async function main(args) {
  if (args.includes('--help')) return usage();
  const settings = parse(args);
  const { nodes, rate, payload, dir, json, kills } = settings;
  const workspace = new Workspace(dir);
  const facts = machineFacts(workspace.root);
  const election = {
    timeoutMsMin: settings.min,
    timeoutMsMax: settings.max,
    heartbeatIntervalMs: settings.heartbeat,
  };
  const named = `${nodes} processes, election timeout ${settings.min} to ${settings.max} ms, heartbeats every ${settings.heartbeat} ms, ${rate} entries/s of ${payload} B`;
  print(
    `${named}; ${facts.cores} cores, load ${facts.loadAverage[0]}, ${facts.fileSystem}, Node ${facts.node}`,
  );
  const cluster = await Cluster.start({ nodes, election }, workspace);
  const writer = new Writer({ addresses: cluster.addresses, rate, lineBytes: payload });
  const rounds = [];
  for (let kill = 1; kill <= kills; kill++) {
    const round = await killLeader(cluster, writer, rate > 0);
    rounds.push(round);
    print(`kill ${kill}: ${describe(round)}`);
    if (settings.trace) for (const line of trace(round)) print(line);
    await cluster.restart(round.node);
  }
  await writer.stop();
  await cluster.close();
  const result = summarize(rounds, settings.min);
  print(summaryText(result, settings));
  if (json !== undefined) {
    const file = { settings: { election, nodes, rate, payload, kills }, machine: facts, ...result, rounds };
    writeFileSync(json, `${JSON.stringify(file, undefined, 2)}\n`);
  }
}

/** One kill of a healthy cluster's leader, at any point between two heartbeats. */
async function killLeader(cluster, writer, writing) {
  await cluster.healthyLeader();
  await sleep(300 + Math.random() * 300);
  const node = await cluster.healthyLeader();
  const { retries, duplicates, outstanding } = writer;
  const killedAtMs = cluster.kill(node);
  const marks = (await cluster.nextLeader(node, killedAtMs)).map((mark) => ({
    ...mark,
    afterMs: mark.atMs - killedAtMs,
  }));
  const committed = marks.find(({ what }) => what === 'committed');
  const { term, node: next } = committed;
  const first = (what) => marks.find((mark) => mark.what === what)?.afterMs;
  const elected = marks.find((mark) => mark.what === 'leader' && mark.term === term);
  const clientMs = writing ? (await writer.acknowledgedByAnother(node)) - killedAtMs : undefined;
  await sleep(100);
  return {
    node,
    next,
    campaignMs: first('candidate'),
    elections: new Set(marks.filter(({ what }) => what === 'candidate').map((mark) => mark.term)).size,
    electedMs: elected?.afterMs,
    withoutLeaderMs: committed.afterMs,
    clientMs,
    clientRetries: writer.retries - retries,
    outstanding,
    duplicates: writer.duplicates - duplicates,
    marks,
  };
}

function describe({ node, next, campaignMs, electedMs, withoutLeaderMs, clientMs, ...client }) {
  const ms = (value) => (value === undefined ? '–' : Math.round(value));
  const { clientRetries, outstanding, duplicates } = client;
  const sent = `${clientRetries} tries, ${outstanding} unanswered, of them ${duplicates} applied`;
  const gap = clientMs === undefined ? '' : `; client ${ms(clientMs)} ms, ${sent}`;
  return `node ${node} → ${next}: ${ms(withoutLeaderMs)} ms without a leader (campaign ${ms(campaignMs)}, elected ${ms(electedMs)})${gap}`;
}

function trace({ marks }) {
  return marks.map(({ node, what, term, peer, afterMs }) => {
    const facts = [term === undefined ? '' : `term ${term}`, peer ? `node ${peer}` : ''].filter(
      (text) => text !== '',
    );
    return `    ${afterMs.toFixed(1).padStart(8)} ms  node ${node}: ${what} ${facts.join(', ')}`;
  });
}

function spread(values) {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted[sorted.length - 1] };
}

function summarize(rounds, electionTimeoutMsMin) {
  const withoutLeaderMs = spread(rounds.map((round) => round.withoutLeaderMs));
  return {
    withoutLeaderMs,
    campaignMs: spread(rounds.map((round) => round.campaignMs)),
    electionMs: spread(rounds.map((round) => round.withoutLeaderMs - round.campaignMs)),
    clientMs: spread(rounds.map((round) => round.clientMs)),
    ratioToElectionTimeoutMin: withoutLeaderMs.median / electionTimeoutMsMin,
  };
}

function summaryText(result, { kills, min }) {
  const line = (name, values) => {
    if (values === undefined) return undefined;
    const { median, min: least, max } = values;
    return `${name.padEnd(44)} median ${Math.round(median)} ms (${Math.round(least)}–${Math.round(max)})`;
  };
  return [
    `\n${kills} kills; target: median below ${1.5 * min} ms, 1.5 × election.timeoutMsMin`,
    line('without a leader, kill to first commit', result.withoutLeaderMs),
    line('of it until the first campaign', result.campaignMs),
    line('of it from there to the first commit', result.electionMs),
    line("the client's gap, kill to acknowledgement", result.clientMs),
    `median ÷ election.timeoutMsMin: ${result.ratioToElectionTimeoutMin.toFixed(2)}`,
  ]
    .filter((text) => text !== undefined)
    .join('\n');
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (thrown) => {
    const error = toRaftlineError(thrown);
    const code = exitCodeOf(error);
    process.stderr.write(`failover: ${code === ExitCode.Usage ? error.message : error.stack}\n`);
    process.exit(code);
  },
);
