import type { Faults } from './faults.js';
import type { SimGroup } from './group.js';
import type { SimNetwork } from './network.js';
import type { SimNode } from './node.js';
import type { Fault } from './profiles.js';
import type { Scenario } from './scenario.js';
import type { Scheduler } from './scheduler.js';

/** What became of one run. */
export interface RunReport {
  seed: number;
  /** With everything that was done to the cluster in it, also what was drawn on the way: it gives the same run again. */
  scenario: Scenario;
  /** Of everything that happened, in its order. */
  hash: number;
  steps: number;
  simulatedMs: number;
  nodes: number;
  groups: number;
  acknowledged: number;
  refused: number;
  unknown: number;
  leaderChanges: number;
  restarts: number;
  /** Linearizable reads that were answered, and that were refused. */
  reads: number;
  readsRefused: number;
  /** Changes of members that came into force, and that were refused or whose outcome is open. */
  changes: number;
  changesRefused: number;
  /** Groups whose registers were too hard to judge. */
  undecided: number;
  /** Own snapshots that were saved, and received ones, on all nodes. */
  snapshots: { saved: number; received: number };
  faults: ReadonlyMap<Fault, number>;
  /** What was broken; undefined when all was well. */
  failure: string | undefined;
  /** The last things that happened, for a run that failed. */
  trace: readonly string[];
}

export interface ReportParts {
  scenario: Scenario;
  scheduler: Scheduler;
  network: SimNetwork;
  nodes: readonly SimNode[];
  groups: readonly SimGroup[];
  faults: Faults;
  leaderChanges: number;
  restarts: number;
  failure: string | undefined;
}

const TRACE_LINES = 80;

export function makeReport(parts: ReportParts): RunReport {
  const { scenario, scheduler, network, nodes, groups, faults, leaderChanges, restarts, failure } = parts;
  const { hash, steps, nowMs: simulatedMs } = scheduler;
  const sum = (of: (group: SimGroup) => number): number =>
    groups.reduce((total, group) => total + of(group), 0);
  const stored = (of: (node: SimNode) => number): number =>
    nodes.reduce((total, node) => total + of(node), 0);
  return {
    ...{ seed: scenario.seed, scenario: complete(scenario, faults), hash, steps, simulatedMs },
    nodes: nodes.length,
    groups: groups.length,
    acknowledged: sum(({ history }) => history.acknowledged),
    refused: sum(({ history }) => history.refused),
    unknown: sum(({ history }) => history.unknown),
    ...{ leaderChanges, restarts },
    reads: sum(({ readers }) => readers.reduce((total, client) => total + client.answered, 0)),
    readsRefused: sum(({ readers }) => readers.reduce((total, client) => total + client.refused, 0)),
    changes: sum(({ operator }) => operator.done),
    changesRefused: sum(({ operator }) => operator.refused),
    undecided: sum(({ registers }) => registers.undecided),
    snapshots: {
      saved: stored((node) => node.snapshots.saved),
      received: stored((node) => node.snapshots.received),
    },
    faults: new Map<Fault, number>([...faults.done, ...network.done]),
    failure,
    trace: failure === undefined ? [] : scheduler.trace(TRACE_LINES),
  };
}

/** Faults by which a run was helped on belong to its scenario like all others; then nothing more is to be drawn. */
function complete(scenario: Scenario, { urged }: Faults): Scenario {
  if (urged.length === 0) return scenario;
  const faults = [...scenario.faults, ...urged].sort((a, b) => a.atMs - b.atMs);
  return { ...scenario, faults, unseating: [] };
}
