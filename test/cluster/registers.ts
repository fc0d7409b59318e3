import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../../src/bench/free-ports.js';

const PROGRAM = fileURLToPath(new URL('register-node.mjs', import.meta.url));
const PATIENCE_MS = 30_000;

/** What a node answers: what was asked for, or the code that it failed with. */
interface Answer {
  value?: number;
  code?: string;
  role?: string;
  term?: number;
  leader?: number;
  logs?: string[];
}

/** A process of `register-node.mjs`. */
class RegisterNode {
  readonly id: number;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #asked = 0;

  constructor(id: number, options: object, process: ForkOptions) {
    this.id = id;
    this.#process = fork(PROGRAM, [JSON.stringify({ id, ...options })], process);
    this.#process.on('message', (message: Answer & { id?: number }) => {
      const { id: question = 0, ...answer } = message;
      this.#waiting.get(question)?.(answer);
      this.#waiting.delete(question);
    });
  }

  async ready(): Promise<void> {
    await once(this.#process, 'message');
  }

  ask(action: 'write' | 'read' | 'status' | 'busy', given: object = {}): Promise<Answer> {
    const id = ++this.#asked;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#process.send({ id, action, ...given });
    });
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#process.kill(signal);
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.signal('SIGKILL');
    await ended;
  }
}

/** Three processes that replicate a register. */
export class Registers {
  readonly nodes: readonly RegisterNode[];
  readonly #directory: string;

  private constructor(nodes: readonly RegisterNode[], directory: string) {
    this.nodes = nodes;
    this.#directory = directory;
  }

  /** `process`: with what else the process of a node is started. */
  static async start(options: object, process: (id: number) => ForkOptions = () => ({})): Promise<Registers> {
    const directory = mkdtempSync(join(tmpdir(), 'raftline-registers-'));
    const ports = await freePorts(3);
    const peers = Object.fromEntries(ports.map((port, at) => [at + 1, `127.0.0.1:${port}`]));
    const nodes = ports.map((port, at) => {
      const id = at + 1;
      const place = { listen: `127.0.0.1:${port}`, dataDirectory: join(directory, `${id}`) };
      return new RegisterNode(id, { cluster: 'registers', peers, ...place, ...options }, process(id));
    });
    const cluster = new Registers(nodes, directory);
    await Promise.all(nodes.map((node) => node.ready()));
    return cluster;
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  /** Writes on whichever of `nodes` leads, until one acknowledges. Returns that one. */
  async write(value: number, nodes: readonly RegisterNode[] = this.nodes): Promise<RegisterNode> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      for (const node of nodes) {
        const { role } = await node.ask('status');
        if (role === 'leader' && (await node.ask('write', { value })).code === undefined) return node;
      }
      await wait(5);
    }
    throw new Error(`value ${value} found no leader in ${PATIENCE_MS} ms`);
  }
}

export interface PausedLeaderResult {
  answered: number;
  refused: Record<string, number>;
  /** Of the reads that were asked of a stopped leader, how many it answered afterwards. */
  answeredByStopped: number;
  /** Reads that returned less than what had been acknowledged before they were asked for. */
  stale: string[];
}

const POLICIES = ['readIndex', 'lease'] as const;
/** Reads of each policy at each point of a round. */
const BURST = 5;

/**
 * Stops the leader for three lease times, has the others elect and write meanwhile, and reads from all of them, the stopped one too:
 * before, while it is stopped, and as it goes on (H67).
 */
export async function pausedLeader(
  cluster: Registers,
  rounds: number,
  pauseMs: number,
): Promise<PausedLeaderResult> {
  const result: PausedLeaderResult = { answered: 0, refused: {}, answeredByStopped: 0, stale: [] };
  let acknowledged = 0;
  const read = async (node: RegisterNode, policy: string, when: string): Promise<boolean> => {
    const least = acknowledged;
    const { value, code } = await node.ask('read', { policy });
    if (code !== undefined) result.refused[code] = (result.refused[code] ?? 0) + 1;
    else result.answered++;
    if (value !== undefined && value < least)
      result.stale.push(`node ${node.id}, ${policy}, ${when}: ${value} after ${least}`);
    return code === undefined;
  };
  const burst = (nodes: readonly RegisterNode[], when: string): Promise<boolean>[] =>
    nodes.flatMap((node) =>
      POLICIES.flatMap((policy) => Array.from({ length: BURST }, () => read(node, policy, when))),
    );

  for (let round = 1; round <= rounds; round++) {
    const leader = await cluster.write(2 * round - 1);
    acknowledged = 2 * round - 1;
    await Promise.all(burst(cluster.nodes, `round ${round}, before`));
    const others = cluster.nodes.filter((node) => node !== leader);
    const underWay = burst([leader], `round ${round}, under way`);
    leader.signal('SIGSTOP');
    const stopped = performance.now();
    await cluster.write(2 * round, others);
    acknowledged = 2 * round;
    await Promise.all(burst(others, `round ${round}, others`));
    const late = burst([leader], `round ${round}, stopped`);
    await wait(Math.max(0, pauseMs - (performance.now() - stopped)));
    leader.signal('SIGCONT');
    const after = burst(cluster.nodes, `round ${round}, after`);
    const answers = await Promise.all(late);
    result.answeredByStopped += answers.filter((answered) => answered).length;
    await Promise.all([...underWay, ...after]);
  }
  return result;
}
