import { beforeAll, describe, expect, it } from 'vitest';
import type { Files } from './source.js';
import { readRepository } from './tree.js';
import { describeFinding, notices, violations } from './violations.js';

/** The rules that a made-up tree breaks, in the order of the findings. */
function broken(tree: Record<string, string>): string[] {
  return violations(new Map(Object.entries(tree))).map(({ rule }) => rule);
}

/** What a single file breaks when it stands at `file`. */
function brokenBy(file: string, text: string): string[] {
  return broken({ [file]: text });
}

/** Joins parts that must not stand next to each other in this file. */
function joined(...parts: string[]): string {
  return parts.join('');
}

describe('the house as it stands', () => {
  let files: Files;
  beforeAll(() => {
    files = readRepository();
  });

  it('finds the sources, so that an empty walk cannot pass for a clean one', () => {
    expect([...files.keys()]).toEqual(expect.arrayContaining(['package.json', 'src/base/errors.ts']));
  });

  it('breaks none of its rules', () => {
    expect(violations(files).map(describeFinding)).toEqual([]);
  });

  it('prints what deserves a second look', () => {
    for (const notice of notices(files)) console.info(`second look: ${describeFinding(notice)}`);
  });
});

describe('arrows', () => {
  const allowed: [file: string, target: string][] = [
    ['src/index.ts', './engine/engine.js'],
    ['src/index.ts', './client/index.js'],
    ['src/index.ts', './base/errors.js'],
    ['src/cli/main.ts', '../engine/engine.js'],
    ['src/engine/turn.ts', '../core/raft.js'],
    ['src/engine/turn.ts', '../workers/spawn.js'],
    ['src/engine/turn.ts', './clock.js'],
    ['src/client/client.ts', '../transport/client-service.js'],
    ['src/workers/receiver.ts', '../wal/wal.js'],
    ['src/wal/wal.ts', '../codec/header.js'],
    ['src/core/leader.ts', '../base/ids.js'],
    ['src/codec/lz4/block.ts', '../../base/limits.js'],
  ];
  it.each(allowed)('%s may import %s', (file, target) => {
    expect(brokenBy(file, `import { x } from '${target}';`)).toEqual([]);
  });

  const refused: [file: string, target: string][] = [
    ['src/index.ts', './core/raft.js'],
    ['src/cli/main.ts', '../workers/spawn.js'],
    ['src/cli/main.ts', '../index.js'],
    ['src/engine/turn.ts', '../wal/wal.js'],
    ['src/engine/turn.ts', '../transport/stream.js'],
    ['src/client/client.ts', '../engine/engine.js'],
    ['src/workers/receiver.ts', '../core/raft.js'],
    ['src/wal/wal.ts', '../transport/stream.js'],
    ['src/transport/stream.ts', '../ring/byte-ring.js'],
    ['src/core/raft.ts', '../codec/header.js'],
    ['src/ring/byte-ring.ts', '../core/raft.js'],
    ['src/codec/lz4/block.ts', '../../ring/byte-ring.js'],
    ['src/base/ids.ts', '../codec/header.js'],
    ['src/core/raft.ts', '../../test/helpers.js'],
    ['src/attic/old.ts', '../base/ids.js'],
  ];
  it.each(refused)('%s may not import %s', (file, target) => {
    expect(brokenBy(file, `import { x } from '${target}';`)).toEqual(['arrow']);
  });

  const forms = [
    `import '../workers/run.js';`,
    `import type { X } from '../workers/run.js';`,
    `import { type X } from '../workers/run.js';`,
    `import * as all from '../workers/run.js';`,
    `export * from '../workers/run.js';`,
    `export type { X } from '../workers/run.js';`,
    `export let x: import('../workers/run.js').X;`,
    `await import('../workers/run.js');`,
    'await import(`../workers/run.js`);',
    `require('../workers/run.js');`,
    `createRequire(import.meta.url)('../workers/run.js');`,
    `requireFromHere.resolve('../workers/run.js');`,
    `import run = require('../workers/run.js');`,
    `const file = new URL('../workers/run.js', import.meta.url);`,
  ];
  it.each(forms)('sees the form %s', (text) => {
    expect(brokenBy('src/core/raft.ts', text)).toEqual(['arrow']);
  });

  it('names the file, the line and the import', () => {
    const tree = new Map([['src/core/raft.ts', `\nimport { x } from '../wal/wal.js';\n`]]);
    expect(violations(tree).map(describeFinding)).toEqual([
      `src/core/raft.ts:2 [arrow] core → wal ('../wal/wal.js'); core may import base`,
    ]);
  });

  it('refuses an import whose name is computed, but in the command', () => {
    expect(brokenBy('src/engine/engine.ts', 'await import(name);')).toEqual(['import']);
    expect(brokenBy('src/cli/main.ts', 'await import(name);')).toEqual([]);
  });

  it('lets the package file be read, but not from a floor without I/O', () => {
    expect(brokenBy('src/cli/main.ts', `createRequire(import.meta.url)('../../package.json');`)).toEqual([]);
    expect(brokenBy('src/core/raft.ts', `import x from '../../package.json';`)).toEqual(['arrow']);
  });

  it('does not mind an import that stands in a comment or a string', () => {
    expect(
      brokenBy('src/core/raft.ts', `// import '../wal/wal.js'\nconst s = "import '../wal/wal.js'";`),
    ).toEqual([]);
  });
});

