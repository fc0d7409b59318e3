import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { retryNotes } from '../../src/cli/retry-notes.js';

describe('notes about tries', () => {
  it('come once a second at most, with a count of those left out', () => {
    let now = 0;
    const lines: string[] = [];
    const onRetry = retryNotes(
      () => now,
      (line) => lines.push(line),
    );
    onRetry(new RaftlineError(ErrorCode.NotLeader, 'ask node 2'));
    for (; now < 2050; now += 100) {
      onRetry(new RaftlineError(ErrorCode.Unreachable, `node ${1 + ((now / 100) % 3)} is down`));
    }
    expect(lines).toEqual([
      'raftline append: trying again: node 1 is down [RAFTLINE_UNREACHABLE]',
      'raftline append: trying again (9 more since the last note): node 2 is down [RAFTLINE_UNREACHABLE]',
      'raftline append: trying again (9 more since the last note): node 3 is down [RAFTLINE_UNREACHABLE]',
    ]);
  });
});
