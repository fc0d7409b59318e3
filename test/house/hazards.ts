import ts from 'typescript';
import type { Files } from './source.js';

/** Where each hazard (H, T) and statement (A, E) stands in the names of tests: number → files. */
export type Numbered = Map<string, Set<string>>;

const NUMBER = /\b[HTAE]\d{1,2}\b/g;
const CALLS: ReadonlySet<string> = new Set(['it', 'test', 'describe']);
const STORIES = 'test/core/scripts/';

/** The numbers in the names of all tests, and in the first lines of the text stories, which are their tests' names. */
export function numbersInTests(files: Files): Numbered {
  const found: Numbered = new Map();
  for (const [file, text] of files) {
    const names = file.startsWith(STORIES) ? [text.split('\n')[0] ?? ''] : testNames(file, text);
    for (const number of names.flatMap((name) => name.match(NUMBER) ?? [])) {
      const where = found.get(number) ?? new Set();
      found.set(number, where.add(file));
    }
  }
  return found;
}

/** The first argument of each `it(…)`, `describe(…)`, `it.each(…)(…)`, as written. */
function testNames(file: string, text: string): string[] {
  if (!file.startsWith('test/') || !file.endsWith('.ts')) return [];
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && CALLS.has(rootOf(node.expression))) {
      const [name] = node.arguments;
      if (name !== undefined && ts.isStringLiteralLike(name)) names.push(name.text);
      else if (name !== undefined && ts.isTemplateExpression(name)) names.push(name.getText());
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true));
  return names;
}

/** `it` of `it.skipIf(x)(…)`. */
function rootOf(expression: ts.Expression): string {
  if (ts.isIdentifier(expression)) return expression.text;
  if (ts.isCallExpression(expression) || ts.isPropertyAccessExpression(expression))
    return rootOf(expression.expression);
  return '';
}

/** One row of the tables of `docs/hazards.md`. */
export interface HazardRow {
  number: string;
  what: string;
  /** As on the page: below `test/`, without `.test.ts`. */
  tests: string[];
  /** Ids of mutants, or words. */
  broken: string;
}

const ROW = /^\| ([HTAE]\d{1,2}) +\| (.*?) +\| (.*?) +\| (.*?) *\|$/;

export function parseHazardPage(page: string): HazardRow[] {
  return page.split('\n').flatMap((line) => {
    const row = ROW.exec(line);
    if (row === null) return [];
    const [, number = '', what = '', tests = '', broken = ''] = row;
    return [{ number, what, tests: tests === '—' ? [] : tests.split(', '), broken }];
  });
}

/** A test file as the page names it. */
export function shortName(file: string): string {
  return file.replace(/^test\//, '').replace(/(\.test)?\.(ts|txt)$/, '');
}

/** The ids of the page's list of mutants, with what each does. */
export function parseMutantList(page: string): Map<string, string> {
  const rows = page.matchAll(/^\| `([HTAE]\d{1,2}[a-z]?)` +\| (.*?) +\|/gm);
  return new Map([...rows].map(([, id = '', name = '']) => [id, name]));
}
