import type { GroupId } from '../../src/base/ids.js';
import { seededRandom } from '../../src/base/prng.js';
import type { ReadPolicy } from '../../src/engine/options.js';
import { Chance } from './chance.js';
import { LINK_FAULTS, type LinkFault, type LinkPlan } from './links.js';
import { COMPRESSION_CHANGE, MEMBER_CHANGES } from './member-operator.js';
import { type Fault, GROUPS, type Incident, PROFILES, SEVERAL_ENCODERS, UNSEATING } from './profiles.js';
import { LEASE_CLOCK_SPREAD } from './sim-clock.js';

/** One fault, at one time. On whom and how it falls is drawn from its own seed: leaving out others changes nothing of it. */
export interface FaultEvent {
  readonly atMs: number;
  readonly kind: Incident;
  /** How long it lasts; for a process that goes down, how long until it comes back. */
  readonly forMs: number;
  readonly seed: number;
}

export interface NodePlan {
  /** How fast its clock runs, when nothing makes it run otherwise. */
  readonly clockRate: number;
  /** How many encoders it has with a thread of their own; 0: the network's thread encodes as well. */
  readonly encoders: number;
  /** No member at first: waits to be added. These come last. */
  readonly joins: boolean;
}

export interface ClientPlan {
  readonly group: GroupId;
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
  /** All on the same nodes, at first. */
  readonly groups: readonly GroupId[];
  readonly clients: readonly ClientPlan[];
  /** How the engines make reads linearizable. Leases: then no clock is faster than another by more than they are made for. */
  readonly reads: ReadPolicy;
  /** When each node takes a snapshot, and how much of its log stays then; undefined: never. */
  readonly compaction: { readonly everyEntries: number; readonly keepEntries: number } | undefined;
  /** What links do to messages all the time. */
  readonly links: LinkPlan;
  /** Ascending in time. */
  readonly faults: readonly FaultEvent[];
  /** What must have been seen before the faults end: acknowledged operations, changes of leader, restarts of a node. */
  readonly operations: number;
  readonly leaderChanges: number;
  readonly restarts: number;
  /** What a run that has seen too few changes of leader is helped on with. */
  readonly unseating: readonly Incident[];
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

/** In the worst direction of the worst run: chances for one message, and ms. */
const LINK_RATES_MAX: Readonly<Record<LinkFault, number>> = {
  loss: 0.2,
  duplication: 0.2,
  reordering: 0.3,
  delay: 25,
};
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
  // From a source of their own, and only in some runs: most seeds stand for what they stood for before there were several.
  const crews = new Chance(seededRandom(seed + 13));
  const crew = SEVERAL_ENCODERS.includes(profile) && crews.chance(0.4) ? [1, 2, 3] : [1];
  const drawNode = (joins: boolean): NodePlan => ({
    clockRate: chance.chance(0.3) ? 1 : chance.between(1 - spread, 1 + spread),
    encoders: chance.chance(0.5) ? crews.pick(crew) : 0,
    joins,
  });
  const founders = Array.from({ length: count }, () => drawNode(false));
  const groups = drawGroups(chance, profile);
  const clients = groups.flatMap((group) => drawClients(chance, group, groups.length));
  const untilMs = operations * EVERY_MS * PATIENCE;
  const rest = kinds.filter((kind) => kind !== COMPRESSION_CHANGE);
  // From a source of their own: what else a seed stands for is as it was before there were such changes.
  const levels =
    kinds.length === rest.length
      ? []
      : drawFaults(new Chance(seededRandom(seed + 7)), [COMPRESSION_CHANGE], untilMs);
  const faults = [...drawFaults(chance, rest, untilMs), ...levels].sort((a, b) => a.atMs - b.atMs);
  const links = drawLinks(chance, kinds);
  const adds = faults.some(({ kind }) => kind === 'addLearner' || kind === 'addVoter');
  const joiners = Array.from({ length: adds ? chance.integer(1, 3) : 0 }, () => drawNode(true));
  const nodes = [...founders, ...joiners];
  // A member that is alone loses its leadership only with its process.
  const unseating = UNSEATING.filter((kind) => kinds.includes(kind) && (count > 1 || kind === 'killLeader'));
  const leaderChanges = unseating.length > 0 ? options.leaderChanges : 0;
  const restarts = kinds.includes('kill') ? options.restarts : 0;
  const compaction = chance.chance(0.75)
    ? { everyEntries: chance.pick([5, 20, 60, 200]), keepEntries: chance.pick([0, 0, 40]) }
    : undefined;
  return {
    seed,
    nodes,
    groups,
    clients,
    reads,
    compaction,
    links,
    faults,
    operations,
    leaderChanges,
    restarts,
    unseating,
    steps,
  };
}

