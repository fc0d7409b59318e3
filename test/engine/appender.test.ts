import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { type AppenderRun, GroupAppender } from '../../src/engine/appender.js';
import type { Engine as EngineType } from '../../src/engine/engine.js';
import type { EngineOptions } from '../../src/engine/options.js';
import { overloaded } from '../../src/engine/refusals.js';
import { type Listener, Waiters } from '../../src/engine/waiters.js';
import { Cluster, Engine, Ledger, leads, single, temporaryDirectory, until } from './world.js';

describe('an appender of an engine of one node', () => {
  let directory: { path: string; remove: () => void };
  let engine: EngineType | undefined;

  beforeEach(() => {
    directory = temporaryDirectory();
  });

  afterEach(async () => {
    await engine?.close();
    directory.remove();
  });

  async function open(ledger: Ledger, changes: Partial<EngineOptions> = {}): Promise<EngineType> {
    engine = await Engine.open(single(directory.path, ledger, changes));
    await leads(engine);
    return engine;
  }

  it('D3 tells outcomes once per run of entries with the same callback, in order, and keeps the order in the log', async () => {
    const ledger = new Ledger();
    const { group } = { group: (await open(ledger)).group(1) };
    const runs: (AppenderRun & { name: string })[] = [];
    const note = (name: string) => (error: RaftlineError | undefined, run: AppenderRun) => {
      expect(error).toBeUndefined();
      runs.push({ ...run, name });
    };
    const appender = group.appender({ callback: note('default') });
    for (let at = 0; at < 300; at++) expect(appender.append(Buffer.from(`entry ${at}`))).toBeUndefined();
    const other = note('own');
    expect(appender.append(Buffer.from('entry 300'), other)).toBeUndefined();
    expect(appender.append(Buffer.from('entry 301'))).toBeUndefined();
    expect(appender.outstanding, 'nobody is told before the call has returned').toBe(302);
    await appender.settled();
    expect(appender.outstanding).toBe(0);
    expect(ledger.texts).toEqual(Array.from({ length: 302 }, (_, at) => `entry ${at}`));
    expect(runs.length, 'runs, not entries').toBeLessThan(20);
    let next = 1;
    for (const { first, count, index, results } of runs) {
      expect(first).toBe(next);
      expect(results!.map(String)).toEqual(Array.from({ length: count }, (_, at) => `#${first + at}`));
      expect(index - first, 'consecutive in the log, too').toBe(runs[0]!.index - 1);
      next += count;
    }
    expect(next).toBe(303);
    expect(runs.filter(({ name }) => name === 'own')).toMatchObject([{ first: 301, count: 1 }]);
  });

  it('D1 D2 takes no more than its pipeline holds, says so as a value, and goes on when it is drained', async () => {
    const ledger = new Ledger();
    const group = (await open(ledger)).group(1);
    const appender = group.appender({ pipeline: 8, callback: () => {} });
    let refusals = 0;
    for (let at = 0; at < 40; ) {
      const refused = appender.append(Buffer.from(`entry ${at}`));
      expect(appender.outstanding).toBeLessThanOrEqual(8);
      if (refused === undefined) {
        at++;
        continue;
      }
      const details = { limit: 8, reason: expect.stringMatching(/^8 entries of an appender .*pipeline 8/) };
      expect(refused).toMatchObject({ code: ErrorCode.Overloaded, retryable: true, details });
      const { retryAfterMs } = refused.details;
      expect(Number.isInteger(retryAfterMs) && Number(retryAfterMs) >= 1).toBe(true);
      refusals++;
      await appender.drained();
    }
    await appender.close();
    expect(refusals).toBeGreaterThan(3);
    expect(ledger.texts).toEqual(Array.from({ length: 40 }, (_, at) => `entry ${at}`));
  });

  it('is refused by the engine’s own bound as well, and comes through all the same', async () => {
    const bounds = { entryBytesMax: 8192, uncommittedBytesMax: 65_536 };
    const ledger = new Ledger();
    const group = (await open(ledger, { ...bounds, pipeline: { batchBytesMax: 16_384 } })).group(1);
    const fill = group.appender({ callback: () => {} });
    while (fill.append(Buffer.alloc(8000)) === undefined);
    const appender = group.appender({ callback: () => {} });
    expect(appender.append(Buffer.alloc(8000))?.code, 'others took all the room').toBe(ErrorCode.Overloaded);
    for (let at = 0; at < 30; ) {
      if (appender.append(Buffer.alloc(8000)) === undefined) at++;
      else await appender.drained();
    }
    await Promise.all([fill.close(), appender.close()]);
    expect(ledger.texts.length).toBeGreaterThan(30);
  });

  it('D4 D5 D7 closed, too large and not bytes are told apart; what was taken before the end is told, by then as unknown or not done', async () => {
    const group = (await open(new Ledger(), { entryBytesMax: 100 })).group(1);
    const fates: [number, string][] = [];
    const callback = (error: RaftlineError | undefined, { first, count }: AppenderRun): void => {
      for (let at = 0; at < count; at++) fates.push([first + at, error?.code ?? 'done']);
    };
    const appender = group.appender({ callback });
    expect(appender.append(Buffer.alloc(101))?.code).toBe(ErrorCode.EntryTooLarge);
    expect(() => appender.append('text' as never)).toThrow(/entry: expected a Uint8Array/);
    expect(() => group.appender().append(Buffer.alloc(1))).toThrow(/callback: expected a function/);
    for (const pipeline of [0, 1.5, 2 ** 25]) expect(() => group.appender({ pipeline })).toThrow(/pipeline/);
    const closed = group.appender({ callback });
    expect(closed.append(Buffer.alloc(1))).toBeUndefined();
    const ended = closed.close();
    expect(closed.append(Buffer.alloc(1))?.code).toBe(ErrorCode.Closed);
    await ended;
    await closed.close();
    expect(fates.splice(0)).toEqual([[1, 'done']]);
    for (let at = 0; at < 10; at++) appender.append(Buffer.alloc(1));
    const over = engine!.close();
    expect(appender.append(Buffer.alloc(1))?.code, 'nothing is taken any more').toBe(ErrorCode.Closed);
    await Promise.all([over, appender.settled()]);
    expect(fates).toEqual(Array.from({ length: 10 }, (_, at) => [at + 1, ErrorCode.Closed]));
  });
});

