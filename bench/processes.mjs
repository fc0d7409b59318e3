import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ASK_TIMEOUT_MS = 20_000;
const CLOSE_TIMEOUT_MS = 8000;

/** A process of the benchmark, asked over its channel. */
class Child {
  #process;
  #name;
  #waiting = new Map();
  #nextId = 1;
  #gone;

  constructor(name, file, execArgv) {
    this.#name = name;
    this.#process = fork(file, [], { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#process.on('message', ({ id, reply, error }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(`${name}: ${error}`));
      else waiting?.resolve(reply);
    });
    this.#gone = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        for (const { reject } of this.#waiting.values()) {
          reject(new Error(`${name}: ended (${signal ?? code}) before it answered`));
        }
        resolve();
      });
    });
  }

  /** @returns {Promise<any>} */
  ask(ask, args = {}, timeoutMs = ASK_TIMEOUT_MS) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.#name}: no answer to '${ask}' in ${timeoutMs} ms`)),
        timeoutMs,
      );
      const settled = (settle) => (value) => {
        clearTimeout(timer);
        settle(value);
      };
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        this.#waiting.get(id).reject(new Error(`${this.#name}: has ended`));
      } else this.#process.send({ id, ask, args });
    });
  }

  /** Cleanly if it can, else by force. A profile is written only by a clean end. */
  async close() {
    await this.ask('close', {}, CLOSE_TIMEOUT_MS).catch(() => {});
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.kill(), CLOSE_TIMEOUT_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  kill() {
    this.#process.kill('SIGKILL');
  }
}

/**
 * Everything that a benchmark leaves in the system: processes and one temporary directory. Goes whatever happens: an end, an
 * error, Ctrl-C.
 */
export class Workspace {
  #root;
  #children = new Set();
  #profileDirectory;
  #directories = 0;

  /** @param {{ parent: string, profileDirectory?: string }} where `parent`: on the disk that is to be measured */
  constructor({ parent, profileDirectory }) {
    mkdirSync(parent, { recursive: true });
    this.#root = mkdtempSync(join(parent, 'bench-'));
    this.#profileDirectory = profileDirectory;
    process.once('exit', () => this.#remove());
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ]) {
      process.once(signal, () => process.exit(code));
    }
  }

  get root() {
    return this.#root;
  }

  directory(name) {
    const path = join(this.#root, `${++this.#directories}-${name}`);
    mkdirSync(path);
    return path;
  }

  /** @param {string} name for messages @param {string} file relative to bench/ */
  fork(name, file) {
    const profile =
      this.#profileDirectory === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${join(this.#profileDirectory, name)}`];
    const child = new Child(name, fileURLToPath(new URL(file, import.meta.url)), profile);
    this.#children.add(child);
    return child;
  }

  /** Ends some processes and forgets what they wrote. */
  async close(children, directories) {
    await Promise.all(children.map((child) => child.close()));
    for (const child of children) this.#children.delete(child);
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  }

  #remove() {
    for (const child of this.#children) child.kill();
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Ports of loopback that are free now. */
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise((resolve, reject) => {
          const server = createServer();
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is not undefined. */
export async function until(what, timeoutMs, ask) {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`${what}: not in ${timeoutMs} ms`);
    await sleep(50);
  }
}
