import { describe, expect, it } from 'vitest';
import { BatchKind } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import { readBatchHeader } from '../../src/codec/batch.js';
import type { EncoderStatus } from '../../src/engine/counters.js';
import { SharedLogIndex } from '../../src/wal/log-index.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { RealDisk } from '../../src/wal/real-disk.js';
import { Wal } from '../../src/wal/wal.js';
import { jsonLike, randomBytes } from '../codec/samples.js';
import { Cluster, until } from './world.js';

const ANCHORS = 4096;

/** Every batch that a closed node's log holds, as stored. */
function logOf(directory: string): Buffer[] {
  const disk = new RealDisk();
  const memory = new SharedArrayBuffer(SharedLogIndex.bytesFor(1, ANCHORS));
  const index = new SharedLogIndex(memory, 0, [1], ANCHORS);
  const { wal, recovered } = Wal.open(disk, { directory, segmentBytes: 4 << 20, groups: [1], index });
  const reader = new LogReader(disk, directory, index);
  const { lastIndex } = recovered.get(1)!;
  const batches: Buffer[] = [];
  for (let next = 1; next <= lastIndex; ) {
    const { batches: read, headers } = reader.read(1, next, lastIndex, 1 << 20)!;
    for (const batch of read) batches.push(Buffer.from(batch));
    next = headers.at(-1)!.firstIndex + headers.at(-1)!.count;
  }
  reader.close();
  wal.close();
  return batches;
}

describe('three engines in one process', () => {
  it('encode and compress a batch once, with one encoder or several, in the whole cluster, and every log has the same bytes: also one that caught up from disk, and after a change of leader', async () => {
    const random = seededRandom(11);
    const small = { entryBytesMax: 16 * 1024, memory: { ringBytes: 1 << 20 } };
    const cluster = await Cluster.start((id) => ({
      ...small,
      compression: 'lz4',
      threads: { encoders: id },
    }));
    const total: EncoderStatus = {
      sealed: 0,
      batches: 0,
      compressions: 0,
      compressed: 0,
      rawBytes: 0,
      storedBytes: 0,
    };
    let count = 0;
    /** Whatever was sealed is encoded; what a life of an engine has counted goes with it. */
    const add = async (id: number): Promise<void> => {
      const { engine } = cluster.node(id);
      await until('all that was sealed is encoded', () => {
        const { sealed, batches } = engine!.status().encoder;
        return sealed === batches;
      });
      const { encoder } = engine!.status();
      for (const name of Object.keys(total) as (keyof EncoderStatus)[]) total[name] += encoder[name];
    };
    const stop = async (id: number): Promise<void> => {
      await add(id);
      await cluster.stop(id);
    };
    const write = async (entries: Buffer[]): Promise<void> => {
      const leader = await cluster.leader();
      for (let at = 0; at < entries.length; at += 64)
        await Promise.all(entries.slice(at, at + 64).map((entry) => leader.group(1).propose(entry)));
      count += entries.length;
    };
    const text = (): Buffer => jsonLike(random, 4000);
    try {
      await write(Array.from({ length: 200 }, text));
      const { threads } = cluster.node(3).engine!.status();
      expect(Object.values(threads)).toEqual([
        ['turn'],
        ['wal-writer'],
        ['encoder'],
        ['encoder-2'],
        ['encoder-3'],
        ['network'],
      ]);
      const first = await cluster.leader();
      const lagging = [...cluster.nodes.keys()].find((id) => id !== first.id)!;
      await stop(lagging);
      // More than the rings hold, and it does not compress: what the one that comes back lacks is on disk only.
      const before = first.status().disk.bytesWritten;
      await write(Array.from({ length: 1200 }, () => randomBytes(random, 8000)));
      const { rings, disk } = first.status();
      expect(disk.bytesWritten - before).toBeGreaterThan(2 * rings.batch!.capacityBytes);
      await cluster.open(lagging);
      await write(Array.from({ length: 100 }, text));
      await cluster.agree(count);
      await stop(first.id);
      await cluster.leader();
      await write(Array.from({ length: 200 }, text));
      await cluster.open(first.id);
      await write(Array.from({ length: 50 }, text));
      await cluster.agree(count);
      for (const id of cluster.nodes.keys()) await stop(id);

      const [one, two, three] = [...cluster.nodes.values()].map(({ options }) =>
        logOf(options.dataDirectory),
      );
      expect(one!.every((batch, at) => batch.equals(two![at]!) && batch.equals(three![at]!))).toBe(true);
      expect([one!.length, two!.length]).toEqual([three!.length, three!.length]);
      const data = one!.filter((batch) => readBatchHeader(batch, 0).kind === BatchKind.Data);
      expect(total.batches, 'encodes in the whole cluster').toBe(total.sealed);
      // The first batch of all, which says who the members are, every node writes for itself.
      expect(total.batches).toBe(one!.length - 1);
      expect(total.compressions, 'compressions in the whole cluster').toBe(data.length);
      expect(total.storedBytes).toBe(one!.slice(1).reduce((sum, batch) => sum + batch.length, 0));
    } finally {
      await cluster.close();
    }
  }, 60_000);

  it('compress with what the configuration allows: deflate from level 2 on, nothing at level 0, and all of it is read by everybody', async () => {
    const random = seededRandom(12);
    const cluster = await Cluster.start(() => ({ compression: 'deflate' }));
    try {
      const leader = await cluster.leader();
      const group = leader.group(1);
      for (const level of [1, 2, 0]) {
        await group.setCompressionLevel(level);
        await group.setCompressionLevel(level);
        await group.propose(jsonLike(random, 4000));
      }
      await expect(group.setCompressionLevel(3)).rejects.toThrow(
        /level: expected a whole number from 0 to 2/,
      );
      expect(group.status().configuration.compressionLevel).toBe(0);
      await cluster.agree(3);
      for (const id of cluster.nodes.keys()) await cluster.stop(id);
      const stored = logOf(cluster.node(1).options.dataDirectory).map((batch) => readBatchHeader(batch, 0));
      const data = stored.filter(({ kind }) => kind === BatchKind.Data);
      expect(data.map(({ codec }) => codec)).toEqual([1, 2, 0]);
    } finally {
      await cluster.close();
    }
  });
});
