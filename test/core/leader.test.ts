import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import type { Raft } from '../../src/core/raft.js';
import type { SessionCommand } from '../../src/core/ready.js';
import {
  accepted,
  configuration,
  electedRaft,
  heartbeat,
  heartbeatReply,
  progressOf,
  refused,
  sessionTo,
  startRaft,
  take,
  timeOut,
  voteReply,
} from './fixtures.js';

/** Node 1 leads term 2; followers 2 and 3 stream from index 2 on (the no-op). */
function streaming(): Raft {
  const raft = electedRaft();
  for (const peer of [2, 3]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 1));
  take(raft);
  return raft;
}

const sessions = (raft: Raft): SessionCommand[] => raft.ready()?.sessions ?? [];

/** Where the newest session asks. */
function probedAt(raft: Raft): number {
  const opened = sessions(raft).find((command) => command.type === 'open');
  if (opened?.type !== 'open') throw new Error('expected a new session');
  return opened.prevIndex;
}

describe('what a leader commits', () => {
  it('H6 an entry of an earlier term commits only together with one of the own (figure 8)', () => {
    const raft = electedRaft({ terms: [1, 2, 2], term: 3 });
    const session = sessionTo(raft, 2);
    raft.step(accepted(2, 4, session, 3));
    expect(raft.status().commitIndex).toBe(1);
    raft.step(accepted(2, 4, session, 4));
    expect(raft.status().commitIndex).toBe(4);
  });

  it('H34 the leader counts itself only up to what its own disk has', () => {
    const raft = streaming();
    raft.propose(3, 30);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 5));
    expect(raft.status().commitIndex).toBe(2);
    const { orders } = take(raft);
    raft.step({ type: 'durable', order: orders.at(-1)?.id ?? 0 });
    expect(raft.status().commitIndex).toBe(5);
  });

  it('A5 two followers commit past a slow own disk', () => {
    const raft = streaming();
    raft.propose(3, 30);
    for (const peer of [2, 3]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 5));
    expect(raft.status()).toMatchObject({ commitIndex: 5, durableIndex: 2 });
  });

  it("H36 a learner's acknowledgement is no vote", () => {
    const settings = configuration([1, 2, 3], { learners: [4, 5] });
    const raft = electedRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    for (const learner of [4, 5]) raft.step(accepted(learner, 2, sessionTo(raft, learner), 2));
    expect(raft.status().commitIndex).toBe(1);
  });

  it('H35 a joint configuration needs both halves', () => {
    const settings = configuration([1, 2, 3], { votersOutgoing: [1, 4, 5] });
    const raft = electedRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] }, [2, 4]);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    raft.step(accepted(3, 2, sessionTo(raft, 3), 2));
    expect(raft.status().commitIndex).toBe(1);
    raft.step(accepted(5, 2, sessionTo(raft, 5), 2));
    expect(raft.status().commitIndex).toBe(2);
  });

  it('H36 acknowledgements of an earlier leadership, of strangers, or beyond the log count for nothing', () => {
    const raft = streaming();
    raft.step(accepted(2, 1, sessionTo(raft, 2), 2));
    raft.step(accepted(9, 2, sessionTo(raft, 2), 2));
    raft.step(accepted(2, 2, sessionTo(raft, 2), 3));
    expect(raft.status()).toMatchObject({ commitIndex: 1, invalidMessages: 1 });
    timeOut(raft);
    raft.step(heartbeat(3, 3));
    raft.step(accepted(2, 3, 1, 2));
    expect(raft.status().commitIndex).toBe(1);
  });

  it('a proposal to another node is refused with its leader', () => {
    const raft = startRaft();
    expect(raft.propose(1, 1)).toEqual({ refused: 'notLeader', leader: 0 });
    raft.step(heartbeat(3, 2));
    expect(raft.propose(1, 1)).toEqual({ refused: 'notLeader', leader: 3 });
  });

  it('H38 what is uncommitted is counted by batch, and starts at nothing in the next leadership', () => {
    const raft = streaming();
    raft.propose(3, 300);
    raft.propose(2, 50);
    expect(raft.status()).toMatchObject({ uncommittedEntries: 6, uncommittedBytes: 350 });
    for (const peer of [2, 3]) raft.step(accepted(peer, 2, sessionTo(raft, peer), 5));
    expect(raft.status()).toMatchObject({ uncommittedEntries: 2, uncommittedBytes: 50 });
    raft.step(heartbeat(3, 3));
    expect(raft.status()).toMatchObject({ uncommittedEntries: 0, uncommittedBytes: 0 });
    timeOut(raft);
    raft.step(voteReply(2, 4));
    expect(raft.status()).toMatchObject({ role: 'leader', uncommittedEntries: 1, uncommittedBytes: 0 });
  });
});

