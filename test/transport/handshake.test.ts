import { describe, expect, it } from 'vitest';
import { FORMAT_VERSION, PROTOCOL_VERSION } from '../../src/base/limits.js';
import { decodeEnvelope, encodeEnvelope, type Hello } from '../../src/codec/envelope.js';
import {
  type Acquaintances,
  checkHello,
  checkHelloReply,
  handshakeRefused,
  makeHello,
  makeHelloReply,
  type Self,
} from '../../src/transport/handshake.js';

const one: Self = {
  clusterId: 'orders',
  node: 1,
  incarnation: 111,
  groups: [1, 2],
  bootstrapChecksum: 77,
  leaseMs: 0,
  formerIncarnations: [],
};
const two: Self = {
  clusterId: 'orders',
  node: 2,
  incarnation: 222,
  groups: [2, 3],
  bootstrapChecksum: 77,
  leaseMs: 0,
  formerIncarnations: [],
};
const PORTS = { controlPort: 1, dataPort: 2, clientPort: 0 };

const knows = (known: Record<number, number>): Acquaintances => ({
  knownIncarnation: (node) => known[node],
  removedFrom: (node, incarnation) => (node === 4 && incarnation === 444 ? [2, 3] : []),
});
/** Node 2's answer. */
const checked = (as: Self & Acquaintances, hello: Hello) => checkHello(as, as, hello);
const asTwo = { ...two, ...knows({ 1: 111 }) };

/** Node 1 introduces itself to node 2, with one thing changed. */
const helloWith = (change: Partial<Hello>): Hello => ({ ...makeHello(one, 2, 'append'), ...change });

