import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { Hello } from '../../src/codec/envelope-types.js';
import { makeHello } from '../../src/transport/handshake.js';
import { Gatekeeper } from '../../src/workers/gatekeeper.js';
import { append, Meeting } from './parts.js';

const PEER = {
  ...{ clusterId: 'c', node: 1, incarnation: 111, groups: [1], bootstrapChecksum: 5, leaseMs: 0 },
  formerIncarnations: [],
};

/** Node 2 at its door, where it knows how its cluster began, or not yet (0). It knows node 1 by its incarnation. */
async function makeWorld({ bootstrapChecksum } = PEER) {
  const meeting = new Meeting();
  const log: string[] = [];
  const known = new Map([[1, 111]]);
  const self = { ...PEER, bootstrapChecksum, node: 2, incarnation: 222 };
  const gatekeeper = new Gatekeeper({
    self: () => self,
    acquaintances: {
      removedFrom: () => [],
      knownIncarnation: (node) => known.get(node),
    },
    ports: () => ({ controlPort: 7, dataPort: 8, clientPort: 9 }),
    remember: (peer, incarnation) => {
      known.set(peer, incarnation);
      log.push(`remember ${peer}/${incarnation}`);
    },
    rememberBootstrap: (checksum) => {
      self.bootstrapChecksum = checksum;
      log.push(`began with ${checksum}`);
    },
    adopt: (lane, peer, stream) => {
      log.push(`adopt ${lane} ${peer}`);
      stream.onMessage = () => log.push('a message');
      stream.onClose = () => {};
    },
    refused: (peer, lane, code) => log.push(`refused ${peer} ${lane} ${code}`),
  });
  await meeting.listen((lane, stream) => gatekeeper.admit(lane as 'control' | 'append', stream));
  const open = (lane: 'control' | 'append' = 'append') => meeting.open(lane);
  const hello = (changes: Partial<Hello> = {}, lane: 'control' | 'append' = 'append'): Hello => ({
    ...makeHello(PEER, 2, lane),
    ...changes,
  });
  return { gatekeeper, meeting, log, open, hello, known };
}