describe('an appender whose leader is deposed', () => {
  it('C13 D4 tells of entries in their order: done, then unknown, then certainly not; and a follower takes none', async () => {
    const cluster = await Cluster.start(() => ({ pipeline: { depth: 1, batchEntriesMax: 16 } }));
    try {
      const leader = await cluster.leader();
      const fates: [number, string][] = [];
      const appender = leader.group(1).appender({
        callback: (error, { first, count }) => {
          for (let at = 0; at < count; at++) fates.push([first + at, error?.code ?? 'done']);
        },
      });
      for (let at = 0; at < 5; at++) appender.append(Buffer.from(`kept ${at}`));
      await appender.settled();
      for (const id of cluster.nodes.keys()) if (id !== leader.id) await cluster.stop(id);
      let refused: RaftlineError | undefined;
      await until('it has stepped down', () => {
        refused = appender.append(Buffer.from('lost'));
        return refused?.code === ErrorCode.NotLeader;
      });
      await appender.close();
      expect(refused?.retryable).toBe(true);
      expect(fates.map(([number]) => number)).toEqual(fates.map((_, at) => at + 1));
      const codes = fates.map(([, code]) => code);
      const changes = codes.filter((code, at) => code !== codes[at - 1]);
      const order = ['done', ErrorCode.OutcomeUnknown, ErrorCode.NotLeader];
      expect(changes).toEqual(order.filter((code) => changes.includes(code)));
      expect(changes).toContain(ErrorCode.OutcomeUnknown);
    } finally {
      await cluster.close();
    }
  });
});

describe('an appender over a batch polled by hand', () => {
  it('D2 waits as long as the refusal says where others fill the group, and goes on at once after outcomes of its own', async () => {
    const waiters = new Waiters();
    let isFull = true;
    const append = (_: Uint8Array, listener: Listener): void => {
      if (isFull) throw overloaded(1, 'others fill it', 7);
      waiters.listen(0, 1, listener);
    };
    const pauses: [number, () => void][] = [];
    const after = (delayMs: number, run: () => void): unknown => pauses.push([delayMs, run]);
    const appender = new GroupAppender({ group: 1, append, retryAfterMs: () => 7, after }, {});
    const add = () => appender.append(Buffer.alloc(0), () => {})?.code;
    const seen: string[] = [];
    expect(add()).toBe(ErrorCode.Overloaded);
    for (const name of ['one', 'two']) void appender.drained().then(() => seen.push(name));
    await new Promise((resolve) => setImmediate(resolve));
    expect([seen, pauses.map(([delayMs]) => delayMs)], 'one pause for all').toEqual([[], [7]]);
    pauses[0]![1]();
    await appender.drained();
    expect(seen).toEqual(['one', 'two']);
    isFull = false;
    expect(add()).toBeUndefined();
    isFull = true;
    expect(add()).toBe(ErrorCode.Overloaded);
    const drained = appender.drained();
    waiters.resolve(5, 1, undefined);
    await drained;
    expect(pauses.length, 'its own outcome tells').toBe(1);
  });

  it('D2 counts an entry until its callback has returned, and a callback that throws costs no other its answer', async () => {
    const waiters = new Waiters();
    let position = 0;
    const append = (_: Uint8Array, listener: Listener): void => waiters.listen(position++, 1, listener);
    const appender = new GroupAppender(
      { group: 1, append, retryAfterMs: () => 7, after: () => expect.unreachable() },
      { pipeline: 3 },
    );
    const seen: string[] = [];
    const faults: unknown[] = [];
    const note =
      (name: string) =>
      (error: RaftlineError | undefined, { first, count }: AppenderRun) => {
        seen.push(`${name} ${first}+${count} ${error?.code ?? 'done'} of ${appender.outstanding}`);
        if (name === 'bad') throw new Error('a fault of the program');
      };
    const caught = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (fault) => faults.push(fault.message));
    for (const name of ['bad', 'good']) appender.append(Buffer.alloc(0), note(name));
    const last = note('last');
    expect(appender.append(Buffer.alloc(0), last)).toBeUndefined();
    const full = appender.append(Buffer.alloc(0), last);
    expect(full).toMatchObject({ code: ErrorCode.Overloaded, details: { retryAfterMs: 7, limit: 3 } });
    expect(full?.message).toMatch(/try again in 7 ms or later/);
    waiters.reject(new RaftlineError(ErrorCode.DiskFailed, 'the disk is gone'), 'unknown');
    expect(seen, 'nothing inside of the engine’s own step').toEqual([]);
    await appender.settled();
    await new Promise((resolve) => setImmediate(resolve));
    for (const listener of caught) process.on('uncaughtException', listener);
    expect(faults).toEqual(['a fault of the program']);
    const code = ErrorCode.OutcomeUnknown;
    expect(seen).toEqual([`bad 1+1 ${code} of 3`, `good 2+1 ${code} of 2`, `last 3+1 ${code} of 1`]);
  });
});
