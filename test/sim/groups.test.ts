import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import type { Replica } from '../../src/engine/replica.js';
import type { StateMachine } from '../../src/engine/state-machine.js';
import type { Proposed } from '../../src/engine/waiters.js';
import { ringUse } from '../../src/workers/memory.js';
import type { SimProcess } from './process.js';
import { QuietCluster } from './quiet-cluster.js';

const STUCK = 1;
const BUSY = 2;
const ENTRY_BYTES = 1000;
/** Rings are of 128 KiB here; what the busy group commits while the other stands still is several of them. */
const BUSY_ENTRIES = 600;
const ELECTION = { timeoutMsMin: 1000, timeoutMsMax: 2000, heartbeatIntervalMs: 100 };

/** Notes the numbers that are in the entries, and answers with how many there were. */
class Ledger implements StateMachine {
  readonly numbers: number[] = [];
  apply: StateMachine['apply'] = (batch) => {
    const results: Uint8Array[] = [];
    batch.forEach((bytes) => {
      this.numbers.push(Buffer.from(bytes).readUInt32LE(0));
      results.push(Uint8Array.of(this.numbers.length & 0xff));
    });
    return results;
  };
}

/** What became of a proposal. */
type Fate = { number: number } & ({ placed: Proposed } | { error: RaftlineError });

/** Three nodes with two groups, both led by the same one, on rings that one of the groups could fill. */
class TwoGroups {
  readonly cluster: QuietCluster;
  readonly ledgers: Map<number, Ledger>[] = [];
  /** Of the group, in the order of proposing. */
  readonly fates = new Map<number, (Fate | undefined)[]>([
    [STUCK, []],
    [BUSY, []],
  ]);
  leader!: SimProcess;

  constructor(seed: number, encoders: number) {
    const machines = (id: number) => {
      this.ledgers[id] = new Map([STUCK, BUSY].map((group) => [group, new Ledger()]));
      return this.ledgers[id]!;
    };
    const config = { election: ELECTION, uncommittedBytesMax: 1 << 20, compression: 'none' } as const;
    this.cluster = new QuietCluster({ seed, count: 3, encoders, slowerMs: 0, config, machines });
  }

  async begin(): Promise<void> {
    const { cluster } = this;
    await cluster.until(() => cluster.leader(STUCK) !== undefined && cluster.leader(BUSY) !== undefined);
    this.leader = cluster.leader(BUSY)!;
    const id = this.leader.turn.replica(BUSY).id;
    const other = cluster.leader(STUCK)!;
    if (other !== this.leader) {
      await cluster.pass(500);
      other.guard(() => other.turn.replica(STUCK).transferLeadership(id));
    }
    await cluster.until(() => this.stuck.leads && this.stuck.applier.applied >= this.stuck.commitIndex);
  }

  get stuck(): Replica {
    return this.leader.turn.replica(STUCK);
  }

  /** Whether it was taken. */
  propose(group: number): boolean {
    const fates = this.fates.get(group)!;
    const number = fates.length;
    const entry = Buffer.alloc(ENTRY_BYTES, number);
    entry.writeUInt32LE(number);
    let taken = false;
    this.leader.guard(() => {
      try {
        const proposed = this.leader.turn.calls.propose(group, entry);
        fates.push(undefined);
        taken = true;
        proposed.then(
          (placed) => (fates[number] = { number, placed }),
          (error: RaftlineError) => (fates[number] = { number, error }),
        );
      } catch (thrown) {
        expect((thrown as RaftlineError).code).toBe(ErrorCode.Overloaded);
        expect((thrown as RaftlineError).details.reason).toBe('the proposal ring is full');
      }
    });
    return taken;
  }

  /** The group proposes until its batches fill the ring. */
  async fill(group: number): Promise<void> {
    while (this.propose(group)) await this.cluster.pass(0.1);
    const { usedBytes, capacityBytes } = ringUse(this.leader.memory).proposal;
    expect(usedBytes).toBeGreaterThan(capacityBytes / 2);
  }

  /** One after the other, a few at a time; each is answered before the next few. */
  async work(group: number, entries: number): Promise<void> {
    const fates = this.fates.get(group)!;
    const upTo = fates.length + entries;
    while (fates.length < upTo) {
      for (let times = 0; times < 10; times++) expect(this.propose(group), 'it is not refused').toBe(true);
      await this.cluster.until(() => fates.every((fate) => fate !== undefined));
    }
  }

  async settled(): Promise<void> {
    const { cluster } = this;
    await cluster.until(() => [...this.fates.values()].flat().every((fate) => fate !== undefined));
    await cluster.until(() => {
      return [STUCK, BUSY].every((group) => {
        const led = cluster.leader(group)?.turn.replica(group);
        const all = cluster.nodes.map(({ turn }) => turn.replica(group));
        return all.every(({ commitIndex, applier }) => {
          return commitIndex === led?.commitIndex && applier.applied === commitIndex;
        });
      });
    });
  }

  /** What all nodes have applied, which is the same. */
  applied(group: number): readonly number[] {
    const [first, ...others] = this.ledgers.slice(1).map((ledgers) => ledgers.get(group)!.numbers);
    for (const other of others) expect(other).toEqual(first);
    return first!;
  }

