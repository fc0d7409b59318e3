import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { SendWindow } from '../../src/workers/send-window.js';

describe('the send window', () => {
  it('A14 an acknowledgement takes out everything up to it and yields the sending time of the last one', () => {
    const window = new SendWindow({ depth: 8, inflightBytesMax: 1000, catchUpBytesPerSecond: 1e9 });
    window.sent(10, 100, 5);
    window.sent(20, 100, 6);
    window.sent(30, 100, 9);
    expect(window.received(20, 20)).toBe(6);
    expect([window.messages, window.bytes, window.oldestSentAtMs()]).toEqual([1, 100, 9]);
    expect(window.received(20, 20), 'it matches nothing any more').toBeUndefined();
    expect(window.received(29, 20), 'a message counts as a whole').toBeUndefined();
    expect(window.received(1000, 20)).toBe(9);
    expect([window.messages, window.bytes, window.oldestSentAtMs()]).toEqual([0, 0, undefined]);
  });

  it('H37 H39 is bounded in messages and in bytes, but an empty one takes any message', () => {
    const window = new SendWindow({ depth: 2, inflightBytesMax: 1000, catchUpBytesPerSecond: 1e9 });
    expect(window.room()).toBe(1000);
    window.sent(1, 5000, 0);
    expect(window.room()).toBe(0);
    window.received(1, 20);
    window.sent(2, 400, 0);
    expect(window.room()).toBe(600);
    window.sent(3, 1, 0);
    expect(window.room(), 'two messages are the depth').toBe(0);
  });

  it('H28 a reset leaks nothing', () => {
    const window = new SendWindow({ depth: 2, inflightBytesMax: 1000, catchUpBytesPerSecond: 1e9 });
    window.sent(1, 600, 0);
    window.sent(2, 600, 0);
    window.reset();
    expect([window.messages, window.bytes, window.room()]).toEqual([0, 0, 1000]);
    expect(window.received(2, 20)).toBeUndefined();
    expect(window.room()).toBe(1000);
  });

  it('with auto a message is in flight until it is durable; that it was received shows that the stream lives', () => {
    const window = new SendWindow({ depth: 'auto', inflightBytesMax: 1000, catchUpBytesPerSecond: 1e9 });
    for (let message = 1; message <= 8; message++) window.sent(message, 10, message);
    expect(window.room(), 'it begins with eight').toBe(0);
    expect(window.received(3, 20)).toBe(3);
    expect([window.messages, window.room(), window.oldestSentAtMs()]).toEqual([8, 0, 4]);
    window.durable(2, 30);
    expect([window.messages, window.bytes, window.oldestSentAtMs()]).toEqual([6, 60, 4]);
    window.durable(5, 40);
    expect([window.messages, window.oldestSentAtMs()], 'durable is received').toEqual([3, 6]);
    expect([window.roundTripMs, window.durableMs]).toEqual([17, 28]);
    window.received(7, 50);
    window.setFlow({ depth: 3, inflightBytesMax: 1000, catchUpBytesPerSecond: 1e9 });
    expect(window.messages, 'with a number what was received is out').toBe(1);
    window.reset();
    expect([window.messages, window.bytes, window.oldestSentAtMs()]).toEqual([0, 0, undefined]);
  });

  it('keeps its accounts over a long random life', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed);
      const window = new SendWindow({
        depth: randomInteger(random, 1, 9),
        inflightBytesMax: randomInteger(random, 1, 2000),
        catchUpBytesPerSecond: 1e9,
      });
      let model: { last: number; bytes: number; at: number }[] = [];
      let last = 0;
      for (let step = 0; step < 300; step++) {
        if (random() < 0.6 && window.room() > 0) {
          last += randomInteger(random, 0, 3);
          const message = { last, bytes: randomInteger(random, 0, 500), at: step };
          model.push(message);
          window.sent(message.last, message.bytes, step);
        } else {
          const index = randomInteger(random, Math.max(0, last - 10), last + 1);
          const gone = model.filter((message) => message.last <= index);
          model = model.filter((message) => message.last > index);
          expect(window.received(index, step), `seed ${seed}`).toBe(gone[gone.length - 1]?.at);
        }
        expect(window.messages, `seed ${seed}`).toBe(model.length);
        expect(window.bytes, `seed ${seed}`).toBe(model.reduce((sum, { bytes }) => sum + bytes, 0));
      }
    }
  });
});