describe('cycles', () => {
  it('finds one through three files, types included, and says the way round', () => {
    const tree = new Map([
      ['src/core/a.ts', `import { b } from './b.js';`],
      ['src/core/b.ts', `import type { C } from './c.js';`],
      ['src/core/c.ts', `export { a } from './a.js';`],
    ]);
    expect(violations(tree).map(describeFinding)).toEqual([
      'src/core/a.ts:1 [cycle] import cycle: src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts',
    ]);
  });

  it('finds a file that imports itself', () => {
    expect(brokenBy('src/core/a.ts', `import { a } from './a.js';`)).toEqual(['cycle']);
  });

  it('finds one behind a file that was already looked at', () => {
    const tree = {
      'src/core/a.ts': `import './b.js'; import './c.js';`,
      'src/core/b.ts': '',
      'src/core/c.ts': `import './b.js'; import './d.js';`,
      'src/core/d.ts': `import './c.js';`,
    };
    expect(broken(tree)).toEqual(['cycle']);
  });

  it('lets a diamond be, and a thread that is started from its own floor', () => {
    const tree = {
      'src/core/a.ts': `import './b.js'; import './c.js';`,
      'src/core/b.ts': `import './d.js';`,
      'src/core/c.ts': `import './d.js';`,
      'src/core/d.ts': '',
      'src/workers/spawn.ts': `const file = new URL('./run.js', import.meta.url);`,
      'src/workers/run.ts': `import './spawn.js';`,
    };
    expect(broken(tree)).toEqual([]);
  });
});

describe('what comes from outside', () => {
  it.each([
    ['src/core/raft.ts', 'node:fs'],
    ['src/core/raft.ts', 'fs'],
    ['src/base/ids.ts', 'node:crypto'],
    ['src/ring/wait.ts', 'node:worker_threads'],
    ['src/codec/header.ts', 'node:zlib'],
    ['src/codec/checksum.ts', 'node:fs'],
    ['src/engine/turn.ts', 'node:fs/promises'],
    ['src/engine/turn.ts', 'node:net'],
  ])('%s may not import %s', (file, specifier) => {
    expect(brokenBy(file, `import { x } from '${specifier}';`)).toEqual(['builtin']);
  });

  it.each([
    ['src/codec/checksum.ts', 'node:zlib'],
    ['src/codec/compression.ts', 'node:module'],
    ['src/wal/disk.ts', 'node:fs'],
    ['src/engine/events.ts', 'node:events'],
    ['src/codec/envelope.ts', 'flatbuffers'],
    ['src/transport/grpc.ts', '@grpc/grpc-js'],
    ['src/transport/grpc-server.ts', '@grpc/grpc-js'],
    ['src/workers/spawn.ts', 'piscina'],
  ])('%s may import %s', (file, specifier) => {
    expect(brokenBy(file, `import { x } from '${specifier}';`)).toEqual([]);
  });

  it.each([
    ['src/core/raft.ts', 'flatbuffers'],
    ['src/ring/byte-ring.ts', 'flatbuffers'],
    ['src/transport/append-stream.ts', '@grpc/grpc-js'],
    ['src/client/client.ts', '@grpc/grpc-js/build/src/server.js'],
    ['src/workers/run.ts', 'piscina'],
    ['src/engine/engine.ts', 'piscina'],
    ['src/engine/engine.ts', 'left-pad'],
    ['src/engine/engine.ts', 'vitest'],
  ])('%s may not import the package %s', (file, specifier) => {
    expect(brokenBy(file, `import { x } from '${specifier}';`)).toEqual(['package']);
  });

  it('lets compression load the optional package at run time, never statically', () => {
    expect(brokenBy('src/codec/compression.ts', `createRequire(import.meta.url)('lz4-napi');`)).toEqual([]);
    expect(brokenBy('src/codec/compression.ts', `import type { X } from 'lz4-napi';`)).toEqual([]);
    expect(brokenBy('src/codec/compression.ts', `import { x } from 'lz4-napi';`)).toEqual(['package']);
    expect(brokenBy('src/wal/wal.ts', `createRequire(import.meta.url)('lz4-napi');`)).toEqual(['package']);
  });
});

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

  it('lets a thread loop by setImmediate, and by nothing else', () => {
    expect(brokenBy('src/workers/run.ts', 'setImmediate(f); setTimeout(f, 1);')).toEqual(['clock']);
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
