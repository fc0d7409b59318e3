import { describe, expect, it } from 'vitest';
import { brokenBy, joined } from './made-up.js';
import { describeFinding, notices, violations } from './violations.js';

describe('time, chance and waiting', () => {
  const uses = [
    'Date.now();',
    `Date['now']();`,
    'performance.now();',
    'process.hrtime();',
    'process.hrtime.bigint();',
    'new Date();',
    'new Date;',
    'Date();',
    'Math.random();',
    'const random = Math.random;',
    'const { now } = Date;',
    'const { random: chance } = Math;',
    'setTimeout(f, 1);',
    'setInterval(f, 1);',
    'setImmediate(f);',
    'later(setImmediate);',
    'globalThis.setTimeout(f, 1);',
    'globalThis.Date.now();',
    'Atomics.wait(cells, 0, 0);',
    'Atomics.waitAsync(cells, 0, 0);',
  ];
  it.each(uses)('%s is refused on every floor', (text) => {
    for (const floor of [
      'base',
      'core',
      'ring',
      'codec',
      'wal',
      'transport',
      'workers',
      'engine',
      'client',
    ]) {
      expect(brokenBy(`src/${floor}/x.ts`, text), floor).toEqual(['clock']);
    }
  });

  it.each(uses)('%s is let be in the clock and the wait file', (text) => {
    expect(brokenBy('src/engine/clock.ts', text)).toEqual([]);
    expect(brokenBy('src/ring/wait.ts', text)).toEqual([]);
  });

  it('gives the worker floor one file for its time, and no other', () => {
    expect(brokenBy('src/workers/clock.ts', 'setImmediate(f); setTimeout(f, 1); performance.now();')).toEqual(
      [],
    );
    expect(brokenBy('src/workers/run.ts', 'setImmediate(f); performance.now();')).toEqual(['clock', 'clock']);
  });

  it('lets the remote client, which has no engine, have a clock of its own', () => {
    expect(brokenBy('src/client/clock.ts', 'performance.now(); setTimeout(f, 1);')).toEqual([]);
    expect(brokenBy('src/client/clock.ts', 'Date.now(); Math.random();')).toEqual(['clock', 'clock']);
    expect(brokenBy('src/client/client.ts', 'setTimeout(f, 1);')).toEqual(['clock']);
  });

  it('lets the command have timers and dates, but no chance of its own', () => {
    expect(brokenBy('src/cli/demo.ts', 'setTimeout(f, 1); new Date(); Date.now();')).toEqual([]);
    expect(brokenBy('src/cli/demo.ts', 'Math.random();')).toEqual(['clock']);
  });

  it('sees timers that are imported', () => {
    expect(brokenBy('src/wal/wal.ts', `import { setTimeout as sleep } from 'node:timers/promises';`)).toEqual(
      ['clock'],
    );
  });

  it.each([
    'new Date(leaderTimeMs).toISOString();',
    'Math.max(1, 2);',
    'Atomics.notify(cells, 0);',
    'socket.setTimeout(5);',
    'let timer: ReturnType<typeof setTimeout>;',
    'interface Clock { setTimeout(f: () => void, ms: number): void }',
    'const clock = { setTimeout: later };',
    'clock.now();',
  ])('does not mind %s', (text) => {
    expect(brokenBy('src/engine/turn.ts', text)).toEqual([]);
  });
});

describe('manners', () => {
  it.each([
    ['any', 'let x: any;'],
    ['any', 'const x = y as any;'],
    ['any', 'function f(...args: any[]) {}'],
    ['default-export', 'export default class A {}'],
    ['default-export', 'export default function f() {}'],
    ['default-export', 'export default 1;'],
    ['default-export', 'const x = 1; export { x as default };'],
    ['note-to-self', joined('// TO', 'DO: later')],
    ['note-to-self', joined('/* FIX', 'ME */ const x = 1;')],
    ['note-to-self', joined('const x = 1; // TO', 'DO')],
    ['note-to-self', joined('function f() {\n  // TO', 'DO\n}')],
    ['silenced', joined('// @ts-', 'ignore\nconst x: number = 1;')],
    ['silenced', joined('// @ts-', 'expect-error\nconst x: number = 1;')],
  ])('%s: %s', (rule, text) => {
    expect(brokenBy('src/engine/x.ts', text)).toEqual([rule]);
    expect(brokenBy('bench/x.ts', text)).toEqual([rule]);
  });

  it('looks at scripts that are not TypeScript, too', () => {
    expect(brokenBy('bench/run.mjs', joined('// TO', 'DO'))).toEqual(['note-to-self']);
  });

  it.each([
    'it.only',
    'it.skip',
    'test.only',
    'describe.skip',
    'describe.only',
    'it.todo',
    'it.concurrent.only',
  ])('refuses %s in tests', (call) => {
    expect(brokenBy('test/core/x.test.ts', `${call}('a story', () => {});`)).toEqual(['left-out']);
    expect(brokenBy('test/core/x.test.ts', `${call}.each([1])('a story', () => {});`)).toEqual(['left-out']);
  });

  it('does not mind the words where they mean nothing', () => {
    const text = joined(
      `const anyOf = 'any TO`,
      `DO'; stream.skip(1); cursor.only(); // any default will do`,
    );
    expect(brokenBy('test/core/x.test.ts', text)).toEqual([]);
    expect(brokenBy('vitest.config.ts', 'export default {};')).toEqual([]);
    expect(brokenBy('src/codec/generated/x.ts', 'let x: any; export default x;')).toEqual([]);
  });
});

