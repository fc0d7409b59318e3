import { copyBytes } from '../base/copy.js';
import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, LogIndex } from '../base/ids.js';
import { BatchFlag, type BatchHeader, BatchKind, lastIndexOf } from '../base/messages.js';
import { SessionTable } from '../base/session-table.js';
import type { Compression } from '../codec/compression.js';
import { decodePayload } from '../codec/encoder.js';
import { EntryCursor } from '../codec/entries.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { MessageStream } from '../transport/transport.js';
import type { LogReader } from '../wal/log-reader.js';

/** A reader that is slow to take what it asked for gets no more than this ahead of it (S14). */
const QUEUED_BYTES_MAX = 1024 * 1024;
const READ_BYTES = 256 * 1024;

export interface TailPorts {
  stream: MessageStream;
  reader: LogReader;
  compression: Compression;
  group: GroupId;
  from: LogIndex;
  /** Undefined: go on for ever; else the last index to send. */
  until: LogIndex | undefined;
  /** What this node's state machine has taken. */
  applied: () => LogIndex;
}

/**
 * Sends what this replica has applied, in order, to one client. It reads the log from its start with a session table
 * of its own, since the table is a function of the log: what the state machine did not get, the client does not get.
 */
export class Tailer {
  readonly #ports: TailPorts;
  readonly #sessions = new SessionTable();
  readonly #cursor = new EntryCursor();
  #next: LogIndex = 1;
  ended = false;
  #closed = false;

  constructor(ports: TailPorts) {
    this.#ports = ports;
  }

  /** One read's worth of chunks. */
  poll(): boolean {
    const { stream, reader, group, until } = this.#ports;
    if (this.ended || stream.queuedBytes > QUEUED_BYTES_MAX) return false;
    const last = Math.min(this.#ports.applied(), until ?? Number.MAX_SAFE_INTEGER);
    if (until !== undefined && this.#next > until) {
      this.#end('', '');
      return true;
    }
    if (this.#next > last) return false;
    try {
      const read = reader.read(group, this.#next, last, READ_BYTES);
      if (read === undefined) {
        if (!reader.isGone(group, this.#next)) return false;
        const message = `entries from index ${this.#next} on are no longer in the log of this node`;
        throw new RaftlineError(ErrorCode.Compacted, message, { group, index: this.#next });
      }
      for (const [at, batch] of read.batches.entries()) {
        // Compressed batches may expand manyfold: what does not go now is read again later.
        if (stream.queuedBytes > QUEUED_BYTES_MAX) break;
        this.#send(batch, read.headers[at]!);
      }
    } catch (thrown) {
      const { code, message } = toRaftlineError(thrown);
      this.#end(code, message);
    }
    return true;
  }

  close(): void {
    if (!this.#closed) this.#ports.reader.close();
    this.#closed = true;
    this.ended = true;
  }

  #end(code: ErrorCode | '', message: string): void {
    this.close();
    this.#ports.stream.send(
      encodeEnvelope({ type: 'tailEnd', lastIndex: this.#next - 1, code, message }).bytes,
    );
  }

  /** A chunk that the stream does not take would be a hole in what the client gets. */
  #giveUp(): void {
    this.close();
    this.#ports.stream.close(new RaftlineError(ErrorCode.Overloaded, 'the client does not read its tail'));
  }

  #send(batch: Buffer, header: BatchHeader): void {
    this.#next = lastIndexOf(header) + 1;
    if (header.kind !== BatchKind.Data) return;
    const judged = (header.flags & BatchFlag.Sessions) !== 0;
    if (lastIndexOf(header) < this.#ports.from && !judged) return;
    const payload = decodePayload(batch, 0, header, this.#ports.compression);
    this.#sendRuns(payload, header);
  }

  /** One chunk for each stretch of entries that were applied, from the wanted index on. */
  #sendRuns(payload: Buffer, header: BatchHeader): void {
    const cursor = this.#cursor.reset(payload, 0, payload.length, header.count);
    let start = 0;
    let count = 0;
    let firstIndex = header.firstIndex;
    let at = 0;
    while (cursor.next()) {
      const index = header.firstIndex + cursor.position;
      const end = cursor.start + cursor.length;
      const applied =
        !cursor.hasSession ||
        this.#sessions.admit(cursor.clientId, cursor.sequence, index, header.term) === 'apply';
      if (applied && index >= this.#ports.from) {
        if (count === 0) {
          start = at;
          firstIndex = index;
        }
        count++;
      } else {
        this.#sendChunk(payload.subarray(start, at), firstIndex, header.term, count);
        count = 0;
      }
      at = end;
    }
    this.#sendChunk(payload.subarray(start, at), firstIndex, header.term, count);
  }

  #sendChunk(packed: Buffer, firstIndex: LogIndex, term: number, count: number): void {
    if (count === 0) return;
    const { group, stream } = this.#ports;
    const { bytes, bodyOffset } = encodeEnvelope(
      { type: 'tailChunk', group, firstIndex, term, count },
      packed.length,
    );
    copyBytes(packed, bytes, bodyOffset);
    if (!this.ended && !stream.send(bytes)) this.#giveUp();
  }
}
