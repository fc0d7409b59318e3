import ts from 'typescript';
import { type Source, walk } from './source.js';

/**
 * How a file reaches another: `type` is erased by the compiler, `static` and `dynamic` load it (`require` counts as
 * dynamic), `thread` names a file for another thread to load: `new URL('./x.js', import.meta.url)`.
 */
export type ImportKind = 'static' | 'type' | 'dynamic' | 'thread';

export interface Import {
  source: Source;
  node: ts.Node;
  kind: ImportKind;
  /** As written; undefined when it is computed, so that nobody can read it from here. */
  specifier: string | undefined;
}

/** Every import of a file, in the file's order. */
export function importsOf(source: Source): Import[] {
  const imports: Import[] = [];
  const loaders = loadersOf(source);
  walk(source.tree, (node) => {
    const found = importAt(node, loaders);
    if (found !== undefined) imports.push({ source, node, ...found });
  });
  return imports;
}

/** The names under which a file can load another: `require`, and what it makes with `createRequire(…)`. */
function loadersOf(source: Source): ReadonlySet<string> {
  const names = new Set(['require']);
  walk(source.tree, (node) => {
    if (!ts.isVariableDeclaration(node) || node.initializer === undefined) return;
    if (isCreateRequire(node.initializer)) names.add(node.name.getText(source.tree));
  });
  return names;
}

function isCreateRequire(node: ts.Expression): boolean {
  return (
    ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'createRequire'
  );
}

type Found = Pick<Import, 'kind' | 'specifier'>;

function importAt(node: ts.Node, loaders: ReadonlySet<string>): Found | undefined {
  if (ts.isImportDeclaration(node)) {
    return { kind: isTypeOnly(node) ? 'type' : 'static', specifier: literal(node.moduleSpecifier) };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { kind: node.isTypeOnly ? 'type' : 'static', specifier: literal(node.moduleSpecifier) };
  }
  if (ts.isImportTypeNode(node)) {
    return {
      kind: 'type',
      specifier: ts.isLiteralTypeNode(node.argument) ? literal(node.argument.literal) : undefined,
    };
  }
  if (ts.isExternalModuleReference(node)) return { kind: 'static', specifier: literal(node.expression) };
  if (ts.isCallExpression(node) && isLoad(node.expression, loaders)) {
    return { kind: 'dynamic', specifier: literal(node.arguments[0]) };
  }
  return threadFile(node);
}

/** With `verbatimModuleSyntax` an import of which every name is `type` still loads the file; only this form does not. */
function isTypeOnly(node: ts.ImportDeclaration): boolean {
  return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
}

/** `import(…)`, `require(…)`, `require.resolve(…)`, `createRequire(…)(…)`. */
function isLoad(callee: ts.Expression, loaders: ReadonlySet<string>): boolean {
  if (callee.kind === ts.SyntaxKind.ImportKeyword) return true;
  if (ts.isIdentifier(callee)) return loaders.has(callee.text);
  if (ts.isPropertyAccessExpression(callee) && callee.name.text === 'resolve') {
    return ts.isIdentifier(callee.expression) && loaders.has(callee.expression.text);
  }
  return isCreateRequire(callee);
}

function threadFile(node: ts.Node): Found | undefined {
  if (!ts.isNewExpression(node) || node.expression.getText() !== 'URL') return undefined;
  const [path, base] = node.arguments ?? [];
  if (base?.getText() !== 'import.meta.url') return undefined;
  const specifier = literal(path);
  return specifier !== undefined && /\.(js|mjs|ts)$/.test(specifier)
    ? { kind: 'thread', specifier }
    : undefined;
}

function literal(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}
