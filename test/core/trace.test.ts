import { describe, expect, it } from 'vitest';
import type { TraceEvent } from '../../src/core/trace-event.js';
import { Cluster } from './cluster.js';
import { append, configuration, header, heartbeat, startRaft, voteRequest } from './fixtures.js';
import { TraceModel } from './trace-model.js';

function traceOf(seed: number, changes: boolean): TraceEvent[] {
  const events: TraceEvent[] = [];
  // As through a file: what is read back is what counts.
  const trace = (event: TraceEvent) => events.push(JSON.parse(JSON.stringify(event)) as TraceEvent);
  const cluster = new Cluster(seed, changes ? 6 : 5, changes, { trace });
  cluster.run(1500);
  cluster.heal();
  return events;
}

function modelOf(events: readonly TraceEvent[]): TraceModel {
  const model = new TraceModel();
  for (const event of events) model.take(event);
  return model;
}

const isGrant = ({ message }: TraceEvent['sends'][number]): boolean =>
  message.type === 'voteReply' && message.granted && !message.preVote;

describe('a trace', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('is one that Raft can have, in rough weather (seed %i)', (seed) => {
    const model = modelOf(traceOf(seed, seed % 2 === 0));
    expect(model.faults).toEqual([]);
    expect(model.leaderships).toBeGreaterThan(0);
    expect(model.commits).toBeGreaterThan(5);
  });

  it('that was tampered with is found out', () => {
    const events = traceOf(2, false);
    const tamper = (
      what: string,
      pick: (event: TraceEvent) => boolean,
      change: (event: TraceEvent) => void,
    ) => {
      const copy = structuredClone(events);
      const found = copy.find(pick);
      if (found === undefined) throw new Error(`nothing to tamper with: ${what}`);
      change(found);
      expect(modelOf(copy).faults, what).not.toEqual([]);
    };
    tamper(
      'term',
      ({ state, step }) => state.term > 2 && step > 9,
      ({ state }) => {
        state.term -= 2;
      },
    );
    tamper(
      'second leader',
      ({ state }) => state.role === 'follower' && state.leader !== 0 && state.term > 1,
      ({ state }) => {
        state.role = 'leader';
      },
    );
    tamper(
      'vote',
      ({ state, orders }) => state.vote !== 0 && orders.length === 0,
      ({ state }) => {
        state.vote += 1;
      },
    );
    tamper(
      'commit',
      ({ state }) => state.role === 'leader' && state.lastIndex > state.commitIndex,
      ({ state }) => {
        state.commitIndex = state.lastIndex;
      },
    );
    tamper(
      'H3: an election without a vote',
      ({ message, state }) =>
        state.role === 'leader' && message?.type === 'voteReply' && message.granted && !message.preVote,
      ({ message }) => Object.assign(message ?? {}, { granted: false }),
    );
    tamper(
      'H7: a vote for a log that is behind',
      ({ message, sends }) => message?.type === 'vote' && sends.some(isGrant),
      ({ message }) => Object.assign(message ?? {}, { lastTerm: 0 }),
    );
    tamper(
      'H17: a request for a vote without an answer',
      ({ message, sends }) => message?.type === 'vote' && sends.some(isGrant),
      ({ sends }) => sends.splice(0),
    );
    tamper(
      'H30: a heartbeat that says too much',
      ({ sends }) => sends.some(({ message }) => message.type === 'heartbeat'),
      ({ sends }) => {
        for (const { message } of sends) if (message.type === 'heartbeat') message.commit += 1000;
      },
    );
    tamper(
      'H26: an acknowledgement in another session',
      ({ message, sessions }) =>
        message?.type === 'appendReply' && !message.refused && sessions[0]?.type === 'stream',
      ({ message }) => Object.assign(message ?? {}, { session: 0 }),
    );
    tamper(
      'A4: an acknowledgement that nobody has given',
      ({ message, state }) => state.role === 'leader' && message?.type === 'heartbeatReply',
      ({ state }) => {
        for (const peer of Object.keys(state.match)) state.match[Number(peer)] = state.lastIndex + 1;
      },
    );
    tamper(
      'H32: durable before it is written',
      ({ orders }) => orders.some(({ type }) => type === 'append'),
      ({ state }) => {
        state.durableIndex = state.lastIndex;
      },
    );
    tamper(
      'lost order',
      ({ orders }) => orders.some(({ type }) => type === 'append'),
      (event) => {
        event.orders = [];
      },
    );
  });

  it('H59 is right to go back to a configuration that it never told of, since it began behind it', () => {
    const events: TraceEvent[] = [];
    const one = (index: number, voters: number[]) => ({
      index,
      term: index,
      configuration: configuration(voters),
    });
    const raft = startRaft(
      { terms: [1, 2, 3], configurations: [one(1, [1, 2]), one(2, [1, 2, 3]), one(3, [1, 2, 3, 4])] },
      { trace: (event) => events.push(event) },
    );
    raft.step(append(2, 4, 2, 2, { headers: [header(4, 3, 1, 2)] }));
    raft.ready();
    expect(events.at(-1)?.state.configuration.index).toBe(2);
    expect(modelOf(events).faults).toEqual([]);
  });

  it('tells what came in, what was ordered and sent, and the state after it', () => {
    const events: TraceEvent[] = [];
    const raft = startRaft({}, { trace: (event) => events.push(event) });
    expect(events).toMatchObject([
      { step: 1, door: 'start', orders: [], sends: [], sessions: [], state: { term: 1 } },
    ]);
    raft.tick();
    expect(events).toHaveLength(1);
    raft.step(voteRequest(2, 2, 1, 1));
    raft.ready();
    expect(events[1]).toMatchObject({
      ...{ step: 2, door: 'step', node: 1, message: { type: 'vote', from: 2, term: 2 } },
      orders: [{ id: 1, type: 'hardState', hardState: { term: 2, vote: 2 } }],
      sends: [{ message: { type: 'voteReply', to: 2, granted: true }, after: 1 }],
      state: { role: 'follower', term: 2, vote: 2, leader: 0, lastIndex: 1, commitIndex: 1, commitTerm: 1 },
    });
    raft.step(heartbeat(2, 2));
    raft.readIndex(1);
    raft.ready();
    expect(events.slice(2).map(({ door, sends }) => [door, sends[0]?.message.type])).toEqual([
      ['step', 'heartbeatReply'],
      ['ready', 'readIndex'],
    ]);
  });
});
