import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { Hub } from '../../src/engine/hub.js';
import { NearSlots } from '../../src/engine/near-slots.js';
import { OrderMap } from '../../src/engine/orders.js';
import { Outgoing } from '../../src/engine/outgoing.js';
import { type ProposalSlot, ProposalSlots } from '../../src/engine/proposal-slots.js';
import { Waiters } from '../../src/engine/waiters.js';
import { RingConsumer, RingProducer } from '../../src/ring/byte-ring.js';
import type { Gate } from '../../src/ring/gate.js';
import { orderCodec } from '../../src/workers/records.js';
import { makeRing as makeMemory } from '../ring/support.js';
import { makeCursor, putBytes, ringPair, takeAll } from '../workers/parts.js';

function makeHub(
  orders = ringPair().producer,
  proposals = ringPair(),
  commands = ringPair(),
  shareBytes = Number.MAX_SAFE_INTEGER,
) {
  const woken: string[] = [];
  const gate = (name: string) => ({ notify: () => woken.push(name) }) as unknown as Gate;
  const [durable, networkAwaits, encoded] = [makeCursor(), makeCursor(), makeCursor()];
  const hub = new Hub({
    ...{ orders, commands: commands.producer, proposals: proposals.producer },
    slots: new ProposalSlots(proposals.consumer),
    slotRing: proposals.consumer,
    shareBytes,
    outgoing: new Outgoing(),
    openBytesMax: Number.MAX_SAFE_INTEGER,
    ...{ durable, networkAwaits, encoded },
    gates: { wal: gate('wal'), network: gate('network'), encoders: [gate('encoder')] },
  });
  const wake = (anotherTurn = false) => {
    hub.wake(anotherTurn);
    return woken.splice(0);
  };
  return { hub, wake, durable, networkAwaits, encoded, proposals, commands };
}

