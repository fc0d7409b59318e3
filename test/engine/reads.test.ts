import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { Cluster, codeOf, until } from './world.js';

describe('reads and transfer', () => {
  it('a read sees what was acknowledged before it, and only the leader answers (H68)', async () => {
    const cluster = await Cluster.start();
    try {
      for (let at = 0; at < 10; at++) {
        const leader = await cluster.leader();
        const { index } = await leader.group(1).propose(Buffer.from(`entry ${at}`));
        expect((await leader.group(1).read()).index).toBeGreaterThanOrEqual(index);
      }
      const leader = await cluster.leader();
      const points = await Promise.all(Array.from({ length: 200 }, () => leader.group(1).read()));
      expect(points.length).toBe(200);
      const follower = [...cluster.nodes.values()].find(({ engine }) => engine !== leader)!.engine!;
      expect(await codeOf(follower.group(1).read())).toBe(ErrorCode.NotLeader);
    } finally {
      await cluster.close();
    }
  });

  it('a leader that lost its quorum answers no read, and says so in bounded time (H10, H66)', async () => {
    const cluster = await Cluster.start();
    try {
      const leader = await cluster.leader();
      for (const id of [...cluster.nodes.keys()]) if (id !== leader.id) await cluster.stop(id);
      const codes = await Promise.all(Array.from({ length: 5 }, () => codeOf(leader.group(1).read())));
      for (const code of codes) expect([ErrorCode.NotLeader, ErrorCode.Timeout]).toContain(code);
      await until('it steps down', () => leader.group(1).status().role !== 'leader');
    } finally {
      await cluster.close();
    }
  });

  it('hands leadership to the node that was named, and proposals go on there (H14)', async () => {
    const cluster = await Cluster.start();
    try {
      await cluster.put('before');
      const leader = await cluster.leader();
      const target = [...cluster.nodes.keys()].find((id) => id !== leader.id)!;
      expect(() => leader.group(1).transferLeadership(99)).toThrow(/no voter/);
      leader.group(1).transferLeadership(target);
      await until(
        'the target leads',
        () => cluster.nodes.get(target)!.engine!.group(1).status().role === 'leader',
      );
      await cluster.put('after');
      expect(await cluster.agree(2)).toEqual(['before', 'after']);
    } finally {
      await cluster.close();
    }
  });
});