function drawGroups(chance: Chance, profile: string): GroupId[] {
  const { min, max, chance: more } = GROUPS[profile] ?? { min: 1, max: 1, chance: 0 };
  const count = chance.chance(more) ? max : min;
  return Array.from({ length: count }, (_, at) => at + 1);
}

/** `of`: so many groups share the work. */
function drawClients(chance: Chance, group: GroupId, of: number): ClientPlan[] {
  const local = chance.integer(1, 2);
  const remote = chance.integer(1, 3);
  const burst = chance.pick([1, 4, 8, 16]);
  const everyMs = (of * (local + remote) * EVERY_MS * (1 + burst)) / 2;
  const writers = Array.from(
    { length: local + remote },
    (_, at): ClientPlan => ({
      group,
      kind: at < local ? 'local' : 'remote',
      burst,
      everyMs,
    }),
  );
  const registers: ClientPlan = {
    ...{ group, kind: 'registers', burst: chance.integer(1, 4) },
    everyMs: of * REGISTERS_EVERY_MS,
  };
  return [...writers, registers];
}

/** Half of all runs have good links; else each kind is there or not. */
function drawLinks(chance: Chance, kinds: readonly Fault[]): LinkPlan {
  const plan: Partial<Record<LinkFault, number>> = {};
  const good = chance.chance(0.5);
  for (const kind of LINK_FAULTS) {
    const rate = LINK_RATES_MAX[kind] * 0.1 ** chance.random();
    if (!good && kinds.includes(kind) && chance.chance(0.65)) plan[kind] = round(1000 * rate) / 1000;
  }
  return plan;
}

/** Each run has some kinds of faults and not others, each with a rate of its own. In no order. */
function drawFaults(chance: Chance, kinds: readonly Fault[], untilMs: number): FaultEvent[] {
  const faults: FaultEvent[] = [];
  for (const kind of kinds) {
    if (isLinkFault(kind) || chance.chance(0.35)) continue;
    // From every three seconds to every minute; changes of members, many of which make no sense when they are due, more often.
    const meanMs = (isMemberChange(kind) ? 1000 : 3000) * 20 ** chance.random();
    for (let atMs = chance.wait(meanMs); atMs < untilMs; atMs += chance.wait(meanMs)) {
      faults.push({ atMs: round(atMs), kind, forMs: drawDuration(chance, kind), seed: chance.seed() });
    }
  }
  return faults;
}

const STALLS: readonly Fault[] = ['stallMain', 'stallThread', 'stallNode', 'slowLink'];
const DOWN: readonly Fault[] = [
  'powerCut',
  'kill',
  'killLeader',
  'threadDeath',
  'crashInStart',
  'loseDirectory',
];

const STALL_MS_MAX = 10_000;

/** Mostly short, at times long, never above ten seconds. */
function drawDuration(chance: Chance, kind: Fault): number {
  if (DOWN.includes(kind)) return round(chance.between(50, 5000));
  // A main thread that stands still for ten seconds must come often enough to be met in the middle of everything else.
  if (kind === 'stallMain' && chance.chance(0.2)) return STALL_MS_MAX;
  const maxMs = STALLS.includes(kind) ? STALL_MS_MAX : 8000;
  return round(20 * (maxMs / 20) ** chance.random());
}

const isLinkFault = (kind: Fault): kind is LinkFault => (LINK_FAULTS as readonly Fault[]).includes(kind);
const isMemberChange = (kind: Fault): boolean => (MEMBER_CHANGES as readonly Fault[]).includes(kind);

const round = (ms: number): number => Math.round(10 * ms) / 10;
