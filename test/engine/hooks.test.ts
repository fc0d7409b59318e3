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

/** Calls somebody from within each call. */
class Proposing extends Prepared {
  called: (from: string) => void = () => {};
  /** How many entries entered at a time. */
  readonly counts: number[] = [];

  override preCommit(run: LogRun): void {
    this.counts.push(run.count);
    super.preCommit(run);
    this.called('preCommit');
  }

  constructor() {
    super();
    const { apply } = this;
    this.apply = (batch) => {
      this.called('apply');
      return apply(batch);
    };
  }
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

  it.each(['preCommit', 'leadership', 'apply', 'commit', 'callback'] as const)(
    'what is proposed from within a call of %s fills batches at once, and comes after what was there',
    async (place) => {
      const directory = temporaryDirectory();
      try {
        const machine = new Proposing();
        const pipeline = { batchEntriesMax: 2, depth: 64 };
        const engine = await Engine.open(single(directory.path, machine, { pipeline }));
        const fatal: unknown[] = [];
        engine.on('fatal', (error) => fatal.push(error));
        const group = engine.group(1);
        const outcomes: Promise<unknown>[] = [];
        let allowed = 3;
        /** Three entries: a batch is sealed on the spot, and the next one begun. */
        const proposeMore = (from: string): void => {
          if (from !== place || group.status().role !== 'leader' || allowed-- <= 0) return;
          for (let more = 0; more < 3; more++)
            outcomes.push(group.propose(Buffer.from(`more ${outcomes.length}`)));
        };
        machine.called = proposeMore;
        engine.on('leadership', () => proposeMore('leadership'));
        engine.on('commit', () => proposeMore('commit'));
        await leads(engine);
        const appender = group.appender({ callback: () => proposeMore('callback') });
        for (let at = 0; at < 10; at += 2) {
          allowed = 3;
          appender.append(Buffer.from(`appended ${at / 2}`));
          outcomes.push(group.proposeMany([at, at + 1].map((mine) => Buffer.from(`mine ${mine}`))));
        }
        await appender.settled();
        for (let settled = 0; settled < outcomes.length; settled++) await outcomes[settled];
        expect(fatal).toEqual([]);
        expect(machine.faults).toEqual([]);
        const texts = machine.entries.map((entry) => entry.slice(entry.indexOf(' ') + 1));
        expect(texts).toHaveLength(outcomes.length + 10);
        expect(Math.max(...machine.counts)).toBe(2);
        for (const kind of ['mine', 'appended', 'more']) {
          const places = texts.filter((text) => text.startsWith(kind)).map((text) => +text.split(' ')[1]!);
          expect(places, kind).toEqual([...places].sort((a, b) => a - b));
        }
        await engine.close();
      } finally {
        directory.remove();
      }
    },
  );

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
