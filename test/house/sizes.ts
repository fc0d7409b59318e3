import ts from 'typescript';
import { type Finding, finding, isGenerated, type Source, walk } from './source.js';

/** Lines from which on a file or a function deserves a second look, and from which on it fails. */
export const FILE_LINES = { notice: 400, fail: 600 } as const;
export const FUNCTION_LINES = { notice: 70, fail: 120 } as const;

/** Findings about sizes past `fail` (level `fail`), or past `notice` and not yet past `fail` (level `notice`). */
export function sizeFindings(sources: readonly Source[], level: 'notice' | 'fail'): Finding[] {
  const findings: Finding[] = [];
  for (const source of sources) {
    if (isGenerated(source.file)) continue;
    const lines = lineCount(source.tree.text);
    if (isLevel(lines, FILE_LINES, level)) {
      findings.push({ file: source.file, line: 1, rule: 'size', message: `is ${lines} lines long` });
    }
    // In a test a `describe` is a function that holds a whole chapter; its length says nothing.
    if (!source.file.startsWith('test/')) findings.push(...functionFindings(source, level));
  }
  return findings;
}

function functionFindings(source: Source, level: 'notice' | 'fail'): Finding[] {
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    if (!ts.isFunctionLike(node)) return;
    const start = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line;
    const end = source.tree.getLineAndCharacterOfPosition(node.end).line;
    const lines = end - start + 1;
    if (!isLevel(lines, FUNCTION_LINES, level)) return;
    const name = node.name?.getText(source.tree) ?? 'a function';
    findings.push(finding(source, node, 'size', `${name} is ${lines} lines long`));
  });
  return findings;
}

function isLevel(lines: number, limits: { notice: number; fail: number }, level: 'notice' | 'fail'): boolean {
  return level === 'fail' ? lines > limits.fail : lines > limits.notice && lines <= limits.fail;
}

function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}
