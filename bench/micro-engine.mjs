import { copyBytes } from '../dist/base/copy.js';
import { seededRandom } from '../dist/base/prng.js';
import { BATCH_PAYLOAD_OFFSET } from '../dist/codec/batch.js';
import { Raft } from '../dist/core/raft.js';
import { initRing, RingConsumer, RingProducer, ringRegionBytes } from '../dist/ring/byte-ring.js';
import { SharedLogIndex } from '../dist/wal/log-index.js';
import { RealDisk } from '../dist/wal/real-disk.js';
import { prepareSegment } from '../dist/wal/segment.js';
import { Wal } from '../dist/wal/wal.js';
import { writeHead } from './micro-codec.mjs';

const RING_BYTES = 16 * 1024 * 1024;
const SEGMENT_BYTES = 64 * 1024 * 1024;
const ANCHORS = 4096;

/** Records through a ring one at a time, payload copied in; one thread, so no wake-up. As many a call as a clock can tell apart. */
export function ringCases() {
  return [
    { bytes: 64, records: 1000 },
    { bytes: 256 * 1024, records: 1 },
  ].map(({ bytes, records }) => {
    const memory = new SharedArrayBuffer(ringRegionBytes(RING_BYTES, 1));
    const region = { memory, byteOffset: 0, capacity: RING_BYTES, consumers: 1 };
    initRing(region);
    const producer = new RingProducer(region);
    const consumer = new RingConsumer(region, 0);
    const payload = Buffer.alloc(bytes, 1);
    const run = () => {
      for (let record = 0; record < records; record++) {
        producer.claim(bytes);
        copyBytes(payload, producer.bytes, producer.offset);
        producer.publish(bytes);
        consumer.poll();
        consumer.release();
      }
    };
    const name = `ring, ${records} × ${bytes} B: claim, copy, publish, poll, release`;
    return { name, bytes: records * bytes, entries: records, run };
  });
}

/** The leader's decisions for one batch: propose, own disk, two acknowledgements, commit; a Ready taken after each. */
export function coreCases({ batchBytesMax }) {
  const { raft, sessions } = leader();
  const entries = 2000;
  let order = raft.newestOrder;
  const run = () => {
    const { firstIndex } = raft.core.propose(entries, batchBytesMax);
    order = newestOf(raft.core.ready(), order);
    raft.core.step({ type: 'durable', order });
    raft.core.ready();
    for (const [from, session] of sessions) {
      raft.core.step(replyOf(from, session, firstIndex + entries - 1));
      raft.core.ready();
    }
    if (raft.core.commitIndex !== firstIndex + entries - 1)
      throw new Error('core: the batch was not committed');
  };
  return [{ name: 'core: a batch from propose to commit', bytes: 0, entries: 0, run }];
}

/** A leader of three in term 2, with both followers streaming. */
function leader() {
  const configuration = {
    voters: [1, 2, 3],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    incarnations: [],
    compressionLevel: 1,
  };
  const core = new Raft(
    {
      group: 1,
      id: 1,
      electionTicksMin: 10,
      electionTicksMax: 20,
      heartbeatTicks: 2,
      preVote: false,
      random: seededRandom(1),
    },
    {
      hardState: { term: 1, vote: 0 },
      base: { index: 0, term: 0 },
      termRuns: [{ term: 1, firstIndex: 1 }],
      lastIndex: 1,
      configurations: [{ index: 1, term: 1, configuration }],
      commitIndex: 1,
    },
  );
  while (core.status().role !== 'candidate') core.tick();
  let newestOrder = newestOf(core.ready(), 0);
  core.step({ type: 'durable', order: newestOrder });
  core.step({ type: 'voteReply', group: 1, from: 2, to: 1, term: 2, granted: true, preVote: false });
  const ready = core.ready();
  newestOrder = newestOf(ready, newestOrder);
  core.step({ type: 'durable', order: newestOrder });
  const sessions = ready.sessions.map(({ peer, session }) => [peer, session]);
  for (const [from, session] of sessions) core.step(replyOf(from, session, core.status().lastIndex));
  core.ready();
  if (core.status().role !== 'leader' || sessions.length !== 2)
    throw new Error('core: expected a leader of three');
  return { raft: { core, newestOrder }, sessions };
}

function newestOf(ready, before) {
  return ready?.orders.at(-1)?.id ?? before;
}

function replyOf(from, session, match) {
  const asked = { type: 'appendReply', group: 1, from, to: 1, term: 2, session, refused: false };
  return { ...asked, match, hintIndex: 0, hintTerm: 0, applied: 0 };
}

/** One batch, one writev, one fdatasync, in a log of its own; the first segment was filled with zeros beforehand. */
export function walCases(directoryOf) {
  return [4, 256].map((kib) => {
    const directory = directoryOf(`wal-${kib}`);
    const disk = new RealDisk();
    prepareSegment(disk, { directory, segmentBytes: SEGMENT_BYTES });
    const memory = new SharedArrayBuffer(SharedLogIndex.bytesFor(1, ANCHORS));
    const index = new SharedLogIndex(memory, 0, [1], ANCHORS);
    const { wal } = Wal.open(disk, { directory, segmentBytes: SEGMENT_BYTES, groups: [1], index });
    const bytes = kib * 1024;
    const rawLength = bytes - BATCH_PAYLOAD_OFFSET;
    const batch = Buffer.alloc(bytes, 1);
    let firstIndex = 1;
    const run = () => {
      // Not sealed: nobody reads it back, and the checksum is not the log's work.
      writeHead(batch, 0, { firstIndex, count: 1, rawLength });
      wal.stageBatch(1, batch);
      wal.flush();
      for (let state = wal.poll(); state !== 'durable'; state = wal.poll()) {
        if (state === 'idle') throw new Error('wal: the batch was not taken');
      }
      firstIndex++;
    };
    return { name: `wal: append ${kib} KiB, written and synced`, bytes, entries: 0, run };
  });
}
