import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { parseErrorPage, parseOptionPage, writtenDefault, writtenLimits } from './pages.js';
import { ROOT, readRepository } from './tree.js';

const files = readRepository();
const errorPage = files.get('docs/errors.md') ?? '';
const optionPage = files.get('docs/options.md') ?? '';
const codes: ErrorCode[] = Object.values(ErrorCode);

describe('docs/errors.md', () => {
  const sections = parseErrorPage(errorPage);

  it('describes each code exactly once, in the order of the code, and nothing else', () => {
    expect(sections.map(({ code }) => code)).toEqual(codes);
  });

  it('names no code that does not exist, anywhere on the page', () => {
    const named = new Set(errorPage.match(/\bRAFTLINE_[A-Z_]+\b/g));
    expect([...named].filter((code) => !(codes as string[]).includes(code))).toEqual([]);
  });

  it.each(sections)('says of $code when, whether to retry, and what to do', ({ code, when, retry, todo }) => {
    expect(when).not.toBe('');
    expect(todo).not.toBe('');
    const { retryable } = new RaftlineError(code as ErrorCode, 'as the code sees it');
    expect(retry).toBe(retryable ? 'yes' : 'no');
  });

  it('prints the codes that nothing in src uses', () => {
    const sources = [...files].filter(([file]) => file.startsWith('src/') && file !== 'src/base/errors.ts');
    const unused = Object.keys(ErrorCode).filter(
      (name) => !sources.some(([, text]) => new RegExp(`\\bErrorCode\\.${name}\\b`).test(text)),
    );
    if (unused.length > 0) console.info(`error codes that nothing uses: ${unused.join(', ')}`);
  });
});

describe('docs/driving-the-core.md and docs/trace.md', () => {
  const [, union = ''] =
    /export type LocalMessage =(.*?);\n\n/s.exec(files.get('src/core/ready.ts') ?? '') ?? [];
  const types = [...union.matchAll(/type: '(\w+)'/g)].map(([, type]) => type);

  it('name everything that may happen on a node itself', () => {
    expect(types).toContain('durable');
    for (const page of ['docs/driving-the-core.md', 'docs/trace.md']) {
      const unnamed = types.filter((type) => !new RegExp(`\`${type}\\b`).test(files.get(page) ?? ''));
      expect(unnamed, page).toEqual([]);
    }
  });
});

interface OptionTable {
  optionTable: readonly {
    path: string;
    default?: unknown;
    min?: number;
    max?: number;
    oneOf?: readonly string[];
  }[];
}

const optionsFile = join(ROOT, 'src/engine/option-table.ts');

describe('docs/options.md', () => {
  const rows = parseOptionPage(optionPage);

  it('has rows that can be read, each path once', () => {
    const paths = rows.map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(0);
    expect(paths).toEqual([...new Set(paths)]);
  });

  it('lists the options of the engine with their defaults and limits, and no others', async () => {
    if (!existsSync(optionsFile)) {
      console.info('src/engine/option-table.ts does not exist yet; docs/options.md was only read');
      return;
    }
    const { optionTable }: OptionTable = await import(pathToFileURL(optionsFile).href);
    const inCode = optionTable.map((option) => [
      option.path,
      { default: writtenDefault(option.default), limits: writtenLimits(option) },
    ]);
    const onPage = rows.map((row) => [row.path, { default: row.default, limits: row.limits }]);
    expect(Object.fromEntries(onPage)).toEqual(Object.fromEntries(inCode));
  });
});

describe('the pages are read as people read them', () => {
  const page = [
    'Words before.',
    '### `RAFTLINE_A`',
    '- **When:** it\n  breaks.',
    '- **Retry:** Yes, at once.',
    '- **What to do:** wait.',
    '## Another part',
    '### `RAFTLINE_B`',
    '**When:** never.',
  ].join('\n');

  it('an error page by its headings', () => {
    expect(parseErrorPage(page)).toEqual([
      { code: 'RAFTLINE_A', when: 'it\n  breaks.', retry: 'yes', todo: 'wait.' },
      { code: 'RAFTLINE_B', when: 'never.', retry: undefined, todo: '' },
    ]);
  });

  const head = '| path | type | default | limits | meaning |\n|---|---|---|---|---|\n';

  it('an option page by its tables, other tables left alone', () => {
    const table = `${head}| \`a.bMs\` | number \\| 'auto' | \`auto\` | 1 … 9 (few) | How long. |\n\n| x |\n|---|\n| y |\n`;
    expect(parseOptionPage(table)).toEqual([
      { path: 'a.bMs', type: `number | 'auto'`, default: 'auto', limits: '1 … 9', meaning: 'How long.' },
    ]);
  });

  it.each(['| a | number | 1 | | bare path |', '| `a` | number | 1 | |', '| `a` | number | 1 | | |'])(
    'a row that cannot be read is an error: %s',
    (row) => {
      expect(() => parseOptionPage(head + row)).toThrow('cannot be read');
    },
  );

  it('defaults: text bare, nothing as a dash, the rest as JSON', () => {
    expect(['auto', undefined, 4096, false, []].map(writtenDefault)).toEqual([
      'auto',
      '—',
      '4096',
      'false',
      '[]',
    ]);
  });
});
