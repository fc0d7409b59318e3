import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { type Import, importsOf } from './imports.js';
import { type Files, type Finding, finding, type Source } from './source.js';

/** Who may import whom, types included. A floor may always import itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  index: ['engine', 'client', 'base'],
  cli: ['bench', 'engine', 'client', 'base'],
  bench: ['engine', 'client', 'transport', 'ring', 'codec', 'base'],
  engine: ['core', 'ring', 'codec', 'workers', 'base'],
  client: ['transport', 'codec', 'base'],
  workers: ['wal', 'transport', 'ring', 'codec', 'base'],
  wal: ['codec', 'base'],
  transport: ['codec', 'base'],
  core: ['base'],
  ring: ['base'],
  codec: ['base'],
  base: [],
};

/** The runtime dependencies, and the only files that may load each. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  '@grpc/grpc-js': /^src\/transport\/grpc[^/]*\.ts$/,
  piscina: /^src\/workers\/spawn\.ts$/,
  flatbuffers: /^src\/codec\//,
  'lz4-napi': /^src\/codec\/(compression|lz4)/,
};
const OPTIONAL_PACKAGES: ReadonlySet<string> = new Set(['lz4-napi']);

/** Floors without I/O: the ground, and the three floors that stand on it. */
const PURE_FLOORS: ReadonlySet<string> = new Set(['base', 'core', 'ring', 'codec']);
const CODEC_FILE = /^src\/codec\/(checksum|compression|lz4)/;
const CODEC_BUILTINS: ReadonlySet<string> = new Set(['node:zlib', 'node:module']);

/** The engine never touches disk or network itself: those live behind the workers. */
const ENGINE_BUILTINS_REFUSED = /^node:(fs|net|tls|http|https|http2|dgram|dns|child_process)(\/|$)/;
/** Timers have a rule of their own; importing them from here would walk around it. */
const TIMER_MODULES = /^node:timers(\/|$)/;
const TIMER_FILES = /^src\/(cli\/|bench\/|engine\/clock\.ts$|ring\/wait\.ts$)/;

/** The floor that a file of `src/` stands on; undefined for a file outside `src/`. */
function floorOf(file: string): string | undefined {
  if (!file.startsWith('src/')) return undefined;
  const [first = '', ...rest] = file.slice('src/'.length).split('/');
  return rest.length === 0 ? first.replace(/\.ts$/, '') : first;
}

/** Holds each import of `src/` against the table of arrows and the table of packages. */
export function arrowFindings(sources: readonly Source[]): Finding[] {
  return sources
    .filter(({ file }) => file.startsWith('src/'))
    .flatMap(importsOf)
    .flatMap((each) => {
      const complaint = complaintAbout(each);
      return complaint === undefined
        ? []
        : [finding(each.source, each.node, complaint.rule, complaint.message)];
    });
}

type Complaint = Pick<Finding, 'rule' | 'message'>;

function complaintAbout(each: Import): Complaint | undefined {
  const { specifier, source } = each;
  const floor = floorOf(source.file) ?? '';
  if (specifier === undefined) {
    if (floor === 'cli') return undefined;
    return {
      rule: 'import',
      message: `imports a computed name, which nobody can check: ${each.node.getText()}`,
    };
  }
  if (specifier.startsWith('.')) return relativeComplaint(source.file, floor, specifier);
  if (isBuiltin(specifier)) return builtinComplaint(source.file, floor, specifier);
  return packageComplaint(each, specifier);
}

function relativeComplaint(file: string, floor: string, specifier: string): Complaint | undefined {
  const target = resolve(file, specifier);
  if (target === 'package.json' && !PURE_FLOORS.has(floor)) return undefined;
  const allowed = ARROWS[floor];
  const to = floorOf(target);
  if (allowed === undefined)
    return { rule: 'arrow', message: `${floor} is no floor of the house (imports '${specifier}')` };
  if (to === undefined) return { rule: 'arrow', message: `imports '${specifier}', which lies outside src` };
  if (to === floor || allowed.includes(to)) return undefined;
  return {
    rule: 'arrow',
    message: `${floor} → ${to} ('${specifier}'); ${floor} may import ${allowed.join(', ') || 'nothing'}`,
  };
}

function builtinComplaint(file: string, floor: string, specifier: string): Complaint | undefined {
  const name = specifier.startsWith('node:') ? specifier : `node:${specifier}`;
  if (PURE_FLOORS.has(floor) && !(CODEC_FILE.test(file) && CODEC_BUILTINS.has(name))) {
    return { rule: 'builtin', message: `${floor} imports '${specifier}'; it may not reach outside` };
  }
  if (floor === 'engine' && ENGINE_BUILTINS_REFUSED.test(name)) {
    return {
      rule: 'builtin',
      message: `engine imports '${specifier}'; it never touches disk or network itself`,
    };
  }
  if (TIMER_MODULES.test(name) && !TIMER_FILES.test(file)) {
    return { rule: 'clock', message: `imports '${specifier}'; time comes from the engine's clock` };
  }
  return undefined;
}

function packageComplaint(each: Import, specifier: string): Complaint | undefined {
  const parts = specifier.split('/');
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
  const where = PACKAGES[name];
  if (where === undefined) {
    return { rule: 'package', message: `imports '${specifier}', which is no runtime dependency` };
  }
  if (!where.test(each.source.file)) {
    return { rule: 'package', message: `imports '${specifier}'; only ${where.source} may` };
  }
  if (OPTIONAL_PACKAGES.has(name) && each.kind === 'static') {
    return {
      rule: 'package',
      message: `imports '${specifier}' statically; it is optional and may be missing`,
    };
  }
  return undefined;
}

/** The repository path that a relative import means; `.js` stands for the `.ts` that it is built from. */
function resolve(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');
}

/** One finding for each knot of files that import each other, naming the way round. */
export function cycleFindings(sources: readonly Source[], files: Files): Finding[] {
  const graph = new Map<string, string[]>();
  for (const source of sources) {
    if (!source.file.startsWith('src/')) continue;
    const targets = importsOf(source)
      .filter(({ kind, specifier }) => kind !== 'thread' && specifier?.startsWith('.'))
      .map(({ specifier }) => resolve(source.file, specifier ?? ''))
      .filter((target) => files.has(target));
    graph.set(source.file, targets);
  }
  return findCycles(graph).map((cycle) => ({
    file: cycle[0] ?? '',
    line: 1,
    rule: 'cycle',
    message: `import cycle: ${[...cycle, cycle[0]].join(' → ')}`,
  }));
}

/** Depth first; every edge back to a file still on the path closes a cycle. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) cycles.push(path.slice(at));
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return cycles;
}
