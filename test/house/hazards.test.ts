import { describe, expect, it } from 'vitest';
import { linesOf, MUTANTS, mutate, numbersOf } from '../sim/mutants.js';
import { numbersInTests, parseHazardPage, parseMutantList, shortName } from './hazards.js';
import { readRepository } from './tree.js';

const files = readRepository();
const page = files.get('docs/hazards.md') ?? '';
const rows = parseHazardPage(page);
const found = numbersInTests(files);

describe('docs/hazards.md', () => {
  it('lists every number that a test carries, and each once', () => {
    const listed = rows.map(({ number }) => number);
    expect(listed).toEqual([...new Set(listed)]);
    expect([...found.keys()].filter((number) => !listed.includes(number))).toEqual([]);
  });

  it('names for each number the tests that carry it, all of them and no others', () => {
    const onPage = rows.map(({ number, tests }) => [number, [...tests].sort()]);
    const inTests = rows.map(({ number }) => [number, [...(found.get(number) ?? [])].map(shortName).sort()]);
    expect(Object.fromEntries(onPage)).toEqual(Object.fromEntries(inTests));
  });

  it('names the mutants of each, and those of no other', () => {
    for (const { number, tests, broken } of rows) {
      const own = MUTANTS.filter((mutant) => numbersOf(mutant).includes(number)).map(({ id }) => `\`${id}\``);
      for (const id of own) expect(broken, number).toContain(id);
      for (const id of broken.match(/`[HTAE]\d+[a-z]?`/g) ?? []) {
        expect(
          MUTANTS.map((mutant) => `\`${mutant.id}\``),
          number,
        ).toContain(id);
      }
      if (tests.length === 0) expect(broken, number).toBe('');
    }
  });

  it('lists the mutants as they are', () => {
    expect(Object.fromEntries(parseMutantList(page))).toEqual(
      Object.fromEntries(MUTANTS.map(({ id, name }) => [id, name])),
    );
  });
});

describe('mutants', () => {
  const sourceOf = (file: string): string => files.get(file) ?? '';

  it('find their text exactly once, and change it', () => {
    for (const mutant of MUTANTS)
      expect(() => mutate(mutant, sourceOf(mutant.file)), mutant.id).not.toThrow();
  });

  it('are about one line each: no two of them about the same one', () => {
    const taken = new Map<string, string>();
    for (const mutant of MUTANTS) {
      const [first, last] = linesOf(mutant, sourceOf(mutant.file));
      for (let line = first; line <= last; line++) {
        const place = `${mutant.file}:${line}`;
        expect(taken.get(place), `${mutant.id} at ${place}`).toBeUndefined();
        taken.set(place, mutant.id);
      }
    }
  });

  it('have ids of their own', () => {
    expect(new Set(MUTANTS.map(({ id }) => id)).size).toBe(MUTANTS.length);
  });
});
