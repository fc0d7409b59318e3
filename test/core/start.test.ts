import { describe, expect, it } from 'vitest';
import { RaftlineError } from '../../src/base/errors.js';
import { Raft } from '../../src/core/raft.js';
import {
  configuration,
  heartbeat,
  options,
  recovered,
  startRaft,
  take,
  timeOut,
  voteReply,
  voteRequest,
} from './fixtures.js';

describe('how a member starts', () => {
  it('the bootstrap configuration is index 1, term 1, committed; nothing is to be done', () => {
    const raft = new Raft(options(), recovered());
    expect(raft.status()).toEqual({
      role: 'follower',
      term: 1,
      leader: 0,
      id: 1,
      vote: 0,
      lastIndex: 1,
      durableIndex: 1,
      commitIndex: 1,
      configuration: { index: 1, term: 1, configuration: configuration([1, 2, 3]) },
      progress: [],
      uncommittedEntries: 0,
      uncommittedBytes: 0,
      transferTo: 0,
      readsPending: 0,
      preVoting: false,
      invalidMessages: 0,
    });
    expect(raft.ready()).toBeUndefined();
  });

  it('a bootstrap without any hard state starts in the term of its log, so elections begin with 2', () => {
    const raft = startRaft({ term: 0 });
    expect(raft.status().term).toBe(1);
    timeOut(raft);
    expect(take(raft).orders).toEqual([{ id: 1, type: 'hardState', hardState: { term: 2, vote: 1 } }]);
  });

  it('a node without any configuration waits to be found', () => {
    const raft = startRaft({ terms: [], configurations: [], commit: 0 });
    for (let i = 0; i < 3; i++) timeOut(raft);
    raft.step(voteRequest(2, 9, 0, 0));
    expect(raft.ready()).toBeUndefined();
  });

  it('options that cannot work are refused by name', () => {
    const bad = [
      { electionTicksMin: 0 },
      { electionTicksMax: 9 },
      { heartbeatTicks: 10 },
      { heartbeatTicks: 1.5 },
      { electionTicksMax: Number.NaN },
      { priority: 4 },
      { priority: -1 },
    ];
    for (const parts of bad) {
      const [name] = Object.keys(parts);
      expect(() => startRaft({}, parts)).toThrow(RaftlineError);
      expect(() => startRaft({}, parts)).toThrow(new RegExp(`^${name}: expected`));
    }
  });

  it('a recovered state that cannot be is refused', () => {
    expect(() => startRaft({ commit: 2 })).toThrow(/commit ≤ last/);
    expect(() => startRaft({ base: { index: 5, term: 1 }, terms: [], commit: 4 })).toThrow(/base ≤ commit/);
  });

  it('a disk cannot have done what was never ordered', () => {
    expect(() => startRaft().step({ type: 'durable', order: 1 })).toThrow(/only what was ordered/);
  });

  it('the same state and the same input give the same output', () => {
    const run = () => {
      const raft = startRaft({}, { random: () => 0.3 });
      const out: unknown[] = [];
      for (const message of [voteRequest(2, 3, 1, 1), heartbeat(3, 4), voteReply(2, 5)]) {
        timeOut(raft);
        raft.step(message);
        out.push(raft.ready(), raft.status());
      }
      return out;
    };
    expect(run()).toEqual(run());
  });
});
