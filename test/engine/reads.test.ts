import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { Cluster, codeOf, errorOf, until } from './world.js';

describe('reads and transfer', () => {
  it('a read sees what was acknowledged before it, on whichever member (H68)', async () => {
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
    } finally {
      await cluster.close();
    }
  });

  it.each(['readIndex', 'lease'] as const)(
    'a follower answers for itself what its leader has confirmed (%s)',
    async (policy) => {
      const cluster = await Cluster.start(() => ({ reads: { policy } }));
      try {
        for (let at = 0; at < 20; at++) {
          await cluster.put(`entry ${at}`);
          const reads = [...cluster.nodes.values()].map(async ({ engine, ledger }) => {
            await engine!.group(1).read(at % 2 === 0 ? {} : { policy: 'readIndex' });
            expect(ledger.texts.at(-1)).toBe(`entry ${at}`);
          });
          await Promise.all(reads);
        }
        const engine = cluster.nodes.get(1)!.engine!;
        const points = await Promise.all(Array.from({ length: 500 }, () => engine.group(1).read()));
        expect(points.length).toBe(500);
      } finally {
        await cluster.close();
      }
    },
  );

  it("H68 a member whose reads rest on something else than the others' is kept out, and told why", async () => {
    const cluster = await Cluster.start((id) => (id === 3 ? { reads: { policy: 'lease' } } : {}));
    const odd = cluster.node(3);
    try {
      await until('it was told', () =>
        odd.logs.some((line) => line.includes('reads.policy and election options')),
      );
      const late = await errorOf(odd.engine!.group(1).read());
      expect(late.code).toBe(ErrorCode.NotLeader);
      await cluster.stop(3);
      await cluster.put('without it');
      await cluster.open(3, { reads: { policy: 'readIndex' } });
      await cluster.agree(1);
      await odd.engine!.group(1).read();
    } finally {
      await cluster.close();
    }
  });

  it('a read on a follower outlives its leader, or says in bounded time that there is none (H66)', async () => {
    const cluster = await Cluster.start();
    try {
      await cluster.put('before');
      const leader = await cluster.leader();
      const [first, second] = [...cluster.nodes.keys()].filter((id) => id !== leader.id);
      await cluster.stop(leader.id);
      const { engine, ledger } = cluster.node(first!);
      const answers = await Promise.all(
        Array.from({ length: 20 }, () =>
          engine!
            .group(1)
            .read()
            .then(
              () => '',
              (error: RaftlineError) => error.code,
            ),
        ),
      );
      for (const code of answers) expect(['', ErrorCode.NotLeader, ErrorCode.Timeout]).toContain(code);
      await cluster.leader();
      await engine!.group(1).read();
      expect(ledger.texts).toEqual(['before']);
      await cluster.stop(second!);
      const lonely = await codeOf(engine!.group(1).read());
      expect([ErrorCode.NotLeader, ErrorCode.Timeout]).toContain(lonely);
    } finally {
      await cluster.close();
    }
  });

  it('a policy that cannot be had is refused, and says why', async () => {
    const cluster = await Cluster.start();
    try {
      const leader = await cluster.leader();
      const refusal = await errorOf(leader.group(1).read({ policy: 'lease' }));
      expect(refusal.code).toBe(ErrorCode.OptionInvalid);
      expect(refusal.message).toMatch(/reads.policy/);
      expect(await codeOf(leader.group(1).read({ policy: 'stale' as 'lease' }))).toBe(
        ErrorCode.OptionInvalid,
      );
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

  it('election.priority says who leads when there is no leader; nobody is deposed for it', async () => {
    const election = { timeoutMsMin: 500, timeoutMsMax: 600, heartbeatIntervalMs: 100 };
    const cluster = await Cluster.start(() => ({ election }));
    const statusOf = (id: number) => cluster.node(id).engine!.group(1).status();
    try {
      for (const [first, last] of [
        [2, 3],
        [3, 2],
      ] as const) {
        for (const id of [first, last]) {
          await cluster.stop(id);
          await cluster.open(id, { election: { ...election, priority: id === first ? 3 : 0 } });
        }
        await until('node 1 leads', () => {
          const leader = [1, 2, 3].find((id) => statusOf(id).role === 'leader');
          if (leader === undefined || leader === 1) return leader === 1;
          try {
            cluster.node(leader).engine!.group(1).transferLeadership(1);
          } catch {
            // Not caught up yet, or leads no more.
          }
          return false;
        });
        await cluster.put(`before ${first} leads`);
        await cluster.stop(1);
        expect((await cluster.leader()).id).toBe(first);
        await cluster.open(1);
        await cluster.put('with the other one back');
        expect((await cluster.leader()).id).toBe(first);
      }
    } finally {
      await cluster.close();
    }
  });
});