  /** Everything that was taken is applied, in order and once, and whoever asked was told where it is. */
  checkAllAnswered(group: number): void {
    const fates = this.fates.get(group)!;
    expect(this.applied(group)).toEqual(fates.map((_, number) => number));
    let before = 0;
    for (const [number, fate] of fates.entries()) {
      const { index, result } = (fate as Fate & { placed: Proposed }).placed;
      expect(index).toBeGreaterThan(before);
      expect([...result!]).toEqual([(number + 1) & 0xff]);
      before = index;
    }
    expect(before).toBe(this.leader.turn.replica(group).applier.applied);
    const { entries, bytes } = this.leader.turn.replica(group).proposals.near;
    expect([entries, bytes]).toEqual([0, 0]);
  }
}

/** The replica hears nothing of the others any more that `deafTo` holds of. Returns what mends it. */
function deafen(replica: Replica, deafTo: (type: string) => boolean): () => void {
  const step = replica.step.bind(replica);
  replica.step = (message) => {
    if (!('from' in message && message.from !== replica.id && deafTo(message.type))) step(message);
  };
  return () => {
    replica.step = step;
  };
}

const CASES = [1, 2, 3].map((seed) => [seed, seed - 1] as const);

describe.each(CASES)(
  'two groups of one engine, of which one has the ring full, seed %i with %i encoders',
  (seed, encoders) => {
    it('lost its quorum: the other commits several rings’ worth meanwhile, and then all callers of the first are answered', async () => {
      const world = new TwoGroups(seed, encoders);
      await world.begin();
      const mend = deafen(world.stuck, (type) => type === 'appendReply');
      await world.fill(STUCK);
      const { applied } = world.stuck.applier;
      await world.work(BUSY, BUSY_ENTRIES);
      expect(world.stuck.applier.applied, 'it did stand still').toBe(applied);
      mend();
      await world.settled();
      world.checkAllAnswered(STUCK);
      world.checkAllAnswered(BUSY);
      await world.work(STUCK, 20);
    });

    it('has a state machine that does not get on: what was let go of is read back, in order and once', async () => {
      const world = new TwoGroups(seed, encoders);
      await world.begin();
      const { stuck } = world;
      const { applyNear, applyFed } = stuck;
      // Neither near nor fed; what is fed stands for what main has not come to.
      const held: Parameters<Replica['applyFed']>[] = [];
      stuck.applyNear = () => false;
      stuck.applyFed = (header, bytes, start) => {
        const copy = Buffer.from(bytes.subarray(start, start + header.rawLength));
        held.push([header, copy, 0]);
        return true;
      };
      await world.fill(STUCK);
      await world.work(BUSY, BUSY_ENTRIES);
      expect(held.length, 'it was read back').toBeGreaterThan(0);
      world.leader.guard(() => {
        stuck.applyNear = applyNear.bind(stuck);
        stuck.applyFed = applyFed.bind(stuck);
        for (const batch of held) while (!stuck.applyFed(...batch));
      });
      await world.settled();
      world.checkAllAnswered(STUCK);
      world.checkAllAnswered(BUSY);
    });

    it('is deposed while parts of it were let go of: its callers are told that it is open, and all nodes apply it once', async () => {
      const world = new TwoGroups(seed, encoders);
      await world.begin();
      const { stuck } = world;
      await world.work(STUCK, 20);
      const mend = deafen(stuck, () => true);
      await world.fill(STUCK);
      await world.work(BUSY, 100);
      expect(stuck.proposals.near.first()!.kept, 'it was let go of').toBe(false);
      const { term } = stuck;
      await world.cluster.until(() => !stuck.leads);
      await world.work(BUSY, BUSY_ENTRIES);
      mend();
      await world.cluster.until(() => (world.cluster.leader(STUCK)?.turn.replica(STUCK).term ?? 0) > term);
      await world.settled();
      const fates = world.fates.get(STUCK)!;
      const open = fates.flatMap((fate) => (fate !== undefined && 'error' in fate ? [fate] : []));
      expect(open.length).toBeGreaterThan(0);
      for (const { error } of open)
        expect([ErrorCode.OutcomeUnknown, ErrorCode.NotLeader]).toContain(error.code);
      const numbers = world.applied(STUCK);
      expect(numbers, 'in order, once, and from the first on').toEqual(numbers.map((_, at) => at));
      expect(numbers.length).toBeGreaterThanOrEqual(fates.length - open.length);
      world.checkAllAnswered(BUSY);
    });

    it('is given a leader again by the same node: its no-op has room, though nothing was applied since', async () => {
      const world = new TwoGroups(seed, encoders);
      await world.begin();
      const { stuck } = world;
      const mend = deafen(stuck, () => true);
      await world.fill(STUCK);
      await world.cluster.until(() => !stuck.leads);
      // None of the others may take over: they hear nothing either.
      const others = world.cluster.nodes
        .map(({ turn }) => turn.replica(STUCK))
        .filter((each) => each !== stuck);
      const mends = others.map((each) => deafen(each, (type) => type === 'voteReply'));
      mend();
      await world.cluster.until(() => stuck.leads);
      for (const mendOther of mends) mendOther();
      await world.work(BUSY, 20);
      await world.settled();
      await world.work(STUCK, 20);
    });
  },
);
