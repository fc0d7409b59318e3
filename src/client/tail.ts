import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { LogIndex, Term } from '../base/ids.js';
import { ENTRY_BYTES_CEILING } from '../base/limits.js';
import { EntryCursor, verifyEntries } from '../codec/entries.js';
import type { Envelope } from '../codec/envelope.js';
import { Connection, errorFromServer } from './connection.js';
import type { ClientConfig, ClientWorld } from './options.js';

/** A run of applied entries at consecutive indexes, all of one term. */
export class TailChunk {
  readonly firstIndex: LogIndex;
  readonly term: Term;
  readonly count: number;
  readonly #payload: Buffer;

  /** @throws RaftlineError `RAFTLINE_BYTES_INVALID` unless `payload` is exactly `count` packed entries */
  constructor(firstIndex: LogIndex, term: Term, count: number, payload: Buffer) {
    verifyEntries(payload, 0, payload.length, count, ENTRY_BYTES_CEILING);
    this.firstIndex = firstIndex;
    this.term = term;
    this.count = count;
    this.#payload = payload;
  }

  /** Calls `visit` for each entry, in order. The bytes are a view that stays valid. */
  forEach(visit: (bytes: Buffer, index: LogIndex) => void): void {
    const cursor = new EntryCursor().reset(this.#payload, 0, this.#payload.length, this.count);
    while (cursor.next()) visit(cursor.bytes(), this.firstIndex + cursor.position);
  }
}

export interface TailOptions {
  address: string;
  from: LogIndex;
  follow: boolean;
}

/** Chunks held for a consumer that is busy; beyond it the stream is paused. */
const CHUNKS_HELD_MAX = 4;

/**
 * Reads what a replica has applied. Ends when the server says that this is all; with `follow` never by itself.
 * @throws RaftlineError whatever ended the stream early; without `follow` also Timeout after `serverTimeoutMs` of silence
 */
export async function* tailReplica(
  config: ClientConfig,
  world: ClientWorld,
  options: TailOptions,
): AsyncGenerator<TailChunk, void, undefined> {
  const inbox = new TailInbox(config, world, options);
  try {
    for (;;) {
      const chunk = await inbox.next();
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    inbox.close();
  }
}

/** The receiving end of a tail: a short queue between the stream and whoever reads. */
class TailInbox {
  readonly #connection: Connection;
  readonly #options: TailOptions;
  readonly #chunks: TailChunk[] = [];
  #ended: { error: RaftlineError | undefined } | undefined;
  #wake: (() => void) | undefined;
  readonly #config: ClientConfig;
  readonly #world: ClientWorld;
  #group: number;

  constructor(config: ClientConfig, world: ClientWorld, options: TailOptions) {
    this.#config = config;
    this.#world = world;
    this.#options = options;
    this.#group = config.group;
    const { address, from, follow } = options;
    const introduction = { cluster: config.cluster, clientId: 0 };
    this.#connection = new Connection(world.transport, address, introduction, {
      onWelcome: () => void this.#connection.send({ type: 'tailRequest', group: this.#group, from, follow }),
      onMessage: (envelope, body) => this.#receive(envelope, body),
      onClose: (cause) => this.#end(cause),
    });
  }

  /** The next chunk; undefined at the end. */
  async next(): Promise<TailChunk | undefined> {
    if (this.#chunks.length === 0 && this.#ended === undefined) await this.#arrival();
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      if (this.#chunks.length === CHUNKS_HELD_MAX - 1) this.#connection.resume();
      return chunk;
    }
    if (this.#ended?.error !== undefined) throw this.#ended.error;
    return undefined;
  }

  close(): void {
    this.#connection.close();
  }

  /** Resolves when something arrived or the stream ended. */
  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.follow ? () => {} : this.#limitSilence();
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  #limitSilence(): () => void {
    const { serverTimeoutMs } = this.#config;
    return this.#world.clock.after(serverTimeoutMs, () => {
      const message = `${this.#options.address} sent nothing for ${serverTimeoutMs} ms`;
      this.#connection.close(
        new RaftlineError(ErrorCode.Timeout, message, { server: this.#options.address }),
      );
    });
  }

  #receive(envelope: Envelope, body: Buffer): void {
    const { address } = this.#options;
    if (envelope.type === 'tailChunk' && envelope.group === this.#group) {
      this.#chunks.push(new TailChunk(envelope.firstIndex, envelope.term, envelope.count, body));
      if (this.#chunks.length === CHUNKS_HELD_MAX) this.#connection.pause();
      this.#wakeReader();
    } else if (envelope.type === 'tailEnd') {
      const { code, message } = envelope;
      this.#end(code === '' ? undefined : errorFromServer(code, message, address));
      this.#connection.close();
    } else {
      throw new RaftlineError(
        ErrorCode.BytesInvalid,
        `${address}: expected tailChunk of group ${this.#group}, received ${envelope.type}`,
      );
    }
  }

  /** The first end counts: closing after the last word is not an error. */
  #end(error: RaftlineError | undefined): void {
    this.#ended ??= { error };
    this.#wakeReader();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
