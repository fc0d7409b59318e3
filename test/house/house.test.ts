import { beforeAll, describe, expect, it } from 'vitest';
import type { Files } from './source.js';
import { readRepository } from './tree.js';
import { describeFinding, notices, violations } from './violations.js';

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

  it('encodes and compresses in one place: a second one would be a second time for some batch', () => {
    const callers = (pattern: RegExp): string[] =>
      [...files].flatMap(([file, text]) =>
        /^src\/(?!bench\/)/.test(file) && pattern.test(text) ? [file] : [],
      );
    expect(callers(/(?<!function )\bencodeBatch\(/)).toEqual(['src/workers/encoder.ts']);
    expect(callers(/\.compressLz4\(|(?<!function )\bcompressDeflate\(/)).toEqual(['src/codec/compressor.ts']);
    // The first batch of a log, the same on every node, is no leader's.
    expect(callers(/(?<!function )\bsealBatch\(/)).toEqual(['src/codec/encoder.ts', 'src/workers/store.ts']);
  });

  it('prints what deserves a second look', () => {
    for (const notice of notices(files)) console.info(`second look: ${describeFinding(notice)}`);
  });
});
