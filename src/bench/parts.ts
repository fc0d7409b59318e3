import type { Child, Workspace } from './processes.js';
import { DelayProxy } from './proxy.js';
import type { Side } from './side.js';

/** What a side is made of: processes, directories and proxies, which go together. */
export class Parts {
  readonly #workspace: Workspace;
  readonly #children: Child[] = [];
  readonly #directories: string[] = [];
  readonly #proxies: DelayProxy[] = [];

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  directory(name: string): string {
    const path = this.#workspace.directory(name);
    this.#directories.push(path);
    return path;
  }

  fork(name: string, file: string): Child {
    const child = this.#workspace.fork(name, file);
    this.#children.push(child);
    return child;
  }

  /** Ports of proxies through which `ports` are reached `delayMs` later; without a delay these themselves. */
  async delayed(delayMs: number, ports: readonly number[]): Promise<readonly number[]> {
    if (delayMs === 0) return ports;
    const proxies = ports.map((port) => new DelayProxy(delayMs, port));
    this.#proxies.push(...proxies);
    return Promise.all(proxies.map((proxy) => proxy.listen()));
  }

  async close(): Promise<void> {
    await this.#workspace.close(this.#children, this.#directories);
    for (const proxy of this.#proxies) proxy.close();
  }
}

/** Starts a side. Where that fails, what was started by then goes: a proxy would keep this process for ever. */
export async function startSide(
  workspace: Workspace,
  start: (parts: Parts) => Promise<Omit<Side, 'close'>>,
): Promise<Side> {
  const parts = new Parts(workspace);
  try {
    const side = await start(parts);
    return { ...side, close: () => parts.close() };
  } catch (thrown) {
    await parts.close();
    throw thrown;
  }
}
