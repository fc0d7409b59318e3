import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { Engine as EngineType } from '../../src/engine/engine.js';
import { Cluster, codeOf, errorOf, until } from './world.js';

const group = (engine: EngineType) => engine.group(1);

/** Runs `story` on a cluster of three and closes it, whatever happens. */
async function withCluster(story: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start();
  try {
    await story(cluster);
  } finally {
    await cluster.close();
  }
}

describe('members of a running cluster', () => {
  it('E7 H62 a node that waits to be added learns, catches up, and only then becomes a voter; addresses come from the log', async () => {
    await withCluster(async (cluster) => {
      for (let at = 0; at < 5; at++) await cluster.put(`before ${at}`);
      const leader = await cluster.leader();
      const first = group(leader).members();
      expect(first).toMatchObject({
        index: 1,
        committed: true,
        voters: [1, 2, 3],
        votersOutgoing: [],
        learners: [],
      });
      const address = await cluster.join(4);
      const newcomer = cluster.node(4).engine!;
      expect(group(newcomer).members()).toMatchObject({
        index: 0,
        committed: false,
        voters: [],
        members: [],
      });
      expect(await codeOf(group(newcomer).addMember({ id: 4, address }))).toBe(ErrorCode.NotLeader);

      const learning = await group(leader).addMember({ id: 4, address, as: 'learner' });
      expect(learning).toMatchObject({ voters: [1, 2, 3], learners: [4], committed: true });
      expect(learning.members.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
      for (const { id, address: where, incarnation } of learning.members) {
        expect(where).toBe(cluster.node(id).engine!.address);
        expect(incarnation).toBe(cluster.node(id).engine!.status().incarnation);
      }
      const voting = await group(leader).promoteMember(4);
      expect(voting).toMatchObject({
        voters: [1, 2, 3, 4],
        votersOutgoing: [],
        learners: [],
        committed: true,
      });
      expect(voting.index).toBeGreaterThan(learning.index);
      await cluster.put('after');
      await cluster.agree(6);
      // The newcomer was never told an address, and knows everybody.
      expect(cluster.node(4).options.peers).toBeUndefined();
      await until('it knows the members', () => group(newcomer).members().index === voting.index);
      expect(group(newcomer).members()).toEqual(voting);
      // Asked again, it is done already.
      expect(await group(leader).addMember({ id: 4, address })).toEqual(voting);
    });
  });

  it('E9 H55 H63 one change at a time, by compare-and-set, and each of the three outcomes', async () => {
    await withCluster(async (cluster) => {
      await cluster.put('before');
      const leader = await cluster.leader();
      const { index } = group(leader).members();
      const address = await cluster.join(4);
      const under = group(leader).addMember({ id: 4, address }, { expectedIndex: index });
      const second = await errorOf(group(leader).removeMember(2));
      expect([second.code, second.retryable]).toEqual([ErrorCode.MembersBusy, true]);
      const now = await under;
      const late = await errorOf(group(leader).removeMember(2, { expectedIndex: index }));
      expect(late.code).toBe(ErrorCode.MembersChanged);
      expect(late.details).toMatchObject({ expected: index, index: now.index, voters: '1,2,3,4' });
      expect(group(leader).members()).toEqual(now);

      for (const [promise, code] of [
        [group(leader).promoteMember(9), ErrorCode.MemberInvalid],
        [group(leader).changeMembers({ voters: [1, 9] }), ErrorCode.MemberInvalid],
        [group(leader).changeMembers({ voters: [] }), ErrorCode.MemberInvalid],
        [group(leader).addMember({ id: 0, address }), ErrorCode.OptionInvalid],
        [group(leader).addMember({ id: 5, address: 'nowhere' }), ErrorCode.OptionInvalid],
        [group(leader).removeMember(4, { timeoutMs: 0 }), ErrorCode.OptionInvalid],
      ] as const) {
        expect(await codeOf(promise)).toBe(code);
      }
      // Somebody else's address: who answers there is not whom we mean.
      const other = [1, 2, 3].find((id) => id !== leader.id)!;
      const wrong = { id: 7, address: cluster.node(other).engine!.address };
      expect(await codeOf(group(leader).addMember(wrong))).toBe(ErrorCode.HandshakeRefused);
      expect(group(leader).members()).toEqual(now);

      // Without a quorum nobody can say whether it will be.
      const others = [1, 2, 3, 4].filter((id) => id !== leader.id);
      for (const id of others) await cluster.stop(id);
      expect(await codeOf(group(leader).removeMember(others[0]!, { timeoutMs: 200 }))).toBe(
        ErrorCode.OutcomeUnknown,
      );
    });
  });

  it('E8 a leaver that does not answer is removed all the same; once it is back it asks, is told, and steps out', async () => {
    await withCluster(async (cluster) => {
      await cluster.put('one');
      const leader = await cluster.leader();
      const leaver = [1, 2, 3].find((id) => id !== leader.id)!;
      await cluster.stop(leaver);
      const view = await group(leader).removeMember(leaver);
      expect(view).toMatchObject({ voters: [1, 2, 3].filter((id) => id !== leaver), committed: true });
      const { term } = group(leader).status();
      await cluster.open(leaver);
      const back = cluster.node(leaver).engine!;
      expect(group(back).status().membership).toBe('voter');
      await until('it has stepped out', () => group(back).status().membership === 'removed');
      await group(leader).propose(Buffer.from('two'));
      expect(group(leader).status()).toMatchObject({ role: 'leader', term });
      expect(group(back).status()).toMatchObject({ role: 'follower', leader: 0 });
    });
  });

  it('E8 H58 a leader that removes itself hands over first; who was removed is told so and campaigns no more', async () => {
    await withCluster(async (cluster) => {
      await cluster.put('one');
      const old = await cluster.leader();
      const before = old.status().groups[0]!.term;
      // Who asks before it campaigns does so in the term that it has: whom the leader orders to does not.
      const waited: number[] = [];
      for (const { engine } of cluster.nodes.values())
        engine!.on('leadership', ({ role, term }) => {
          if (role === 'candidate' && term === before) waited.push(engine!.id);
        });
      const view = await group(old).removeMember(old.id);
      expect(view.voters).toEqual([1, 2, 3].filter((id) => id !== old.id));
      expect(view.removed).toEqual([{ id: old.id, incarnation: old.status().incarnation }]);
      await until('it leads no more', () => group(old).status().role !== 'leader');
      const others = [1, 2, 3].filter((id) => id !== old.id);
      await until('one of the others leads', () =>
        others.some((id) => cluster.node(id).engine!.group(1).status().role === 'leader'),
      );
      const next = others
        .map((id) => cluster.node(id).engine!)
        .find((engine) => group(engine).status().role === 'leader')!;
      // Handed over: one term further, no election that had to wait for a timeout.
      expect(next.status().groups[0]!.term).toBe(before + 1);
      expect(waited).toEqual([]);
      await group(next).propose(Buffer.from('two'));
      await until('it was told', () =>
        cluster.node(old.id).logs.some((line) => line.includes('was removed')),
      );
      expect(await codeOf(group(old).propose(Buffer.from('x')))).toBe(ErrorCode.NotLeader);
      const { term } = group(next).status();
      await cluster.stop(old.id);
      await cluster.open(old.id);
      await until(
        'it was told again',
        () => group(cluster.node(old.id).engine!).status().membership === 'removed',
      );
      await group(next).propose(Buffer.from('three'));
      expect(group(next).status().term).toBe(term);

      // With what it had it does not come back; with an empty directory it is somebody new.
      const address = cluster.node(old.id).options.listen!;
      expect(await codeOf(group(next).addMember({ id: old.id, address }))).toBe(ErrorCode.MemberRemoved);
      await cluster.stop(old.id);
      rmSync(cluster.node(old.id).options.dataDirectory, { recursive: true });
      await cluster.open(old.id, { join: true });
      await group(next).addMember({ id: old.id, address });
      await cluster.put('four');
      expect(await cluster.agree(4)).toEqual(['one', 'two', 'three', 'four']);
    });
  });

  it('every original node is replaced, and a restart goes by the log and not by its flags', async () => {
    await withCluster(async (cluster) => {
      await cluster.put('first');
      for (const id of [4, 5, 6]) {
        const leader = await cluster.leader();
        const address = await cluster.join(id);
        await group(leader).addMember({ id, address });
        await cluster.put(`with ${id}`);
      }
      const leader = await cluster.leader();
      const { voters } = await group(leader).changeMembers({ voters: [4, 5, 6] });
      expect(voters).toEqual([4, 5, 6]);
      for (const id of [1, 2, 3]) {
        await until(
          `node ${id} leads no more`,
          () => group(cluster.node(id).engine!).status().role !== 'leader',
        );
      }
      for (const id of [1, 2, 3]) {
        await cluster.stop(id);
        cluster.nodes.delete(id);
      }
      await cluster.put('without the old');
      for (const id of [4, 5, 6]) {
        await cluster.stop(id);
        // Flags of a cluster that this node never began: the log knows better.
        await cluster.open(id, { join: id === 4, peers: { 1: '127.0.0.1:1', 2: '127.0.0.1:2' } });
      }
      await cluster.put('last');
      expect(await cluster.agree(6)).toEqual([
        'first',
        'with 4',
        'with 5',
        'with 6',
        'without the old',
        'last',
      ]);
      expect(group(await cluster.leader()).members()).toMatchObject({ voters: [4, 5, 6], learners: [] });
    });
  });

  it('H61 a voter that lost its directory is refused, and adding it says so; removed and added anew it votes again', async () => {
    await withCluster(async (cluster) => {
      await cluster.put('one');
      const leader = await cluster.leader();
      const address = await cluster.join(4);
      await group(leader).addMember({ id: 4, address });
      const told: string[] = [];
      leader.on('peer', ({ lane, message }) => lane === 'control' && told.push(message));
      await cluster.stop(4);
      rmSync(cluster.node(4).options.dataDirectory, { recursive: true });
      await cluster.open(4);
      await until('the leader was told', () => told.some((line) => line.includes('node 4 is a wiped node')));
      const before = group(leader).members();
      const refused = await errorOf(group(leader).addMember({ id: 4, address }));
      expect(refused.code).toBe(ErrorCode.MemberInvalid);
      expect(refused.message).toContain('node 4 is a member already, and refused');
      expect(group(leader).members()).toEqual(before);

      await group(leader).removeMember(4);
      const after = await group(leader).addMember({ id: 4, address });
      expect(after.voters).toEqual([1, 2, 3, 4]);
      expect(after.removed.map(({ id }) => id)).toEqual([4]);
      await cluster.put('two');
      expect(await cluster.agree(2)).toEqual(['one', 'two']);
    });
  });
});
