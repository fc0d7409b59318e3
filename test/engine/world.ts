import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { RaftlineError } from '../../src/base/errors.js';
import { freePorts } from '../../src/bench/free-ports.js';
import type { Engine as EngineType } from '../../src/engine/engine.js';
import type { EngineOptions } from '../../src/engine/options.js';
import type { StateMachine } from '../../src/engine/state-machine.js';

/** The built engine: its worker threads run JavaScript. Types are those of the source. */
const built = new URL('../../dist/engine/engine.js', import.meta.url).href;
export const { Engine } = (await import(built)) as typeof import('../../src/engine/engine.js');

const PATIENCE_MS = 30_000;

/** Waits until `check` holds, looking now and then. */
export async function until(what: string, check: () => boolean): Promise<void> {
  for (let waited = 0; !check(); waited += 5) {
    if (waited > PATIENCE_MS) throw new Error(`waited in vain: ${what}`);
    await sleep(5);
  }
}

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'raftline-engine-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Notes every entry, and answers with how many there were. */
export class Ledger implements StateMachine {
  readonly entries: string[] = [];
  failOn: string | undefined;
  apply: StateMachine['apply'] = (batch) => {
    const results: Buffer[] = [];
    batch.forEach((bytes, index) => {
      const text = bytes.length > 40 ? `${bytes.length} bytes` : Buffer.from(bytes).toString();
      if (text === this.failOn) throw new Error(`cannot apply ${text}`);
      this.entries.push(`${index} ${text}`);
      results.push(Buffer.from(`#${this.entries.length}`));
    });
    return results;
  };

  /** Without their places. */
  get texts(): string[] {
    return this.entries.map((entry) => entry.slice(entry.indexOf(' ') + 1));
  }
}

const QUICK = { election: { timeoutMsMin: 150, timeoutMsMax: 300, heartbeatIntervalMs: 30 } };
/** Of several nodes: a machine that is busy with much else must not cost a leader its place. */
const STEADY = { election: { timeoutMsMin: 500, timeoutMsMax: 1000, heartbeatIntervalMs: 50 } };

export function single(
  path: string,
  ledger: StateMachine,
  changes: Partial<EngineOptions> = {},
): EngineOptions {
  const groups = [{ id: 1, stateMachine: ledger }];
  return {
    id: 1,
    cluster: 'test',
    dataDirectory: path,
    groups,
    prepareSegments: false,
    segmentBytes: 4 << 20,
    ...QUICK,
    ...changes,
  };
}

export async function leads(engine: EngineType, group = 1): Promise<void> {
  await until('it leads', () => engine.group(group).status().role === 'leader');
}

/** The code that a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await errorOf(promise)).code;
}

export async function errorOf(promise: Promise<unknown>): Promise<RaftlineError> {
  let thrown: unknown;
  await promise.then(
    () => undefined,
    (error: unknown) => {
      thrown = error;
    },
  );
  expect(thrown, 'it should have failed').toBeInstanceOf(Error);
  return thrown as RaftlineError;
}

interface Node {
  readonly options: EngineOptions;
  ledger: Ledger;
  engine: EngineType | undefined;
  readonly logs: string[];
}

/** Three engines in this process, on ports of their own. */
export class Cluster {
  readonly nodes = new Map<number, Node>();
  readonly #directories: { remove: () => void }[] = [];

  static async start(changes: (id: number) => Partial<EngineOptions> = () => ({})): Promise<Cluster> {
    const cluster = new Cluster();
    const ports = await freePorts(3);
    const peers = Object.fromEntries(ports.map((port, at) => [at + 1, `127.0.0.1:${port}`]));
    for (const [at, port] of ports.entries()) {
      const id = at + 1;
      const directory = temporaryDirectory();
      cluster.#directories.push(directory);
      const options = {
        ...single(directory.path, new Ledger(), STEADY),
        id,
        peers,
        listen: `127.0.0.1:${port}`,
        ...changes(id),
      };
      cluster.nodes.set(id, { options, ledger: new Ledger(), engine: undefined, logs: [] });
    }
    await Promise.all([...cluster.nodes.keys()].map((id) => cluster.open(id)));
    return cluster;
  }

  /** One more node, which waits to be added: an empty directory, a port of its own. Resolves with its address. */
  async join(id: number): Promise<string> {
    const [port] = await freePorts(1);
    const directory = temporaryDirectory();
    this.#directories.push(directory);
    const listen = `127.0.0.1:${port}`;
    const options = { ...single(directory.path, new Ledger(), STEADY), id, listen, join: true };
    this.nodes.set(id, { options, ledger: new Ledger(), engine: undefined, logs: [] });
    await this.open(id);
    return listen;
  }

  node(id: number): Node {
    return this.nodes.get(id)!;
  }

  async open(id: number, changes: Partial<EngineOptions> = {}): Promise<void> {
    const node = this.node(id);
    node.ledger = new Ledger();
    const groups = [{ id: 1, stateMachine: node.ledger }];
    node.engine = await Engine.open({ ...node.options, groups, ...changes });
    node.engine.on('log', ({ message }) => node.logs.push(message));
  }

  async stop(id: number): Promise<void> {
    await this.node(id).engine?.close();
    this.node(id).engine = undefined;
  }

  /** The engine that leads with the agreement of all others that run. */
  async leader(): Promise<EngineType> {
    let found: EngineType | undefined;
    await until('there is one leader', () => {
      const running = [...this.nodes.values()].flatMap(({ engine }) => engine ?? []);
      found = running.find((engine) => engine.group(1).status().role === 'leader');
      return running.every((engine) => engine.group(1).status().leader === found?.id);
    });
    return found!;
  }

  /** Proposes with retries; tells where it was taken. */
  async put(text: string): Promise<void> {
    for (let tries = 0; ; tries++) {
      const leader = await this.leader();
      try {
        await leader.group(1).propose(Buffer.from(text));
        return;
      } catch (error) {
        if (!(error as RaftlineError).retryable || tries > 50) throw error;
        await sleep(10);
      }
    }
  }

  /** Waits until all that run have applied the same, `count` entries. */
  async agree(count: number): Promise<string[]> {
    const running = [...this.nodes.values()].filter(({ engine }) => engine !== undefined);
    await until(`${count} entries on ${running.length} nodes`, () =>
      running.every(({ ledger }) => ledger.entries.length >= count),
    );
    for (const { ledger } of running) expect(ledger.entries).toEqual(running[0]!.ledger.entries);
    expect(running[0]!.ledger.entries.length).toBe(count);
    return running[0]!.ledger.texts;
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.keys()].map((id) => this.stop(id)));
    for (const directory of this.#directories) directory.remove();
  }
}
