import { describe, expect, it } from 'vitest';
import type { VoteReply } from '../../src/base/messages.js';
import { parseOptions } from '../../src/engine/options.js';
import { Pipelines } from '../../src/engine/pipeline.js';
import { Replica, type ReplicaParts } from '../../src/engine/replica.js';
import { configuration, options, recovered } from '../core/fixtures.js';
import { single } from './world.js';

const OWN = 111;

/** Node 1 of a group of three, whose main thread has nobody to hand anything to. */
function makeReplica() {
  const commands: string[] = [];
  let order = 0;
  const config = parseOptions(single('d', { apply: () => undefined }));
  const hub = {
    nextOrder: () => ++order,
    order: () => {},
    command: ({ type }: { type: string }) => commands.push(type),
    wake: () => {},
    open: { bytes: 0, kept: 0, bytesMax: 1 },
  };
  const book = { addressOf: () => '', incarnationOf: () => OWN, update: () => {} };
  const parts = {
    ...{ config, hub, book, clock: { nowMs: () => 0 } },
    pipeline: new Pipelines(config).of(1),
    events: { commit: () => {}, leadership: () => {}, sessions: () => {} },
    snapshots: undefined,
  };
  const members = configuration([1, 2, 3], { learners: [4] });
  const state = recovered({ configurations: [{ index: 1, term: 1, configuration: members }] });
  const group = { id: 7, stateMachine: { apply: () => undefined } };
  const replica = new Replica(group, parts as unknown as ReplicaParts, options({ preVote: true }), state);
  const timeOut = (): string[] => {
    for (let tick = 0; tick < 30; tick++) replica.tick();
    return commands.splice(0);
  };
  return { replica, timeOut };
}

function told(removed: number, from = 2): VoteReply {
  const address = { group: 7, from, to: 1, term: 1 };
  return { ...address, type: 'voteReply', granted: false, preVote: true, removed };
}

describe('a node that asks for votes in a group from which it was removed', () => {
  it('E8 H60 steps out when a member says so: it campaigns no more', () => {
    const { replica, timeOut } = makeReplica();
    expect(timeOut()).toContain('control');
    replica.step(told(OWN));
    expect(replica.retired).toBe(true);
    timeOut();
    expect(timeOut()).toEqual([]);
    expect(replica.role).toBe('follower');
  });

  it('H60 H61 goes on where somebody else was removed under its id, and where only who has no voice says so', () => {
    const { replica, timeOut } = makeReplica();
    timeOut();
    for (const reply of [told(0), told(OWN + 1), told(OWN, 4), told(OWN, 5)]) {
      replica.step(reply);
      expect(replica.retired).toBe(false);
    }
    expect(timeOut()).toContain('control');
  });
});

describe('the ticks of a group', () => {
  it('reach its proposals: room that is kept for who was refused is kept no longer than it was told', () => {
    const { replica, timeOut } = makeReplica();
    let ticks = 0;
    replica.proposals.tick = () => ticks++;
    timeOut();
    expect(ticks).toBe(30);
  });
});
