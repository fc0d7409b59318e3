import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { encodeEnvelope } from '../../src/codec/envelope.js';
import type { HelloReply } from '../../src/codec/envelope-types.js';
import { RingObserver } from '../../src/ring/byte-ring.js';
import { makeHelloReply } from '../../src/transport/handshake.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import type { Identity } from '../../src/wal/identity.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { NearIndex } from '../../src/workers/near-index.js';
import { Peers } from '../../src/workers/peers.js';
import type { Roster, RosterRow } from '../../src/workers/roster.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { makeIndex } from '../wal/log-tools.js';
import { append, appendReply, Inbox, LIMITS, Remote, ringPair } from './parts.js';

const CLUSTER = { clusterId: 'c', groups: [1], leaseMs: 0 };
const PORTS = { controlPort: 0, dataPort: 0, clientPort: 0 };

const row = (id: number, changes: Partial<RosterRow> = {}): RosterRow => ({
  ...{ id, address: `n${id}:1`, incarnation: 0, invited: false },
  ...changes,
});

const roster = (rows: RosterRow[], changes: Partial<Roster> = {}): Roster => ({
  ...{ rows, address: 'n1:1', removed: [] },
  ...changes,
});

/** Node 1's view of the others, who answer as the test says. */
async function makeWorld(first: Roster) {
  const network = new MemoryNetwork(LIMITS);
  const remembered = new Map<number, number>();
  const inbox = new Inbox();
  const logs: string[] = [];
  const expelled: string[] = [];
  const identity = {
    bootstrapChecksum: 7,
    peerIncarnation: (id: number) => remembered.get(id),
    rememberPeer: (id: number, incarnation: number) => void remembered.set(id, incarnation),
  };
  /** The streams that node 1 has opened, by the host at which they arrived. */
  const streams: { host: string; lane: string; remote: Remote }[] = [];
  const answers = new Map<string, Partial<HelloReply>>();
  const listen = async (host: string, id: number): Promise<void> => {
    answers.set(host, { node: id, incarnation: id * 111 });
    await network.transport(host).listen(`${host}:1`, (lane, stream) => {
      const remote = new Remote(stream, network);
      const take = stream.onMessage;
      stream.onMessage = (bytes) => {
        take(bytes);
        if (remote.heard[0]?.type !== 'hello') return;
        const known = { bootstrapChecksum: 7, formerIncarnations: [] };
        const self = { ...CLUSTER, node: id, incarnation: id * 111, ...known };
        remote.take();
        remote.say({ ...makeHelloReply(self, { accepted: true }, PORTS), ...answers.get(host) });
      };
      streams.push({ host, lane, remote });
    });
  };
  for (const id of [2, 3, 4]) await listen(`n${id}`, id);
  const { region } = ringPair();
  const answered: string[] = [];
  const peers = new Peers(
    {
      self: { ...CLUSTER, node: 1, incarnation: 111 },
      transport: network.transport('n1'),
      identity: identity as unknown as Identity,
      near: new NearIndex(new RingObserver(region)),
      openReader: () => new LogReader(new FaultyDisk(1), '/data', makeIndex([1])),
      push: inbox.push,
      flows: {
        1: { every: { depth: 4, inflightBytesMax: 1 << 20, catchUpBytesPerSecond: 1e9 }, followers: {} },
      },
      wakeMain: () => {},
      wakeSelf: () => {},
      answered: (peer, bytes) => answered.push(`${peer} ${bytes}`),
      expel: (peer, { code }) => expelled.push(`${peer} ${code}`),
      log: (message) => logs.push(message),
      messageBytesMax: 1 << 22,
    },
    first,
  );
  let nowMs = 0;
  const pass = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end; ) {
      nowMs += Math.min(50, end - nowMs);
      peers.poll(nowMs);
      for (const link of peers.controlLinks.values()) link.poll(nowMs);
      network.settle();
    }
  };
  pass(100);
  /** What main was told of links, in short, since the last call. */
  const told = (): string[] =>
    inbox.take('peer').map(({ peer, lane, up, incarnation, body }) => {
      const { code, address } = JSON.parse(Buffer.from(body ?? '').toString()) as Record<string, string>;
      return `${peer} ${lane === 0 ? 'control' : 'append'} ${up === 1 ? `up ${incarnation}` : code} at ${address}`;
    });
  const open = (): string[] =>
    streams
      .flatMap(({ host, lane, remote }) => (remote.closed === undefined ? `${host} ${lane}` : []))
      .sort();
  return { network, peers, remembered, logs, answered, expelled, streams, answers, listen, pass, told, open };
}

