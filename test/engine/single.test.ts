import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { freePorts } from '../../src/bench/free-ports.js';
import type { Engine as EngineType } from '../../src/engine/engine.js';
import type { EngineOptions } from '../../src/engine/options.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import { codeOf, Engine, errorOf, Ledger, leads, single, temporaryDirectory, until } from './world.js';

/** As in src/engine/turn.ts. */
const ANSWERS_PER_TURN = 1024;

let directory: { path: string; remove: () => void };
const opened: EngineType[] = [];

beforeEach(() => {
  directory = temporaryDirectory();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((engine) => engine.close()));
  directory.remove();
});

async function open(ledger: StateMachine, changes: Partial<EngineOptions> = {}): Promise<EngineType> {
  const engine = await Engine.open(single(directory.path, ledger, changes));
  opened.push(engine);
  return engine;
}

describe('an engine of one node', () => {
  it('answers many callers in pieces: what is due comes in between', async () => {
    const engine = await open({ apply() {} }, { pipeline: { batchEntriesMax: 512, depth: 64 } });
    await leads(engine);
    const group = engine.group(1);
    let answered = 0;
    let most = 0;
    const all = Array.from({ length: 40_000 }, () => group.propose(Buffer.from('x')).then(() => answered++));
    // The disk has all of it before anybody is told; then one turn after the other tells of a part.
    const work = performance.now() + 300;
    while (performance.now() < work);
    while (answered < all.length) {
      const before = answered;
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, answered - before);
    }
    await Promise.all(all);
    expect(most).toBeGreaterThan(0);
    // Two turns may fall between two looks.
    expect(most).toBeLessThanOrEqual(2 * (ANSWERS_PER_TURN + 512));
  });

  it('refuses arguments of a wrong kind, whatever they are, and goes on', async () => {
    const engine = await open(new Ledger());
    await leads(engine);
    const group = engine.group(1);
    const circular: { self?: object } = {};
    circular.self = circular;
    const nothing = Object.create(null) as never;
    const mine = new Error('of the caller');
    const calls: Record<string, (given: never) => unknown> = {
      'tune depth': (depth) => group.tune({ depth }),
      'tune an unknown name': (name) => engine.tune({ name } as never),
      'read policy': (policy) => group.read({ policy }),
      'transfer to': (to) => group.transferLeadership(to),
      level: (level) => group.setCompressionLevel(level),
      voters: (voters) => group.changeMembers({ voters }),
      timeoutMs: (timeoutMs) => group.removeMember(7, { timeoutMs }),
      'appender pipeline': (pipeline) => group.appender({ pipeline }),
      proposeMany: (entries) => group.proposeMany(entries),
    };
    const given = [circular, Symbol('s'), [1n], nothing, new Set([Buffer.from('x')])] as never[];
    const whole: Record<string, () => unknown> = {
      read: () => group.read(null as never),
      addMember: () => group.addMember(null as never),
      changeMembers: () => group.changeMembers(null as never),
      'no voters': () => group.changeMembers({ voters: null as never }),
      'options of a change': () => group.setCompressionLevel(2, null as never),
      appender: () => group.appender(null as never),
      tune: () => group.tune(null as never),
      generator: () => group.proposeMany([Buffer.from('x')].values() as never),
    };
    for (const [name, call] of Object.entries(calls))
      for (const [at, each] of given.entries()) whole[`${name} ${at}`] = () => call(each);
    for (const [name, call] of Object.entries(whole))
      expect(await codeOf((async () => call())()), name).toBe(ErrorCode.OptionInvalid);
    const fault = {
      get depth(): number {
        throw mine;
      },
    };
    expect(() => engine.tune(fault)).toThrow(mine);
    expect(engine.status().state).toBe('running');
    expect((await group.proposeMany([Buffer.from('after')])).count).toBe(1);
  });

  it('E10 leads by itself; entries from nothing to the largest are applied and answered, one byte more is refused', async () => {
    const ledger = new Ledger();
    const engine = await open(ledger, { entryBytesMax: 300_000 });
    await leads(engine);
    const group = engine.group(1);
    const term = group.status().term;
    const proposed = await Promise.all([
      group.propose(Buffer.alloc(0)),
      group.propose(Buffer.from('text')),
      group.propose(Buffer.alloc(300_000)),
    ]);
    expect(ledger.texts).toEqual(['', 'text', '300000 bytes']);
    expect(proposed.map(({ index }) => `${index}`)).toEqual(
      ledger.entries.map((entry) => entry.split(' ')[0]),
    );
    expect(proposed.every((each) => each.term === term)).toBe(true);
    expect(proposed.map(({ result }) => String(result))).toEqual(['#1', '#2', '#3']);
    const error = await errorOf(group.propose(Buffer.alloc(300_001)));
    expect(error.code).toBe(ErrorCode.EntryTooLarge);
    expect(error.details).toMatchObject({ limit: 300_000, received: 300_001 });
    expect(await codeOf(group.propose('text' as never))).toBe(ErrorCode.OptionInvalid);
    const bytes = Buffer.from('before');
    const pending = group.propose(bytes);
    bytes.fill(0x7a);
    await pending;
    expect(ledger.texts.at(-1), 'copied before the call returned').toBe('before');
  });

  it('takes many entries with one promise: consecutive, in one batch, all or none', async () => {
    const ledger = new Ledger();
    const pipeline = { batchBytesMax: 16_384, batchEntriesMax: 64 };
    const engine = await open(ledger, { entryBytesMax: 65_536, pipeline });
    await leads(engine);
    const group = engine.group(1);
    const texts = Array.from({ length: 50 }, (_, at) => `many ${at}`);
    const before = group.propose(Buffer.from('before'));
    const many = await group.proposeMany(texts.map((text) => Buffer.from(text)));
    const { index } = await before;
    expect(many).toMatchObject({ index: index + 1, term: group.status().term, count: 50 });
    expect(many.results!.map(String)).toEqual(texts.map((_, at) => `#${at + 2}`));
    expect(ledger.texts).toEqual(['before', ...texts]);
    const refusals = [
      { entries: Array.from({ length: 65 }, () => Buffer.alloc(1)), limit: 64, received: 65 },
      { entries: [Buffer.alloc(8192), Buffer.alloc(8185)], limit: 16_384, received: 16_385 },
      { entries: [Buffer.alloc(1), Buffer.alloc(65_537)], limit: 65_536, received: 65_537 },
    ];
    for (const { entries, ...details } of refusals) {
      const error = await errorOf(group.proposeMany(entries));
      expect([error.code, error.details]).toEqual([ErrorCode.EntryTooLarge, details]);
    }
    for (const entries of [[], [Buffer.alloc(1), 'text' as never]])
      expect(await codeOf(group.proposeMany(entries))).toBe(ErrorCode.OptionInvalid);
    expect(
      (await group.proposeMany([Buffer.alloc(65_536)])).count,
      'one alone may fill a batch of its own',
    ).toBe(1);
    await group.proposeMany([Buffer.alloc(8192), Buffer.alloc(8184)]);
    expect(ledger.texts.slice(51)).toEqual(['65536 bytes', '8192 bytes', '8184 bytes']);
  });

  it('C13 H38 refuses when too much is uncommitted, says that nothing was done, and recovers', async () => {
    const ledger = new Ledger();
    const engine = await open(ledger, {
      entryBytesMax: 8192,
      uncommittedBytesMax: 65_536,
      pipeline: { batchBytesMax: 16_384 },
    });
    await leads(engine);
    const group = engine.group(1);
    const fates = await Promise.allSettled(
      Array.from({ length: 100 }, () => group.propose(Buffer.alloc(4000))),
    );
    const refused = fates.flatMap((fate) =>
      fate.status === 'rejected' ? [fate.reason as RaftlineError] : [],
    );
    expect(refused.length).toBeGreaterThanOrEqual(100 - 16);
    expect(refused.every(({ code, retryable }) => code === ErrorCode.Overloaded && retryable)).toBe(true);
    expect(ledger.entries.length, 'what was not refused, and nothing else').toBe(100 - refused.length);
    await group.propose(Buffer.from('again'));
    expect(ledger.texts.at(-1)).toBe('again');
  });

  it('H72 H73 a restart replays everything, in order and once', async () => {
    const first = new Ledger();
    const engine = await open(first, { segmentBytes: 3 << 20 });
    await leads(engine);
    const texts = Array.from({ length: 3000 }, (_, at) => `entry ${at}`);
    await Promise.all(texts.map((text) => engine.group(1).propose(Buffer.from(text))));
    for (let large = 0; large < 8; large++) await engine.group(1).propose(Buffer.alloc(600_000, large));
    await engine.close();
    expect(first.texts.slice(0, 3000)).toEqual(texts);
    for (const threads of ['shared', 'spread'] as const) {
      const ledger = new Ledger();
      const again = await open(ledger, { threads });
      await leads(again);
      const { index } = await again.group(1).propose(Buffer.from(threads));
      expect(ledger.entries).toEqual([...first.entries, `${index} ${threads}`]);
      first.entries.push(`${index} ${threads}`);
      await again.close();
    }
  });

  it('H74 a read right after a restart waits until all that was acknowledged before is applied again', async () => {
    const first = await open(new Ledger());
    await leads(first);
    for (let at = 0; at < 8; at++) await first.group(1).propose(Buffer.from(`entry ${at}`));
    await first.close();
    const ledger = new Ledger();
    // Longer than the engine applies in one go: what is read in between is an old state.
    const slow: StateMachine = {
      apply: (batch) => {
        const until = performance.now() + 8;
        while (performance.now() < until);
        return ledger.apply(batch);
      },
    };
    const engine = await open(slow);
    let read = 0;
    while (read === 0) {
      await engine
        .group(1)
        .read()
        .then(
          ({ index }) => {
            read = index;
            expect(ledger.texts.at(-1)).toBe('entry 7');
          },
          // On a busy machine the time of one read may be over before there is a leader, or before it has applied all that.
          ({ retryable, code }: RaftlineError) => expect(retryable || code === ErrorCode.Timeout).toBe(true),
        );
    }
    expect(ledger.texts.length).toBe(8);
  });

  it('groups have logs of their own over the same threads', async () => {
    const ledgers = [new Ledger(), new Ledger()];
    const groups = ledgers.map((stateMachine, at) => ({ id: at + 7, stateMachine }));
    const engine = await open(ledgers[0]!, { groups });
    await Promise.all([leads(engine, 7), leads(engine, 8)]);
    const both = [7, 8].flatMap((id) =>
      Array.from({ length: 200 }, (_, at) => engine.group(id).propose(Buffer.from(`${id}/${at}`))),
    );
    await Promise.all(both);
    for (const [at, ledger] of ledgers.entries()) {
      expect(ledger.texts).toEqual(Array.from({ length: 200 }, (_, n) => `${at + 7}/${n}`));
    }
    expect(() => engine.group(1)).toThrow(expect.objectContaining({ code: ErrorCode.GroupUnknown }));
    expect(engine.status().groups.map(({ group }) => group)).toEqual([7, 8]);
  });

  it('close rejects what is under way, twice is fine, and nothing is taken afterwards', async () => {
    const engine = await open(new Ledger());
    await leads(engine);
    const pending = Array.from({ length: 50 }, () => engine.group(1).propose(Buffer.alloc(1000)));
    const fates = Promise.allSettled(pending);
    const closing = engine.close();
    expect(engine.close()).toBe(closing);
    await closing;
    for (const fate of await fates) {
      if (fate.status === 'rejected') expect(fate.reason.code).toBe(ErrorCode.Closed);
    }
    expect((await fates).some(({ status }) => status === 'rejected')).toBe(true);
    expect(await codeOf(engine.group(1).propose(Buffer.from('late')))).toBe(ErrorCode.Closed);
  });

  /** A process that opens an engine of one node, has it commit an entry, closes it, and ends by itself. */
  function openAndClose(...flags: string[]): Promise<string> {
    const engine = new URL('../../dist/engine/engine.js', import.meta.url).href;
    const options = { id: 1, cluster: 'test', dataDirectory: directory.path };
    const script = `
      import { Engine } from ${JSON.stringify(engine)};
      const groups = [{ id: 1, stateMachine: { apply: () => undefined } }];
      const engine = await Engine.open({ ...${JSON.stringify(options)}, groups });
      while (engine.group(1).status().role !== 'leader') await new Promise((resolve) => setImmediate(resolve));
      await engine.group(1).propose(Buffer.from('x'));
      await engine.close();
      console.log('closed');`;
    return new Promise((resolve, reject) => {
      const child = execFile(
        process.execPath,
        [...flags, '--input-type=module', '-e', script],
        { timeout: 30_000, killSignal: 'SIGKILL' },
        (error, stdout) => (error === null ? resolve(stdout) : reject(error)),
      );
      child.stdin?.end();
    });
  }

  it('a process whose engine was closed ends by itself: nothing is left running', async () => {
    expect(await openAndClose()).toBe('closed\n');
  });

  it('whose workers are ended while they load takes no process along: no worker requires an ES module', async () => {
    const { path, remove } = temporaryDirectory();
    try {
      const tattler = join(path, 'tattler.cjs');
      writeFileSync(
        tattler,
        `const Module = require('node:module');
        const { writeSync } = require('node:fs');
        const { isAbsolute } = require('node:path');
        const load = Module._load;
        Module._load = (request, parent, ...more) => {
          if (isAbsolute(request) && parent?.filename.includes('piscina')) writeSync(1, 'required ' + request + '\\n');
          return load(request, parent, ...more);
        };`,
      );
      expect(await openAndClose('--require', tattler)).toMatch(/^(required .*\.cjs\n)+closed\n$/);
    } finally {
      remove();
    }
  });
});

