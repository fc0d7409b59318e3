import type { BenchSettings } from './settings.js';

type Check = (value: unknown) => boolean;
interface Shape {
  readonly [name: string]: Check | Shape;
}
type Checks<Of> = Readonly<Record<keyof Of, Check>>;

const isNumber: Check = (value) => typeof value === 'number';
const isText: Check = (value) => typeof value === 'string';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const oneOf =
  (...values: unknown[]): Check =>
  (value) =>
    values.includes(value);
const either =
  (...checks: Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
const like =
  (shape: Shape): Check =>
  (value) =>
    faultIn(value, shape, '') === undefined;
const isAbsent: Check = (value) => value === undefined;

const SETTINGS: Checks<BenchSettings> = {
  payload: isNumber,
  data: either(oneOf('json', 'random'), like({ file: isText })),
  seed: isNumber,
  nodes: isNumber,
  groups: isNumber,
  depth: either(isNumber, oneOf('auto')),
  batchBytesMax: isNumber,
  compression: isText,
  durability: oneOf('sync', 'os'),
  joined: either(isAbsent, like({ syncing: isNumber, writing: isNumber })),
  threads: either(isText, like({ encoders: isNumber })),
  concurrency: isNumber,
  rate: either(isAbsent, isNumber),
  clients: isText,
  clientProcesses: isNumber,
  applyUs: isNumber,
  linkDelayMs: isNumber,
  warmupSeconds: isNumber,
  seconds: isNumber,
};
/** What a comparison reads of a run. */
const RUN: Shape = {
  entriesPerSecond: isNumber,
  mbPerSecond: isNumber,
  latency: { p50Ms: isNumber, p99Ms: isNumber, p999Ms: isNumber },
  batchesPerSecond: isNumber,
  cpuUsPerEntry: isNumber,
};
/** What a comparison reads of a machine. */
const MACHINE: Shape = {
  node: isText,
  system: isText,
  cpu: isText,
  cores: isNumber,
  fileSystem: isText,
  commit: isText,
  at: isText,
  versions: either(isAbsent, isObject),
};

/** What is not as a comparison needs it in what a file of results holds, and what is there instead; undefined where nothing is. */
export function faultOfResults(
  machine: unknown,
  compressibility: unknown,
  measured: readonly unknown[],
): string | undefined {
  const top = { machine, compressibility };
  return (
    faultIn(top, { machine: MACHINE, compressibility: isObject }, '') ??
    firstOf(measured, (each, at) => faultOfMeasured(each, `measured[${at}]`))
  );
}

function faultOfMeasured(value: unknown, path: string): string | undefined {
  const fault = faultIn(value, { settings: SETTINGS, cluster: Array.isArray, pipe: Array.isArray }, path);
  if (fault !== undefined) return fault;
  const sides = value as Record<'cluster' | 'pipe', unknown[]>;
  return firstOf(['cluster', 'pipe'] as const, (side) =>
    firstOf(sides[side], (run, at) => faultIn(run, RUN, `${path}.${side}[${at}]`)),
  );
}

function faultIn(value: unknown, shape: Check | Shape, path: string): string | undefined {
  if (typeof shape === 'function' ? shape(value) : false) return undefined;
  if (typeof shape === 'function' || !isObject(value))
    return `${path} ${JSON.stringify(value)?.slice(0, 60)}`;
  const fields = value as Record<string, unknown>;
  const below = path === '' ? '' : `${path}.`;
  return firstOf(Object.entries(shape), ([name, each]) => faultIn(fields[name], each, `${below}${name}`));
}

function firstOf<Each>(
  all: readonly Each[],
  faultAt: (each: Each, at: number) => string | undefined,
): string | undefined {
  for (const [at, each] of all.entries()) {
    const fault = faultAt(each, at);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
