import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ErrorCode, RaftlineError } from '../../base/errors.js';
import { ENTRY_BYTES_CEILING } from '../../base/limits.js';
import { RaftlineClient } from '../../client/index.js';
import type { EngineOptions } from '../../engine/options.js';
import { Arguments, type CommandShape, usageError } from '../arguments.js';
import { ExitCode } from '../failure.js';
import { note, Output } from '../output.js';
import type { Answer } from '../status-report.js';
import { byteText, grouped } from '../table.js';
import { DemoCluster } from './cluster.js';
import { Input } from './input.js';
import { Progress, replicationLine } from './progress.js';
import { Replication, type ReplicationFacts, WINDOW_ENTRIES } from './replication.js';
import { type DemoFacts, isIdentical, type Replica, reportAsJson, reportAsText } from './report.js';
import { ReplicaCheck } from './verify.js';

const NODES_MAX = 7;
const MiB = 1024 * 1024;
const POLL_MS = 500;

export const demoShape: CommandShape = {
  name: 'demo',
  summary: 'replicates a file through three local nodes, kills the leader half-way, and compares',
  positional: 'FILE',
  flags: [
    {
      name: 'records',
      value: 'N',
      help: 'an entry is N bytes (for binary files); default: an entry is a line',
    },
    { name: 'nodes', value: 'N', help: `how many nodes, 3 to ${NODES_MAX} (default 3)` },
    { name: 'ports', value: 'A,B,C', help: 'their ports (default: free ones)' },
    {
      name: 'dir',
      value: 'DIR',
      help: "where to put the data directories (default: the system's temporary directory)",
    },
    { name: 'keep', help: 'keep the data directories' },
    { name: 'json', help: 'print one JSON object instead of the report' },
    { name: 'help', help: 'show this' },
  ],
  notes: [
    'Without a FILE it takes the package-lock.json that came with it.',
    'Exit code 0 only if every replica is byte for byte the input.',
  ],
};

interface DemoPlan {
  file: string;
  recordBytes: number | undefined;
  nodes: number;
  ports: readonly number[];
  parentDirectory: string;
  keep: boolean;
  json: boolean;
}

export async function demo(args: readonly string[]): Promise<ExitCode> {
  const plan = planOf(new Arguments(demoShape, args));
  const input = await Input.open(plan.file, plan.recordBytes);
  const { nodes, ports, parentDirectory } = plan;
  const options = optionsFor(input.facts.longestEntryBytes);
  const cluster = await DemoCluster.prepare({ nodes, ports, parentDirectory, options });
  const progress = new Progress();
  const forgetSignals = destroyOnSignal(cluster, plan.keep, progress);
  // Whatever ends this process, what it started ends with it.
  const destroy = (): void => cluster.destroyNow(plan.keep);
  process.on('exit', destroy);
  const client = new RaftlineClient({
    servers: cluster.addresses,
    cluster: cluster.name,
    entriesMax: WINDOW_ENTRIES,
  });
  try {
    const run = new DemoRun(input, cluster, client, progress);
    const facts = await run.all();
    const kept = plan.keep ? cluster.directory : undefined;
    return tell({ ...facts, kept }, plan.json);
  } finally {
    progress.end();
    client.close();
    for (const complaint of await cluster.close()) note(`raftline demo: ${complaint}`);
    await input.close();
    destroy();
    process.off('exit', destroy);
    forgetSignals();
  }
}

function tell(facts: DemoFacts, json: boolean): ExitCode {
  const output = new Output();
  if (json) output.json(reportAsJson(facts));
  else output.write(reportAsText(facts));
  if (isIdentical(facts)) return ExitCode.Done;
  const different = facts.replicas.filter(({ difference }) => difference !== undefined);
  for (const { id, difference } of different) {
    note(`raftline demo: node ${id} differs from the input: ${difference}`);
  }
  return ExitCode.Failed;
}

function planOf(given: Arguments): DemoPlan {
  const nodes = given.integer('nodes', 3, NODES_MAX) ?? 3;
  const ports = (given.text('ports')?.split(',') ?? []).map((text) => {
    const port = Number(text);
    if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
    throw usageError(`--ports: expected ports from 1 to 65535, separated by commas, received '${text}'`);
  });
  if (ports.length > 0 && (ports.length !== nodes || new Set(ports).size !== nodes)) {
    throw usageError(`--ports: expected ${nodes} different ports, received '${ports.join(',')}'`);
  }
  return {
    file: given.positional ?? ownLockFile(),
    recordBytes: given.integer('records', 1, ENTRY_BYTES_CEILING),
    nodes,
    ports,
    parentDirectory: given.text('dir') ?? tmpdir(),
    keep: given.flag('keep'),
    json: given.flag('json'),
  };
}

/** Real input that is at hand in a fresh clone; in an installed package, which has no lock file, its README. */
function ownLockFile(): string {
  const [lock, readme] = ['../../../package-lock.json', '../../../README.md'].map((name) =>
    fileURLToPath(new URL(name, import.meta.url)),
  ) as [string, string];
  return existsSync(lock) ? lock : readme;
}