describe('sessions', () => {
  it('A1 H26 answers of an earlier session move nothing; match never goes back', () => {
    const raft = streaming();
    const old = sessionTo(raft, 2);
    raft.propose(8, 80);
    raft.step(accepted(2, 2, old, 6));
    raft.step({ type: 'sessionBroken', peer: 2, session: old });
    take(raft);
    raft.step(accepted(2, 2, old, 10));
    raft.step(refused(2, 2, old, 4, 1, 1));
    expect(raft.ready()).toBeUndefined();
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 6 });
    const fresh = sessionTo(raft, 2);
    raft.step(accepted(2, 2, fresh, 6));
    raft.step(accepted(2, 2, fresh, 9));
    raft.step(accepted(2, 2, fresh, 7));
    expect(progressOf(raft, 2)).toEqual({ id: 2, state: 'replicate', match: 9, next: 10, session: fresh });
  });

  it('H28 a broken stream is probed again from match, in one new session', () => {
    const raft = streaming();
    const session = sessionTo(raft, 3);
    raft.step({ type: 'sessionBroken', peer: 3, session });
    raft.step({ type: 'sessionBroken', peer: 3, session });
    expect(sessions(raft)).toEqual([
      { type: 'close', peer: 3, session },
      { type: 'open', peer: 3, session: 3, term: 2, mode: 'probe', prevIndex: 1, prevTerm: 1 },
    ]);
  });

  it('B13 an unreachable peer is probed again, once', () => {
    const raft = streaming();
    raft.step({ type: 'unreachable', peer: 2 });
    expect(probedAt(raft)).toBe(1);
    raft.step({ type: 'unreachable', peer: 2 });
    expect(raft.ready()).toBeUndefined();
  });

  it('a probe that broke is asked again where it asked', () => {
    const raft = electedRaft({ terms: [1, 1, 1, 1] });
    raft.step(refused(2, 2, sessionTo(raft, 2), 4, 2, 1));
    expect(probedAt(raft)).toBe(2);
    raft.step({ type: 'sessionBroken', peer: 2, session: sessionTo(raft, 2) });
    expect(probedAt(raft)).toBe(2);
  });

  it('A2 an acceptance below the probe is not its answer', () => {
    const raft = electedRaft({ terms: [1, 1, 1, 1] });
    raft.step(accepted(2, 2, sessionTo(raft, 2), 3));
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 0 });
  });

  it('every session is closed once, before the next is opened, and counters only grow', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const raft = electedRaft({ terms: [1, 1, 1, 1] });
      const open = new Map([2, 3].map((peer) => [peer, sessionTo(raft, peer)]));
      let newest = 2;
      for (let step = 0; step < 100; step++) {
        const { term, role } = raft.status();
        const peer = randomInteger(random, 2, 3);
        const session = open.get(peer) ?? 0;
        const choice = random();
        if (role !== 'leader') timeOut(raft);
        else if (choice < 0.2) raft.step({ type: 'sessionBroken', peer, session });
        else if (choice < 0.4) raft.step(refused(peer, term, session, randomInteger(random, 1, 5), 0, 0));
        else if (choice < 0.6) raft.step(accepted(peer, term, session, randomInteger(random, 0, 5)));
        else if (choice < 0.8) raft.step({ type: 'unreachable', peer });
        else raft.step(heartbeat(3, term + 1));
        if (raft.status().role === 'candidate') raft.step(voteReply(2, raft.status().term));
        for (const command of sessions(raft)) {
          if (command.type === 'open') {
            expect(open.has(command.peer), `seed ${seed}`).toBe(false);
            expect(command.session).toBeGreaterThan(newest);
            newest = command.session;
            open.set(command.peer, command.session);
          } else {
            expect(open.get(command.peer), `seed ${seed}`).toBe(command.session);
            if (command.type === 'close') open.delete(command.peer);
          }
        }
        expect(open.size, `seed ${seed}`).toBe(raft.status().role === 'leader' ? 2 : 0);
      }
    }
  });
});

