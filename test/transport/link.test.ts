import { afterEach, describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { decodeEnvelope, encodeEnvelope, type Hello, type HelloReply } from '../../src/codec/envelope.js';
import {
  checkHello,
  checkHelloReply,
  makeHello,
  makeHelloReply,
  type Self,
} from '../../src/transport/handshake.js';
import { PeerLink } from '../../src/transport/link.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Listener, MessageStream } from '../../src/transport/transport.js';
import { LIMITS } from './suite.js';

const one: Self = {
  clusterId: 'orders',
  node: 1,
  incarnation: 111,
  groups: [1],
  bootstrapChecksum: 7,
  leaseMs: 0,
  formerIncarnations: [],
};
const two: Self = {
  clusterId: 'orders',
  node: 2,
  incarnation: 222,
  groups: [1],
  bootstrapChecksum: 7,
  leaseMs: 0,
  formerIncarnations: [],
};
const PORTS = { controlPort: 0, dataPort: 9001, clientPort: 0 };
const everyone = { knownIncarnation: () => undefined, isKnownPeer: () => true, removedFrom: () => [] };

/** Node 1's link to node 2 over a network that moves only when told, under a clock of our own. */
class Story {
  readonly network = new MemoryNetwork(LIMITS);
  readonly ups: HelloReply[] = [];
  readonly downs: { cause: RaftlineError; wasUp: boolean }[] = [];
  readonly heard: string[] = [];
  readonly accepted: MessageStream[] = [];
  readonly heardByPeer: string[] = [];
  peer: Self = two;
  /** What node 2 does with a hello. */
  answer: (stream: MessageStream, hello: Hello) => void = (stream, hello) => {
    const verdict = checkHello(this.peer, everyone, hello);
    stream.send(encodeEnvelope(makeHelloReply(this.peer, verdict, PORTS)).bytes);
  };
  nowMs = 1000;
  readonly link = new PeerLink({
    transport: this.network.transport('a'),
    address: 'b:1',
    hello: () => makeHello(one, 2, 'append'),
    checkReply: (hello, reply) => checkHelloReply(hello, { ...everyone, knownIncarnation: () => 222 }, reply),
  });

  constructor() {
    this.link.onUp = (reply) => this.ups.push(reply);
    this.link.onDown = (cause, wasUp) => this.downs.push({ cause, wasUp });
    this.link.onMessage = (bytes) => this.heard.push(bytes.toString());
  }

  listen(address = 'b:1'): Promise<Listener> {
    return this.network.transport('b').listen(address, (_lane, stream) => {
      this.accepted.push(stream);
      stream.onMessage = (first) => {
        stream.onMessage = (bytes) => this.heardByPeer.push(bytes.toString());
        this.answer(stream, decodeEnvelope(first).envelope as Hello);
      };
    });
  }

  /** Lets time pass in steps of 10 ms, with everything that can happen happening. */
  pass(ms: number): void {
    for (const end = this.nowMs + ms; ; this.nowMs += 10) {
      this.link.poll(this.nowMs);
      this.network.settle();
      this.link.poll(this.nowMs);
      if (this.nowMs >= end) return;
    }
  }
}

describe('PeerLink', () => {
  const stories: Story[] = [];
  const story = (): Story => {
    const made = new Story();
    stories.push(made);
    return made;
  };
  afterEach(() => {
    for (const { link } of stories.splice(0)) link.close();
  });

  it('comes up after hello and reply, and then carries messages both ways', async () => {
    const s = story();
    await s.listen();
    expect(s.link.send(Buffer.from('too early'))).toBe(false);
    expect(s.link.poll(s.nowMs)).toBe(true);
    expect([s.link.state, s.link.up]).toEqual(['connecting', false]);
    expect(s.link.send(Buffer.from('still too early'))).toBe(false);
    s.network.settle();
    expect(s.link.state).toBe('up');
    expect(s.ups).toEqual([makeHelloReply(two, { accepted: true }, PORTS)]);
    expect(s.link.send(Buffer.from('ping'))).toBe(true);
    s.accepted[0]!.send(Buffer.from('pong'));
    s.network.settle();
    expect([s.heardByPeer, s.heard]).toEqual([['ping'], ['pong']]);
    expect(s.link.poll(s.nowMs)).toBe(false);
    expect(s.link.counts).toEqual({ attempts: 1, ups: 1, failures: 0, refusals: 0 });
  });

  it('A10 backs off from an unreachable peer: 200, 400, 800, 1000, 1000 ms', () => {
    const s = story();
    const attempts: number[] = [];
    for (; s.nowMs <= 5000; s.nowMs += 10) {
      const before = s.link.counts.attempts;
      s.link.poll(s.nowMs);
      if (s.link.counts.attempts > before) attempts.push(s.nowMs);
      s.network.settle();
      s.link.poll(s.nowMs);
    }
    expect(attempts).toEqual([1000, 1200, 1600, 2400, 3400, 4400]);
    expect(s.downs.length).toBe(6);
    expect(s.downs.every(({ cause, wasUp }) => cause.code === ErrorCode.Unreachable && !wasUp)).toBe(true);
  });

  it('does not wait any longer once the peer was seen alive', async () => {
    const s = story();
    s.pass(5000);
    const { attempts } = s.link.counts;
    await s.listen();
    s.link.hurry();
    s.pass(0);
    expect([s.link.state, s.link.counts.attempts]).toEqual(['up', attempts + 1]);
    s.link.hurry();
    expect(s.link.state).toBe('up');
  });

  it('A11 n writes to an unreachable peer cost no attempts of their own', () => {
    const s = story();
    for (let n = 0; n < 200; n += 1) {
      for (let m = 0; m < 50; m += 1) expect(s.link.send(Buffer.alloc(100))).toBe(false);
      s.pass(10);
    }
    // 10,000 writes within 2 seconds; attempts at 0, 200, 600 and 1400 ms.
    expect(s.link.counts.attempts).toBe(4);
  });

  it('B10 connects again at once when a connection that lived is lost, and is told what happened', async () => {
    const s = story();
    await s.listen();
    s.pass(500);
    s.accepted[0]!.close();
    s.pass(10);
    expect(s.downs.map(({ wasUp }) => wasUp)).toEqual([true]);
    expect([s.link.state, s.link.counts.attempts, s.ups.length]).toEqual(['up', 2, 2]);
  });

  it('B10 a peer that accepts and hangs up at once is backed off from, ever longer', async () => {
    const s = story();
    await s.listen();
    s.link.onUp = () => s.accepted.at(-1)!.close();
    s.pass(5000);
    expect(s.link.counts.ups).toBe(s.link.counts.attempts);
    expect(s.link.counts.attempts).toBe(7);
  });

  it('drops what was queued when the connection breaks; nothing of it appears on the next one', async () => {
    const s = story();
    await s.listen();
    s.pass(500);
    s.accepted[0]!.pause();
    for (let n = 0; n < 100; n += 1) s.link.send(Buffer.from(`old ${n}`));
    s.network.cut('a', 'b');
    s.pass(100);
    expect([s.link.up, s.link.stream]).toEqual([false, undefined]);
    s.network.heal('a', 'b');
    s.pass(1000);
    s.link.send(Buffer.from('new'));
    s.network.settle();
    expect(s.heardByPeer).toEqual(['new']);
  });

  it('gives a silent peer up after the deadline; ten timeouts cost no wait, the eleventh does (A10)', async () => {
    const s = story();
    s.answer = () => {};
    await s.listen();
    s.pass(1990);
    expect([s.link.state, s.link.counts.failures]).toEqual(['connecting', 0]);
    s.pass(10);
    expect(s.downs.map(({ cause }) => cause.code)).toEqual([ErrorCode.Timeout]);
    expect([s.link.state, s.link.counts.attempts]).toEqual(['connecting', 2]);
    s.pass(20_000);
    expect([s.link.counts.attempts, s.link.counts.failures]).toEqual([11, 11]);
    s.pass(200);
    expect(s.link.counts.attempts).toBe(12);
  });

  it('gives a black hole up in the same way, and finds the peer when it is back', async () => {
    const s = story();
    await s.listen();
    s.network.hold('a', 'b');
    s.pass(2500);
    expect(s.downs[0]!.cause.code).toBe(ErrorCode.Timeout);
    s.network.heal('a', 'b');
    s.pass(100);
    expect(s.link.up).toBe(true);
  });

  it('S2 reports a refusal once with its code, and asks again slowly until somebody has changed something', async () => {
    const s = story();
    s.peer = { ...two, clusterId: 'bills' };
    await s.listen();
    s.pass(20_000);
    expect(s.link.counts).toEqual({ attempts: 5, ups: 0, failures: 5, refusals: 5 });
    expect(s.downs.length).toBe(1);
    expect(s.downs[0]!.cause).toMatchObject({
      code: ErrorCode.HandshakeRefused,
      details: { mismatch: 'cluster' },
    });
    s.peer = { ...two, groups: [9] };
    s.pass(5000);
    expect(s.downs.length).toBe(2);
    s.peer = two;
    s.pass(5000);
    expect(s.link.up).toBe(true);
  });

  it('S2 refuses from its own side a node that is not the one meant', async () => {
    const s = story();
    s.answer = (stream) => {
      stream.send(
        encodeEnvelope(makeHelloReply({ ...two, incarnation: 5 }, { accepted: true }, PORTS)).bytes,
      );
    };
    await s.listen();
    s.pass(100);
    expect([s.link.up, s.ups.length]).toEqual([false, 0]);
    expect(s.downs[0]!.cause.message).toMatch(/wiped node/);
  });

  it('S7 nonsense instead of a reply costs the attempt', async () => {
    const replies = [Buffer.from('hi'), Buffer.alloc(0), encodeEnvelope(makeHello(two, 1, 'append')).bytes];
    for (const reply of replies) {
      const s = story();
      s.answer = (stream) => stream.send(reply);
      await s.listen();
      s.pass(100);
      expect(s.downs.map(({ cause }) => cause.code)).toEqual([ErrorCode.BytesInvalid]);
      expect([s.link.state, s.ups.length]).toEqual(['waiting', 0]);
    }
  });

  it('follows the peer to another address without waiting', async () => {
    const s = story();
    s.pass(1000);
    await s.listen('c:2');
    s.link.setAddress('c:2');
    s.pass(0);
    expect(s.link.up).toBe(true);
    await s.listen('d:3');
    s.link.setAddress('d:3');
    expect(s.link.up).toBe(false);
    s.pass(0);
    expect([s.link.up, s.link.address]).toEqual([true, 'd:3']);
    expect(() => s.link.setAddress('nonsense')).toThrow(
      expect.objectContaining({ code: ErrorCode.AddressInvalid }),
    );
  });

  it('reset ends the stream as the network would, and the link comes back', async () => {
    const s = story();
    await s.listen();
    s.pass(500);
    s.link.reset('no acknowledgement');
    expect(s.downs.map(({ cause, wasUp }) => [cause.code, wasUp])).toEqual([[ErrorCode.Unreachable, true]]);
    s.pass(10);
    expect([s.link.up, s.ups.length]).toEqual([true, 2]);
  });

  it('B11 stays closed when it is closed while the reply is looked at', async () => {
    const s = story();
    await s.listen();
    const link: PeerLink = new PeerLink({
      transport: s.network.transport('a'),
      address: 'b:1',
      hello: () => makeHello(one, 2, 'append'),
      checkReply: () => {
        link.close();
        return { accepted: true };
      },
    });
    link.onUp = (reply) => s.ups.push(reply);
    link.poll(1);
    s.network.settle();
    expect([link.state, link.stream, s.ups, link.poll(99_999)]).toEqual(['closed', undefined, [], false]);
  });

  it('B11 a closed link is closed for good and says nothing more', async () => {
    const s = story();
    await s.listen();
    s.pass(100);
    s.link.close();
    s.link.close();
    s.pass(10_000);
    s.link.setAddress('e:1');
    expect([s.link.state, s.link.poll(99_999), s.link.send(Buffer.from('x'))]).toEqual([
      'closed',
      false,
      false,
    ]);
    expect([s.link.counts.attempts, s.downs]).toEqual([1, []]);
  });
});
