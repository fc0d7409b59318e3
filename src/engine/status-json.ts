import type { GroupId } from '../base/ids.js';
import { JSON_CHARS_MAX } from '../base/limits.js';
import type { EngineStatus } from './status.js';

/**
 * A status for a remote client: of the groups from `fromGroup` on, by growing id, as many as one message holds, and how many of them were
 * left out. Who wants those asks again, from the id behind the last one on.
 */
export function statusJson(status: EngineStatus, fromGroup: GroupId): string {
  const groups = status.groups.filter(({ group }) => group >= fromGroup).sort((a, b) => a.group - b.group);
  const withoutGroups = JSON.stringify({ ...status, groups: [], groupsLeftOut: groups.length });
  let room = JSON_CHARS_MAX - withoutGroups.length;
  let count = 0;
  while (count < groups.length) {
    // A comma stands between two.
    room -= JSON.stringify(groups[count]).length + 1;
    if (room < 0) break;
    count++;
  }
  if (count === groups.length) return JSON.stringify({ ...status, groups });
  return JSON.stringify({ ...status, groups: groups.slice(0, count), groupsLeftOut: groups.length - count });
}
