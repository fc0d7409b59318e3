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

  it('prints what deserves a second look', () => {
    for (const notice of notices(files)) console.info(`second look: ${describeFinding(notice)}`);
  });
});
