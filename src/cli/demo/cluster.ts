import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ErrorCode, RaftlineError } from '../../base/errors.js';
import type { NodeId } from '../../base/ids.js';
import { freePorts } from '../../bench/free-ports.js';
import type { RaftlineClient } from '../../client/index.js';
import type { EngineOptions } from '../../engine/options.js';
import { fileError } from '../failure.js';
import { ask } from '../status.js';
import type { Answer } from '../status-report.js';
import { NodeProcess } from './node-process.js';

const LEADER_MS_MAX = 30_000;
const POLL_MS = 50;
/** How long a cluster may take to catch up without any node getting any further. */
const STALLED_MS_MAX = 60_000;

export interface ClusterPlan {
  nodes: number;
  /** Empty: free ones. */
  ports: readonly number[];
  /** Where the run's own directory is made. */
  parentDirectory: string;
  /** Options that the input asks for. */
  options: Partial<EngineOptions>;
}

/** The processes of one run and the directory that holds everything they write. */
export class DemoCluster {
  readonly directory: string;
  readonly addresses: Record<NodeId, string>;
  readonly nodes = new Map<NodeId, NodeProcess>();
  readonly name: string;

  private constructor(directory: string, ports: readonly number[], options: Partial<EngineOptions>) {
    this.directory = directory;
    this.name = `demo-${randomBytes(4).toString('hex')}`;
    this.addresses = Object.fromEntries(ports.map((port, at) => [at + 1, `127.0.0.1:${port}`]));
    const configFile = join(directory, 'config.json');
    writeFileSync(configFile, JSON.stringify(options));
    for (const [key, address] of Object.entries(this.addresses)) {
      const id = Number(key);
      const dataDirectory = join(directory, `node-${id}`);
      const logFile = join(directory, `node-${id}.log`);
      const plan = {
        id,
        address,
        cluster: this.name,
        peers: this.addresses,
        dataDirectory,
        logFile,
        configFile,
      };
      this.nodes.set(id, new NodeProcess(plan));
    }
  }

  /** Makes the directory; starts nothing yet. @throws RaftlineError `RAFTLINE_FILE_UNREADABLE` */
  static async prepare({ nodes, ports, parentDirectory, options }: ClusterPlan): Promise<DemoCluster> {
    const used = ports.length > 0 ? ports : await freePorts(nodes);
    let directory: string;
    try {
      mkdirSync(parentDirectory, { recursive: true });
      directory = mkdtempSync(join(parentDirectory, 'raftline-demo-'));
    } catch (thrown) {
      throw fileError(parentDirectory, thrown);
    }
    return new DemoCluster(directory, used, options);
  }

  async start(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.start()));
  }

  node(id: NodeId): NodeProcess {
    const node = this.nodes.get(id);
    if (node === undefined) throw new RaftlineError(ErrorCode.Internal, `no node ${id} in this cluster`);
    return node;
  }

  /** What every node says of itself, in the order of their ids. */
  ask(client: RaftlineClient): Promise<Answer[]> {
    return Promise.all(
      Object.entries(this.addresses).map(([id, address]) => ask(client, Number(id), address)),
    );
  }

  /** Waits for a leader that a node knows itself to be. */
  async leader(client: RaftlineClient): Promise<NodeId> {
    const deadline = performance.now() + LEADER_MS_MAX;
    for (;;) {
      const answers = await this.ask(client);
      const leader = answers.find(({ status }) => status?.groups[0]?.role === 'leader');
      if (leader !== undefined) return leader.id;
      if (performance.now() > deadline) {
        throw new RaftlineError(ErrorCode.Timeout, `no leader within ${LEADER_MS_MAX} ms`);
      }
      await wait(POLL_MS);
    }
  }

  /** Waits until every node has applied all that the leader has. */
  async caughtUp(client: RaftlineClient, onProgress: (answers: Answer[]) => void): Promise<Answer[]> {
    let applied = -1;
    let movedAt = performance.now();
    for (;;) {
      const answers = await this.ask(client);
      onProgress(answers);
      const groups = answers.map(({ status }) => status?.groups[0]);
      const leader = groups.find((group) => group?.role === 'leader');
      const done =
        leader !== undefined &&
        leader.commitIndex === leader.lastIndex &&
        groups.every((group) => group?.appliedIndex === leader.lastIndex);
      if (done) return answers;
      const now = groups.reduce((sum, group) => sum + (group?.appliedIndex ?? 0), 0);
      if (now > applied) movedAt = performance.now();
      applied = Math.max(applied, now);
      if (performance.now() - movedAt > STALLED_MS_MAX) {
        const places = answers.map(
          ({ id, status }) => `node ${id} at ${status?.groups[0]?.appliedIndex ?? 'no answer'}`,
        );
        const message = `the nodes do not catch up: ${places.join(', ')}, of ${leader?.lastIndex ?? 'no leader'}`;
        throw new RaftlineError(ErrorCode.Timeout, message);
      }
      await wait(POLL_MS);
    }
  }

  /** Ends every node in good order. @returns what went wrong, if anything did */
  async close(): Promise<string[]> {
    const complaints = await Promise.all([...this.nodes.values()].map((node) => node.close()));
    return complaints.filter((each) => each !== undefined);
  }

  /** Ends everything at once and removes what was written, unless it is to be kept. For the very end: never waits. */
  destroyNow(keep: boolean): void {
    for (const node of this.nodes.values()) node.killNow();
    if (!keep) rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}
