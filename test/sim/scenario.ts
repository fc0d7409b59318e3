import { seededRandom } from '../../src/base/prng.js';
import type { ReadPolicy } from '../../src/engine/options.js';
import { Chance } from './chance.js';
import { type Fault, PROFILES, UNSEATING } from './profiles.js';
import { LEASE_CLOCK_SPREAD } from './sim-clock.js';

/** One fault, at one time. On whom and how it falls is drawn from its own seed: leaving out others changes nothing of it. */
export interface FaultEvent {
  readonly atMs: number;
  readonly kind: Fault;
  /** How long it lasts; for a process that goes down, how long until it comes back. */
  readonly forMs: number;
  readonly seed: number;
}

export interface NodePlan {
  /** How fast its clock runs, when nothing makes it run otherwise. */
  readonly clockRate: number;
  /** Its encoder has a thread of its own. */
  readonly spread: boolean;
}

export interface ClientPlan {
  readonly kind: 'local' | 'remote' | 'registers';
  /** Operations that it has at a time, at most; each time a number from 1 on. */
  readonly burst: number;
  /** Mean time between two such bursts, simulated ms. */
  readonly everyMs: number;
}

/**
 * All that is done to a cluster, as data: a run is a function of its scenario alone. It can be written down, made smaller, and
 * run again.
 */
export interface Scenario {
  /** Of what is drawn on the way: delays, who runs first, what clients write. */
  readonly seed: number;
  readonly nodes: readonly NodePlan[];
  readonly clients: readonly ClientPlan[];
  /** How the engines make reads linearizable. Leases: then no clock is faster than another by more than they are made for. */
  readonly reads: ReadPolicy;
  /** When each node takes a snapshot, and how much of its log stays then; undefined: never. */
  readonly compaction: { readonly everyEntries: number; readonly keepEntries: number } | undefined;
  /** Ascending in time. */
  readonly faults: readonly FaultEvent[];
  /** What must have been seen before the faults end: acknowledged operations, changes of leader, restarts of a node. */
  readonly operations: number;
  readonly leaderChanges: number;
  readonly restarts: number;
  /** What a run that has seen too few changes of leader is helped on with. */
  readonly unseating: readonly Fault[];
  /** Events at most; 0: as many as it takes. */
  readonly steps: number;
}

export interface ScenarioOptions {
  seed: number;
  profile: string;
  operations: number;
  /** Asked for only where the profile has faults that bring them about. */
  leaderChanges: number;
  restarts: number;
  steps: number;
}

/** Mean time between two operations of all clients together, simulated ms. */
const EVERY_MS = 22;
/** How much longer than without faults a run may take until none come any more. */
const PATIENCE = 6;
/** How much faster or slower than true time a clock may run. */
const CLOCK_SPREAD = 0.1;
/** Mean time between two operations on registers, simulated ms. */
const REGISTERS_EVERY_MS = 90;

/** The scenario of a seed. */
export function drawScenario(options: ScenarioOptions): Scenario {
  const { seed, profile, operations, steps } = options;
  const kinds = PROFILES[profile]!;
  const chance = new Chance(seededRandom(seed));
  const count = chance.chance(0.65) ? 3 : chance.chance(0.75) ? 5 : chance.chance(0.5) ? 4 : 1;
  const reads: ReadPolicy = chance.chance(0.4) ? 'lease' : 'readIndex';
  const spread = reads === 'lease' ? LEASE_CLOCK_SPREAD : CLOCK_SPREAD;
  const nodes = Array.from({ length: count }, () => ({
    clockRate: chance.chance(0.3) ? 1 : chance.between(1 - spread, 1 + spread),
    spread: chance.chance(0.5),
  }));
  const clients = drawClients(chance);
  const faults = drawFaults(chance, kinds, operations * EVERY_MS * PATIENCE);
  // A member that is alone loses its leadership only with its process.
  const unseating = UNSEATING.filter((kind) => kinds.includes(kind) && (count > 1 || kind === 'kill'));
  const leaderChanges = unseating.length > 0 ? options.leaderChanges : 0;
  const restarts = kinds.includes('kill') ? options.restarts : 0;
  const compaction = chance.chance(0.75)
    ? { everyEntries: chance.pick([5, 20, 60, 200]), keepEntries: chance.pick([0, 0, 40]) }
    : undefined;
  return {
    seed,
    nodes,
    clients,
    reads,
    compaction,
    faults,
    operations,
    leaderChanges,
    restarts,
    unseating,
    steps,
  };
}

function drawClients(chance: Chance): ClientPlan[] {
  const local = chance.integer(1, 2);
  const remote = chance.integer(1, 3);
  const burst = chance.pick([1, 4, 8, 16]);
  const everyMs = ((local + remote) * EVERY_MS * (1 + burst)) / 2;
  const writers = Array.from(
    { length: local + remote },
    (_, at): ClientPlan => ({
      kind: at < local ? 'local' : 'remote',
      burst,
      everyMs,
    }),
  );
  return [...writers, { kind: 'registers', burst: chance.integer(1, 4), everyMs: REGISTERS_EVERY_MS }];
}

/** Each run has some kinds of faults and not others, each with a rate of its own. */
function drawFaults(chance: Chance, kinds: readonly Fault[], untilMs: number): FaultEvent[] {
  const faults: FaultEvent[] = [];
  for (const kind of kinds) {
    if (chance.chance(0.35)) continue;
    // From every three seconds to every minute.
    const meanMs = 3000 * 20 ** chance.random();
    for (let atMs = chance.wait(meanMs); atMs < untilMs; atMs += chance.wait(meanMs)) {
      faults.push({ atMs: round(atMs), kind, forMs: drawDuration(chance, kind), seed: chance.seed() });
    }
  }
  return faults.sort((a, b) => a.atMs - b.atMs);
}

const STALLS: readonly Fault[] = ['stallMain', 'stallThread', 'stallNode', 'slowLink'];
const DOWN: readonly Fault[] = ['powerCut', 'kill', 'threadDeath', 'crashInStart'];

/** Mostly short, at times long, never above ten seconds. */
function drawDuration(chance: Chance, kind: Fault): number {
  if (DOWN.includes(kind)) return round(chance.between(50, 5000));
  const maxMs = STALLS.includes(kind) ? 10_000 : 8000;
  return round(20 * (maxMs / 20) ** chance.random());
}

const round = (ms: number): number => Math.round(10 * ms) / 10;
