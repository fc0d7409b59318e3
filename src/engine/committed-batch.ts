import type { GroupId, LogIndex, Term } from '../base/ids.js';
import { EntryCursor } from '../codec/entries.js';
import type { CommittedBatch } from './state-machine.js';

/** The one view of a committed batch that is handed to state machines, set anew for each. Copies nothing. */
export class BatchView implements CommittedBatch {
  group: GroupId = 0;
  term: Term = 0;
  count = 0;
  readonly #cursor = new EntryCursor();
  #payload: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #firstIndex: LogIndex = 0;
  #entries = 0;
  /** By position in the batch: 1 for entries that the session table turned away; undefined when there are none. */
  #skipped: Uint8Array | undefined;

  set(
    place: { group: GroupId; term: Term; firstIndex: LogIndex; count: number },
    payload: Buffer,
    start: number,
    end: number,
    skipped: Uint8Array | undefined,
  ): this {
    this.group = place.group;
    this.term = place.term;
    this.#firstIndex = place.firstIndex;
    this.#entries = place.count;
    this.count = place.count - (skipped === undefined ? 0 : countOnes(skipped));
    this.#payload = payload;
    this.#start = start;
    this.#end = end;
    this.#skipped = this.count === place.count ? undefined : skipped;
    return this;
  }

  forEach(visit: (bytes: Uint8Array, index: LogIndex, position: number) => void): void {
    const payload = this.#payload;
    this.scan((_, start, end, index, position) => visit(payload.subarray(start, end), index, position));
  }

  scan(
    visit: (payload: Buffer, start: number, end: number, index: LogIndex, position: number) => void,
  ): void {
    const payload = this.#payload;
    const skipped = this.#skipped;
    const cursor = this.#cursor.reset(payload, this.#start, this.#end, this.#entries);
    let position = 0;
    while (cursor.next()) {
      if (skipped?.[cursor.position] === 1) continue;
      const { start } = cursor;
      visit(payload, start, start + cursor.length, this.#firstIndex + cursor.position, position);
      position++;
    }
  }
}

function countOnes(marks: Uint8Array): number {
  let count = 0;
  for (const mark of marks) count += mark;
  return count;
}