describe('an engine that may not or cannot start', () => {
  it('S9 H84 one at a time in a directory', async () => {
    const first = await open(new Ledger());
    const error = await errorOf(Engine.open(single(directory.path, new Ledger())));
    expect(error.code).toBe(ErrorCode.DirectoryLocked);
    await first.close();
    await open(new Ledger());
  });

  it('a directory of another cluster or another node', async () => {
    await (await open(new Ledger())).close();
    for (const changes of [{ cluster: 'other' }, { id: 2 }]) {
      expect(await codeOf(Engine.open(single(directory.path, new Ledger(), changes)))).toBe(
        ErrorCode.DirectoryInvalid,
      );
    }
    await open(new Ledger());
  });

  it('a port in use, and afterwards everything was given back', async () => {
    const [port] = await freePorts(1);
    const other = temporaryDirectory();
    const listen = `127.0.0.1:${port}`;
    const first = await Engine.open(single(other.path, new Ledger(), { listen }));
    try {
      expect(await codeOf(Engine.open(single(directory.path, new Ledger(), { listen })))).toBe(
        ErrorCode.AddressInUse,
      );
    } finally {
      await first.close();
      other.remove();
    }
    await open(new Ledger(), { listen });
  });

  it('listening beyond loopback without saying so', async () => {
    expect(await codeOf(Engine.open(single(directory.path, new Ledger(), { listen: '0.0.0.0:0' })))).toBe(
      ErrorCode.InsecureRefused,
    );
  });
});

