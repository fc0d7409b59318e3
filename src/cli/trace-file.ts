import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { fileError } from './failure.js';

/** Lines that wait for the disk, bytes; what does not fit is left out and counted. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** A file of events, one JSON object a line (docs/trace.md). Nobody ever waits for it. */
export class TraceFile {
  readonly #stream: WriteStream;
  readonly #note: (message: string) => void;
  #failed = false;
  /** Left out since the last line that was written. */
  #missing = 0;
  /** Events left out in all. */
  lost = 0;

  private constructor(stream: WriteStream, note: (message: string) => void) {
    this.#stream = stream;
    this.#note = note;
    stream.on('error', (error) => {
      this.#failed = true;
      note(`trace: ${error.message}; nothing more is written`);
    });
  }

  /**
   * Appends to `path`. `note` is told when lines are left out.
   * @throws RaftlineError `RAFTLINE_FILE_UNREADABLE`
   */
  static async open(path: string, note: (message: string) => void): Promise<TraceFile> {
    const stream = createWriteStream(path, { flags: 'a' });
    await once(stream, 'open').catch((thrown: unknown) => {
      throw fileError(path, thrown);
    });
    return new TraceFile(stream, note);
  }

  readonly write = (event: object): void => {
    if (this.#failed || this.#stream.writableLength > WAITING_BYTES_MAX) {
      if (this.#missing === 0 && !this.#failed)
        this.#note('trace: the disk is too slow, events are left out');
      this.#missing += 1;
      this.lost += 1;
      return;
    }
    this.#tellMissing();
    this.#stream.write(`${JSON.stringify(event)}\n`);
  };

  #tellMissing(): void {
    if (this.#missing > 0) this.#stream.write(`${JSON.stringify({ lost: this.#missing })}\n`);
    this.#missing = 0;
  }

  async close(): Promise<void> {
    if (this.lost > 0) this.#note(`trace: ${this.lost} events were left out`);
    if (this.#failed) return;
    this.#tellMissing();
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }
}
