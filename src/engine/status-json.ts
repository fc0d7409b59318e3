import { JSON_CHARS_MAX } from '../base/limits.js';
import type { EngineStatus } from './status.js';

/** A status for a remote client: whole where one message holds it, else of as many groups as it holds, and how many were left out. */
export function statusJson(status: EngineStatus): string {
  const { groups } = status;
  const withoutGroups = JSON.stringify({ ...status, groups: [], groupsLeftOut: groups.length });
  let room = JSON_CHARS_MAX - withoutGroups.length;
  let count = 0;
  while (count < groups.length) {
    // A comma stands between two.
    room -= JSON.stringify(groups[count]).length + 1;
    if (room < 0) break;
    count++;
  }
  if (count === groups.length) return JSON.stringify(status);
  return JSON.stringify({ ...status, groups: groups.slice(0, count), groupsLeftOut: groups.length - count });
}
