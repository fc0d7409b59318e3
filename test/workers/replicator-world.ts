import type { AppendEnvelope, AppendReplyEnvelope } from '../../src/codec/envelope-types.js';
import { RingObserver } from '../../src/ring/byte-ring.js';
import { makeHello, makeHelloReply } from '../../src/transport/handshake.js';
import { PeerLink } from '../../src/transport/link.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { BatchSource } from '../../src/workers/batch-source.js';
import { MessageBuffers } from '../../src/workers/message-buffers.js';
import { NearIndex } from '../../src/workers/near-index.js';
import { Replicator } from '../../src/workers/replicator.js';
import type { FollowerFlow } from '../../src/workers/settings.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { flushAll, makeBatch, openLog } from '../wal/log-tools.js';
import { appendReply, Inbox, Meeting, putBytes, Remote, ringPair, takeAll } from './parts.js';

export const ACK_TIMEOUT_MS = 1000;

function self(node: number) {
  const known = { bootstrapChecksum: 0, formerIncarnations: [] };
  return { clusterId: 'c', node, incarnation: node * 100, groups: [1, 2], leaseMs: 0, ...known };
}

/** Node 1's replicator to node 2, whose end of the append stream the test holds by hand. */
export async function makeWorld(
  options: {
    depth?: number | 'auto';
    inflightBytesMax?: number;
    catchUpBytesPerSecond?: number;
    receiveWindowBytes?: number;
    groups?: number[];
    segmentBytes?: number;
  } = {},
) {
  const { receiveWindowBytes, groups = [1], segmentBytes = 64 * 1024 } = options;
  const meeting = new Meeting({
    messageBytesMax: 1 << 22,
    queuedBytesMax: 1 << 23,
    ...(receiveWindowBytes === undefined ? {} : { receiveWindowBytes }),
  });
  const { network } = meeting;
  const followers: Remote[] = [];
  const verdict = { accepted: true } as const;
  const ports = { controlPort: 0, dataPort: 0, clientPort: 0 };
  await meeting.listen((_lane, stream) => {
    const remote = new Remote(stream, network);
    const take = stream.onMessage;
    stream.onMessage = (bytes) => {
      take(bytes);
      const hello = remote.heard[0];
      if (hello?.type !== 'hello') return;
      remote.take();
      remote.say(makeHelloReply(self(2), verdict, ports));
    };
    followers.push(remote);
  });
  const link = new PeerLink({
    transport: network.transport('leader'),
    address: 'node:1',
    hello: () => makeHello(self(1), 2, 'append'),
    checkReply: () => verdict,
  });
  const { region, producer, consumer } = ringPair(1 << 20);
  const near = new NearIndex(new RingObserver(region));
  const disk = new FaultyDisk(1);
  const { wal, index } = openLog(disk, '/data', { groups, segmentBytes });
  const far = new LogReader(disk, '/data', index, { pattern: 'once' });
  let bytesRead = 0;
  const read = disk.read.bind(disk);
  disk.read = (...given) => {
    const count = read(...given);
    bytesRead += count;
    return count;
  };
  const inbox = new Inbox();
  const tooLarge: string[] = [];
  let flow: FollowerFlow = {
    depth: options.depth ?? 4,
    inflightBytesMax: options.inflightBytesMax ?? 1 << 20,
    catchUpBytesPerSecond: options.catchUpBytesPerSecond ?? 1e9,
  };
  const replicator = new Replicator({
    self: 1,
    peer: 2,
    link,
    source: new BatchSource(near, far),
    buffers: new MessageBuffers(1 << 20),
    push: inbox.push,
    flow: () => flow,
    ackTimeoutMs: ACK_TIMEOUT_MS,
    messageBytesMax: 1 << 20,
    tooLarge: (message) => tooLarge.push(message),
  });
  link.onDown = () => replicator.streamBroke();
  link.onMessage = (bytes) => {
    const remote = new Remote({ send: () => true } as never, network);
    remote.stream.onMessage(bytes);
    replicator.onReply(remote.heard[0] as AppendReplyEnvelope);
  };
  const world = {
    network,
    replicator,
    inbox,
    link,
    tooLarge,
    now: 0,
    /** The follower's end of the stream that is up now. */
    get follower() {
      return followers[followers.length - 1]!;
    },
    followers,
    /** Writes a batch that is no longer in the ring. */
    write(batch: Buffer, group = 1) {
      wal.stageBatch(group, batch);
      flushAll(wal);
    },
    /** From the log, ever. */
    get bytesRead() {
      return bytesRead;
    },
    tune(changes: Partial<typeof flow>) {
      flow = { ...flow, ...changes };
      replicator.retune(1);
    },
    publish(batch: Buffer) {
      takeAll(consumer);
      putBytes(producer, batch);
      near.follow();
    },
    /** Polls until nothing more happens. */
    settle() {
      for (let idle = 0, turns = 0; idle < 3; turns++) {
        if (turns > 5000) throw new Error('the replicator never came to rest');
        const worked = replicator.poll(world.now);
        const steps = network.settle();
        idle = worked || steps > 0 ? 0 : idle + 1;
      }
    },
    /** The appends that the follower heard since the last call. */
    heard(): AppendEnvelope[] {
      world.settle();
      return (world.followers.length === 0 ? [] : world.follower.take()) as AppendEnvelope[];
    },
    reply(changes: Partial<AppendReplyEnvelope>) {
      world.follower.say(appendReply(changes));
      world.settle();
    },
  };
  return world;
}

export const batchAt = (firstIndex: number, changes: Partial<Parameters<typeof makeBatch>[0]> = {}) =>
  makeBatch({ firstIndex, term: 3, prevTerm: firstIndex === 1 ? 0 : 3, entryBytes: 100, ...changes });

/** A session of term 3 that has got to streaming from index 1 on. */
export async function makeStreaming(options: Parameters<typeof makeWorld>[0] = {}) {
  const world = await makeWorld(options);
  world.replicator.open({ group: 1, session: 1, term: 3, prevIndex: 0, prevTerm: 0 });
  world.heard();
  world.reply({ term: 3, match: 0 });
  world.replicator.stream({ group: 1, session: 1, next: 1 });
  world.heard();
  world.inbox.take('appendReply');
  return world;
}
