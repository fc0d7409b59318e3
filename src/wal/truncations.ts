import type { GroupId, LogIndex } from '../base/ids.js';
import type { BatchHeader } from '../base/messages.js';
import { RecordKind, readStoredU64, SEGMENT_HEADER_BYTES } from './format.js';
import type { Location } from './log-index.js';
import type { LocatedRecord, SegmentFile } from './segment-file.js';

/** A truncation record of one group: batches before it with an index from `from` on are dead. */
export interface Truncation {
  segment: number;
  position: number;
  from: LogIndex;
}

/**
 * The truncations of `group` between the location's anchor and the next one, or the log's end. Needed only where the
 * index has dropped an anchor that stood behind a truncation; costs a walk over that stretch.
 */
export function truncationsIn(
  group: GroupId,
  location: Location,
  open: (segment: number) => SegmentFile | undefined,
): Truncation[] {
  const { anchor, next } = location;
  const found: Truncation[] = [];
  let segment = anchor.segment;
  let position = anchor.offset;
  let file = open(segment);
  while (file !== undefined && !(next?.segment === segment && next.offset <= position)) {
    const record = fresh(file, position);
    if (record === undefined) {
      segment += 1;
      position = SEGMENT_HEADER_BYTES;
      file = open(segment);
      continue;
    }
    if (record.group === group && record.kind === RecordKind.Truncate) {
      const body = file.body(record);
      if (body !== undefined) found.push({ segment, position, from: readStoredU64(body.bytes, 0) });
    }
    position = record.end;
  }
  return found;
}

/** Whether a truncation behind the record has made its batch dead. */
export function isDead(
  truncations: readonly Truncation[],
  segment: number,
  record: LocatedRecord,
  header: BatchHeader,
): boolean {
  return truncations.some((truncation) => {
    const behind =
      truncation.segment > segment ||
      (truncation.segment === segment && truncation.position > record.position);
    return behind && truncation.from <= header.firstIndex;
  });
}

function fresh(file: SegmentFile, position: number): LocatedRecord | undefined {
  const record = file.record(position);
  if (record !== undefined) return record;
  file.refresh();
  return file.record(position);
}
