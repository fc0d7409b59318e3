import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');

describe('README.md', () => {
  it('shows the embedding example as it is in examples/', () => {
    const blocks = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
    expect(blocks[0]).toBe(read('examples/embed.mjs'));
  });

  it('names its two commands first, and both exist', () => {
    const [, first = ''] = /```sh\n([\s\S]*?)```/.exec(readme) ?? [];
    expect(first).toMatch(/^npm ci && npm start .*\nnpm ci && npm test /);
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test']));
  });

  it.each(['README.md', 'docs/architecture.md'])('%s links only to what exists', (page) => {
    const base = new URL(`../../${page}`, import.meta.url);
    const links = [...read(page).matchAll(/\]\(([^)#]+)\)/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links.filter((each) => !each.startsWith('http'))) {
      expect(() => statSync(new URL(link, base)), link).not.toThrow();
    }
  });
});
