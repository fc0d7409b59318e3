import { describe, expect, it } from 'vitest';
import { Cluster } from './cluster.js';
import type { ToyNode } from './cluster-node.js';
import { Links } from './links.js';

/** Longest election timeout of these clusters, in ticks. */
const TIMEOUT = 10;
const GUARDS = { preVote: true, checkQuorum: true };

/** A cluster of five that has a leader. */
function ledCluster(seed: number): { cluster: Cluster; leader: ToyNode; others: ToyNode[] } {
  const cluster = new Cluster(seed, 5, false, GUARDS);
  cluster.calm(new Links(), 4 * TIMEOUT);
  const [leader, ...more] = cluster.leaders;
  if (leader === undefined || more.length > 0) throw new Error(`seed ${seed}: expected one leader`);
  return { cluster, leader, others: cluster.nodes.filter((node) => node !== leader) };
}

const termOf = (cluster: Cluster): number => Math.max(...cluster.nodes.map(({ raft }) => raft.status().term));
const leadersOf = (cluster: Cluster): number[] => cluster.leaders.map(({ id }) => id);

/** Whether a write goes through within a timeout. */
function writes(cluster: Cluster, links: Links): boolean {
  const before = cluster.checks.committed.length;
  for (const node of cluster.leaders) node.propose(1);
  cluster.calm(links, TIMEOUT);
  return cluster.checks.committed.length > before;
}

/** Nothing changes any more, for ten timeouts. */
function expectQuiet(cluster: Cluster, links: Links): void {
  const before = [termOf(cluster), leadersOf(cluster)];
  cluster.calm(links, 10 * TIMEOUT);
  expect([termOf(cluster), leadersOf(cluster)]).toEqual(before);
}

describe('partial partitions', () => {
  const seeds = Array.from({ length: 10 }, (_, i) => i + 1);

  it.each(seeds)('H11 a leader that reaches only the bridge is replaced, once (seed %i)', (seed) => {
    const { cluster, leader, others } = ledCluster(seed);
    const links = new Links();
    for (const node of others.slice(1)) links.cutBoth(leader.id, node.id);
    const before = termOf(cluster);
    cluster.calm(links, 6 * TIMEOUT);
    expect(leadersOf(cluster)).toHaveLength(1);
    expect(leadersOf(cluster)).not.toContain(leader.id);
    expect(writes(cluster, links)).toBe(true);
    expect(termOf(cluster) - before).toBeLessThanOrEqual(3);
    expectQuiet(cluster, links);
  });

  it.each(seeds)('H12 a follower that hears nothing deposes nobody and moves no term (seed %i)', (seed) => {
    const { cluster, leader, others } = ledCluster(seed);
    const links = new Links();
    for (const node of cluster.nodes) links.cut(node.id, others[0]?.id ?? 0);
    expectQuiet(cluster, links);
    expect(leadersOf(cluster)).toEqual([leader.id]);
    expect(writes(cluster, links)).toBe(true);
  });

  it.each(seeds)('H12 a leader that hears nothing gives way (seed %i)', (seed) => {
    const { cluster, leader, others } = ledCluster(seed);
    const links = new Links();
    for (const node of others) links.cut(node.id, leader.id);
    cluster.calm(links, 6 * TIMEOUT);
    expect(leadersOf(cluster)).toHaveLength(1);
    expect(leadersOf(cluster)).not.toContain(leader.id);
    expect(writes(cluster, links)).toBe(true);
    expectQuiet(cluster, links);
  });
});