describe('whom main wakes', () => {
  const control = { type: 'control', peer: 2, heartbeatOf: 0 } as const;
  const feed = { type: 'feed', group: 1, from: 1, to: 1, term: 1 } as const;
  const commit = { type: 'commit', group: 1, term: 1, commit: 1 } as const;

  it('T4 the network thread for what may leave now; for the rest the disk does, which is told first', () => {
    const { hub, wake, durable, networkAwaits } = makeHub();
    hub.command({ ...control, after: 0 });
    expect(wake()).toEqual(['network']);
    hub.command({ ...control, after: 3 });
    hub.command({ ...feed, urgent: 0 });
    expect(wake()).toEqual([]);
    expect(networkAwaits.load()).toBe(3);
    hub.command({ ...feed, urgent: 1 });
    expect(wake(), 'somebody waits').toEqual(['network']);
    durable.store(3);
    hub.command({ ...feed, urgent: 0 });
    expect(wake(), 'nothing else will wake it').toEqual(['network']);
  });

  it('T4 the network thread if the order was on disk before the disk was told that somebody waits', () => {
    const { hub, wake, durable } = makeHub();
    hub.command({ ...control, after: 3 });
    durable.store(3);
    expect(wake()).toEqual(['network']);
    expect(wake(), 'once').toEqual([]);
    hub.command({ ...control, after: 5 });
    wake();
    hub.command({ ...feed, urgent: 0 });
    durable.store(5);
    expect(wake()).toEqual(['network']);
  });

  it('A7 the network thread for a commit only when no turn follows, or in the one that does', () => {
    const { hub, wake } = makeHub();
    hub.command(commit);
    expect(wake(true)).toEqual([]);
    hub.flush();
    expect(wake(true)).toEqual(['network']);
    hub.command(commit);
    expect(wake()).toEqual(['network']);
    expect(wake()).toEqual([]);
  });

  it('T4 the thread of the log for an own batch only if it is encoded; if not, the encoder does', () => {
    const { hub, wake, encoded, proposals } = makeHub();
    const seal = () => {
      putBytes(proposals.producer, Buffer.alloc(100));
      hub.takeSlot();
    };
    const own = { type: 'own', group: 1, firstIndex: 1, term: 1 } as const;
    seal();
    hub.order({ ...own, order: hub.nextOrder() });
    expect(wake()).toEqual(['encoder']);
    seal();
    encoded.store(2);
    hub.order({ ...own, order: hub.nextOrder() });
    expect(wake()).toEqual(['encoder', 'wal']);
    hub.order({ type: 'hardState', order: hub.nextOrder(), group: 1, term: 1, vote: 1 });
    expect(wake()).toEqual(['wal']);
  });

  it('whoever can make room in a ring that is full', () => {
    const { hub, wake, commands } = makeHub(ringPair().producer, ringPair(), ringPair(4096));
    const body = Buffer.alloc(900);
    for (let at = 0; at < 8; at++) hub.command({ ...control, after: 9, body });
    expect(hub.blocked).toBe(true);
    expect(wake()).toEqual(['network']);
    while (commands.consumer.poll()) commands.consumer.release();
    expect(hub.flush()).toBe(true);
    expect(wake(), 'what is left waits for the disk').toEqual([]);
  });
});

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
    const { hub } = makeHub(orders.producer, proposals);
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
  const RECORD = 112;
  const SHARE = 2000;

  /** A ring for 36 batches. `encode` takes what the encoder has not had. */
  function makeRing() {
    const region = makeMemory(4096, 2);
    const [producer, consumer] = [new RingProducer(region), new RingConsumer(region, 1)];
    const encoder = new RingConsumer(region, 0);
    const { hub } = makeHub(undefined, { region, producer, consumer }, undefined, SHARE);
    const seal = (group: number, heldBytes = 0): ProposalSlot | undefined => {
      if (!hub.claim(100, group, heldBytes)) return undefined;
      producer.publish(100);
      const { end } = hub.takeSlot();
      const place = { group, term: 1, firstIndex: 1, count: 1, kind: 1, flags: 0, start: 0, end: 0 };
      const slot = { ...place, ringEnd: end, waiters: new Waiters(), kept: true };
      hub.slots.add(slot);
      return slot;
    };
    const fill = (group: number, count: number) =>
      Array.from({ length: count }, () => seal(group)!).filter((slot) => slot !== undefined);
    const encode = () => void takeAll(encoder);
    return { hub, seal, fill, encode, producer };
  }

  it('is given back up to the first slot that is still wanted', () => {
    const { hub, fill, encode, producer } = makeRing();
    const made = fill(1, 3);
    encode();
    made[1]!.kept = false;
    expect(hub.slots.release()).toBe(false);
    expect(producer.freeBytes()).toBe(4096 - 3 * RECORD);
    made[0]!.kept = false;
    expect(hub.slots.release()).toBe(true);
    expect(producer.freeBytes()).toBe(4096 - RECORD);
    made[2]!.kept = false;
    hub.slots.release();
    expect(producer.freeBytes()).toBe(4096);
  });

  it('is let go, oldest first and no more than it takes, by a group that holds less than its share of a full ring', () => {
    const { seal, fill, encode } = makeRing();
    const stuck = fill(1, 99);
    expect(stuck.length).toBe(36);
    encode();
    expect(seal(2, SHARE), 'it has its share').toBeUndefined();
    expect(seal(2, SHARE - 1)).toBeDefined();
    expect(stuck.filter(({ kept }) => !kept)).toEqual(stuck.slice(0, 1));
    fill(2, 5);
    expect(stuck.filter(({ kept }) => !kept)).toEqual(stuck.slice(0, 6));
  });

  it('is never let go by the group itself: whoever is behind holds up nobody else and gains nothing', () => {
    const { seal, fill, encode } = makeRing();
    const own = fill(1, 99);
    encode();
    expect(seal(1)).toBeUndefined();
    expect(own.every(({ kept }) => kept)).toBe(true);
  });

  it('is not let go while the state machine reads it, whatever that proposes to another group meanwhile', () => {
    const { hub, seal, fill, encode } = makeRing();
    const stuck = fill(1, 99);
    encode();
    hub.slots.inUse = stuck[0];
    expect(seal(2)).toBeUndefined();
    expect(stuck[0]!.kept).toBe(true);
    hub.slots.inUse = undefined;
    expect(seal(2)).toBeDefined();
  });

  it('stops at an own batch that is the oldest, and goes on once that one is applied', () => {
    const { hub, seal, fill, encode } = makeRing();
    const [own] = fill(2, 1);
    const stuck = fill(1, 35);
    encode();
    expect(seal(2)).toBeUndefined();
    own!.kept = false;
    expect(seal(2), 'in the place of the own one').toBeDefined();
    expect(stuck.every(({ kept }) => kept)).toBe(true);
    hub.slots.release();
    expect(seal(2)).toBeDefined();
    expect(stuck.filter(({ kept }) => !kept).length).toBe(1);
  });

  it('is not let go where it is the encoder that holds the ring', () => {
    const { hub, seal, fill, encode } = makeRing();
    const stuck = fill(1, 99);
    for (let times = 0; times < 5; times++) expect(seal(2)).toBeUndefined();
    // Both were at the same place; what was let go then is read back one day.
    expect(stuck.filter(({ kept }) => !kept).length).toBe(1);
    encode();
    for (let times = 0; times < 3; times++) expect(seal(2)).toBeDefined();
    expect(stuck.filter(({ kept }) => !kept).length).toBe(3);
    expect(hub.blocked).toBe(false);
  });

  it('is let go, the own one too, by what all else waits for: a no-op or a configuration', () => {
    const { hub, fill, encode } = makeRing();
    const [oldest, ...rest] = fill(1, 99);
    encode();
    expect(hub.claimUrgent(100)).toBe(true);
    hub.proposals.abandon();
    expect(oldest!.kept).toBe(false);
    expect(rest.every(({ kept }) => kept)).toBe(true);
  });

  it('is nothing where leadership was lost: the next one has its room without anything having been applied', () => {
    const { seal, fill, encode } = makeRing();
    for (const slot of fill(1, 99)) slot.kept = false;
    encode();
    expect(seal(1)).toBeDefined();
  });
});

