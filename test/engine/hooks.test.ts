import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { LogRun } from '../../src/engine/state-machine.js';
import {
  Cluster,
  codeOf,
  Engine,
  errorOf,
  Ledger,
  leads,
  single,
  temporaryDirectory,
  until,
} from './world.js';

/** Keeps what is in the log and not applied, as told by the hooks, and says where they contradict themselves. */
class Prepared extends Ledger {
  /** The term of each entry that entered the log, by index. */
  readonly log = new Map<number, number>();
  readonly cuts: number[] = [];
  readonly faults: string[] = [];
  failAt = 0;
  #end = 0;

  preCommit({ term, firstIndex, count }: LogRun): void {
    if (this.#end > 0 && firstIndex !== this.#end + 1) this.faults.push(`${firstIndex} after ${this.#end}`);
    if (this.failAt > 0 && firstIndex >= this.failAt) throw new Error('not prepared for this');
    for (let index = firstIndex; index < firstIndex + count; index++) this.log.set(index, term);
    this.#end = firstIndex + count - 1;
  }

  rollback({ from }: { from: number }): void {
    this.cuts.push(from);
    for (let index = from; index <= this.#end; index++) this.log.delete(index);
    this.#end = from - 1;
  }

  override apply: Ledger['apply'] = (batch) => {
    batch.forEach((bytes, index) => {
      if (this.log.get(index) !== batch.term) this.faults.push(`${index} was applied and had not entered`);
      this.entries.push(`${index} ${Buffer.from(bytes).toString()}`);
    });
    return undefined;
  };
}

describe('hooks of the state machine', () => {
  it('E4 what enters the log is told before it is applied, and again after a restart', async () => {
    const directory = temporaryDirectory();
    try {
      for (let life = 1; life <= 2; life++) {
        const machine = new Prepared();
        const engine = await Engine.open(single(directory.path, machine));
        await leads(engine);
        for (let at = 0; at < 10; at++) await engine.group(1).propose(Buffer.from(`${life}.${at}`));
        expect(machine.faults).toEqual([]);
        expect(machine.entries).toHaveLength(10 * life);
        expect(machine.log.size).toBe(engine.group(1).status().lastIndex);
        expect(machine.cuts).toEqual([]);
        await engine.close();
      }
    } finally {
      directory.remove();
    }
  });

  it('E4 a conflict takes entries out again before others take their places', async () => {
    const machines = new Map<number, Prepared>();
    const prepare = (id: number) => {
      const machine = new Prepared();
      machines.set(id, machine);
      return { groups: [{ id: 1, stateMachine: machine }] };
    };
    const cluster = await Cluster.start();
    try {
      await cluster.put('kept');
      const { id: old } = await cluster.leader();
      const others = [...cluster.nodes.keys()].filter((id) => id !== old);
      // The old leader keeps what nobody else got.
      const group = cluster.node(old).engine!.group(1);
      const { lastIndex } = group.status();
      const stopped = Promise.all(others.map((id) => cluster.stop(id)));
      const outcome = codeOf(group.propose(Buffer.from('lost')));
      await until('it is on its own disk', () => group.status().durableIndex > lastIndex);
      await stopped;
      await cluster.stop(old);
      expect([ErrorCode.OutcomeUnknown, ErrorCode.Closed]).toContain(await outcome);
      for (const id of others) await cluster.open(id);
      await cluster.put('instead');
      await cluster.open(old, prepare(old));
      const machine = machines.get(old)!;
      await until('it has caught up', () => machine.entries.length === 2);
      expect(machine.entries.map((entry) => entry.split(' ')[1])).toEqual(['kept', 'instead']);
      expect(machine.cuts).toHaveLength(1);
      expect(machine.faults).toEqual([]);
    } finally {
      await cluster.close();
    }
  });

  it('a hook that throws ends the engine, as apply does', async () => {
    const directory = temporaryDirectory();
    try {
      const machine = new Prepared();
      const engine = await Engine.open(single(directory.path, machine));
      await leads(engine);
      const fatal = new Promise<{ code: string }>((resolve) => engine.once('fatal', resolve));
      machine.failAt = 1;
      const failed = errorOf(engine.group(1).propose(Buffer.from('x')));
      expect((await fatal).code).toBe(ErrorCode.StateMachineFailed);
      expect((await failed).code).toBe(ErrorCode.StateMachineFailed);
      await engine.close();
    } finally {
      directory.remove();
    }
  });

  it('a commit is an event, which only grows', async () => {
    const directory = temporaryDirectory();
    try {
      const engine = await Engine.open(single(directory.path, new Ledger()));
      const commits: number[] = [];
      engine.on('commit', ({ group, index }) => commits.push(group * index));
      await leads(engine);
      const { index } = await engine.group(1).propose(Buffer.from('x'));
      expect(commits.at(-1)).toBe(index);
      expect(commits).toEqual([...new Set(commits)].sort((a, b) => a - b));
      await engine.close();
    } finally {
      directory.remove();
    }
  });
});
