import ts from 'typescript';

/** A tree of files by path from the repository's root, `/` between the parts. */
export type Files = ReadonlyMap<string, string>;

/** Something that breaks a rule of the house (or, as a notice, comes near to it). */
export interface Finding {
  file: string;
  /** From 1. */
  line: number;
  rule: string;
  message: string;
}

/** A file read by the TypeScript compiler's parser. */
export interface Source {
  file: string;
  tree: ts.SourceFile;
}

const SCRIPT = /\.(ts|mts|mjs|js)$/;

/** Every script of the tree, parsed; flatc's output is held to the arrows only, so it is marked by its path. */
export function parseAll(files: Files): Source[] {
  const sources: Source[] = [];
  for (const [file, text] of files) {
    if (!SCRIPT.test(file)) continue;
    sources.push({ file, tree: ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true) });
  }
  return sources;
}

export function isGenerated(file: string): boolean {
  return file.startsWith('src/codec/generated/');
}

/** Calls `visit` for the node and everything below it, parents first. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

export function finding(source: Source, node: ts.Node, rule: string, message: string): Finding {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
  return { file: source.file, line: line + 1, rule, message };
}