describe('sizes', () => {
  const linesOf = (count: number): string => 'x();\n'.repeat(count);
  const functionOf = (lines: number): string => `function f() {\n${linesOf(lines - 2)}}\n`;

  it('a file: silence at 400 lines, a notice from 401, a failure from 601', () => {
    const at = (lines: number) => new Map([['src/core/a.ts', linesOf(lines)]]);
    expect([violations(at(400)), notices(at(400))]).toEqual([[], []]);
    expect(violations(at(600))).toEqual([]);
    expect(notices(at(401)).map(describeFinding)).toEqual(['src/core/a.ts:1 [size] is 401 lines long']);
    expect(violations(at(601)).map(describeFinding)).toEqual(['src/core/a.ts:1 [size] is 601 lines long']);
  });

  it('a function: silence at 70 lines, a notice from 71, a failure from 121; stories are not functions', () => {
    const at = (lines: number, file = 'src/core/a.ts') => new Map([[file, functionOf(lines)]]);
    expect([violations(at(70)), notices(at(70))]).toEqual([[], []]);
    expect(violations(at(120))).toEqual([]);
    expect(notices(at(71)).map(describeFinding)).toEqual(['src/core/a.ts:1 [size] f is 71 lines long']);
    expect(violations(at(121)).map(describeFinding)).toEqual(['src/core/a.ts:1 [size] f is 121 lines long']);
    expect(violations(at(200, 'test/core/a.test.ts'))).toEqual([]);
  });

  it('measures methods, arrows and constructors as well', () => {
    const body = `{\n${linesOf(119)}}`;
    expect(brokenBy('src/core/a.ts', `class A { run() ${body} }`)).toEqual(['size']);
    expect(brokenBy('src/core/a.ts', `class A { constructor() ${body} }`)).toEqual(['size']);
    expect(brokenBy('src/core/a.ts', `const f = () => ${body};`)).toEqual(['size']);
  });
});

describe('places of one machine', () => {
  it.each(['work', 'root', 'home', 'tmp'])('refuses an absolute path into %s, in any language', (place) => {
    const path = joined('/', place, '/raftline');
    expect(brokenBy('docs/page.md', `Look at ${path}.`)).toEqual(['machine-path']);
    expect(brokenBy('src/core/a.ts', `const path = '${path}';`)).toEqual(['machine-path']);
    expect(brokenBy('.ci/run', `cd "${path}"`)).toEqual(['machine-path']);
    expect(brokenBy('notes.txt', `file:${joined('/', '/', path)}`)).toEqual(['machine-path']);
  });

  it('does not mind relative paths and addresses', () => {
    const place = joined('/wo', 'rk/');
    const lines = [
      `src${place}a`,
      `..${place}a`,
      `\${folder}${place}a`,
      `https://example.org${place}a`,
      '/.tmp/',
    ];
    expect(brokenBy('docs/page.md', lines.join('\n'))).toEqual([]);
  });

  it('refuses hosts of registries, private or public', () => {
    const hosts = [
      joined('https://regis', 'try.npmjs.org/piscina'),
      joined('regis', 'try.yarnpkg.com'),
      joined('http://arti', 'factory.example.org/npm/'),
      joined('//npm-regis', 'try.example.org:4873/:_authToken=x'),
    ];
    for (const host of hosts) expect(brokenBy('package-lock.json', host), host).toEqual(['registry-host']);
    expect(brokenBy('docs/page.md', 'a registry of groups, registry.get(1), https://www.npmjs.com/')).toEqual(
      [],
    );
  });
});
