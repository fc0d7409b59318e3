import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/ring/gate.js';

function makeGate() {
  const memory = new SharedArrayBuffer(Gate.BYTES);
  return { gate: new Gate(memory, 0), other: new Gate(memory, 0), words: new Int32Array(memory) };
}

const idle = (): boolean => false;
const busy = (): boolean => true;
/** Long past the end of any test: who waits for it has hung. */
const LONG_MS = 3_600_000;

describe('a gate', () => {
  it('does not sleep when there is work, and says so', () => {
    const { gate, words } = makeGate();
    expect(gate.sleep(busy, LONG_MS)).toBe(true);
    expect(gate.sleepAsync(busy)).toBeUndefined();
    expect(words[0]).toBe(0);
  });

  it('times out when nobody comes', () => {
    const { gate, words } = makeGate();
    expect(gate.sleep(idle, 1)).toBe(false);
    expect(gate.sleep(idle, 0)).toBe(false);
    expect(words[0]).toBe(0);
  });

  it('T4 a notifier between the last look and the sleep is not lost', async () => {
    const { gate, other } = makeGate();
    const lookedTooEarly = (): boolean => {
      other.notify();
      return false;
    };
    expect(gate.sleep(lookedTooEarly, 2000)).toBe(true);
    expect(gate.sleepAsync(lookedTooEarly)).toBeUndefined();
  });

  it('T4 looks for work only after arming: whoever publishes later sees the gate armed', () => {
    const { gate, words } = makeGate();
    const armed: number[] = [];
    const look = (): boolean => {
      armed.push(words[0]!);
      return true;
    };
    gate.sleep(look, LONG_MS);
    gate.sleepAsync(look);
    expect(armed).toEqual([1, 1]);
  });

  it('wakes a sleeping event loop once notified, and forgets the notice', async () => {
    const { gate, other, words } = makeGate();
    for (let round = 0; round < 100; round++) {
      const sleeping = gate.sleepAsync(idle);
      expect(sleeping).toBeInstanceOf(Promise);
      other.notify();
      other.notify();
      await sleeping;
      expect(words[0]).toBe(0);
    }
    expect(gate.sleep(idle, 1)).toBe(false);
  });

  it('is kicked awake at once, and leaves one wait behind at most, however often', async () => {
    const { gate, words } = makeGate();
    gate.kick();
    for (let round = 0; round < 2000; round++) {
      let woken = false;
      const sleeping = gate.sleepAsync(idle)!.then(() => {
        woken = true;
      });
      gate.kick();
      await Promise.resolve();
      await Promise.resolve();
      expect(woken).toBe(true);
      await sleeping;
    }
    expect(Atomics.notify(words, 0)).toBe(1);
  });

  it('T4 is woken from each sleep, whatever became of the wait that the one before left behind', async () => {
    const { gate, other } = makeGate();
    const noticed = (): boolean => {
      other.notify();
      return false;
    };
    for (let round = 0; round < 200; round++) {
      void gate.sleepAsync(idle);
      gate.kick();
      // The wait that was left behind ends here, and its end is heard of during the next sleep, or before it.
      expect(gate.sleepAsync(noticed)).toBeUndefined();
      if (round % 2 === 0) await nextTurn();
      const sleeping = gate.sleepAsync(idle);
      other.notify();
      const alive = setInterval(idle, 1000);
      await sleeping;
      clearInterval(alive);
    }
  });

  it('does not end a sleep by the kick, or the late notice, of the one before', async () => {
    const { gate, other } = makeGate();
    void gate.sleepAsync(idle);
    gate.kick();
    let woken = false;
    const second = gate.sleepAsync(idle)!.then(() => {
      woken = true;
    });
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(woken).toBe(false);
    other.notify();
    const alive = setInterval(idle, 1000);
    await second;
    clearInterval(alive);
  });

  it('costs a notifier nothing but a look while nobody sleeps', () => {
    const { other } = makeGate();
    const { load, notify, compareExchange } = Atomics;
    const calls: string[] = [];
    Object.assign(Atomics, {
      load: (words: Int32Array, index: number) => {
        calls.push('load');
        return load(words, index);
      },
      notify: () => calls.push('notify'),
      compareExchange: () => calls.push('compareExchange'),
    });
    try {
      other.notify();
    } finally {
      Object.assign(Atomics, { load, notify, compareExchange });
    }
    expect(calls).toEqual(['load']);
  });

  it('takes one sleep at a time, bounded by a time that is one', () => {
    const { gate } = makeGate();
    expect(() => gate.sleep(idle, Number.NaN)).toThrow(/bounded by a time/);
    expect(() => gate.sleep(idle, -1)).toThrow(/bounded by a time/);
    void gate.sleepAsync(idle);
    expect(() => gate.sleep(idle, 1)).toThrow(/one sleep at a time/);
    gate.kick();
    expect(gate.sleep(idle, 1)).toBe(false);
  });
});
