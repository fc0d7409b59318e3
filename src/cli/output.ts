import { ExitCode } from './failure.js';

/**
 * The standard output, when somebody reads it in a pipe: waits while the pipe is full, and falls silent when the
 * reader has gone (`tail | head`). Any other fault (a full disk) is told once, in one line, and fails the command.
 */
export class Output {
  #gone = false;
  readonly #stream: NodeJS.WriteStream;
  readonly #written = (error?: Error | null): void => {
    if (error) this.#lost(error);
  };

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
    stream.on('error', (error) => this.#lost(error));
  }

  /** Called once nothing can be written any more. */
  onGone: () => void = () => {};

  /** Called before `onGone` unless the reader just went away. */
  onFault: (message: string) => void = (message) => note(`raftline: ${message}`);

  /** Nobody reads any more. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether the pipe holds more than it should. */
  get full(): boolean {
    return !this.#gone && this.#stream.writableNeedDrain;
  }

  write(text: string | Buffer): void {
    if (!this.#gone) this.#stream.write(text, this.#written);
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** Resolves when the pipe has room again, or its reader has gone. */
  drained(): Promise<void> {
    if (!this.full) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done);
        this.#stream.off('error', done);
        this.#stream.off('close', done);
        resolve();
      };
      this.#stream.on('drain', done);
      this.#stream.on('error', done);
      this.#stream.on('close', done);
    });
  }

  /** Resolves when it is known whether everything was written. */
  flushed(): Promise<void> {
    if (this.#gone) return Promise.resolve();
    return new Promise((resolve) => {
      this.#stream.write('', (error) => {
        this.#written(error);
        resolve();
      });
    });
  }

  #lost(error: NodeJS.ErrnoException): void {
    if (this.#gone) return;
    this.#gone = true;
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') {
      process.exitCode = ExitCode.Failed;
      this.onFault(`cannot write to the standard output: ${error.message}`);
    }
    this.onGone();
  }
}

/** Notes for people go to the standard error; a reader that went away must not end the work. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function silenceBrokenStderr(): void {
  process.stderr.on('error', () => {});
}
