import { describe, expect, it } from 'vitest';
import { BaseStream } from '../../src/transport/base-stream.js';
import { MESSAGE_OVERHEAD_BYTES, type SharedQueue } from '../../src/transport/transport.js';

/** A stream whose network takes everything and lets it go only when told. */
class Stuck extends BaseStream {
  readonly waiting: (() => void)[] = [];
  protected write(_: Buffer, written: () => void): void {
    this.waiting.push(written);
  }
  protected release(): void {}
  pause(): void {}
  resume(): void {}

  /** Everything leaves, also what comes to be handed over meanwhile. */
  flush(): void {
    for (let written = this.waiting.shift(); written !== undefined; written = this.waiting.shift()) written();
  }
}

const MESSAGE = Buffer.alloc(1000);
const CHARGED = 1000 + MESSAGE_OVERHEAD_BYTES;

function world(streams: number, messages: number) {
  const queue: SharedQueue = { taken: 0, left: 0, bytesMax: messages * CHARGED };
  const limits = { messageBytesMax: 10_000, queuedBytesMax: 6 * CHARGED, queue };
  const made = Array.from({ length: streams }, (_, at) => new Stuck(at, `peer ${at}`, limits));
  return { made, held: () => (queue.taken - queue.left) / CHARGED };
}

function sendAll(stream: Stuck): number {
  let sent = 0;
  while (stream.send(MESSAGE)) sent++;
  return sent;
}

describe('streams that share a queue', () => {
  it('take no more together than it holds, but each one message; a stuck one leaves the others theirs', () => {
    const { made, held } = world(4, 10);
    expect(made.map(sendAll)).toEqual([6, 4, 1, 1]);
    expect(held()).toBe(12);
    made[3]!.flush();
    expect(held()).toBe(11);
    expect(sendAll(made[3]!), 'one that has room of its own is never stopped for good').toBe(1);
    made[0]!.flush();
    expect(held()).toBe(6);
    expect(sendAll(made[2]!)).toBe(4);
  });

  it('give back what a stream held when it ends, once', () => {
    const { made, held } = world(2, 10);
    expect(made.map(sendAll)).toEqual([6, 4]);
    made[0]!.close();
    made[0]!.close();
    expect(held()).toBe(4);
    made[0]!.flush();
    expect(held(), 'what leaves after the end was given back already').toBe(4);
    made[1]!.flush();
    expect(held()).toBe(0);
  });
});