describe('finding where the logs agree', () => {
  it('H25 two refusals of one session move the probe once; one that names another index moves nothing', () => {
    const raft = electedRaft({ terms: Array(40).fill(1) });
    const session = sessionTo(raft, 2);
    raft.step(refused(2, 2, session, 12, 3, 1));
    expect(raft.ready()).toBeUndefined();
    raft.step(refused(2, 2, session, 40, 30, 1));
    raft.step(refused(2, 2, session, 40, 20, 1));
    expect(probedAt(raft)).toBe(30);
  });

  it('E3 straight to the hint, and below the own terms that the follower cannot have', () => {
    const raft = electedRaft({ terms: [1, 1, 3, 3, 3, 5, 5] });
    raft.step(refused(2, 6, sessionTo(raft, 2), 7, 5, 2));
    expect(probedAt(raft)).toBe(2);
  });

  it('A3 without a usable hint the range is halved in steps of eight, short ones go to the match', () => {
    for (const [distance, offset] of [
      [15, 0],
      [16, 8],
      [160, 80],
      [1000, 496],
    ] as const) {
      const raft = electedRaft({ terms: Array(distance).fill(1) });
      raft.step(refused(2, 2, sessionTo(raft, 2), distance, distance + 7, 1));
      expect(probedAt(raft), `distance ${distance}`).toBe(offset);
    }
  });

  it('H27 logs that diverge over many terms need no more probes than terms', () => {
    const own = Array.from({ length: 600 }, (_, i) => (i < 20 ? 1 : 2 * Math.floor(i / 20)));
    const theirs = Array.from({ length: 600 }, (_, i) => (i < 20 ? 1 : 2 * Math.floor(i / 20) - 1));
    const leader = electedRaft({ terms: own, term: 100 });
    const follower = startRaft({ terms: theirs, term: 99 }, { id: 2 });
    let probes = 0;
    let opened: SessionCommand | undefined = {
      type: 'open',
      peer: 2,
      session: 1,
      term: 101,
      mode: 'probe',
      prevIndex: 600,
      prevTerm: 58,
    };
    while (opened?.type === 'open') {
      probes += 1;
      const { session, prevIndex, prevTerm, term } = opened;
      follower.step({
        type: 'append',
        group: 7,
        from: 1,
        to: 2,
        term,
        session,
        prevIndex,
        prevTerm,
        commit: 0,
        headers: [],
        configurations: [],
      });
      const answer = take(follower).messages[0]?.message;
      if (answer?.type !== 'appendReply') throw new Error('expected an answer');
      leader.step(answer);
      opened = sessions(leader).find((command) => command.type !== 'close');
    }
    expect(opened).toMatchObject({ type: 'stream', next: 21 });
    expect(probes).toBeLessThanOrEqual(60);
  });

  it('A2 a refused index that was acknowledged means a lost log: it counts no more', () => {
    const raft = streaming();
    const session = sessionTo(raft, 2);
    raft.propose(8, 80);
    raft.step(accepted(2, 2, session, 10));
    expect(progressOf(raft, 2).match).toBe(10);
    raft.step(refused(2, 2, session, 10, 0, 0));
    expect(probedAt(raft)).toBe(0);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 0 });
    raft.step({ type: 'durable', order: 3 });
    expect(raft.status()).toMatchObject({ durableIndex: 10, commitIndex: 2 });
  });

  it('A2 so does one that says nothing of where the logs may agree', () => {
    const raft = electedRaft({ terms: Array(40).fill(1) });
    raft.step(accepted(2, 2, sessionTo(raft, 2), 40));
    take(raft);
    raft.step(refused(2, 2, sessionTo(raft, 2), 40, 77, 1));
    expect(probedAt(raft)).toBe(16);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 0 });
  });

  it('A2 a hint that contradicts what was acknowledged means a lost log too', () => {
    const raft = streaming();
    raft.propose(8, 80);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 5));
    raft.step(refused(2, 2, sessionTo(raft, 2), 10, 7, 1));
    expect(probedAt(raft)).toBe(1);
    expect(progressOf(raft, 2).match).toBe(0);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 1));
    expect(progressOf(raft, 2)).toMatchObject({ state: 'replicate', match: 1, next: 2 });
  });

  it('nonsense in a refusal is counted and moves nothing', () => {
    const raft = streaming();
    for (const at of [0, -1, 3, 2 ** 50]) raft.step(refused(2, 2, sessionTo(raft, 2), at, -1, 0));
    expect(raft.ready()).toBeUndefined();
    expect(raft.status().invalidMessages).toBe(4);
  });

  it('A4 what was compacted needs a snapshot; a follower that got that far otherwise is probed again', () => {
    const raft = electedRaft({ base: { index: 10, term: 1 }, terms: [1, 1] });
    const session = sessionTo(raft, 2);
    raft.step(refused(2, 2, session, 12, 4, 1));
    expect(sessions(raft)).toEqual([{ type: 'close', peer: 2, session }]);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'snapshot', session: 0 });
    raft.step(heartbeatReply(2, 2, 1, 9));
    expect(raft.ready()).toBeUndefined();
    raft.step(heartbeatReply(2, 2, 1, 10));
    expect(probedAt(raft)).toBe(10);
  });
});

