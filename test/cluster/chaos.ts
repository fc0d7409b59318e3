import { tmpdir } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { DemoCluster } from '../../dist/cli/demo/cluster.js';
import { RaftlineClient } from '../../dist/client/index.js';

/** Lines of this size, at about this rate, go on all the while. */
const LINE_BYTES = 100;
const LINES_PER_PULSE = 20;
const PULSE_MS = 10;
const NEW_LEADER_MS_MAX = 30_000;

export interface ChaosPlan {
  /** Graceful restarts of each node in turn. */
  restartsPerNode: number;
  /** SIGKILLs of whichever node is leader. */
  kills: number;
  /** Told what happens, a line each. */
  log: (line: string) => void;
}

export interface ChaosResult {
  /** Lines acknowledged; by construction also the lines sent. */
  acknowledged: number;
  /** Per replica, the first thing wrong with its tail; undefined: every line, in order, once. */
  differences: (string | undefined)[];
  /** From each kill to the first acknowledgement after it, ms. */
  withoutLeaderMs: number[];
  /** Entries that the session tables turned away: retries of what had been applied. */
  duplicatesTurnedAway: number;
}

/** Appends numbered lines without pause and knows how far they are acknowledged. */
class Writer {
  readonly #client: RaftlineClient;
  #running = true;
  sent = 0;
  acknowledged = 0;
  /** Retries of what had been applied: the answer to an earlier request was lost. */
  duplicates = 0;
  failure: Error | undefined;
  readonly done: Promise<void>;

  constructor(client: RaftlineClient) {
    this.#client = client;
    this.done = this.#run();
  }

  stop(): Promise<void> {
    this.#running = false;
    return this.done;
  }

  async #run(): Promise<void> {
    const { appender } = this.#client;
    while (this.#running && this.failure === undefined) {
      for (let at = 0; at < LINES_PER_PULSE; at++) {
        const line = lineOf(this.sent + 1);
        while (!appender.append(line, this.#answered)) await appender.drained();
        this.sent++;
      }
      await wait(PULSE_MS);
    }
    await appender.settled();
  }

  readonly #answered = (
    error: Error | undefined,
    run: { firstSequence: number; count: number; duplicate: boolean },
  ): void => {
    if (run.duplicate) this.duplicates += run.count;
    if (error !== undefined) this.failure ??= error;
    else if (run.firstSequence !== this.acknowledged + 1) {
      this.failure ??= new Error(`acknowledged ${run.firstSequence} after ${this.acknowledged}`);
    } else this.acknowledged += run.count;
  };
}

function lineOf(number: number): Buffer {
  return Buffer.from(`line ${number} `.padEnd(LINE_BYTES, `${(number * 7919) % 10_007} `));
}

/** Restarts and kills the nodes of a real cluster under continuous appends, then reads every replica back. */
export async function chaos(plan: ChaosPlan): Promise<ChaosResult> {
  const options = { segmentBytes: 2 * 1024 * 1024 };
  const cluster = await DemoCluster.prepare({ nodes: 3, ports: [], parentDirectory: tmpdir(), options });
  const client = new RaftlineClient({ servers: cluster.addresses, timeoutMs: 60_000 });
  try {
    await cluster.start();
    await cluster.leader(client);
    const writer = new Writer(client);
    await restartInTurn(cluster, client, writer, plan);
    const withoutLeaderMs = await killLeaders(cluster, client, writer, plan);
    await writer.stop();
    if (writer.failure !== undefined) throw writer.failure;
    const answers = await cluster.caughtUp(client, () => {});
    const differences = [];
    for (const address of Object.values(cluster.addresses)) {
      differences.push(await checkReplica(client, address, writer.sent));
    }
    const duplicatesTurnedAway = Math.max(...answers.map(({ status }) => status?.groups[0]?.duplicates ?? 0));
    await cluster.close();
    return { acknowledged: writer.acknowledged, differences, withoutLeaderMs, duplicatesTurnedAway };
  } finally {
    client.close();
    cluster.destroyNow(false);
  }
}

async function restartInTurn(
  cluster: DemoCluster,
  client: RaftlineClient,
  writer: Writer,
  plan: ChaosPlan,
): Promise<void> {
  for (let round = 1; round <= plan.restartsPerNode; round++) {
    for (const [id, node] of cluster.nodes) {
      const complaint = await node.close();
      if (complaint !== undefined) throw new Error(complaint);
      await node.start();
      await progress(writer);
      await cluster.leader(client);
      plan.log(
        `restart ${round} of node ${id}: ${writer.acknowledged} lines acknowledged, ${writer.duplicates} of them by a retry`,
      );
    }
  }
}

async function killLeaders(
  cluster: DemoCluster,
  client: RaftlineClient,
  writer: Writer,
  plan: ChaosPlan,
): Promise<number[]> {
  const withoutLeaderMs: number[] = [];
  for (let kill = 1; kill <= plan.kills; kill++) {
    const leader = await cluster.leader(client);
    await progress(writer);
    const killed = cluster.node(leader).kill();
    const before = writer.acknowledged;
    const at = performance.now();
    await killed;
    // Acknowledgements that were already on their way do not count: the next leader has to give one.
    while (client.leader === leader || client.leader === 0) await progress(writer);
    await progress(writer, before);
    withoutLeaderMs.push(performance.now() - at);
    await cluster.node(leader).start();
    plan.log(
      `kill ${kill}: node ${leader}, ${Math.round(withoutLeaderMs[kill - 1]!)} ms without a leader, ${writer.acknowledged} lines acknowledged, ${writer.duplicates} of them by a retry`,
    );
  }
  return withoutLeaderMs;
}

/** Waits until something more is acknowledged. */
async function progress(writer: Writer, before: number = writer.acknowledged): Promise<void> {
  const deadline = performance.now() + NEW_LEADER_MS_MAX;
  while (writer.acknowledged <= before) {
    if (writer.failure !== undefined) throw writer.failure;
    if (performance.now() > deadline)
      throw new Error(`nothing was acknowledged for ${NEW_LEADER_MS_MAX} ms after line ${before}`);
    await wait(2);
  }
}

/** Reads a replica's tail and compares it with what was sent, line by line. */
async function checkReplica(
  client: RaftlineClient,
  address: string,
  sent: number,
): Promise<string | undefined> {
  let expected = 1;
  let lastIndex = 0;
  let difference: string | undefined;
  for await (const chunk of client.tail(address)) {
    chunk.forEach((bytes, index) => {
      if (difference !== undefined) return;
      if (index <= lastIndex) difference = `index ${index} after ${lastIndex}`;
      lastIndex = index;
      if (!lineOf(expected).equals(bytes)) {
        difference = `line ${expected}, index ${index}: found ${bytes.subarray(0, 20).toString()}`;
      }
      expected++;
    });
  }
  if (difference === undefined && expected !== sent + 1) return `${expected - 1} lines instead of ${sent}`;
  return difference;
}
