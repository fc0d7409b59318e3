import ts from 'typescript';
import { type Finding, finding, type Source, walk } from './source.js';

/** Members that bring time, chance or waiting in from outside, by the object that carries them. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  performance: ['now'],
  process: ['hrtime'],
  Math: ['random'],
  Atomics: ['wait', 'waitAsync'],
};
const TIMERS: ReadonlySet<string> = new Set(['setTimeout', 'setInterval', 'setImmediate']);

/** Where which of them may stand: the engine's only clock and the remote
 * client's, the one place that waits, and the edges of the process. */
const ALLOWED: readonly { file: RegExp; uses: RegExp }[] = [
  { file: /^src\/engine\/clock\.ts$/, uses: /./ },
  { file: /^src\/client\/clock\.ts$/, uses: /^(performance\.now|setTimeout)$/ },
  { file: /^src\/ring\/wait\.ts$/, uses: /./ },
  { file: /^src\/workers\/clock\.ts$/, uses: /./ },
  {
    file: /^src\/(cli|bench)\//,
    uses: /^(Date\.now|new Date\(\)|performance\.now|set(Timeout|Interval|Immediate))$/,
  },
];

/** Finds time, chance and waiting that come from anywhere but the allow list, whether called or passed on. */
export function clockFindings(sources: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  for (const source of sources) {
    if (!source.file.startsWith('src/')) continue;
    walk(source.tree, (node) => {
      for (const use of usesAt(node)) {
        if (ALLOWED.some(({ file, uses }) => file.test(source.file) && uses.test(use))) continue;
        findings.push(finding(source, node, 'clock', `uses ${use}; take it as a parameter from the clock`));
      }
    });
  }
  return findings;
}

function usesAt(node: ts.Node): string[] {
  if (ts.isPropertyAccessExpression(node)) return memberUse(node.expression, node.name.text);
  if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)) {
    return memberUse(node.expression, node.argumentExpression.text);
  }
  if (ts.isVariableDeclaration(node)) return destructuredUses(node);
  if (ts.isNewExpression(node) && nameOf(node.expression) === 'Date' && !node.arguments?.length) {
    return ['new Date()'];
  }
  if (ts.isCallExpression(node) && nameOf(node.expression) === 'Date') return ['Date()'];
  if (ts.isIdentifier(node) && TIMERS.has(node.text) && isValueUse(node)) return [node.text];
  return [];
}

function memberUse(object: ts.Expression, member: string): string[] {
  const owner = nameOf(object);
  if (owner === 'globalThis') return TIMERS.has(member) ? [member] : [];
  return owner !== undefined && MEMBERS[owner]?.includes(member) ? [`${owner}.${member}`] : [];
}

/** `const { now } = Date` and its like. */
function destructuredUses(node: ts.VariableDeclaration): string[] {
  if (node.initializer === undefined || !ts.isObjectBindingPattern(node.name)) return [];
  const object = node.initializer;
  return node.name.elements.flatMap((element) =>
    memberUse(object, (element.propertyName ?? element.name).getText()),
  );
}

/** The name of a global, written plainly or as `globalThis.name`. */
function nameOf(node: ts.Expression): string | undefined {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node) && nameOf(node.expression) === 'globalThis') return node.name.text;
  return undefined;
}

/** Not a type, and not merely the name of a member or a property that is called the same. */
function isValueUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false;
  if (ts.isTypeQueryNode(parent) || ts.isTypeReferenceNode(parent)) return false;
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false;
  const named = parent as ts.Node & { name?: ts.Node };
  const isMemberName =
    ts.isPropertyAssignment(parent) || ts.isClassElement(parent) || ts.isTypeElement(parent);
  return !(isMemberName && named.name === node);
}