describe('the other nodes', () => {
  it('are not gone to where nobody has said yet where they are, until it is known', async () => {
    const { peers, open, pass } = await makeWorld(roster([row(2), { ...row(3), address: '' }]));
    expect(open()).toEqual(['n2 append', 'n2 control']);
    expect(peers.addresses.map(({ id }) => id)).not.toContain(3);
    peers.setRoster(roster([row(2), row(3)]));
    pass(100);
    expect(open()).toContain('n3 control');
  });

  it('H17 are heard on the control stream that was opened to them: a newcomer does not know where to go with its answers', async () => {
    const { streams, answered, pass } = await makeWorld(roster([row(2)]));
    for (const { lane, remote } of streams) if (lane === 'control') remote.stream.send(Buffer.from('a vote'));
    pass(50);
    expect(answered).toEqual(['2 a vote']);
  });

  it('have two lanes each while they are in a configuration, and none afterwards', async () => {
    const { peers, pass, told, open, remembered } = await makeWorld(roster([row(2), row(3)]));
    expect(open()).toEqual(['n2 append', 'n2 control', 'n3 append', 'n3 control']);
    expect(told().sort()).toEqual([
      '2 append up 222 at n2:1',
      '2 control up 222 at n2:1',
      '3 append up 333 at n3:1',
      '3 control up 333 at n3:1',
    ]);
    expect([...peers.controlLinks.keys()]).toEqual([2, 3]);
    expect([...remembered]).toEqual([
      [2, 222],
      [3, 333],
    ]);
    const kept = peers.replicator(3);
    peers.setRoster(roster([row(3), row(4)]));
    pass(100);
    expect(open()).toEqual(['n3 append', 'n3 control', 'n4 append', 'n4 control']);
    expect(peers.replicator(2)).toBeUndefined();
    // A1: who stays keeps its pipeline.
    expect(peers.replicator(3)).toBe(kept);
    expect(peers.replicators()).toHaveLength(2);
    peers.close();
    pass(100);
    expect(open()).toEqual([]);
  });

  it('are found where they have moved to, and an address that is none costs its owner the link only', async () => {
    const { listen, peers, pass, told, open, logs } = await makeWorld(roster([row(2), row(3)]));
    await listen('new2', 2);
    told();
    peers.setRoster(roster([row(2, { address: 'new2:1' }), row(3), row(4, { address: 'nowhere' })]));
    pass(100);
    expect(open()).toEqual(['n3 append', 'n3 control', 'new2 append', 'new2 control']);
    expect(told()).toEqual(
      expect.arrayContaining(['2 control up 222 at new2:1', '2 append up 222 at new2:1']),
    );
    expect(logs).toEqual([expect.stringMatching(/^node 4: .*nowhere/)]);
  });

  it('H61 a wiped node under an old id is not the member; it is told of once', async () => {
    const { peers, pass, told, open, remembered, answers } = await makeWorld(roster([row(2)]));
    expect(peers.knownIncarnation(2)).toBe(222);
    answers.set('n2', { incarnation: 999 });
    for (const lane of peers.controlLinks.values()) lane.reset('test');
    told();
    pass(60_000);
    expect(told()).toEqual(['2 control RAFTLINE_HANDSHAKE_REFUSED at n2:1']);
    expect(open()).toEqual(['n2 append']);
    expect(remembered.get(2)).toBe(222);
    // What the configuration says goes before what was remembered.
    peers.setRoster(roster([row(2, { incarnation: 999 })]));
    pass(60_000);
    expect(peers.knownIncarnation(2)).toBe(999);
    expect(open()).toEqual(['n2 append', 'n2 control']);
    expect(remembered.get(2)).toBe(999);
  });

  it('who is only invited is asked who it is, and neither remembered nor named to anybody', async () => {
    const { peers, remembered, told } = await makeWorld(roster([row(2), row(4, { invited: true })]));
    expect(told()).toContain('4 control up 444 at n4:1');
    expect([...remembered.keys()]).toEqual([2]);
    expect(peers.knownIncarnation(4)).toBeUndefined();
    expect(peers.addresses).toEqual([
      { id: 1, address: 'n1:1' },
      { id: 2, address: 'n2:1' },
    ]);
    peers.setRoster(roster([row(2)], { address: '' }));
    expect(peers.addresses).toEqual([{ id: 2, address: 'n2:1' }]);
  });

  it('S2 H61 hear which beginning this directory knows, and who had its id before', async () => {
    const { peers } = await makeWorld(roster([row(2)]));
    expect(peers.self).toMatchObject({
      node: 1,
      incarnation: 111,
      bootstrapChecksum: 7,
      formerIncarnations: [],
    });
    expect(peers.knownIncarnation(9)).toBeUndefined();
    const gone = [1, 2, 1].map((id, at) => ({ id, incarnation: 100 + at, groups: [1] }));
    peers.setRoster(roster([row(2)], { removed: gone }));
    expect(peers.self.formerIncarnations).toEqual([100, 102]);
  });

  it('H60 who was removed is refused in that life only, and its last streams end two seconds later, once', async () => {
    const { peers, pass, expelled } = await makeWorld(roster([row(2), row(3)]));
    const removed = [{ id: 2, incarnation: 222, groups: [1] }];
    peers.setRoster(roster([row(3)], { removed }));
    expect([peers.removedFrom(2, 222), peers.removedFrom(2, 223), peers.removedFrom(3, 222)]).toEqual([
      [1],
      [],
      [],
    ]);
    pass(1500);
    // Another change meanwhile does not begin it anew.
    peers.setRoster(roster([row(3), row(4)], { removed }));
    expect(expelled).toEqual([]);
    pass(600);
    expect(expelled).toEqual([`2 ${ErrorCode.MemberRemoved}`]);
    pass(10_000);
    expect(expelled).toHaveLength(1);
    // Now from another group, too: it comes again, and is told so.
    peers.setRoster(roster([row(3), row(4)], { removed: [{ ...removed[0]!, groups: [1, 2] }] }));
    pass(2100);
    expect(expelled.splice(1)).toEqual([`2 ${ErrorCode.MemberRemoved}`]);
    // Removed, and added anew before its streams had ended: it is one of us.
    const both = { removed: [...removed, { id: 4, incarnation: 444, groups: [1] }] };
    peers.setRoster(roster([row(3)], both));
    peers.setRoster(roster([row(3), row(4, { invited: true })], both));
    peers.setRoster(roster([row(3), row(4)], both));
    pass(10_000);
    expect(expelled).toHaveLength(1);
  });

  it('H60 who was removed and only asked whether it comes back is shown out all the same', async () => {
    const { peers, pass, expelled } = await makeWorld(roster([row(2), row(3)]));
    const removed = [{ id: 2, incarnation: 222, groups: [1] }];
    peers.setRoster(roster([row(3)], { removed }));
    peers.setRoster(roster([row(2, { invited: true }), row(3)], { removed }));
    pass(2100);
    peers.setRoster(roster([row(3)], { removed }));
    pass(2100);
    expect(expelled).toEqual([`2 ${ErrorCode.MemberRemoved}`]);
  });

  it('A11 who cannot be reached is tried by time, told of once, and at once when it comes by itself', async () => {
    const { peers, pass, told, network, streams, open } = await makeWorld(roster([row(2)]));
    told();
    network.cut('n1', 'n2');
    const { attempts } = peers.controlLinks.get(2)!.counts;
    pass(20_000);
    expect(told().filter((line) => line.includes('control'))).toEqual([
      '2 control RAFTLINE_UNREACHABLE at n2:1',
    ]);
    // After 200, 400, 800 ms, and then every second, and not with every poll.
    const tried = peers.controlLinks.get(2)!.counts.attempts - attempts;
    expect(tried).toBeGreaterThan(15);
    expect(tried).toBeLessThan(25);
    network.heal('n1', 'n2');
    const before = streams.length;
    peers.hurry(2);
    peers.hurry(9);
    pass(100);
    expect(streams.length).toBeGreaterThan(before);
    expect(open()).toContain('n2 control');
  });

  it('H61 are tried again at once when the log says as whom they came: a refused link would wait five seconds', async () => {
    const { peers, pass, open } = await makeWorld(roster([row(2, { incarnation: 221 }), row(3)]));
    expect(open()).toEqual(['n3 append', 'n3 control']);
    pass(300);
    peers.setRoster(roster([row(2, { incarnation: 222 }), row(3)]));
    pass(100);
    expect(open()).toEqual(['n2 append', 'n2 control', 'n3 append', 'n3 control']);
  });

  it('E5 a follower that fails costs no heartbeats but tries that grow rarer up to a bound, and gets each again after its first answer', async () => {
    const { peers, pass, network, streams } = await makeWorld(roster([row(2)]));
    const link = peers.controlLinks.get(2)!;
    const control = () => streams.findLast(({ lane }) => lane === 'control')!.remote;
    const heartbeat = append({});
    const beat = (times: number): number => {
      let taken = 0;
      for (let at = 0; at < times; at++) {
        if (link.send(encodeEnvelope(heartbeat).bytes)) taken++;
        pass(100);
      }
      return taken;
    };
    expect(beat(10)).toBe(10);
    network.cut('n1', 'n2');
    network.settle();
    const before = link.counts.attempts;
    expect(beat(200), 'nothing is kept for later').toBe(0);
    // 0, 200, 600, 1400, 2400 ms and then every second of the twenty.
    expect(link.counts.attempts - before).toBeGreaterThanOrEqual(20);
    expect(link.counts.attempts - before).toBeLessThanOrEqual(24);
    network.heal('n1', 'n2');
    pass(1100);
    control().take();
    expect(beat(10)).toBe(10);
    expect(control().take()).toHaveLength(10);
  });

  it('refuse what they are sent in words that are logged once, however often it is sent again', async () => {
    const { streams, logs, pass } = await makeWorld(roster([row(2)]));
    for (const limit of [5, 5, 6]) {
      const { stream } = streams.findLast(({ lane }) => lane === 'append')!.remote;
      stream.close(
        new RaftlineError(ErrorCode.BytesInvalid, `a batch of 7 bytes, node 2 takes at most ${limit}`),
      );
      pass(10_000);
    }
    expect(logs).toHaveLength(2);
    expect(logs[0]).toMatch(/^node 2 refused .*RAFTLINE_BYTES_INVALID.*7 bytes, node 2 takes at most 5/);
  });

  it('S7 what is no answer of that peer costs its append stream', async () => {
    const { streams, pass, told, open } = await makeWorld(roster([row(2)]));
    const remote = () => streams.findLast(({ lane }) => lane === 'append')!.remote;
    for (const nonsense of [append({}), appendReply({ from: 3 })]) {
      told();
      remote().say(nonsense);
      expect(told()).toEqual(['2 append RAFTLINE_BYTES_INVALID at n2:1']);
      pass(10_000);
      expect(open()).toEqual(['n2 append', 'n2 control']);
    }
  });
});
