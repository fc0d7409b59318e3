import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { optionTable } from '../../src/engine/option-table.js';
import { type EngineOptions, parseOptions } from '../../src/engine/options.js';
import { planThreads } from '../../src/workers/settings.js';
import { expectCode } from '../workers/parts.js';

const MiB = 1024 * 1024;
const stateMachine = { apply: () => undefined };
const minimal: EngineOptions = {
  id: 1,
  cluster: 'c',
  dataDirectory: 'nowhere',
  groups: [{ id: 1, stateMachine }],
};

/** Limits that hold between options are as wide as they get. */
const roomy = {
  ...minimal,
  uncommittedBytesMax: 1024 * MiB,
  segmentBytes: 1024 * MiB,
  election: { timeoutMsMin: 60_000, timeoutMsMax: 120_000, heartbeatIntervalMs: 5 },
};

function withOption(path: string, value: unknown, base: object = roomy): EngineOptions {
  const [section, name] = path.split('.') as [string, string | undefined];
  if (name === undefined) return { ...base, [section]: value } as unknown as EngineOptions;
  const inner = (base as Record<string, object>)[section] ?? {};
  return { ...base, [section]: { ...inner, [name]: value } } as unknown as EngineOptions;
}

function read(config: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], config);
}

function refused(options: unknown): RaftlineError {
  return expectCode(() => parseOptions(options as EngineOptions), ErrorCode.OptionInvalid);
}

/** Options whose own limits contradict another option's at the far end. */
const BOUND_BY_OTHERS: Readonly<Record<string, object>> = {
  'election.timeoutMsMin': { election: { timeoutMsMax: 120_000, heartbeatIntervalMs: 5 } },
  'election.timeoutMsMax': { election: { timeoutMsMin: 50, heartbeatIntervalMs: 5 } },
  uncommittedBytesMax: { entryBytesMax: 1024, pipeline: { batchBytesMax: 1024 } },
  segmentBytes: { entryBytesMax: 1024, pipeline: { batchBytesMax: 1024 } },
};

