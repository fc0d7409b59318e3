import { describe, expect, it } from 'vitest';
import type { PeerMessage } from '../../src/base/messages.js';
import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import { append, configuration, GROUP, header, SELF, startRaft } from './fixtures.js';

const number = (random: Random) => randomInteger(random, -1, 9);

/** Any message, well-typed and without sense. */
function nonsense(random: Random, term: number): PeerMessage {
  const address = {
    group: GROUP,
    from: randomInteger(random, 2, 4),
    to: SELF,
    term: Math.max(0, term + randomInteger(random, -1, random() < 0.1 ? 2 : 0)),
  };
  const n = () => number(random);
  const flag = () => random() < 0.5;
  switch (randomInteger(random, 0, 8)) {
    case 0:
      return {
        ...address,
        type: 'vote',
        lastIndex: n(),
        lastTerm: n(),
        preVote: random() < 0.1,
        transfer: flag(),
      };
    case 1:
      return {
        ...address,
        type: 'voteReply',
        granted: random() < 0.8,
        preVote: random() < 0.1,
        removed: random() < 0.1 ? 3 : 0,
      };
    case 2:
      return { ...address, type: 'heartbeat', commit: n(), round: n() };
    case 3:
      return { ...address, type: 'heartbeatReply', round: n(), lastIndex: n() };
    case 4: {
      const reply = { session: randomInteger(random, 0, 40), refused: flag(), match: n(), applied: n() };
      return { ...address, ...reply, type: 'appendReply', hintIndex: n(), hintTerm: n() };
    }
    case 5:
      return { ...address, type: 'timeoutNow' };
    case 6:
      return { ...address, type: 'readIndex', context: n(), lease: flag() };
    case 7:
      return { ...address, type: 'readIndexReply', context: n(), index: n() };
    default: {
      const headers = Array.from({ length: randomInteger(random, 0, 2) }, () =>
        header(n(), n(), n(), n(), randomInteger(random, 1, 4) as 1),
      );
      const configurations = flag() ? [] : [configuration(flag() ? [1, 2] : [])];
      const parts = { headers, configurations, commit: n(), session: n() };
      return append(address.from, address.term, n(), n(), parts);
    }
  }
}

describe('S7 nothing that a peer sends makes the core throw', () => {
  it('well-typed nonsense, as follower, candidate and leader', () => {
    const roles = new Set<string>();
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed);
      const raft = startRaft(
        { terms: [1, 1, 2], term: 3 },
        {
          electionTicksMin: 2,
          electionTicksMax: 4,
          heartbeatTicks: 1,
          preVote: seed % 2 === 0,
          checkQuorum: seed % 3 === 0,
        },
      );
      for (let step = 0; step < 200; step++) {
        const { term, progress, role } = raft.status();
        roles.add(role);
        const message = nonsense(random, term);
        // Often enough a session that is in force, or the message would never be looked at.
        const session = progress.find((follower) => follower.id === message.from)?.session ?? 0;
        try {
          if (message.type === 'appendReply' && random() < 0.8) raft.step({ ...message, session, term });
          else raft.step(message);
          if (random() < 0.2) raft.tick();
          if (random() < 0.1) raft.propose(1, 1);
          if (random() < 0.1) raft.readIndex(step);
          if (random() < 0.02) raft.transferLeadership(randomInteger(random, 1, 4));
          const last = raft.ready()?.orders.at(-1);
          if (last !== undefined) raft.step({ type: 'durable', order: last.id });
        } catch (thrown) {
          throw new Error(`seed ${seed} step ${step}: ${JSON.stringify(message)}`, { cause: thrown });
        }
      }
    }
    expect([...roles].sort()).toEqual(['candidate', 'follower', 'leader']);
  });
});
