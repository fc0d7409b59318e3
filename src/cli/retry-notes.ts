import { ErrorCode, type RaftlineError } from '../base/errors.js';
import { systemClock } from '../client/clock.js';
import { oneLine } from './failure.js';
import { note } from './output.js';

const PAUSE_MS = 1000;

/**
 * Tells whoever waits why another try follows: a line a second at most, which says how many tries before it went untold. A
 * follower that names the leader is no news.
 */
export function retryNotes(now = systemClock.now, tell = note): (error: RaftlineError) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (error) => {
    if (error.code === ErrorCode.NotLeader) return;
    if (now() < nextAt) {
      leftOut++;
      return;
    }
    nextAt = now() + PAUSE_MS;
    const count = leftOut === 0 ? '' : ` (${leftOut} more since the last note)`;
    leftOut = 0;
    tell(`raftline append: trying again${count}: ${oneLine(error)}`);
  };
}
