import { describe, expect, it } from 'vitest';
import { broken, brokenBy } from './made-up.js';
import { describeFinding, violations } from './violations.js';

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
    `const load = createRequire(import.meta.url); load('../workers/run.js');`,
    `require.resolve('../workers/run.js');`,
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

  it('does not take every function with a word like it for a loader', () => {
    expect(brokenBy('src/engine/engine.ts', 'requireLeader(group); promise.resolve(group);')).toEqual([]);
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