/** Turns over one byte in the middle of the largest segment. */
function damage(path: string, offset: number): void {
  for (const name of readdirSync(path).filter((file) => file.endsWith('.segment'))) {
    const fd = openSync(join(path, name), 'r+');
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, offset);
    byte[0] = byte[0]! ^ 0xff;
    writeSync(fd, byte, 0, 1, offset);
    closeSync(fd);
  }
}

describe('an engine that fails', () => {
  it('ends with the state machine’s error; whoever waits is told, and nothing is acknowledged after', async () => {
    const ledger = new Ledger();
    ledger.failOn = 'poison';
    const engine = await open(ledger, { pipeline: { depth: 1, batchEntriesMax: 1 } });
    const fatal: RaftlineError[] = [];
    engine.on('fatal', (error) => fatal.push(error));
    await leads(engine);
    const group = engine.group(1);
    const fates = await Promise.allSettled(
      ['good', 'poison', 'after'].map((text) => group.propose(Buffer.from(text))),
    );
    expect(fates.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    await until('it has ended', () => fatal.length > 0);
    expect(fatal.map(({ code }) => code)).toEqual([ErrorCode.StateMachineFailed]);
    expect(fatal[0]!.message).toContain('cannot apply poison');
    expect(await codeOf(group.propose(Buffer.from('later')))).toBe(ErrorCode.StateMachineFailed);
    expect(ledger.texts).toEqual(['good']);
    await engine.close();
  });

  it('T8 H78 a thread that dies ends it with its cause, and what was pending is never acknowledged', async () => {
    const first = await open(new Ledger(), { compression: 'none' });
    await leads(first);
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 100 }, () => first.group(1).propose(Buffer.alloc(1000, round))));
    }
    await first.close();
    const ledger = new Ledger();
    const engine = await open(ledger);
    damage(directory.path, 500_000);
    const fatal: RaftlineError[] = [];
    engine.on('fatal', (error) => fatal.push(error));
    let acknowledged = 0;
    const outcomes: Promise<string>[] = [];
    await until('it has ended', () => {
      if (engine.group(1).status().role === 'leader' && outcomes.length < 50) {
        const pending = engine.group(1).propose(Buffer.from('new'));
        outcomes.push(
          pending.then(
            () => {
              acknowledged++;
              return 'done';
            },
            (error: RaftlineError) => error.code,
          ),
        );
      }
      return fatal.length > 0;
    });
    expect(fatal[0]!.code).toBe(ErrorCode.LogDamaged);
    expect(fatal[0]!.details.file).toMatch(/\.segment$/);
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toBe(ErrorCode.LogDamaged);
    expect(acknowledged, 'they stand behind what cannot be applied').toBe(0);
    expect(ledger.texts).not.toContain('new');
    await engine.close();
    expect(fatal.length).toBe(1);
    expect(await codeOf(Engine.open(single(directory.path, new Ledger()))), 'and it stays down').toBe(
      ErrorCode.LogDamaged,
    );
  });
});