/** The defaults hold lines of up to 1 MiB; a file with longer ones needs more room in every node. */
function optionsFor(longestEntryBytes: number): Partial<EngineOptions> {
  if (longestEntryBytes <= MiB) return {};
  return {
    entryBytesMax: longestEntryBytes,
    uncommittedBytesMax: Math.max(16 * MiB, 2 * longestEntryBytes),
    segmentBytes: Math.max(64 * MiB, 2 * longestEntryBytes),
  };
}

/** Ctrl-C: stops and removes everything at once, and says so with the usual exit code. */
function destroyOnSignal(cluster: DemoCluster, keep: boolean, progress: Progress): () => void {
  const handlers = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => {
    const handler = (): void => {
      progress.end();
      note(
        `raftline demo: ${signal}: stopping ${keep ? 'the nodes' : 'the nodes and removing their directories'}`,
      );
      cluster.destroyNow(keep);
      process.exit(signal === 'SIGINT' ? 130 : 143);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const forget of handlers) forget();
  };
}

/** The five steps of the run, on a cluster that is prepared. */
class DemoRun {
  readonly #input: Input;
  readonly #cluster: DemoCluster;
  readonly #client: RaftlineClient;
  readonly #progress: Progress;

  constructor(input: Input, cluster: DemoCluster, client: RaftlineClient, progress: Progress) {
    this.#input = input;
    this.#cluster = cluster;
    this.#client = client;
    this.#progress = progress;
  }

  async all(): Promise<Omit<DemoFacts, 'kept'>> {
    const broken = new Promise<never>((_, reject) => {
      for (const node of this.#cluster.nodes.values()) node.onUnexpectedEnd = reject;
    });
    return Promise.race([broken, this.#steps()]);
  }

  async #steps(): Promise<Omit<DemoFacts, 'kept'>> {
    this.#progress.during(() => `starting ${this.#cluster.nodes.size} nodes`);
    await this.#cluster.start();
    const leader = await this.#cluster.leader(this.#client);
    const replication = new Replication(this.#input, this.#cluster, this.#client);
    const facts = await this.#watched(replication, () => replication.run(leader));
    const restarting = facts.failover?.killed;
    this.#progress.during(() => `starting node ${restarting} again`);
    await replication.restarted;
    const answers = await this.#catchUp();
    const replicas: Replica[] = [];
    for (const answer of answers) replicas.push(await this.#check(answer, facts));
    const duplicates = Math.max(...answers.map(({ status }) => status?.groups[0]?.duplicates ?? 0));
    return { input: this.#input, replication: facts, replicas, duplicates };
  }

  /** Runs with the progress line. Asking the nodes costs them little, but not nothing: twice a second. */
  async #watched(replication: Replication, run: () => Promise<ReplicationFacts>): Promise<ReplicationFacts> {
    let answers: readonly Answer[] = [];
    let bytes = 0;
    let bytesPerSecond = 0;
    let at = performance.now();
    const poll = setInterval(() => {
      const now = performance.now();
      bytesPerSecond = ((replication.bytesGiven - bytes) / (now - at)) * 1000;
      bytes = replication.bytesGiven;
      at = now;
      void this.#cluster.ask(this.#client).then((given) => {
        answers = given;
      });
    }, POLL_MS);
    this.#progress.during(() =>
      replicationLine({
        acknowledged: replication.acknowledged,
        entries: this.#input.facts.entries,
        bytesPerSecond,
        leader: this.#client.leader,
        killed: replication.killed,
        answers,
      }),
    );
    try {
      return await run();
    } finally {
      clearInterval(poll);
    }
  }

  async #catchUp(): Promise<Answer[]> {
    let line = 'catching up';
    this.#progress.during(() => line);
    return this.#cluster.caughtUp(this.#client, (answers) => {
      const places = answers.map(({ id, status }) => {
        const applied = status?.groups[0]?.appliedIndex;
        return `node ${id} ${applied === undefined ? 'no answer' : grouped(applied)}`;
      });
      line = `catching up  applied: ${places.join(', ')}`;
    });
  }

  async #check({ id, address, status }: Answer, { failover }: ReplicationFacts): Promise<Replica> {
    const check = new ReplicaCheck(this.#input);
    let entries = 0;
    this.#progress.during(
      () => `reading back node ${id}  ${grouped(entries)} entries of ${byteText(this.#input.facts.bytes)}`,
    );
    for await (const chunk of this.#client.tail(address)) {
      await check.take(chunk);
      entries += chunk.count;
    }
    if (status === undefined) throw new RaftlineError(ErrorCode.Unreachable, `node ${id} gave no status`);
    const { disk, rssBytes } = status;
    const { bytesWritten, syncs } = disk;
    return {
      ...check.finish(),
      id,
      address,
      bytesWritten,
      syncs,
      rssBytes,
      restarted: failover?.killed === id,
    };
  }
}