describe('heartbeats', () => {
  it('E5 A11 who does not answer gets them more and more rarely, up to a bound, and all of them again after its first answer', () => {
    const raft = startRaft({}, { electionTicksMin: 80, electionTicksMax: 80 });
    for (let times = 0; times < 8; times++) timeOut(raft);
    raft.step(voteReply(2, raft.status().term));
    take(raft);
    /** How many the silent one gets in nearly an election timeout. Of the other one an answer comes to every one, and with reads a round to every answer. */
    const beats = (reads: boolean): number => {
      let silent = 0;
      for (let tick = 0, context = 0; tick < 78; tick++) {
        raft.tick();
        if (reads) raft.readIndex(++context);
        for (let ready = raft.ready(); ready !== undefined; ready = raft.ready()) {
          for (const { message, rare } of ready.messages) {
            if (message.type !== 'heartbeat') continue;
            if (message.to === 3) silent++;
            else raft.step(heartbeatReply(2, raft.status().term, message.round, 1));
            expect(rare, 'and nobody repeats the rare ones').toBe(
              rares && message.to === 3 ? true : undefined,
            );
          }
        }
      }
      return silent;
    };
    let rares = false;
    const before = beats(false);
    expect(before).toBe(39);
    rares = true;
    const counts = [beats(false), beats(true), beats(true), beats(true)];
    expect(counts[0]).toBeLessThan(before / 3);
    expect([...counts].sort((a, b) => b - a)).toEqual(counts);
    // A third of the shortest election timeout is the bound.
    expect(counts.slice(2)).toEqual([3, 3]);
    raft.step(heartbeatReply(3, raft.status().term, 1, 1));
    rares = false;
    expect(beats(false)).toBe(39);
  });

  const beat = (raft: Raft) => {
    for (let tick = 0; tick < 2; tick++) raft.tick();
    return take(raft).messages.map(({ message }) => message);
  };

  it('H30 tell nobody of a commit that it is not known to hold; rounds grow', () => {
    const raft = streaming();
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    take(raft);
    expect(beat(raft)).toMatchObject([
      { to: 2, commit: 2, round: 2 },
      { to: 3, commit: 1, round: 2 },
    ]);
    expect(beat(raft)).toMatchObject([{ round: 3 }, { round: 3 }]);
  });

  it('go out every heartbeatTicks, to learners too', () => {
    const settings = configuration([1, 2, 3], { learners: [4] });
    const raft = electedRaft({ configurations: [{ index: 1, term: 1, configuration: settings }] });
    raft.tick();
    expect(raft.ready()).toBeUndefined();
    raft.tick();
    expect(take(raft).messages.map(({ message }) => message.to)).toEqual([2, 3, 4]);
  });

  it('A2 an answer reveals a lost log: probed again, and its acknowledgements count no more', () => {
    const raft = streaming();
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    beat(raft);
    raft.step(heartbeatReply(2, 2, 2, 1));
    expect(probedAt(raft)).toBe(1);
    expect(progressOf(raft, 2)).toMatchObject({ state: 'probe', match: 0 });
    raft.step(heartbeatReply(2, 2, 2, 0));
    expect(raft.ready()).toBeUndefined();
  });

  it('A2 an old answer that comes after newer acknowledgements reveals nothing', () => {
    const raft = streaming();
    beat(raft);
    raft.step(accepted(2, 2, sessionTo(raft, 2), 2));
    take(raft);
    raft.step(heartbeatReply(2, 2, 2, 1));
    expect(raft.ready()).toBeUndefined();
    beat(raft);
    raft.step(heartbeatReply(2, 2, 2, 1));
    expect(raft.ready()).toBeUndefined();
  });
});
