import { describe, expect, it } from 'vitest';
import type { Raft } from '../../src/core/raft.js';
import { accepted, configuration, electedRaft, progressOf, sessionTo } from './fixtures.js';

/** Every way to give `size` places one of `values`. */
function combinations<V>(values: readonly V[], size: number): V[][] {
  if (size === 0) return [[]];
  return combinations(values, size - 1).flatMap((rest) => values.map((value) => [...rest, value]));
}

function sync(raft: Raft): void {
  const last = raft.ready()?.orders.at(-1);
  if (last !== undefined) raft.step({ type: 'durable', order: last.id });
}

describe('commit rules, against the slow truth', () => {
  /** The highest entry of the leader's term that most have on disk; entry 1 is committed anyway. */
  function naiveCommit(terms: readonly number[], term: number, held: readonly number[]): number {
    for (let index = terms.length; index > 1; index--) {
      const holders = held.filter((upTo) => upTo >= index).length;
      if (terms[index - 1] === term && 2 * holders > held.length) return index;
    }
    return 1;
  }

  it('H6 H34 E2 every short log of a leader, and whatever it and its followers have on disk', () => {
    for (const older of [[], [1], [2], [1, 1], [1, 2], [2, 2]]) {
      const found = [1, ...older];
      const term = (found.at(-1) ?? 0) + 1;
      const last = found.length + 3;
      const answers = [0, ...Array.from({ length: last - found.length + 1 }, (_, at) => found.length + at)];
      for (const [size, grantedBy] of [[3, [2]] as const, [4, [2, 3]] as const]) {
        for (const matches of combinations(answers, size - 1)) {
          for (const durable of [found.length + 1, last]) {
            const voters = Array.from({ length: size }, (_, at) => at + 1);
            const raft = electedRaft({ terms: found, voters }, [...grantedBy]);
            raft.propose(2, 2);
            if (durable === last) sync(raft);
            for (const [at, match] of matches.entries()) {
              const peer = at + 2;
              if (match > 0) raft.step(accepted(peer, term, sessionTo(raft, peer), match));
            }
            const terms = [...found, term, term, term];
            const expected = naiveCommit(terms, term, [durable, ...matches]);
            expect(raft.status().commitIndex, `${terms}: ${durable} ${matches}`).toBe(expected);
          }
        }
      }
    }
  });
});

type Place = 'voter' | 'learner' | 'none';
const PLACES: readonly Place[] = ['voter', 'learner', 'none'];
const idsAt = (places: readonly Place[], place: Place): number[] =>
  places.flatMap((each, at) => (each === place ? [at + 1] : []));
const target = (places: readonly Place[]) =>
  configuration(idsAt(places, 'voter'), { learners: idsAt(places, 'learner') });

/** Whoever is a member holds the whole log, and the own disk does. */
function replicateAll(raft: Raft): void {
  sync(raft);
  const { lastIndex, term, progress } = raft.status();
  for (const { id } of progress) {
    // A commit may have let go of a member meanwhile.
    if (raft.status().progress.some((follower) => follower.id === id))
      raft.step(accepted(id, term, progressOf(raft, id).session, lastIndex));
  }
  sync(raft);
}

describe('replica configurations, against the slow truth', () => {
  // Somebody else must vote: a sole voter is elected in another way.
  const places = combinations(PLACES, 3).filter((others) => others.includes('voter'));

  it('H55 H62 from any members to any others of four nodes: in one step or through a joint one, as the voters say', () => {
    for (const others of places) {
      const from: Place[] = ['voter', ...others];
      for (const to of combinations(PLACES, 4)) {
        if (!to.includes('voter')) continue;
        const voters = idsAt(from, 'voter');
        const raft = electedRaft(
          { configurations: [{ index: 1, term: 1, configuration: target(from) }] },
          voters.slice(1),
        );
        replicateAll(raft);
        const told = `${from} to ${to}`;
        const placed = raft.proposeConfiguration(target(to), 1);
        // Only who has learned can be made a voter.
        if (to.some((place, at) => place === 'voter' && from[at] === 'none')) {
          expect(placed, told).toMatchObject({ refused: 'lagging' });
          continue;
        }
        const same = idsAt(to, 'voter').join() === voters.join();
        const inForce = () => raft.status().configuration.configuration;
        expect(inForce().votersOutgoing, told).toEqual(same ? [] : voters);
        for (let round = 0; round < 3; round++) replicateAll(raft);
        expect(inForce().votersOutgoing, told).toEqual([]);
        expect([...inForce().voters].sort(), told).toEqual(idsAt(to, 'voter'));
        expect([...inForce().learners].sort(), told).toEqual(idsAt(to, 'learner'));
      }
    }
  });
});
