import { describe, expect, it } from 'vitest';
import type { PeerLink } from '../../src/transport/link.js';
import type { MessageStream } from '../../src/transport/transport.js';
import { Control } from '../../src/workers/control.js';

/** Keeps what is sent over it; refuses while `full`. */
function line() {
  const sent: string[] = [];
  const state = { full: false, up: true };
  const send = (bytes: Buffer): boolean => {
    if (!state.full) sent.push(bytes.toString());
    return !state.full;
  };
  const close = () => {};
  return {
    sent,
    state,
    send,
    close,
    poll: () => false,
    get up() {
      return state.up;
    },
  };
}

function makeControl(linked: number[]) {
  const links = new Map(linked.map((id) => [id, line()]));
  const control = new Control({
    links: links as unknown as ReadonlyMap<number, PeerLink>,
    push: () => true,
    wake: () => {},
  });
  return { control, links };
}

describe('votes and heartbeats', () => {
  it('H17 go back on the stream that a peer opened, where this node does not know yet where that peer is', () => {
    const { control } = makeControl([]);
    control.send(2, Buffer.from('lost'));
    expect(control.dropped).toBe(1);
    const opened = line();
    control.adopt(2, opened as unknown as MessageStream);
    control.send(2, Buffer.from('a vote'));
    expect(opened.sent).toEqual(['a vote']);
    expect(control.dropped).toBe(1);
  });

  it('H17 go back on that stream while the own link is down: it may not believe yet who the peer is', () => {
    const { control, links } = makeControl([2]);
    const opened = line();
    control.adopt(2, opened as unknown as MessageStream);
    links.get(2)!.state.up = false;
    control.send(2, Buffer.from('a vote'));
    expect([links.get(2)!.sent, opened.sent]).toEqual([[], ['a vote']]);
  });

  it('go over the link to a peer that is known, and nowhere else while that is full', () => {
    const { control, links } = makeControl([2]);
    const opened = line();
    control.adopt(2, opened as unknown as MessageStream);
    control.send(2, Buffer.from('a heartbeat'));
    links.get(2)!.state.full = true;
    control.send(2, Buffer.from('dropped'));
    expect([links.get(2)!.sent, opened.sent, control.dropped]).toEqual([['a heartbeat'], [], 1]);
  });
});
