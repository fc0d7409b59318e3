import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { Hub } from '../../src/engine/hub.js';
import { OrderMap } from '../../src/engine/orders.js';
import { Outgoing } from '../../src/engine/outgoing.js';
import { ProposalSlots } from '../../src/engine/proposal-slots.js';
import { Waiters } from '../../src/engine/waiters.js';
import { Gate } from '../../src/ring/gate.js';
import { orderCodec } from '../../src/workers/records.js';
import { makeCursor, putBytes, ringPair } from '../workers/parts.js';

describe('what main could not hand over yet', () => {
  it('goes later, in the order in which it was decided', () => {
    const outgoing = new Outgoing();
    const done: string[] = [];
    let room = 0;
    const attempt = (name: string) => () => {
      if (room === 0) return false;
      room--;
      done.push(name);
      return true;
    };
    outgoing.push(attempt('a'));
    room = 2;
    outgoing.push(attempt('b'));
    outgoing.push(attempt('c'));
    expect(done, 'nothing passes what is blocked').toEqual([]);
    expect(outgoing.blocked).toBe(true);
    expect(outgoing.flush()).toBe(false);
    expect(done).toEqual(['a', 'b']);
    room = 1;
    expect(outgoing.flush()).toBe(true);
    expect(outgoing.blocked).toBe(false);
    room = 1;
    outgoing.push(attempt('d'));
    expect(done).toEqual(['a', 'b', 'c', 'd']);
  });

  it('orders reach a small ring complete and by growing numbers', () => {
    const orders = ringPair(4096);
    const proposals = ringPair();
    const gate = new Gate(new SharedArrayBuffer(Gate.BYTES), 0);
    const hub = new Hub({
      orders: orders.producer,
      commands: ringPair().producer,
      proposals: proposals.producer,
      slots: new ProposalSlots(proposals.consumer),
      slotRing: proposals.consumer,
      outgoing: new Outgoing(),
      openBytesMax: Number.MAX_SAFE_INTEGER,
      durable: makeCursor(),
      gates: { wal: gate, network: gate, encoders: [gate] },
    });
    const seen: number[] = [];
    const take = () => {
      if (!orders.consumer.poll()) return;
      const record = orderCodec.read(orders.consumer);
      if (record.type === 'truncate') seen.push(record.order);
      orders.consumer.release();
    };
    const random = seededRandom(3);
    for (let made = 0; made < 1000; ) {
      if (random() < 0.6) {
        hub.order({ type: 'truncate', order: hub.nextOrder(), group: 1, from: 1 });
        made++;
      } else if (random() < 0.5) hub.flush();
      else take();
    }
    while (!hub.flush()) take();
    for (let round = 0; round < 1000; round++) take();
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, at) => at + 1));
  });
});

describe('a group’s numbers for orders and the engine’s', () => {
  it('H31 agree with a naive model', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      const map = new OrderMap();
      let model: { own: number; global: number }[] = [];
      let own = 0;
      let global = 0;
      let durable = 0;
      for (let step = 0; step < 1500; step++) {
        global += randomInteger(random, 0, 2);
        if (random() < 0.6) {
          map.add(++own, ++global);
          model.push({ own, global });
        } else {
          durable = randomInteger(random, durable, global);
          const ready = model.filter((pair) => pair.global <= durable);
          model = model.filter((pair) => pair.global > durable);
          expect(map.durable(durable), `seed ${seed}`).toBe(ready.at(-1)?.own ?? 0);
        }
        const asked = randomInteger(random, 0, own);
        const expected = model.find((pair) => pair.own === asked)?.global ?? 0;
        expect(map.globalOf(asked), `seed ${seed}, order ${asked}`).toBe(expected);
      }
    }
  });
});

describe('the applier’s hold on the proposal ring', () => {
  it('is given back up to the first slot that is still wanted', () => {
    const { producer, consumer } = ringPair(4096);
    const slots = new ProposalSlots(consumer);
    const made = [1, 2, 3].map((firstIndex) => {
      putBytes(producer, Buffer.alloc(100));
      consumer.poll();
      const place = { group: 1, term: 1, firstIndex, count: 1, kind: 1, flags: 0, start: 0, end: 0 };
      const slot = { ...place, ringEnd: consumer.end, waiters: new Waiters(), done: false };
      slots.add(slot);
      return slot;
    });
    made[1]!.done = true;
    expect(slots.release()).toBe(false);
    expect(producer.freeBytes()).toBe(4096 - 3 * 112);
    expect(slots.oldest()).toBe(made[0]);
    made[0]!.done = true;
    expect(slots.release()).toBe(true);
    expect(producer.freeBytes()).toBe(4096 - 112);
    made[2]!.done = true;
    slots.release();
    expect(producer.freeBytes()).toBe(4096);
    expect(slots.oldest()).toBeUndefined();
  });
});
