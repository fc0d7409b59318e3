import ts from 'typescript';
import { type Finding, finding, isGenerated, type Source, walk } from './source.js';

const NOTE_TO_SELF = /\b(TODO|FIXME|XXX)\b/;
const COMPILER_SILENCED = /@ts-(ignore|nocheck|expect-error)\b/;
const CASE_WORDS: ReadonlySet<string> = new Set(['it', 'test', 'describe', 'suite']);
const LEFT_OUT: ReadonlySet<string> = new Set(['only', 'skip', 'todo']);

/** `any`, default exports, notes to self, silenced compilers, and tests that were left out or run alone. */
export function mannerFindings(sources: readonly Source[]): Finding[] {
  return sources
    .filter(({ file }) => !isGenerated(file))
    .flatMap((source) => [...nodeFindings(source), ...commentFindings(source)]);
}

function nodeFindings(source: Source): Finding[] {
  const findings: Finding[] = [];
  const inTests = source.file.startsWith('test/');
  walk(source.tree, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) {
      findings.push(finding(source, node, 'any', 'uses the type any'));
    }
    if (isDefaultExport(node) && !/\.config\.\w+$/.test(source.file)) {
      findings.push(finding(source, node, 'default-export', 'has a default export'));
    }
    if (inTests && ts.isPropertyAccessExpression(node) && isLeftOut(node)) {
      findings.push(finding(source, node, 'left-out', `leaves tests out: ${node.getText()}`));
    }
  });
  return findings;
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === 'default';
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false)
  );
}

/** `it.only`, `describe.skip`, `test.concurrent.only` … */
function isLeftOut(node: ts.PropertyAccessExpression): boolean {
  if (!LEFT_OUT.has(node.name.text)) return false;
  let first: ts.Expression = node.expression;
  while (ts.isPropertyAccessExpression(first)) first = first.expression;
  return ts.isIdentifier(first) && CASE_WORDS.has(first.text);
}

/** Looks at comments only: the same words in a string (as in the tests of this rule) are data. */
function commentFindings(source: Source): Finding[] {
  const findings: Finding[] = [];
  for (const { pos, text } of commentsOf(source.tree)) {
    const [rule, found] = NOTE_TO_SELF.test(text)
      ? ['note-to-self', NOTE_TO_SELF.exec(text)?.[0]]
      : ['silenced', COMPILER_SILENCED.exec(text)?.[0]];
    if (found === undefined || rule === undefined) continue;
    const line = source.tree.getLineAndCharacterOfPosition(pos).line + 1;
    findings.push({ file: source.file, line, rule, message: `has a comment with ${found}` });
  }
  return findings;
}

/** Comments stand before or after a token, so it is enough to look around every token of the tree, once per place. */
function commentsOf(tree: ts.SourceFile): { pos: number; text: string }[] {
  const comments = new Map<number, { pos: number; text: string }>();
  const collect = (ranges: readonly ts.CommentRange[] | undefined): void => {
    for (const { pos, end } of ranges ?? []) comments.set(pos, { pos, text: tree.text.slice(pos, end) });
  };
  const visit = (node: ts.Node): void => {
    if (node.kind < ts.SyntaxKind.FirstNode || node.kind === ts.SyntaxKind.EndOfFileToken) {
      collect(ts.getLeadingCommentRanges(tree.text, node.pos));
      collect(ts.getTrailingCommentRanges(tree.text, node.end));
    }
    for (const child of node.getChildren(tree)) visit(child);
  };
  visit(tree);
  return [...comments.values()];
}
