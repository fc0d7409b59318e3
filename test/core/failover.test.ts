import { describe, expect, it } from 'vitest';
import type { Raft } from '../../src/core/raft.js';
import { heartbeat, startRaft, take, voteReply, voteRequest } from './fixtures.js';

/** `electionTicksMax` of these tests; the least is ten. The highest draw is taken unless a test says otherwise. */
const MAX = 30;
const spread = { electionTicksMax: MAX, preVote: true, checkQuorum: true };

function highest(): number {
  return 0.999;
}

function follower(parts: { random?: () => number; priority?: number } = {}): Raft {
  const raft = startRaft({}, { ...spread, random: highest, ...parts });
  raft.step(heartbeat(2, 1));
  return raft;
}

function ticksUntilCampaign(raft: Raft): number {
  let ticks = 0;
  for (; raft.status().role === 'follower'; ticks++) raft.tick();
  return ticks;
}

describe('a follower whose connection to the leader broke', () => {
  it('waits for half of what spreads candidates, and never less than voters must', () => {
    for (const [draw, expected] of [
      [11, 11],
      [12, 11],
      [20, 15],
      [30, 20],
    ] as const) {
      const raft = follower({ random: () => (draw - 11 + 0.5) / 20 });
      raft.step({ type: 'unreachable', peer: 2 });
      expect(ticksUntilCampaign(raft), `drawn ${draw}`).toBe(expected);
    }
  });

  it('waits as ever once the leader is heard again', () => {
    const raft = follower();
    raft.step({ type: 'unreachable', peer: 2 });
    raft.tick();
    raft.step(heartbeat(2, 1));
    expect(ticksUntilCampaign(raft)).toBe(MAX);
  });

  it("takes no other node's broken connection for the leader's", () => {
    const raft = follower();
    raft.step({ type: 'unreachable', peer: 3 });
    expect(ticksUntilCampaign(raft)).toBe(MAX);
  });

  it('still refuses votes for as long as it promised', () => {
    const raft = follower();
    take(raft);
    raft.step({ type: 'unreachable', peer: 2 });
    for (let tick = 0; tick < 9; tick++) raft.tick();
    const request = { ...voteRequest(3, 2, 1, 1), preVote: true };
    raft.step(request);
    expect(take(raft).messages[0]?.message).toMatchObject({ granted: false });
    raft.tick();
    raft.step(request);
    expect(take(raft).messages[0]?.message).toMatchObject({ granted: true });
  });

  it('leaves members of higher priority their chance', () => {
    const high = follower();
    const low = follower({ priority: 2 });
    for (const raft of [high, low]) raft.step({ type: 'unreachable', peer: 2 });
    // A whole election timeout longer, also where the leader's connection broke and the wait is shorter for both.
    expect(ticksUntilCampaign(low)).toBe(ticksUntilCampaign(high) + MAX);
  });
});

describe('a campaign that nobody won', () => {
  it('is repeated after at most the shortest election timeout', () => {
    const raft = follower();
    ticksUntilCampaign(raft);
    take(raft);
    for (let tick = 0; tick < 9; tick++) raft.tick();
    expect(raft.ready()).toBeUndefined();
    raft.tick();
    expect(take(raft).messages.map(({ message }) => message)).toMatchObject([
      { type: 'vote', to: 2, preVote: true },
      { type: 'vote', to: 3, preVote: true },
    ]);
  });

  it('is repeated so too when it was refused, and waits for a leader as ever once there is one', () => {
    const raft = follower();
    ticksUntilCampaign(raft);
    for (const from of [2, 3]) raft.step({ ...voteReply(from, 1, false), preVote: true });
    expect(raft.status().role).toBe('follower');
    expect(ticksUntilCampaign(raft)).toBe(10);
    raft.step(heartbeat(2, 1));
    expect(ticksUntilCampaign(raft)).toBe(MAX);
  });

  it('ends with a vote for somebody else, who then has a whole election timeout', () => {
    const raft = follower();
    ticksUntilCampaign(raft);
    raft.step(voteRequest(3, 2, 1, 1));
    expect(raft.status()).toMatchObject({ role: 'follower', term: 2, vote: 3 });
    expect(ticksUntilCampaign(raft)).toBe(MAX);
  });
});
