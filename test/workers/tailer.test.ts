import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { BatchFlag, Codec } from '../../src/base/messages.js';
import { loadCompression } from '../../src/codec/compression.js';
import { Compressor } from '../../src/codec/compressor.js';
import { encodeBatch } from '../../src/codec/encoder.js';
import { EntryCursor, packEntry, packSessionEntry } from '../../src/codec/entries.js';
import { LogReader } from '../../src/wal/log-reader.js';
import { Tailer } from '../../src/workers/tailer.js';
import { packEntries, sampleBatch } from '../codec/samples.js';
import { FaultyDisk } from '../wal/faulty-disk.js';
import { configurationOf, flushAll, makeBatch, openLog } from '../wal/log-tools.js';
import { LIMITS, Meeting, type Remote } from './parts.js';

const pure = loadCompression('pure');

/** A log, and a client that tails it. */
async function makeWorld(options: { from?: number; until?: number; queuedBytesMax?: number } = {}) {
  const disk = new FaultyDisk(1);
  const { wal, index } = openLog(disk, '/data', { segmentBytes: 1 << 20 });
  const meeting = new Meeting({
    ...LIMITS,
    queuedBytesMax: options.queuedBytesMax ?? LIMITS.queuedBytesMax,
    receiveWindowBytes: 16_384,
  });
  const state = { applied: 0, last: 0, reader: new LogReader(disk, '/data', index) };
  let tailer: Tailer | undefined;
  await meeting.listen((_lane, stream) => {
    tailer = new Tailer({
      stream,
      reader: state.reader,
      compression: pure,
      group: 1,
      from: options.from ?? 1,
      until: options.until,
      applied: () => state.applied,
    });
  });
  const client = meeting.open('client');
  const write = (batch: Buffer, count = 1) => {
    wal.stageBatch(1, batch);
    flushAll(wal);
    state.last += count;
    state.applied = state.last;
  };
  /** Seals entries: text, or [client, sequence, text]. */
  const put = (...entries: (string | [number, number, string])[]) => {
    const payload = Buffer.alloc(10_000);
    let at = 0;
    for (const entry of entries) {
      if (typeof entry === 'string') at = packEntry(payload, at, Buffer.from(entry));
      else at = packSessionEntry(payload, at, entry[0], entry[1], Buffer.from(entry[2]));
    }
    const flags = entries.some((entry) => typeof entry !== 'string') ? BatchFlag.Sessions : 0;
    const firstIndex = state.last + 1;
    const head = {
      group: 1,
      term: 1,
      firstIndex,
      prevTerm: firstIndex === 1 ? 0 : 1,
      count: entries.length,
      flags,
    };
    write(sampleBatch(payload.subarray(0, at), head), entries.length);
  };
  const settle = () => {
    for (let idle = 0; idle < 2; ) idle = tailer!.poll() || meeting.network.settle() > 0 ? 0 : idle + 1;
  };
  return { disk, client, put, write, settle, state, meeting, poll: () => tailer!.poll() };
}

/** What the client got: `index text`. */
function entriesOf(client: Remote): string[] {
  const seen: string[] = [];
  client.heard.forEach((envelope, at) => {
    if (envelope.type !== 'tailChunk') return;
    const body = client.bodies[at]!;
    const cursor = new EntryCursor().reset(body, 0, body.length, envelope.count);
    while (cursor.next()) {
      const text = cursor.bytes();
      seen.push(
        `${envelope.firstIndex + cursor.position} ${text.length > 20 ? text.length : text.toString()}`,
      );
    }
  });
  return seen;
}

const endOf = (client: Remote) => client.heard.find(({ type }) => type === 'tailEnd');

describe('the tailer', () => {
  it('sends what was applied, from an index on, up to where the log was, then says that it is the end', async () => {
    const { client, put, write, settle } = await makeWorld({ from: 3, until: 5 });
    write(makeBatch({ firstIndex: 1, configuration: configurationOf(1) }));
    put('a', 'b', 'c');
    put('d');
    put('later');
    settle();
    expect(entriesOf(client)).toEqual(['3 b', '4 c', '5 d']);
    expect(endOf(client)).toMatchObject({ lastIndex: 5, code: '' });
  });

  it('follows, and never runs ahead of what the state machine has taken', async () => {
    const { client, put, settle, state } = await makeWorld();
    put('a');
    settle();
    put('b');
    state.applied = 1;
    settle();
    expect(entriesOf(client)).toEqual(['1 a']);
    state.applied = 2;
    settle();
    expect(entriesOf(client)).toEqual(['1 a', '2 b']);
    expect(endOf(client)).toBeUndefined();
  });

  it('C12 sends no entry that the session table turned away, whether it is asked from before or after', async () => {
    for (const [from, expected] of [
      [1, ['1 a', '2 x', '4 b', '5 plain', '8 c']],
      [4, ['4 b', '5 plain', '8 c']],
      [7, ['8 c']],
    ] as const) {
      const { client, put, settle } = await makeWorld({ from, until: 8 });
      put([7, 1, 'a'], 'x', [7, 1, 'a again']);
      put([7, 2, 'b'], 'plain', [7, 2, 'b again'], [7, 9, 'a gap']);
      put([7, 3, 'c']);
      settle();
      expect(entriesOf(client), `from ${from}`).toEqual(expected);
    }
  });

  it('S14 loses nothing of what expands manyfold, though the client reads slowly', async () => {
    const { client, write, settle } = await makeWorld({ until: 40, queuedBytesMax: 2 * 1024 * 1024 });
    for (let index = 1; index <= 40; index++) {
      const payload = packEntries([Buffer.alloc(200_000, index)]);
      const raw = sampleBatch(payload, {
        group: 1,
        term: 1,
        firstIndex: index,
        prevTerm: index === 1 ? 0 : 1,
        codec: Codec.Lz4,
      });
      const stored = Buffer.alloc(raw.length);
      write(stored.subarray(0, encodeBatch(raw, 0, stored, 0, new Compressor(pure, 'always'))));
    }
    settle();
    expect(entriesOf(client)).toEqual(Array.from({ length: 40 }, (_, at) => `${at + 1} 200000`));
    expect(endOf(client)).toMatchObject({ lastIndex: 40, code: '' });
  });

  it('S14 waits for a client that does not read', async () => {
    const { client, put, meeting, poll, settle } = await makeWorld();
    for (let batch = 0; batch < 400; batch++) put('x'.repeat(9000));
    let polls = 0;
    while (poll()) polls++;
    const ahead = client.heard.length;
    expect(polls).toBeLessThan(12);
    expect(ahead).toBe(0);
    settle();
    expect(entriesOf(client).length).toBe(400);
    expect(meeting.network.step()).toBe(false);
  });

  it('A8 a log that cannot be read ends the tail with its code', async () => {
    const { disk, client, put, settle } = await makeWorld();
    for (let batch = 0; batch < 50; batch++) put('x'.repeat(500));
    const file = disk.list('/data').find((name) => disk.file(`/data/${name}`).length > 4096)!;
    disk.damage(`/data/${file}`, 9000);
    settle();
    expect(endOf(client)).toMatchObject({ code: ErrorCode.LogDamaged });
  });
});
