import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { own, removeAbandoned } from './owner.js';

const ASK_TIMEOUT_MS = 20_000;
const CLOSE_TIMEOUT_MS = 8000;
const LOOK_EVERY_MS = 50;
const ROOT_PREFIX = 'bench-';

/** Sets what a dying benchmark exits with, by signal. */
const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;

interface Answer {
  id: number;
  reply?: unknown;
  error?: string;
  code?: string;
}

/** A process of the benchmark, asked over its channel. */
export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (reply: unknown) => void; reject: (error: Error) => void }
  >();
  readonly #gone: Promise<void>;
  #nextId = 1;

  constructor(name: string, file: string, execArgv: string[]) {
    this.name = name;
    this.#process = fork(file, [], { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#process.on('message', (answer: Answer) => this.#answered(answer));
    this.#gone = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        this.#failAll(`ended (${signal ?? code}) before it answered`);
        resolve();
      });
    });
  }

  ask<Reply>(question: string, args: object = {}, timeoutMs = ASK_TIMEOUT_MS): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#answered({ id, error: `no answer to '${question}' in ${timeoutMs} ms` }),
        timeoutMs,
      );
      this.#waiting.set(id, {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply as Reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      const ended = (error: unknown): void => {
        if (error !== null) this.#answered({ id, error: 'has ended' });
      };
      if (this.#process.connected) this.#process.send({ id, ask: question, args }, ended);
      else ended(undefined);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** SIGSTOP. Should this process be killed meanwhile, `guard` wakes the one that stands still, which could not notice. */
  async halt(guard: Child): Promise<void> {
    await guard.ask('guard', { pid: this.#process.pid });
    this.signal('SIGSTOP');
  }

  /** Cleanly if it can, else by force. A profile is written only by a clean end. */
  async close(): Promise<void> {
    await this.ask('close', {}, CLOSE_TIMEOUT_MS).catch(() => undefined);
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.signal('SIGKILL'), CLOSE_TIMEOUT_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  #answered({ id, reply, error, code }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(reply);
    else
      waiting?.reject(
        new RaftlineError(
          (code as ErrorCode) ?? ErrorCode.Internal,
          `${this.name}: ${error.split('\n', 1)[0]}`,
        ),
      );
  }

  #failAll(error: string): void {
    for (const id of [...this.#waiting.keys()]) this.#answered({ id, error });
  }
}

/**
 * Everything that a benchmark leaves in the system: processes and one temporary directory. Goes whatever happens: an end, an
 * error, Ctrl-C; what a SIGKILL leaves goes with the next one in the same place.
 */
export class Workspace {
  readonly root: string;
  readonly #children = new Set<Child>();
  readonly #profileDirectory: string | undefined;
  readonly #onExit = (): void => this.#remove();
  readonly #onSignal: { signal: NodeJS.Signals; end: () => void }[];
  #interrupted = false;
  #directories = 0;

  /**
   * @param parent on the disk that is to be measured
   * @param profileDirectory for CPU profiles of every process and thread
   * @param onInterrupt takes the first signal (Ctrl-C, SIGTERM, SIGHUP) with the exit code that belongs to it; otherwise, and by a second one, the
   * process ends
   */
  constructor(parent: string, profileDirectory?: string, onInterrupt?: (exitCode: number) => void) {
    mkdirSync(parent, { recursive: true });
    removeAbandoned(parent, ROOT_PREFIX);
    this.root = mkdtempSync(join(parent, ROOT_PREFIX));
    this.#profileDirectory = profileDirectory;
    process.once('exit', this.#onExit);
    this.#onSignal = SIGNALS.map(([signal, code]) => {
      const end = (): void => {
        if (onInterrupt === undefined || this.#interrupted) process.exit(code);
        this.#interrupted = true;
        onInterrupt(code);
      };
      return { signal, end };
    });
    for (const { signal, end } of this.#onSignal) process.on(signal, end);
    own(this.root);
  }

  directory(name: string): string {
    const path = join(this.root, `${++this.#directories}-${name}`);
    mkdirSync(path);
    return path;
  }

  /** @param name for messages @param file relative to this one, or the URL of a file */
  fork(name: string, file: string): Child {
    const profile =
      this.#profileDirectory === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${join(this.#profileDirectory, name)}`];
    const child = new Child(name, fileURLToPath(new URL(file, import.meta.url)), profile);
    this.#children.add(child);
    return child;
  }

  /** Ends some processes and forgets what they wrote. */
  async close(children: readonly Child[], directories: readonly string[]): Promise<void> {
    await Promise.all(children.map((child) => child.close()));
    for (const child of children) this.#children.delete(child);
    for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  }

  /** Ends everything. */
  dispose(): void {
    process.off('exit', this.#onExit);
    for (const { signal, end } of this.#onSignal) process.off(signal, end);
    this.#remove();
  }

  #remove(): void {
    for (const child of this.#children) child.signal('SIGKILL');
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is not undefined. */
export async function until<Found>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<Found | undefined>,
): Promise<Found> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (performance.now() > endMs)
      throw new RaftlineError(ErrorCode.Timeout, `${what}: not in ${timeoutMs} ms`);
    await sleep(LOOK_EVERY_MS);
  }
}
