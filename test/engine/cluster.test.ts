import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { Cluster, codeOf, errorOf, until } from './world.js';

describe('three engines in one process', () => {
  it('replicate: every state machine gets the same entries, and only the leader takes proposals', async () => {
    const cluster = await Cluster.start();
    try {
      const leader = await cluster.leader();
      const proposed = await Promise.all(
        Array.from({ length: 500 }, (_, at) => leader.group(1).propose(Buffer.from(`entry ${at}`))),
      );
      expect(proposed.map(({ index }) => index)).toEqual(
        Array.from({ length: 500 }, (_, at) => proposed[0]!.index + at),
      );
      expect(await cluster.agree(500)).toEqual(Array.from({ length: 500 }, (_, at) => `entry ${at}`));
      for (const [id, { engine }] of cluster.nodes) {
        if (id === leader.id) continue;
        const error = await errorOf(engine!.group(1).propose(Buffer.from('x')));
        expect(error.code).toBe(ErrorCode.NotLeader);
        expect(error.retryable).toBe(true);
        expect(error.details).toMatchObject({ leader: leader.id, leaderAddress: leader.address });
      }
      await until('followers told how far they are', () =>
        leader
          .status()
          .groups[0]!.followers.every(({ match, connected }) => connected && match >= proposed[499]!.index),
      );
    } finally {
      await cluster.close();
    }
  });

  it('go on without their leader, and one that comes back catches up', async () => {
    const cluster = await Cluster.start();
    try {
      for (let at = 0; at < 20; at++) await cluster.put(`first ${at}`);
      const old = await cluster.leader();
      await cluster.stop(old.id);
      const next = await cluster.leader();
      expect(next.id).not.toBe(old.id);
      for (let at = 0; at < 20; at++) await cluster.put(`second ${at}`);
      await cluster.open(old.id);
      await cluster.put('third');
      const texts = await cluster.agree(41);
      expect(new Set(texts).size).toBe(41);
      expect(texts.at(-1)).toBe('third');
      const leader = await cluster.leader();
      const follower = [...cluster.nodes.keys()].find((id) => id !== leader.id)!;
      await cluster.stop(follower);
      await cluster.put('without a follower');
      await cluster.open(follower);
      await cluster.put('with it again');
      expect((await cluster.agree(43)).slice(-2)).toEqual(['without a follower', 'with it again']);
    } finally {
      await cluster.close();
    }
  });

  it('H66 H69 without a quorum nothing is acknowledged, and the fate of what was proposed is said to be unknown or nothing', async () => {
    const cluster = await Cluster.start();
    try {
      await cluster.put('before');
      await cluster.agree(1);
      const leader = await cluster.leader();
      for (const id of cluster.nodes.keys()) if (id !== leader.id) await cluster.stop(id);
      const fates: string[] = [];
      for (let at = 0; at < 20; at++) {
        leader
          .group(1)
          .propose(Buffer.from(`lost ${at}`))
          .then(
            () => fates.push('done'),
            (error: RaftlineError) => fates.push(error.code),
          );
      }
      await until('it stepped down and all are answered', () => fates.length === 20);
      for (const fate of fates) expect([ErrorCode.OutcomeUnknown, ErrorCode.NotLeader]).toContain(fate);
      expect(fates, 'what was sealed may yet be committed').toContain(ErrorCode.OutcomeUnknown);
      await cluster.stop(leader.id);
      expect(cluster.node(leader.id).ledger.texts).toEqual(['before']);
    } finally {
      await cluster.close();
    }
  });

  it('H61 S2 a node that lost its directory is refused under its old id, loudly, and has no voice', async () => {
    const cluster = await Cluster.start();
    try {
      await cluster.put('before');
      await cluster.agree(1);
      const leader = await cluster.leader();
      const wiped = [...cluster.nodes.keys()].find((id) => id !== leader.id)!;
      await cluster.stop(wiped);
      rmSync(cluster.node(wiped).options.dataDirectory, { recursive: true });
      await cluster.open(wiped);
      await until('its peers have refused it', () =>
        [...cluster.nodes].every(
          ([id, { logs }]) => id === wiped || logs.some((line) => line.includes('incarnation')),
        ),
      );
      await leader.group(1).propose(Buffer.from('after'));
      expect(cluster.node(wiped).ledger.texts).toEqual([]);
      expect(await codeOf(cluster.node(wiped).engine!.group(1).propose(Buffer.from('x')))).toBe(
        ErrorCode.NotLeader,
      );
      const third = [...cluster.nodes.keys()].find((id) => id !== leader.id && id !== wiped)!;
      await until('the third has it', () => cluster.node(third).ledger.texts.length === 2);
    } finally {
      await cluster.close();
    }
  });

  it('threads and implementations of LZ4 mix, whoever leads', async () => {
    const mixed = { 1: 'pure', 2: 'auto', 3: 'auto' } as const;
    const cluster = await Cluster.start((id) => ({
      lz4: mixed[id as 1 | 2 | 3],
      threads: id === 2 ? 'shared' : 'spread',
      compression: id === 3 ? 'none' : 'lz4',
    }));
    try {
      let count = 0;
      const ledOnce = new Set<number>();
      for (let reign = 0; reign < 3; reign++) {
        const leader = await cluster.leader();
        const entries = Array.from({ length: 100 }, (_, at) =>
          Buffer.from(`{"reign":${reign},"at":${at},`.repeat(40)),
        );
        await Promise.all(entries.map((entry) => leader.group(1).propose(entry)));
        count += 100;
        await cluster.agree(count);
        const { compressed } = leader.status().encoder;
        if (leader.id === 3) expect(compressed).toBe(0);
        else expect(compressed).toBeGreaterThan(0);
        ledOnce.add(leader.id);
        await cluster.stop(leader.id);
        await cluster.leader();
        await cluster.open(leader.id);
        await cluster.agree(count);
      }
      expect(ledOnce.size).toBeGreaterThan(1);
    } finally {
      await cluster.close();
    }
  });

  it('T6 a main thread that slept elects nobody when it wakes: what came meanwhile is taken in first, and the gap is one tick', async () => {
    // A leader that does little but stall would hand over of its own accord.
    const cluster = await Cluster.start(() => ({ election: { handOverAfterMs: 0 } }));
    try {
      await cluster.put('before');
      const leader = await cluster.leader();
      const { term } = leader.group(1).status();
      for (let stall = 0; stall < 3; stall++) {
        // Several of the longest election timeouts, of all three nodes at a time: they share this thread.
        for (const end = performance.now() + 1200; performance.now() < end; );
        await leader.group(1).propose(Buffer.from(`after stall ${stall}`));
      }
      const terms = [1, 2, 3].map((id) => cluster.node(id).engine!.group(1).status().term);
      expect(terms).toEqual([term, term, term]);
      expect(leader.group(1).status().role).toBe('leader');
    } finally {
      await cluster.close();
    }
  });
});
