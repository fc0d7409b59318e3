import type { GroupId } from '../../src/base/ids.js';
import type { Chance } from './chance.js';
import type { SimNetwork } from './network.js';
import type { SimNode } from './node.js';

export const PARTITIONS = [
  'split',
  'oneWay',
  'oneLink',
  'roamingLink',
  'bridge',
  'ring',
  'majorityRing',
  'isolateLeader',
  'deafLeader',
  'muteLeader',
] as const;
export type Partition = (typeof PARTITIONS)[number];

/** What passes from the first to the second does so no more. */
export type Direction = readonly [from: SimNode, to: SimNode];

/** The directions that a partition closes, around the leader of `group` where it is about one. Empty: it makes no sense now. */
export function directionsOf(
  kind: Partition,
  group: GroupId,
  nodes: readonly SimNode[],
  chance: Chance,
): Direction[] {
  if (nodes.length < 2) return [];
  const mixed = chance.shuffled(nodes);
  const [a, b] = mixed as [SimNode, SimNode];
  switch (kind) {
    case 'split': {
      const half = chance.integer(1, mixed.length - 1);
      return bothWays(between(mixed.slice(0, half), mixed.slice(half)));
    }
    case 'oneWay':
      return [[a, b]];
    case 'oneLink':
    case 'roamingLink':
      return bothWays([[a, b]]);
    case 'bridge': {
      // The first hears everybody; the two sides do not hear each other.
      const half = 1 + Math.ceil((mixed.length - 1) / 2);
      return bothWays(between(mixed.slice(1, half), mixed.slice(half)));
    }
    case 'ring':
      return ring(mixed);
    case 'majorityRing':
      return majorityRing(mixed);
    case 'isolateLeader':
    case 'deafLeader':
    case 'muteLeader':
      return aroundLeader(kind, group, nodes);
  }
}

/** Each hears its two neighbours only. */
function ring(nodes: readonly SimNode[]): Direction[] {
  const { length } = nodes;
  return pairs(nodes, (at, other) => {
    const apart = Math.abs(at - other);
    return apart > 1 && apart < length - 1;
  });
}

/** Each hears a bare majority, itself included, and no two the same one. Among three this is a ring of one-way links. */
function majorityRing(nodes: readonly SimNode[]): Direction[] {
  const { length } = nodes;
  return pairs(nodes, (from, to) => (from - to + length) % length > Math.floor(length / 2));
}

function aroundLeader(kind: Partition, group: GroupId, nodes: readonly SimNode[]): Direction[] {
  const leader = nodes.find((node) => node.leads(group));
  if (leader === undefined) return [];
  const others = nodes.filter((node) => node !== leader);
  const toOthers = between([leader], others);
  if (kind === 'muteLeader') return toOthers;
  if (kind === 'deafLeader') return between(others, [leader]);
  return bothWays(toOthers);
}

function pairs(nodes: readonly SimNode[], closed: (from: number, to: number) => boolean): Direction[] {
  return nodes.flatMap((from, at) =>
    nodes.flatMap((to, other): Direction[] => (at !== other && closed(at, other) ? [[from, to]] : [])),
  );
}

function between(left: readonly SimNode[], right: readonly SimNode[]): Direction[] {
  return left.flatMap((a) => right.map((b): Direction => [a, b]));
}

function bothWays(directions: readonly Direction[]): Direction[] {
  return directions.flatMap(([a, b]): Direction[] => [
    [a, b],
    [b, a],
  ]);
}

/**
 * Closes directions. `cut`: whoever connects is refused and streams break, which takes both ways; else what is sent is held back,
 * and nobody is told.
 */
export function closeLinks(network: SimNetwork, directions: readonly Direction[], cut: boolean): void {
  for (const [from, to] of directions) {
    const link = network.link(from.host, to.host);
    if (cut) {
      link.cut = true;
      network.breakStreams(from.host, to.host);
    } else link.held = true;
  }
}

export function openLinks(network: SimNetwork, directions: readonly Direction[]): void {
  for (const [from, to] of directions) {
    const link = network.link(from.host, to.host);
    link.held = false;
    link.cut = false;
    network.release(from.host, to.host);
  }
}

/** Whether a partition can be made by breaking streams: not if it closes one direction of a link and not the other. */
export function canCut(kind: Partition): boolean {
  return !(['oneWay', 'majorityRing', 'deafLeader', 'muteLeader'] as Partition[]).includes(kind);
}
