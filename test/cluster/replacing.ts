import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { DemoCluster } from '../../dist/cli/demo/cluster.js';
import { NodeProcess } from '../../dist/cli/demo/node-process.js';
import { type Members, RaftlineClient } from '../../dist/client/index.js';
import { freePorts } from '../../src/bench/free-ports.js';

/** A small log on disk for each of many nodes. */
const OPTIONS = { segmentBytes: 8 << 20, prepareSegments: false };
/** A replica that applies nothing for so long is stuck. */
const STUCK_MS = 30_000;

/** Appends lines without pause until told to stop, and notes what is acknowledged, in order. */
export class Writer {
  /** Of each line its place in the log. */
  readonly indexes: number[] = [];
  failure: unknown;
  longestGapMs = 0;
  #gapMs = 0;
  #lastMs = performance.now();
  #running = true;
  readonly #client: RaftlineClient;
  readonly #lineBytes: number;

  constructor(client: RaftlineClient, lineBytes: number) {
    this.#client = client;
    this.#lineBytes = lineBytes;
  }

  text(line: number): string {
    return `line ${line} `.padEnd(this.#lineBytes, '.');
  }

  /** `burst` lines every `pauseMs`, as far as the window takes them. Resolves once all are acknowledged. */
  async run(burst: number, pauseMs: number): Promise<void> {
    const { appender } = this.#client;
    let next = 1;
    while (this.#running && this.failure === undefined) {
      for (let sent = 0; sent < burst; sent++) {
        if (!appender.append(Buffer.from(this.text(next)), this.#answered)) break;
        next++;
      }
      await wait(pauseMs);
    }
    while (this.indexes.length < next - 1 && this.failure === undefined) await wait(pauseMs);
  }

  stop(): void {
    this.#running = false;
  }

  /** The longest time without an acknowledgement since the last call, ms. */
  takeGap(): number {
    const gapMs = this.#gapMs;
    this.#gapMs = 0;
    return gapMs;
  }

  readonly #answered = (
    error: Error | undefined,
    { count, index, duplicate }: { count: number; index: number; duplicate: boolean },
  ): void => {
    const nowMs = performance.now();
    const gapMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#gapMs = Math.max(this.#gapMs, gapMs);
    this.longestGapMs = Math.max(this.longestGapMs, gapMs);
    if (error !== undefined) this.failure ??= error;
    // A retry that was applied the first time is answered without its place.
    for (let at = 0; at < count; at++) this.indexes.push(duplicate ? 0 : index + at);
  };
}

/** A cluster of processes whose members come and go. */
export class ChangingCluster {
  readonly client: RaftlineClient;
  readonly #cluster: DemoCluster;
  readonly #nodes: Map<number, NodeProcess>;
  readonly #joinFile: string;
  #newest = 3;

  private constructor(cluster: DemoCluster) {
    this.#cluster = cluster;
    this.#nodes = cluster.nodes;
    this.client = new RaftlineClient({ servers: cluster.addresses, timeoutMs: 60_000 });
    this.#joinFile = join(cluster.directory, 'join.json');
    writeFileSync(this.#joinFile, JSON.stringify({ ...OPTIONS, join: true }));
  }

  static async start(): Promise<ChangingCluster> {
    const plan = { nodes: 3, ports: [], parentDirectory: tmpdir(), options: OPTIONS };
    const cluster = new ChangingCluster(await DemoCluster.prepare(plan));
    await cluster.#cluster.start();
    await cluster.#cluster.leader(cluster.client);
    return cluster;
  }

  /** One more voter, under an id that was never used. */
  async add(): Promise<Members> {
    const id = ++this.#newest;
    const [port] = await freePorts(1);
    const { directory, name } = this.#cluster;
    const address = `127.0.0.1:${port}`;
    const node = new NodeProcess({
      ...{ id, address, cluster: name, peers: {}, configFile: this.#joinFile },
      dataDirectory: join(directory, `node-${id}`),
      logFile: join(directory, `node-${id}.log`),
    });
    this.#nodes.set(id, node);
    await node.start();
    return this.client.addMember({ id, address });
  }

  remove(id: number): Promise<Members> {
    return this.client.removeMember(id);
  }

  /** Ends nodes that are members no more, and forgets them and their directories. */
  async end(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      const node = this.#nodes.get(id);
      await node?.kill();
      this.#nodes.delete(id);
      if (node !== undefined) rmSync(node.plan.dataDirectory, { recursive: true, force: true });
    }
  }

  /** The first difference between what a replica has applied and the lines that were written; undefined: there is none. */
  async difference(id: number, writer: Writer): Promise<string | undefined> {
    const count = writer.indexes.length;
    const { address } = this.#nodes.get(id)!.plan;
    let lines = 0;
    let from = 1;
    let found: string | undefined;
    for (let movedMs = performance.now(); lines < count && performance.now() - movedMs < STUCK_MS; ) {
      for await (const chunk of this.client.tail(address, from)) {
        chunk.forEach((bytes, index) => {
          lines++;
          from = index + 1;
          const expected = writer.text(lines);
          const place = writer.indexes[lines - 1] ?? 0;
          const right = bytes.toString() === expected && (place === 0 || place === index);
          if (!right)
            found ??= `node ${id}, index ${index}: '${bytes}', written was '${expected}' at ${place}`;
        });
        movedMs = performance.now();
      }
      if (lines < count) await wait(50);
    }
    return found ?? (lines === count ? undefined : `node ${id} has ${lines} lines of ${count}`);
  }

  destroy(): void {
    this.client.close();
    this.#cluster.destroyNow(false);
  }
}