describe('options', () => {
  for (const row of optionTable) {
    const base = { ...roomy, ...BOUND_BY_OTHERS[row.path] };
    const expectFault = (value: unknown) => {
      const error = refused(withOption(row.path, value, base));
      expect(error.details.path).toBe(row.path);
      expect(error.details.expected).toBeTruthy();
      expect(error.message).toContain(`option ${row.path}: expected ${error.details.expected}, received`);
    };

    if (row.type === 'integer' || row.type === 'number') {
      it(`${row.path}: its limits, one beyond, absurd, and of other types`, () => {
        const [min, max] = [row.min!, row.max!];
        for (const value of [min, max]) {
          if (row.path === 'segmentBytes' && value === min) continue;
          expect(read(parseOptions(withOption(row.path, value, base)), row.path)).toBe(value);
        }
        for (const value of [
          min - 1,
          max + 1,
          -1,
          Number.NaN,
          Infinity,
          row.type === 'integer' ? min + 0.5 : min - 0.001,
          `${min}`,
          null,
          true,
          [min],
          10n,
        ]) {
          expectFault(value);
        }
      });
    } else {
      it(`${row.path}: other types and values`, () => {
        const wrong: unknown[] = row.type === 'boolean' ? ['true', 1, null] : ['', 1, null, true, {}];
        if (row.oneOf !== undefined) wrong.push('neither');
        for (const value of wrong) expectFault(value);
        for (const value of row.oneOf ?? []) {
          expect(read(parseOptions(withOption(row.path, value, base)), row.path)).toBe(value);
        }
      });
    }

    it(`${row.path}: ${row.default === undefined ? 'must be given' : 'has its default'}`, () => {
      const options = withOption(row.path, undefined, minimal);
      if (row.default === undefined) {
        const error = refused(options);
        expect(error.details).toMatchObject({ path: row.path, received: 'nothing' });
      } else expect(read(parseOptions(options), row.path)).toBe(row.default);
    });
  }

  it('a name that does not exist is refused at every level, since it would be a default in silence', () => {
    expect(refused({ ...minimal, pipelines: {} }).details.path).toBe('pipelines');
    expect(refused({ ...minimal, pipeline: { dept: 3 } }).details.path).toBe('pipeline.dept');
    expect(refused({ ...minimal, pipeline: 3 }).details.path).toBe('pipeline');
    expect(refused({ ...minimal, pipeline: null }).details.path).toBe('pipeline');
    for (const options of [undefined, null, 3, 'x']) refused(options);
  });

  it('what is received is shown whatever it is', () => {
    const circular: { self?: object } = {};
    circular.self = circular;
    const shown = (id: unknown) => refused({ ...minimal, id }).details.received;
    expect([circular, Symbol('s'), [1n], Object.create(null), globalThis].map(shown)).toEqual([
      ...['an object', 'a symbol', 'an object', '{}', 'an object'],
    ]);
  });

  it('what is received is shown, capped', () => {
    const error = refused({ ...minimal, threads: 'x'.repeat(5000) });
    expect(String(error.details.received).length).toBeLessThanOrEqual(80);
    expect(refused({ ...minimal, id: () => 1 }).details.received).toBe('a function');
  });

  it('threads: a name, or how many encoders have a thread of their own', () => {
    expect(parseOptions({ ...minimal, threads: { encoders: 4 } }).threads).toEqual({ encoders: 4 });
    for (const encoders of [5, -1, 1.5, '1', undefined])
      expect(refused({ ...minimal, threads: { encoders } }).details.path).toBe('threads.encoders');
    expect(refused({ ...minimal, threads: { encoders: 1, network: 1 } }).details.path).toBe(
      'threads.network',
    );
    expect(refused({ ...minimal, threads: 3 }).details.path).toBe('threads');
    const plan = (wanted: Parameters<typeof planThreads>[0], cores: number) =>
      planThreads(wanted, cores).slice(1).map(String);
    expect([2, 4, 12].map((cores) => plan('auto', cores))).toEqual([
      ['encoder,network'],
      ['encoder', 'network'],
      ['encoder', 'encoder-2', 'network'],
    ]);
    expect(plan({ encoders: 0 }, 64)).toEqual(plan('shared', 64));
    expect(plan({ encoders: 1 }, 2)).toEqual(plan('spread', 2));
    expect(plan({ encoders: 4 }, 2)).toHaveLength(5);
  });

  it('groups: at least one, each with an id of its own and a state machine', () => {
    const group = { id: 1, stateMachine };
    for (const groups of [undefined, [], {}, 'x', Array(1025).fill(group)]) {
      expect(refused({ ...minimal, groups }).details.path).toBe('groups');
    }
    for (const id of [0, -1, 1.5, 2 ** 32, '1', undefined]) {
      expect(refused({ ...minimal, groups: [group, { id, stateMachine }] }).details.path).toBe(
        'groups[1].id',
      );
    }
    expect(refused({ ...minimal, groups: [group, group] }).details.path).toBe('groups[1].id');
    for (const machine of [undefined, {}, { apply: 3 }]) {
      expect(refused({ ...minimal, groups: [{ id: 1, stateMachine: machine }] }).details.path).toBe(
        'groups[0].stateMachine',
      );
    }
    expect(refused({ ...minimal, groups: [null] }).details.path).toBe('groups[0].id');
  });

  it('pipeline: also for one group, and in both for single followers, with the same limits', () => {
    const followers = { 2: { depth: 3 }, 7: { inflightBytesMax: 65_536 } };
    const group = { id: 1, stateMachine, pipeline: { lingerUs: 100, followers } };
    const config = parseOptions({ ...minimal, groups: [group], pipeline: { depth: 2, followers } });
    expect(config.pipeline).toMatchObject({ depth: 2, lingerUs: 0, followers });
    expect(config.groups[0]!.pipeline).toEqual(group.pipeline);
    for (const [path, pipeline] of [
      ['', 3],
      ['', null],
      ['.dept', { dept: 1 }],
      ['.depth', { depth: 0 }],
      ['.depth', { depth: null }],
      ['.followers', { followers: 3 }],
      ['.followers.0', { followers: { 0: {} } }],
      ['.followers.x', { followers: { x: {} } }],
      ['.followers.2', { followers: { 2: 8 } }],
      ['.followers.2.depth', { followers: { 2: { depth: 1.5 } } }],
      ['.followers.2.batchBytesMax', { followers: { 2: { batchBytesMax: 4096 } } }],
    ] as const) {
      const inGroup = refused({ ...minimal, groups: [{ id: 1, stateMachine, pipeline }] });
      expect(inGroup.details.path).toBe(`groups[0].pipeline${path}`);
      expect(refused({ ...minimal, pipeline }).details.path).toBe(`pipeline${path}`);
    }
    const large = { ...minimal, groups: [{ id: 1, stateMachine, pipeline: { batchBytesMax: 4 * MiB } }] };
    expect(refused({ ...large, segmentBytes: 4 * MiB }).details.path).toBe('segmentBytes');
  });

  it('peers: addresses by id, where the own id may stand and is left out', () => {
    const { peers } = parseOptions({ ...minimal, peers: { 1: 'a:1', 2: 'b:2', 3: '[::1]:3' } });
    expect([...peers]).toEqual([
      [2, 'b:2'],
      [3, '[::1]:3'],
    ]);
    for (const [key, address] of [
      ['0', 'a:1'],
      ['x', 'a:1'],
      ['4294967296', 'a:1'],
      ['2', 'a'],
      ['2', ':1'],
      ['2', 'a:123456'],
      ['2', 5],
    ] as const) {
      expect(refused({ ...minimal, peers: { [key]: address } }).details.path).toBe(`peers.${key}`);
    }
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [at + 2, `h:${at + 1}`]));
    expect(refused({ ...minimal, peers: many }).details.path).toBe('peers');
    expect(refused({ ...minimal, peers: 'a:1' }).details.path).toBe('peers');
  });

  it('what must hold between options', () => {
    expect(refused({ ...minimal, cluster: 'c'.repeat(65) }).details.path).toBe('cluster');
    expect(refused({ ...minimal, election: { timeoutMsMin: 500, timeoutMsMax: 500 } }).details.path).toBe(
      'election.timeoutMsMax',
    );
    expect(refused({ ...minimal, election: { heartbeatIntervalMs: 251 } }).details.path).toBe(
      'election.heartbeatIntervalMs',
    );
    expect(
      parseOptions({ ...minimal, election: { heartbeatIntervalMs: 250 } }).election.heartbeatIntervalMs,
    ).toBe(250);
    expect(refused({ ...minimal, entryBytesMax: 16 * MiB + 1 }).details.path).toBe('uncommittedBytesMax');
    expect(refused({ ...minimal, segmentBytes: 2 * MiB - 1 }).details.path).toBe('segmentBytes');
    expect(parseOptions({ ...minimal, segmentBytes: 2 * MiB }).segmentBytes).toBe(2 * MiB);
  });

  it('the result is frozen', () => {
    expect(Object.isFrozen(parseOptions(minimal))).toBe(true);
  });
});