describe('the sealed batches of a group', () => {
  it('hold the ring from the first one on that was not let go', () => {
    const near = new NearSlots();
    const slots = Array.from({ length: 700 }, (_, at): ProposalSlot => {
      const place = { group: 1, term: at < 600 ? 1 : 2, firstIndex: at + 1, count: 1, kind: 1, flags: 0 };
      return { ...place, start: 0, end: 10, ringEnd: 0, waiters: new Waiters(), kept: true };
    });
    for (const slot of slots) near.add(slot, 0);
    const firsts = () => [near.first()?.firstIndex, near.firstKept()?.firstIndex];
    expect(firsts()).toEqual([1, 1]);
    for (const slot of slots.slice(0, 400)) slot.kept = false;
    expect(firsts()).toEqual([1, 401]);
    const apply = (count: number): void => {
      for (let times = 0; times < count; times++) {
        const slot = near.first()!;
        near.shift();
        near.finish(slot);
      }
    };
    // The list is compacted in between.
    apply(300);
    expect(firsts()).toEqual([301, 401]);
    expect([near.entries, near.bytes]).toEqual([400, 4000]);
    apply(150);
    expect(firsts()).toEqual([451, 451]);
    for (const slot of slots.slice(450, 650)) slot.kept = false;
    expect(firsts()).toEqual([451, 651]);
    expect(near.takeOthers(2).length).toBe(150);
    expect(firsts()).toEqual([601, 651]);
    apply(100);
    expect(firsts()).toEqual([undefined, undefined]);
  });
});
