/**
 * The standard output, when somebody reads it in a pipe: waits while the pipe is full, and falls silent when the
 * reader has gone (`tail | head`).
 */
export class Output {
  #gone = false;
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error;
      this.#gone = true;
      this.onGone();
    });
  }

  /** Called once the reader has gone. */
  onGone: () => void = () => {};

  /** Nobody reads any more. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether the pipe holds more than it should. */
  get full(): boolean {
    return !this.#gone && this.#stream.writableNeedDrain;
  }

  write(text: string | Buffer): void {
    if (!this.#gone) this.#stream.write(text);
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
}

/** Notes for people go to the standard error; a reader that went away must not end the work. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function silenceBrokenStderr(): void {
  process.stderr.on('error', () => {});
}
