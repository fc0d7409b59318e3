import { describe, expect, it } from 'vitest';
import { Pulse } from '../../src/workers/pulse.js';

const INTERVAL_MS = 100;
const LIFE_MS = 250;

function makePulse() {
  const sent: string[] = [];
  let nowMs = 1000;
  const pulse = new Pulse({
    intervalMs: INTERVAL_MS,
    lifeMs: LIFE_MS,
    send: (peer, envelope) => sent.push(`${nowMs} ${peer} ${envelope.toString()}`),
  });
  /** The network thread looks every 25 ms. */
  const pass = (ms: number) => {
    for (const end = nowMs + ms; nowMs < end; ) {
      nowMs += 25;
      pulse.poll(nowMs);
    }
  };
  const note = (peer: number, text: string, group = 7) => pulse.note(peer, group, Buffer.from(text), nowMs);
  /** The network thread itself is late, and then finds what main has said meanwhile. */
  const stall = (ms: number, find: () => void) => {
    nowMs += ms;
    find();
    pulse.poll(nowMs);
  };
  return { pulse, sent, pass, note, stall };
}

describe("heartbeats in main's name", () => {
  it('none while main sends its own', () => {
    const { sent, pass, note } = makePulse();
    for (let round = 1; round <= 20; round++) {
      note(2, `round ${round}`);
      pass(INTERVAL_MS);
    }
    expect(sent).toEqual([]);
  });

  it('H43 bridge a silence of main, with its newest words, and end with its stamp', () => {
    const { sent, pass, note } = makePulse();
    note(2, 'old');
    note(3, 'for 3');
    pass(INTERVAL_MS);
    note(2, 'new');
    pass(10_000);
    expect(sent).toEqual(['1150 3 for 3', '1250 2 new']);
  });

  it('H45 end at once in a group that main does not lead any more, though it leads others to the same peer', () => {
    const { pulse, sent, pass, note } = makePulse();
    note(2, 'group 7');
    note(2, 'group 8', 8);
    pulse.forget(2, 7);
    pass(10_000);
    expect(sent).toEqual(['1150 2 group 8']);
  });

  it('are not sent when this thread was late itself: main may be silent for longer than it seems', () => {
    const { sent, pass, note, stall } = makePulse();
    pass(50);
    stall(LIFE_MS + 50, () => note(2, 'waited in the ring'));
    pass(10_000);
    expect(sent).toEqual([]);
  });

  it('begin again with the next heartbeat of main', () => {
    const { sent, pass, note } = makePulse();
    note(2, 'a');
    pass(10_000);
    note(2, 'b');
    pass(10_000);
    expect(sent).toEqual(['1150 2 a', '11150 2 b']);
  });
});
