import { Engine } from '../dist/index.js';
import { ownSample, serveParent } from './child.mjs';
import { makePool } from './data.mjs';
import { ClosedLoop } from './load.mjs';

/** One member of the benchmark's cluster, and on the leader the client as well. */

const GROUP = 1;
let engine;
let loop;
let entries = 0;
let digest = 0;

/** Touches every entry; the digest depends on their order, so replicas can be compared. */
const stateMachine = {
  apply(batch) {
    batch.scan((payload, start, end) => {
      const length = end - start;
      digest = (Math.imul(digest, 31) + length) | 0;
      if (length > 0)
        digest = (digest + payload[start] + payload[start + (length >> 1)] * 7 + payload[end - 1]) | 0;
    });
    entries += batch.count;
    return undefined;
  },
};

const { rssMax } = serveParent({
  async open({ id, directory, peers, pipeline, compression, threads, uncommittedBytesMax, first }) {
    // Node 1 is elected, and nobody stands for election because a loaded machine starved somebody for a second.
    const election = first
      ? { timeoutMsMin: 500, timeoutMsMax: 600, heartbeatIntervalMs: 100 }
      : { timeoutMsMin: 4000, timeoutMsMax: 6000, heartbeatIntervalMs: 100 };
    engine = await Engine.open({
      id,
      cluster: 'bench',
      dataDirectory: directory,
      listen: peers[id],
      peers,
      groups: [{ id: GROUP, stateMachine }],
      pipeline,
      compression,
      threads,
      uncommittedBytesMax,
      election,
    });
    engine.on('fatal', (error) => {
      process.stderr.write(`node ${id}: ${error.stack}\n`);
      process.exit(1);
    });
  },
  ready() {
    const [group] = engine.status().groups;
    if (group.role !== 'leader' || group.commitIndex < group.lastIndex) return undefined;
    if (!group.followers.every((follower) => follower.state === 'replicate')) return undefined;
    return { threads: engine.status().threads };
  },
  load({ payload, seed, outstanding, entriesMax }) {
    const group = engine.group(GROUP);
    const pool = makePool({ payload, seed });
    loop = new ClosedLoop({ propose: (bytes) => group.propose(bytes), pool, outstanding, entriesMax });
    loop.start();
  },
  sample({ latencies }) {
    const { disk, encoder, groups } = engine.status();
    const sample = {
      ...ownSample(),
      entries,
      digest,
      rssMax: rssMax(),
      syncs: disk.syncs,
      bytesWritten: disk.bytesWritten,
      batches: encoder.batches,
      rawBytes: encoder.rawBytes,
      storedBytes: encoder.storedBytes,
      term: groups[0].term,
      overloaded: loop?.overloaded ?? 0,
      failure: loop?.failure?.stack,
    };
    if (latencies === 'report') sample.latencies = loop?.latencies();
    loop?.forgetLatencies();
    return sample;
  },
  async stop() {
    loop.stop();
    await loop.ended;
    if (loop.failure !== undefined) throw loop.failure;
    return { completed: loop.completed };
  },
  async finish() {
    await loop.ended;
    if (loop.failure !== undefined) throw loop.failure;
    return { completed: loop.completed };
  },
  async close() {
    await engine?.close();
  },
});