describe('handshake', () => {
  it('S2 accepts a known peer of the same cluster, over the wire and back', () => {
    const { envelope } = decodeEnvelope(encodeEnvelope(makeHello(one, 2, 'append')).bytes);
    const verdict = checked(asTwo, envelope as Hello);
    expect(verdict).toEqual({ accepted: true });
    const reply = makeHelloReply(two, verdict, PORTS);
    expect(decodeEnvelope(encodeEnvelope(reply).bytes).envelope).toEqual(reply);
    expect(reply).toMatchObject({ node: 2, incarnation: 222, ...PORTS, code: '', message: '' });
    expect(checkHelloReply(envelope as Hello, knows({ 2: 222 }), reply)).toEqual({ accepted: true });
  });

  const mismatches: [string, Partial<Hello>, string, RegExp][] = [
    [
      'protocol version',
      { protocolVersion: PROTOCOL_VERSION + 1 },
      'protocolVersion',
      /expected 1, received 2/,
    ],
    [
      'newer format',
      { formatVersion: FORMAT_VERSION + 1 },
      'formatVersion',
      /expected at most 1, received 2/,
    ],
    ['cluster', { clusterId: 'bills' }, 'cluster', /expected "orders", received "bills"/],
    ['bootstrap', { bootstrapChecksum: 78 }, 'bootstrap', /expected 77, received 78/],
    ['receiver', { receiver: 3 }, 'receiver', /expected 2, received 3/],
    ['our own id', { node: 2 }, 'node', /another than 2, which is this node's, received 2/],
    ['bootstrap, not known to the peer', { bootstrapChecksum: 0 }, 'bootstrap', /expected 77, received 0/],
    [
      'H60 a node that was removed, with the directory that it had',
      { node: 4, incarnation: 444 },
      'removed',
      /node 4 with incarnation 444 was removed from the cluster/,
    ],
    [
      'incarnation',
      { incarnation: 112 },
      'incarnation',
      /wiped node under an old id.*expected 111, received 112/,
    ],
    [
      'H68 the lease that reads rest on',
      { leaseMs: 450 },
      'lease',
      /reads\.policy .*: expected 0, received 450/,
    ],
    ['groups', { groups: [7, 8] }, 'groups', /expected some of 2, 3, received 7, 8/],
  ];
  for (const [what, change, code, message] of mismatches) {
    it(`S2 refuses a mismatch of ${what}`, () => {
      const verdict = checked(asTwo, helloWith(change));
      expect(verdict).toEqual({ accepted: false, code, message: expect.stringMatching(message) });
      const reply = makeHelloReply(two, verdict, PORTS);
      expect(checkHelloReply(helloWith(change), knows({ 2: 222 }), reply)).toMatchObject({
        accepted: false,
        code,
      });
    });
  }

  it('does not hold against a peer what is not known yet', () => {
    expect(checked({ ...two, ...knows({ 1: 0 }) }, helloWith({}))).toEqual({ accepted: true });
    expect(checked({ ...asTwo, knownIncarnation: () => undefined }, helloWith({}))).toEqual({
      accepted: true,
    });
    const newcomer = { ...asTwo, bootstrapChecksum: 0 };
    expect(checked(newcomer, helloWith({}))).toEqual({ accepted: true });
    expect(checked(newcomer, helloWith({ bootstrapChecksum: 0 }))).toMatchObject({ code: 'bootstrap' });
    expect(checked(asTwo, helloWith({ groups: [] }))).toEqual({ accepted: true });
    // Added while this node was away: it began with the same members, and may lead by now.
    expect(checked(asTwo, helloWith({ node: 4, incarnation: 445 }))).toEqual({ accepted: true });
    expect(checked({ ...asTwo, groups: [] }, helloWith({}))).toEqual({ accepted: true });
  });

  it('H60 who was removed from one group speaks of the others: it may have been added where our log has not come yet', () => {
    const removedFrom = (groups: number[]) => ({ ...asTwo, removedFrom: () => groups });
    const hello = helloWith({ node: 4, incarnation: 444, groups: [1, 2, 3] });
    expect(checked(removedFrom([2]), hello)).toEqual({ accepted: true });
    expect(checked(removedFrom([3, 2]), hello)).toMatchObject({ code: 'removed' });
    // Group 1 is not here: of that one this node cannot speak.
    expect(checked(removedFrom([2]), { ...hello, groups: [1, 2] })).toMatchObject({ code: 'removed' });
    expect(checked(removedFrom([1]), { ...hello, groups: [] })).toMatchObject({ code: 'removed' });
  });

  it('S2 the connecting side refuses another node, and a wiped one, at the address', () => {
    const hello = helloWith({});
    const accepted = makeHelloReply(two, { accepted: true }, PORTS);
    expect(checkHelloReply(hello, knows({ 2: 222 }), { ...accepted, node: 3 })).toMatchObject({
      code: 'receiver',
    });
    expect(checkHelloReply(hello, knows({ 2: 5 }), accepted)).toMatchObject({ code: 'incarnation' });
    expect(checkHelloReply(hello, knows({}), accepted)).toEqual({ accepted: true });
  });

  it('H61 who was away believes a new node under an old id that brings the tombstone of the one that it knows', () => {
    const anew = helloWith({ incarnation: 113, formerIncarnations: [110, 111] });
    expect(checked(asTwo, anew)).toEqual({ accepted: true });
    expect(checked(asTwo, { ...anew, formerIncarnations: [110, 113] })).toMatchObject({
      code: 'incarnation',
    });
    const reply = makeHelloReply(
      { ...two, incarnation: 223, formerIncarnations: [222] },
      { accepted: true },
      PORTS,
    );
    expect(checkHelloReply(helloWith({}), knows({ 2: 222 }), reply)).toEqual({ accepted: true });
    expect(checkHelloReply(helloWith({}), knows({ 2: 221 }), reply)).toMatchObject({ code: 'incarnation' });
  });

  it('S10 quotes and caps what a peer says in its refusal', () => {
    const message = `\u001b[31m${'x'.repeat(1000)}`;
    const verdict = checkHelloReply(
      helloWith({}),
      knows({}),
      makeHelloReply(two, { accepted: false, code: 'cluster', message }, PORTS),
    );
    const error = handshakeRefused('host:1', 'cluster', (verdict as { message: string }).message);
    expect(error.message).not.toContain('\u001b');
    expect(error.details.mismatch).toBe('cluster');
    expect(handshakeRefused('host:1', 'a\nb', 'no').details.mismatch).toBe('unknown');
    expect(error.message.length).toBeLessThan(300);
  });
});
