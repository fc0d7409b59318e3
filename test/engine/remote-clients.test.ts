import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { decodeEnvelope } from '../../src/codec/envelope.js';
import type { SessionRun } from '../../src/engine/applier.js';
import { Hub } from '../../src/engine/hub.js';
import { Outgoing } from '../../src/engine/outgoing.js';
import { ProposalSlots } from '../../src/engine/proposal-slots.js';
import { RemoteClients } from '../../src/engine/remote-clients.js';
import type { Replica } from '../../src/engine/replica.js';
import { Gate } from '../../src/ring/gate.js';
import { clientCodec, commandCodec } from '../../src/workers/records.js';
import { makeCursor, ringPair } from '../workers/parts.js';

/** A client is held for ten ticks. */
const TICK_MS = 25;

type ClientRecord = Parameters<typeof clientCodec.push>[1];

/** Main's side of remote clients over real rings, with replicas that only note what they are given. */
function makeWorld() {
  const ring = ringPair();
  const commands = ringPair();
  const proposals = ringPair();
  const gate = new Gate(new SharedArrayBuffer(Gate.BYTES), 0);
  const hub = new Hub({
    orders: ringPair().producer,
    commands: commands.producer,
    proposals: proposals.producer,
    slots: new ProposalSlots(proposals.consumer),
    slotRing: proposals.consumer,
    shareBytes: Number.MAX_SAFE_INTEGER,
    outgoing: new Outgoing(),
    openBytesMax: Number.MAX_SAFE_INTEGER,
    durable: makeCursor(),
    networkAwaits: makeCursor(),
    encoded: undefined,
    gates: { wal: gate, network: gate, encoders: [gate] },
  });
  const replica = (group: number) => {
    const taken: string[] = [];
    const made = {
      group,
      role: 'leader',
      leader: 1,
      leaderUnreachable: false,
      room: true,
      /** Kept for what waits. */
      keeps: false,
      taken,
      proposals: {
        forgoRoom(): void {
          made.keeps = false;
        },
        proposePacked(packed: Buffer, count: number): boolean {
          if (!made.room) {
            made.keeps = true;
            return false;
          }
          taken.push(`${packed.toString()} ×${count}`);
          return true;
        },
      },
    };
    return made;
  };
  const replicas = new Map([1, 2].map((group) => [group, replica(group)]));
  const known = replicas as unknown as ReadonlyMap<number, Replica>;
  const clients = new RemoteClients(ring.consumer, hub, known, (node) => `host-${node}:1`, TICK_MS);
  const push = (record: ClientRecord) => expect(clientCodec.push(ring.producer, record)).toBe(true);
  const propose = (stream: number, firstSequence: number, text: string, group = 1) =>
    push({ type: 'propose', stream, group, client: 77, firstSequence, count: 1, body: Buffer.from(text) });
  /** Takes out what the network thread is told. */
  const said = () => {
    const taken: Record<string, unknown>[] = [];
    while (commands.consumer.poll()) {
      const { body, ...command } = commandCodec.read(commands.consumer);
      const envelope = body.length > 0 ? decodeEnvelope(Buffer.from(body)).envelope : undefined;
      taken.push({ ...command, ...(envelope === undefined ? {} : { envelope }) });
      commands.consumer.release();
    }
    return taken;
  };
  const report = (group: number, runs: SessionRun[]) => clients.report(known.get(group)!, runs);
  return { clients, replicas, known, push, propose, said, report };
}

const run = (changes: Partial<SessionRun>): SessionRun => ({
  client: 77,
  firstSequence: 1,
  count: 1,
  index: 9,
  term: 2,
  outcome: 'applied',
  code: '',
  result: undefined,
  ...changes,
});

