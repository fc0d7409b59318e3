import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { ErrorCode, RaftlineError } from '../../base/errors.js';
import { fileError } from '../failure.js';
import { Splitter } from '../splitter.js';

const BLOCK_BYTES = 256 * 1024;
const NEWLINE = 10;

/** What one pass over the file tells before anything is replicated. */
export interface InputFacts {
  /** Bytes of the file when it was opened; what is written behind them later is left alone. */
  bytes: number;
  entries: number;
  longestEntryBytes: number;
  sha256: string;
  /** Lines only: whether the last line ends in a newline. */
  endsWithNewline: boolean;
}

/** The file that is replicated, as entries; read block by block, however large it is. */
export class Input {
  readonly path: string;
  /** Size of a record; undefined: an entry is a line. */
  readonly recordBytes: number | undefined;
  readonly #file: FileHandle;
  #facts: InputFacts;

  private constructor(path: string, recordBytes: number | undefined, file: FileHandle, bytes: number) {
    this.path = path;
    this.recordBytes = recordBytes;
    this.#file = file;
    this.#facts = { bytes, entries: 0, longestEntryBytes: 0, sha256: '', endsWithNewline: false };
  }

  /** @throws RaftlineError `RAFTLINE_FILE_UNREADABLE`; `RAFTLINE_USAGE_INVALID` for a line beyond the largest entry */
  static async open(path: string, recordBytes: number | undefined): Promise<Input> {
    const file = await open(path, 'r').catch((thrown: unknown) => {
      throw fileError(path, thrown);
    });
    const stats = await file.stat();
    if (!stats.isFile()) {
      await file.close();
      const reason = stats.isDirectory() ? 'is a directory' : 'is not a regular file (it is read twice)';
      throw new RaftlineError(ErrorCode.FileUnreadable, `${path}: ${reason}`, { path });
    }
    const input = new Input(path, recordBytes, file, stats.size);
    try {
      await input.#scan();
    } catch (thrown) {
      await file.close();
      throw thrown instanceof RaftlineError ? thrown : fileError(path, thrown);
    }
    return input;
  }

  get facts(): InputFacts {
    return this.#facts;
  }

  /** The file in blocks. Each is valid only until the next one is asked for. */
  async *blocks(): AsyncGenerator<Buffer, void, undefined> {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (let position = 0; position < this.#facts.bytes; ) {
      const length = Math.min(BLOCK_BYTES, this.#facts.bytes - position);
      const { bytesRead } = await this.#file.read(block, 0, length, position);
      if (bytesRead === 0) throw this.#changed();
      yield block.subarray(0, bytesRead);
      position += bytesRead;
    }
  }

  /** The file's bytes from `position`, at most `length`, fewer only at the end. */
  async read(position: number, length: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(length, this.#facts.bytes - position));
    const bytes = Buffer.allocUnsafe(wanted);
    for (let filled = 0; filled < wanted; ) {
      const { bytesRead } = await this.#file.read(bytes, filled, wanted - filled, position + filled);
      if (bytesRead === 0) throw this.#changed();
      filled += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #scan(): Promise<void> {
    const splitter = new Splitter(this.recordBytes);
    const hash = createHash('sha256');
    let entries = 0;
    let longestEntryBytes = 0;
    let lastByte = -1;
    const count = (found: Iterable<Buffer>): void => {
      for (const { length } of found) {
        entries++;
        if (length > longestEntryBytes) longestEntryBytes = length;
      }
    };
    for await (const block of this.blocks()) {
      hash.update(block);
      count(splitter.take(block));
      lastByte = block[block.length - 1]!;
    }
    count(splitter.finish());
    const { bytes } = this.#facts;
    const endsWithNewline = lastByte === NEWLINE;
    this.#facts = { bytes, entries, longestEntryBytes, sha256: hash.digest('hex'), endsWithNewline };
  }

  #changed(): RaftlineError {
    const message = `${this.path}: became shorter while it was read`;
    return new RaftlineError(ErrorCode.FileUnreadable, message, { path: this.path });
  }
}
