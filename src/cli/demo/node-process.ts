import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ErrorCode, RaftlineError } from '../../base/errors.js';
import type { NodeId } from '../../base/ids.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const READY_MS_MAX = 30_000;
const CLOSE_MS_MAX = 15_000;

/** What a node is started with. */
export interface NodePlan {
  id: NodeId;
  address: string;
  cluster: string;
  peers: Readonly<Record<NodeId, string>>;
  dataDirectory: string;
  logFile: string;
  configFile: string;
}

/** One `raftline serve` process, started and stopped as often as needed. */
export class NodeProcess {
  readonly plan: NodePlan;
  /** Told when the process ends without having been asked to. */
  onUnexpectedEnd: (error: RaftlineError) => void = () => {};
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('');
  #askedToEnd = false;

  constructor(plan: NodePlan) {
    this.plan = plan;
  }

  /** Resolves once the process says that it is ready. */
  async start(): Promise<void> {
    const { id, address, cluster, peers, dataDirectory, logFile, configFile } = this.plan;
    const peerFlags = Object.entries(peers).flatMap(([peer, at]) => ['--peer', `${peer}=${at}`]);
    const args = ['serve', '--id', String(id), '--cluster', cluster, '--listen', address, ...peerFlags];
    args.push('--data', dataDirectory, '--config', configFile);
    const log = openSync(logFile, 'a', 0o600);
    // The channel carries nothing: when we are gone, however we went, it breaks and the child closes.
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', log, 'ipc'] });
    closeSync(log);
    this.#child = child;
    this.#askedToEnd = false;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    await this.#ready(child);
    void this.#ended.then((how) => {
      if (this.#child === child && !this.#askedToEnd) this.onUnexpectedEnd(this.#endedError(how));
    });
  }

  /** SIGKILL, as a machine's sudden end would be. Takes effect at once; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.killNow();
    await this.#ended;
  }

  killNow(): void {
    this.#askedToEnd = true;
    this.#child?.kill('SIGKILL');
  }

  /** SIGTERM, and SIGKILL if that does not help. Resolves with what went wrong, if anything did. */
  async close(): Promise<string | undefined> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
    this.#askedToEnd = true;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS_MAX);
    const how = await this.#ended;
    clearTimeout(timer);
    return how === 'exit code 0' ? undefined : `node ${this.plan.id} did not close cleanly: ${how}`;
  }

  /** Waits for the first line of the standard output; later ones are read and dropped. */
  #ready(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(this.#endedError(`not ready within ${READY_MS_MAX} ms`));
      }, READY_MS_MAX);
      const settle = (error?: RaftlineError): void => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      let text = '';
      child.stdout?.on('data', (block: Buffer) => {
        if (text.includes('\n')) return;
        text += block.toString('utf8');
        if (text.includes('\n')) settle();
      });
      void this.#ended.then((how) => settle(this.#endedError(how)));
    });
  }

  /** With the node's own last words: they say more than a code. */
  #endedError(how: string): RaftlineError {
    const { id, logFile } = this.plan;
    let lastLine = '';
    try {
      lastLine = readFileSync(logFile, 'utf8').trimEnd().split('\n').pop() ?? '';
    } catch {
      lastLine = '';
    }
    // Its own complaint about how it was started is a complaint about how we were.
    if (how === 'exit code 2') return startError(id, lastLine);
    const words = lastLine === '' ? '' : `: ${lastLine.slice(0, 500)}`;
    return new RaftlineError(ErrorCode.Internal, `node ${id} ended (${how})${words}`, { node: id });
  }
}

/** A busy port is one of the demo's own flags gone wrong, but nothing that its help explains. */
function startError(id: NodeId, lastLine: string): RaftlineError {
  const busy = ` [${ErrorCode.AddressInUse}]`;
  return lastLine.endsWith(busy)
    ? new RaftlineError(ErrorCode.AddressInUse, `node ${id}: ${lastLine.slice(0, -busy.length)}`, {
        node: id,
      })
    : new RaftlineError(ErrorCode.UsageInvalid, `node ${id}: ${lastLine}`);
}
