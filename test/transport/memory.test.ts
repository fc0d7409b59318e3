import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { type Random, seededRandom } from '../../src/base/prng.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { MessageStream } from '../../src/transport/transport.js';
import { LIMITS, Witness } from './suite.js';

/** Hosts a and b; b listens on b:1. What happens is written down in the order in which it does. */
async function stage(options: { random?: Random; receiveWindowBytes?: number } = {}) {
  const network = new MemoryNetwork({ ...LIMITS, ...options });
  const accepted: Witness[] = [];
  const listener = await network
    .transport('b')
    .listen('b:1', (_lane, stream) => accepted.push(new Witness(stream)));
  const connect = (): Witness => new Witness(network.transport('a').connect('b:1', 'append'));
  return { network, listener, accepted, connect };
}

const texts = (witness: Witness): string[] => witness.messages.map(String);

describe('memory network', () => {
  it('lets one thing happen per step, and nothing between steps', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    const written: string[] = [];
    near.stream.send(Buffer.from('x'), () => written.push('x'));
    await Promise.resolve();
    expect([accepted.length, written]).toEqual([0, []]);
    expect(network.step()).toBe(true);
    expect([accepted.length, accepted[0]!.messages.length, written]).toEqual([1, 0, []]);
    expect(network.step()).toBe(true);
    expect([accepted[0]!.messages.length, written]).toEqual([0, ['x']]);
    expect(network.step()).toBe(true);
    expect(texts(accepted[0]!)).toEqual(['x']);
    expect(network.step()).toBe(false);
  });

  it('repeats a run from its seed, keeps each stream in order, and lets streams overtake each other', async () => {
    const run = async (seed: number): Promise<string> => {
      const { network, connect } = await stage({ random: seededRandom(seed) });
      const seen: string[] = [];
      const far: MessageStream[] = [];
      await network.transport('b').listen('b:2', (_lane, stream) => {
        far.push(stream);
        stream.onMessage = (bytes) => seen.push(bytes.toString());
      });
      connect().stream.close();
      const streams = ['p', 'q'].map((name) => ({
        name,
        stream: network.transport('a').connect('b:2', 'append'),
      }));
      for (let n = 0; n < 9; n += 1)
        for (const { name, stream } of streams) stream.send(Buffer.from(`${name}${n}`));
      network.settle();
      for (const { name } of streams) {
        const own = seen.filter((text) => text.startsWith(name));
        expect(own, `seed ${seed}`).toEqual(Array.from({ length: 9 }, (_, n) => `${name}${n}`));
      }
      return seen.join(' ');
    };
    const orders = await Promise.all([1, 2, 3, 4, 5].map(run));
    expect(await Promise.all([1, 2, 3, 4, 5].map(run))).toEqual(orders);
    expect(new Set(orders).size).toBe(5);
  });

  it('says "written" once the message is on the wire, and no more fits than the receive window', async () => {
    const { network, accepted, connect } = await stage({ receiveWindowBytes: 1000 });
    const near = connect();
    network.settle();
    accepted[0]!.stream.pause();
    let written = 0;
    for (let n = 0; n < 30; n += 1) near.stream.send(Buffer.alloc(36), () => (written += 1));
    network.settle();
    expect([written, accepted[0]!.messages.length]).toEqual([10, 0]);
    accepted[0]!.stream.resume();
    network.settle();
    expect([written, accepted[0]!.messages.length]).toEqual([30, 30]);
  });

  it('does not let the sender change what is on the wire', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    const bytes = Buffer.from('as sent');
    near.stream.send(bytes, () => bytes.fill(0));
    network.settle();
    expect(texts(accepted[0]!)).toEqual(['as sent']);
  });

  it('holds one direction of a link like a black hole, and lets everything through afterwards', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    network.settle();
    network.hold('a', 'b');
    near.stream.send(Buffer.from('held'));
    accepted[0]!.stream.send(Buffer.from('back'));
    const second = connect();
    network.settle();
    expect([texts(near), texts(accepted[0]!), accepted.length]).toEqual([['back'], [], 1]);
    expect([near.closes, second.closes]).toEqual([[], []]);
    network.heal('a', 'b');
    network.settle();
    expect([texts(accepted[0]!), accepted.length]).toEqual([['held'], 2]);
  });

  it('a close does not pass a held link either', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    network.settle();
    network.hold('a', 'b');
    near.stream.close();
    network.settle();
    expect(accepted[0]!.closes).toEqual([]);
    network.heal('a', 'b');
    network.settle();
    expect(accepted[0]!.closes.length).toBe(1);
  });

  it('a cut breaks both ends and refuses connections until healed', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    network.settle();
    network.cut('a', 'b');
    const during = connect();
    network.settle();
    const closes = [near, accepted[0]!, during].map((witness) => witness.closes.map((cause) => cause.code));
    expect(closes).toEqual([[ErrorCode.Unreachable], [ErrorCode.Unreachable], [ErrorCode.Unreachable]]);
    network.heal('b', 'a');
    const after = connect();
    network.settle();
    expect([after.closes.length, accepted.length]).toEqual([0, 2]);
  });

  it('a crashed host hears nothing more, its peers do, and its port is free again', async () => {
    const { network, accepted, connect } = await stage();
    const near = connect();
    network.settle();
    near.stream.send(Buffer.from('lost'));
    accepted[0]!.stream.send(Buffer.from('lost too'));
    network.crash('b');
    network.settle();
    expect([accepted[0]!.messages, accepted[0]!.closes]).toEqual([[], []]);
    expect(near.closes.map((cause) => cause.code)).toEqual([ErrorCode.Unreachable]);
    expect(accepted[0]!.stream.send(Buffer.from('ghost'))).toBe(false);
    const refused = connect();
    network.settle();
    expect(refused.closes.length).toBe(1);
    await (await network.transport('b').listen('b:1', () => {})).close();
  });
});
