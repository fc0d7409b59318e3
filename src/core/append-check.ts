import { type Append, BatchKind, lastIndexOf } from '../base/messages.js';
import { isWellFormed } from './membership.js';

/**
 * Whether an append could come from a correct leader: batches contiguous from `prevIndex` on, terms never falling and
 * none above the message's, each batch naming the term before it, and a good configuration for each batch that says
 * it has one. Bytes were verified before; this is about meaning (S6).
 */
export function isConsistent(append: Append): boolean {
  let index = append.prevIndex;
  let term = append.prevTerm;
  let configurations = 0;
  if (index < 0 || term > append.term) return false;
  for (const header of append.headers) {
    if (header.group !== append.group || header.firstIndex !== index + 1 || header.prevTerm !== term)
      return false;
    if (header.count < 1 || header.term < term || header.term > append.term) return false;
    if (header.kind !== BatchKind.Data && header.kind !== BatchKind.Session && header.count !== 1)
      return false;
    if (header.kind === BatchKind.Configuration) configurations += 1;
    index = lastIndexOf(header);
    term = header.term;
  }
  return (
    Number.isSafeInteger(index) &&
    append.configurations.length === configurations &&
    append.configurations.every(isWellFormed)
  );
}