describe('remote clients on main', () => {
  it('C8 an opening and what is proposed behind it come in one order, so no proposal is taken for a stranger', () => {
    const { clients, replicas, push, propose } = makeWorld();
    propose(4, 1, 'from nobody');
    push({ type: 'opened', stream: 5, client: 77 });
    propose(5, 1, 'a');
    propose(5, 2, 'b');
    push({ type: 'closed', stream: 5 });
    propose(5, 3, 'from the dead');
    expect(clients.pending()).toBe(true);
    expect(clients.drain()).toBe(true);
    expect(replicas.get(1)!.taken).toEqual(['a ×1', 'b ×1']);
    expect(clients.pending()).toBe(false);
  });

  it('C13 what has no room waits in its ring, in order, and is not lost', () => {
    const { clients, replicas, push, propose } = makeWorld();
    const group = replicas.get(1)!;
    push({ type: 'opened', stream: 5, client: 77 });
    for (const [at, text] of ['a', 'b', 'c'].entries()) propose(5, at + 1, text);
    group.room = false;
    clients.drain();
    expect(clients.drain()).toBe(false);
    expect(clients.pending(), 'what waits for room is not new').toBe(false);
    group.room = true;
    expect(clients.drain()).toBe(true);
    expect(group.taken).toEqual(['a ×1', 'b ×1', 'c ×1']);
  });

  it('room is kept no longer for what waited once its stream has ended or its group is not led any more', () => {
    const refusal = run({ outcome: 'refused', code: ErrorCode.SessionExpired, index: 0, term: 0 });
    const waysToEnd: ((world: ReturnType<typeof makeWorld>) => void)[] = [
      ({ report }) => report(1, [refusal]),
      ({ replicas }) => Object.assign(replicas.get(1)!, { role: 'follower', leader: 3 }),
    ];
    for (const end of waysToEnd) {
      const world = makeWorld();
      const group = world.replicas.get(1)!;
      world.push({ type: 'opened', stream: 5, client: 77 });
      world.propose(5, 1, 'a');
      group.room = false;
      world.clients.drain();
      expect(group.keeps).toBe(true);
      end(world);
      world.clients.drain();
      expect(group).toMatchObject({ keeps: false, taken: [] });
    }
  });

  it('C6 on a follower the first proposal is refused with the leader, and nothing slips past it', () => {
    const { clients, replicas, push, propose, said } = makeWorld();
    Object.assign(replicas.get(1)!, { role: 'follower', leader: 3 });
    push({ type: 'opened', stream: 5, client: 77 });
    propose(5, 7, 'a');
    propose(5, 8, 'b');
    clients.drain();
    Object.assign(replicas.get(1)!, { role: 'leader' });
    propose(5, 9, 'c');
    clients.drain();
    expect(replicas.get(1)!.taken).toEqual([]);
    const [reply, close, ...more] = said();
    expect(reply).toMatchObject({
      type: 'clientReply',
      stream: 5,
      envelope: {
        outcome: 'refused',
        code: ErrorCode.NotLeader,
        firstSequence: 7,
        leader: 3,
        leaderAddress: 'host-3:1',
      },
    });
    expect(close).toMatchObject({ type: 'clientClose', stream: 5 });
    expect(more).toEqual([]);
  });

  it('C14 where no leader is known a client waits for one, and is sent there', () => {
    for (const doubt of [{ leader: 0 }, { leader: 3, leaderUnreachable: true }]) {
      const { clients, replicas, known, push, propose, said } = makeWorld();
      const group = Object.assign(replicas.get(1)!, { role: 'follower', ...doubt });
      push({ type: 'opened', stream: 5, client: 77 });
      propose(5, 7, 'a');
      propose(5, 8, 'b');
      clients.drain();
      for (let tick = 0; tick < 9; tick++) clients.tick();
      expect(said()).toEqual([]);
      Object.assign(group, { leader: 2, leaderUnreachable: false });
      clients.leadershipChanged(known.get(2)!);
      expect(said(), 'of another group').toEqual([]);
      clients.leadershipChanged(known.get(1)!);
      clients.tick();
      expect(group.taken).toEqual([]);
      expect(said()).toMatchObject([
        { stream: 5, envelope: { code: ErrorCode.NotLeader, firstSequence: 7, leader: 2 } },
        { type: 'clientClose', stream: 5 },
      ]);
    }
  });

  it('C14 without a leader for a quarter of a second the client is told so, and not sent to one that is gone', () => {
    const { clients, replicas, push, propose, said } = makeWorld();
    Object.assign(replicas.get(1)!, { role: 'follower', leader: 3, leaderUnreachable: true });
    push({ type: 'opened', stream: 5, client: 77 });
    push({ type: 'opened', stream: 6, client: 78 });
    propose(5, 1, 'a');
    propose(6, 1, 'b');
    push({ type: 'closed', stream: 6 });
    clients.drain();
    for (let tick = 0; tick < 10; tick++) clients.tick();
    expect(said()).toMatchObject([
      { stream: 5, envelope: { code: ErrorCode.NotLeader, leader: 0 } },
      { type: 'clientClose', stream: 5 },
    ]);
    clients.tick();
    expect(said()).toEqual([]);
  });

  it('one stream, one group', () => {
    const { clients, replicas, push, propose, said } = makeWorld();
    push({ type: 'opened', stream: 5, client: 77 });
    propose(5, 1, 'a', 1);
    propose(5, 2, 'b', 2);
    clients.drain();
    expect([replicas.get(1)!.taken, replicas.get(2)!.taken]).toEqual([['a ×1'], []]);
    expect(said()[0]).toMatchObject({ envelope: { outcome: 'refused', code: ErrorCode.GroupUnknown } });
  });

  it('tells the newest stream of a client what became of its entries, wherever they were proposed', () => {
    const { clients, push, said, report } = makeWorld();
    push({ type: 'opened', stream: 5, client: 77 });
    push({ type: 'opened', stream: 6, client: 77 });
    push({ type: 'closed', stream: 5 });
    clients.drain();
    report(1, [
      run({ count: 3 }),
      run({ client: 78 }),
      run({ firstSequence: 4, index: 12, result: Buffer.from('r') }),
    ]);
    expect(said()).toMatchObject([
      { stream: 6, envelope: { outcome: 'applied', firstSequence: 1, count: 3, index: 9, term: 2 } },
      { stream: 6, envelope: { outcome: 'applied', firstSequence: 4, count: 1, index: 12 } },
    ]);
  });

  it('C12 an entry that the session table turned away ends the stream', () => {
    const { clients, push, propose, replicas, said, report } = makeWorld();
    push({ type: 'opened', stream: 5, client: 77 });
    clients.drain();
    report(1, [run({ outcome: 'refused', code: ErrorCode.SessionExpired, index: 0, term: 0 })]);
    propose(5, 2, 'later');
    clients.drain();
    expect(replicas.get(1)!.taken).toEqual([]);
    expect(said()).toMatchObject([
      { envelope: { outcome: 'refused', code: ErrorCode.SessionExpired } },
      { type: 'clientClose', stream: 5 },
    ]);
  });

  it('H69 when leadership goes, the fate of what is under way is unknown, only for streams of that group', () => {
    const { clients, known, push, propose, said } = makeWorld();
    push({ type: 'opened', stream: 5, client: 77 });
    push({ type: 'opened', stream: 6, client: 78 });
    propose(5, 1, 'a', 1);
    propose(6, 1, 'b', 2);
    clients.drain();
    Object.assign(known.get(1)!, { role: 'follower', leader: 0 });
    clients.leadershipChanged(known.get(1)!);
    clients.leadershipChanged(known.get(1)!);
    expect(said()).toMatchObject([
      { stream: 5, envelope: { outcome: 'unknown', code: ErrorCode.OutcomeUnknown, firstSequence: 2 } },
      { type: 'clientClose', stream: 5 },
    ]);
  });
});