describe('the gatekeeper', () => {
  it('S2 lets a peer in that introduces itself, and remembers it before it is believed', async () => {
    const { open, hello, log } = await makeWorld();
    const peer = open();
    peer.say(hello());
    expect(peer.take()).toMatchObject([
      { type: 'helloReply', accepted: true, node: 2, incarnation: 222, controlPort: 7, dataPort: 8 },
    ]);
    expect(log).toEqual(['remember 1/111', 'adopt append 1']);
    peer.say(append({}));
    expect(log.at(-1)).toBe('a message');
  });

  const strangers: [string, Partial<Hello>, string][] = [
    ['another cluster', { clusterId: 'other' }, 'cluster'],
    ['H64 another cluster of the same name', { bootstrapChecksum: 6 }, 'bootstrap'],
    ['another protocol version', { protocolVersion: 99 }, 'protocolVersion'],
    ['a newer batch format', { formatVersion: 99 }, 'formatVersion'],
    ['somebody who takes us for another', { receiver: 3 }, 'receiver'],
    ['our own id', { node: 2 }, 'node'],
    ['a node that knows no beginning', { node: 9, bootstrapChecksum: 0 }, 'bootstrap'],
    ['H61 a wiped node under its old id', { incarnation: 112 }, 'incarnation'],
    ['a node with other groups', { groups: [4] }, 'groups'],
  ];
  for (const [name, changes, code] of strangers) {
    it(`S2 refuses ${name}, says why, and hears no more of it`, async () => {
      const { open, hello, log, gatekeeper, meeting } = await makeWorld();
      gatekeeper.poll(1000);
      const peer = open();
      peer.say(hello(changes));
      expect(peer.take()).toMatchObject([{ type: 'helloReply', accepted: false, code }]);
      expect(log).toEqual([`refused ${changes.node ?? 1} append ${code}`]);
      peer.say(hello());
      peer.say(append({}));
      expect(log.length).toBe(1);
      expect(peer.closed).toBeUndefined();
      gatekeeper.poll(6001);
      meeting.network.settle();
      expect(peer.closed, 'a refused one that stays is shown out').toBeDefined();
    });
  }

  it('tells of a refusal once, and again when it has another reason or the node was let in meanwhile', async () => {
    const { open, hello, log } = await makeWorld();
    const said = (changes: Partial<Hello> = {}): string[] => {
      open().say(hello(changes));
      return log.splice(0).filter((line) => line.startsWith('refused'));
    };
    const wiped = { incarnation: 112 };
    expect(said(wiped)).toEqual(['refused 1 append incarnation']);
    expect(said(wiped)).toEqual([]);
    expect(said({ groups: [4] })).toEqual(['refused 1 append groups']);
    expect(said(wiped)).toEqual(['refused 1 append incarnation']);
    expect(said()).toEqual([]);
    expect(said(wiped)).toEqual(['refused 1 append incarnation']);
    expect(said({ node: 9, ...wiped, groups: [4] })).toEqual(['refused 9 append groups']);
  });

  it('S2 a stranger that began with us is let in: who was away while members changed has to hear its new leader', async () => {
    const { open, hello, log } = await makeWorld();
    const peer = open();
    peer.say(hello({ node: 9, incarnation: 999 }));
    expect(peer.take()).toMatchObject([{ accepted: true }]);
    expect(log).toEqual(['remember 9/999', 'adopt append 9']);
  });

  it('H64 a newcomer learns how its cluster began from who speaks to it, before it is believed, and once', async () => {
    const { open, hello, log } = await makeWorld({ ...PEER, bootstrapChecksum: 0 });
    // Another cluster of the same name had this id at this address: it sees another incarnation answer, and says no more.
    const stray = open();
    stray.say(hello({ node: 8, bootstrapChecksum: 6 }));
    expect(stray.take()).toMatchObject([{ accepted: true }]);
    const unsure = open();
    unsure.say(hello({ node: 9, bootstrapChecksum: 0 }));
    expect(unsure.take()).toMatchObject([{ accepted: false, code: 'bootstrap' }]);
    const [control, data] = [open('control'), open()];
    control.say(hello({}, 'control'));
    data.say(hello());
    log.length = 0;
    control.say(append({}));
    data.say(append({}));
    data.say(append({}));
    expect(log).toEqual(['began with 5', 'a message', 'began with 5', 'a message', 'a message']);
    stray.say(append({}));
    expect(stray.closed, 'too late').toBeDefined();
    expect(log).toHaveLength(5);
    const late = open();
    late.say(hello({ bootstrapChecksum: 6 }));
    expect(late.take()).toMatchObject([{ accepted: false, code: 'bootstrap' }]);
  });

  it('S7 anything but a hello of this lane costs the stream', async () => {
    const { open, hello, log } = await makeWorld();
    for (const envelope of [append({}), hello({}, 'control')]) {
      const peer = open();
      peer.say(envelope);
      expect(peer.closed).toBeDefined();
      expect(peer.take()).toEqual([]);
    }
    const peer = open();
    peer.sayBytes(Buffer.from('GET / HTTP/1.1'));
    expect(peer.closed).toBeDefined();
    expect(log).toEqual([]);
  });

  it('S4 waits for a bounded number of hellos, and a bounded time', async () => {
    const { open, hello, gatekeeper, meeting, log } = await makeWorld();
    gatekeeper.poll(1000);
    const silent = Array.from({ length: 64 }, () => open());
    const onceMore = open();
    expect(onceMore.closed).toBeDefined();
    gatekeeper.poll(6000);
    meeting.network.settle();
    expect(silent.every(({ closed }) => closed === undefined)).toBe(true);
    silent[0]!.say(hello());
    expect(log.at(-1)).toBe('adopt append 1');
    gatekeeper.poll(6001);
    meeting.network.settle();
    expect(silent.slice(1).every(({ closed }) => closed?.code === ErrorCode.Unreachable)).toBe(true);
    expect(silent[0]!.closed, 'who introduced itself stays').toBeUndefined();
    const later = open();
    later.say(hello());
    expect(later.take()).toMatchObject([{ accepted: true }]);
  });
});
