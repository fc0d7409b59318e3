import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import type { ConfigurationAt } from '../../src/base/messages.js';
import type { RecoveredState } from '../../src/core/options.js';
import type { LocalMessage } from '../../src/core/ready.js';
import type { Applier } from '../../src/engine/applier.js';
import type { Hub } from '../../src/engine/hub.js';
import type { Snapshot, SnapshotMachine, SnapshotStore } from '../../src/engine/snapshot-store.js';
import { Snapshots, snapshotToStartFrom } from '../../src/engine/snapshots.js';
import { expectCode } from '../workers/parts.js';

const configurationAt = (index: number): ConfigurationAt => ({
  index,
  term: 1,
  configuration: {
    ...{ voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [], incarnations: [] },
    compressionLevel: 1,
  },
});

const snapshotAt = (index: number, state = `state at ${index}`): Snapshot => ({
  ...{ index, term: 2, configuration: configurationAt(1), sessions: [] },
  state: Buffer.from(state),
});

/** The snapshots of group 1 over a store that does nothing by itself; everything that happens is noted in order. */
function makeWorld(options: { start?: Snapshot; base?: number; takes?: boolean; keepEntries?: number } = {}) {
  const notes: string[] = [];
  const world = { applied: 0, begun: 0, durable: 0, base: options.base ?? 0, orders: 0 };
  const store: SnapshotStore = {
    load: () => undefined,
    save: (_group, { index, term, state, sessions }) =>
      notes.push(`save ${index}/${term} '${Buffer.from(state)}' ${sessions.length} sessions`),
    forgetBefore: (_group, index) => notes.push(`forget before ${index}`),
    send: (_group, peer, term, atLeast) => notes.push(`send to ${peer} in ${term} from ${atLeast}`),
    take: () => undefined,
    pending: () => false,
  };
  const machine = {
    takeSnapshot: () => Buffer.from(`state at ${world.applied}`),
    restoreSnapshot: (state: Uint8Array) => notes.push(`machine becomes '${Buffer.from(state)}'`),
  } as unknown as SnapshotMachine;
  const applier = {
    get reached() {
      return world.applied + world.begun;
    },
    get applied() {
      return world.applied;
    },
    configuration: configurationAt(1),
    sessionRecords: () => [{}, {}],
    restore({ index }: Snapshot, restoreMachine: () => void) {
      restoreMachine();
      world.applied = index;
    },
  };
  const hub = {
    nextOrder: () => ++world.orders,
    order: (order: Record<string, unknown>) =>
      notes.push(
        `order ${order.order}: begin behind ${order.index}/${order.term} suffix ${order.keepsSuffix}`,
      ),
    wake: () => {},
  };
  const snapshots: Snapshots = new Snapshots(
    {
      group: 1,
      settings: { store, machine: () => machine, everyEntries: 100, keepEntries: options.keepEntries ?? 30 },
      hub: hub as unknown as Hub,
      applier: applier as unknown as Applier,
      step(message: LocalMessage) {
        notes.push(
          `step ${JSON.stringify(message, (key, value) => (key === 'configuration' ? undefined : value))}`,
        );
        // The core takes a received snapshot where its log is not as far.
        if (message.type !== 'snapshotReceived' || options.takes === false) return;
        const { index, term, configuration } = message;
        snapshots.order(
          { type: 'snapshot', id: 1, index, term, configuration, keepsSuffix: false },
          hub.nextOrder(),
        );
      },
      termAt: () => 2,
      durableIndex: () => world.durable,
      base: world.base,
    },
    options.start,
  );
  const apply = (index: number): void => {
    world.applied = index;
    snapshots.afterApply();
  };
  const saved = (index: number, ok = true) => snapshots.take({ type: 'saved', group: 1, index, ok });
  const received = (snapshot: Snapshot) => snapshots.take({ type: 'received', group: 1, snapshot });
  /** What happened since the last call. */
  const took = () => notes.splice(0);
  return { world, snapshots, apply, saved, received, took };
}

describe('own snapshots', () => {
  it('E6 are taken by distance, one at a time, with sessions and configuration; a failed one again after as many entries', () => {
    const { apply, saved, took } = makeWorld();
    apply(99);
    expect(took()).toEqual([]);
    apply(120);
    expect(took()).toEqual(["save 120/2 'state at 120' 2 sessions"]);
    // It is being written: another has to wait, however much is applied.
    apply(500);
    expect(took()).toEqual([]);
    saved(120, false);
    expect(took()).toEqual([]);
    apply(501);
    expect(took()).toEqual(["save 501/2 'state at 501' 2 sessions"]);
    saved(501, false);
    apply(600);
    expect(took()).toEqual([]);
    apply(601);
    expect(took()).toEqual(["save 601/2 'state at 601' 2 sessions"]);
  });

  it('wait for the end of a batch of which the state machine has had a part', () => {
    const { world, snapshots, apply, took } = makeWorld();
    world.begun = 7;
    expect(snapshots.isDue).toBe(false);
    apply(120);
    expect([took(), snapshots.isDue]).toEqual([[], true]);
    world.begun = 0;
    apply(130);
    expect([took(), snapshots.isDue]).toEqual([["save 130/2 'state at 130' 2 sessions"], false]);
  });

  it('H48 H49 the log begins behind one only when it is on disk, after the core was told, and keeps a tail', () => {
    const { apply, saved, took } = makeWorld();
    apply(100);
    took();
    saved(100);
    // Nothing that lies thirty entries before it is a border yet.
    expect(took()).toEqual(['forget before 100']);
    apply(200);
    took();
    saved(200);
    expect(took()).toEqual([
      'forget before 200',
      'step {"type":"compacted","index":100}',
      'order 1: begin behind 100/2 suffix 1',
    ]);
    apply(300);
    took();
    saved(300);
    expect(took()).toEqual([
      'forget before 300',
      'step {"type":"compacted","index":200}',
      'order 2: begin behind 200/2 suffix 1',
    ]);
  });

  it('where the log begins already, it is not made to begin once more', () => {
    const { apply, saved, took } = makeWorld({ keepEntries: 300 });
    for (const index of [100, 450]) {
      apply(index);
      saved(index);
    }
    expect(took()).toContain('step {"type":"compacted","index":100}');
    apply(550);
    took();
    saved(550);
    expect(took()).toEqual(['forget before 550']);
  });

  it('are sent to who is too far behind; how that ended is no credit, and pieces are signs of life', () => {
    const { snapshots, took } = makeWorld();
    snapshots.send({ peer: 3, term: 4, index: 70 });
    snapshots.take({ type: 'sent', group: 1, peer: 3, index: 70, ok: false });
    snapshots.take({ type: 'chunk', group: 1, from: 2, term: 4 });
    expect(took()).toEqual([
      'send to 3 in 4 from 70',
      'step {"type":"snapshotResult","peer":3,"index":70,"ok":false}',
      'step {"type":"snapshotChunk","from":2,"term":4}',
    ]);
  });
});

describe('snapshots of a leader', () => {
  it('H49 become the state only when they are part of the log on disk, and stop what would be read back meanwhile', () => {
    const { world, snapshots, apply, received, took } = makeWorld();
    apply(10);
    received(snapshotAt(700));
    expect(took()).toEqual([
      'step {"type":"snapshotReceived","index":700,"term":2}',
      'order 1: begin behind 700/2 suffix 0',
    ]);
    expect(snapshots.installing).toBe(true);
    world.durable = 699;
    snapshots.afterApply();
    expect(took()).toEqual([]);
    world.durable = 700;
    snapshots.afterApply();
    expect(took()).toEqual(["machine becomes 'state at 700'", 'forget before 700']);
    expect([snapshots.installing, world.applied]).toEqual([false, 700]);
    // The next own one counts from there.
    apply(799);
    expect(took()).toEqual([]);
    apply(800);
    expect(took()).toEqual(["save 800/2 'state at 800' 2 sessions"]);
  });

  it('H46 are passed over where the log has come as far, and give way to newer ones', () => {
    const passedOver = makeWorld({ takes: false });
    passedOver.received(snapshotAt(700));
    expect(passedOver.snapshots.installing).toBe(false);
    const { world, snapshots, received, took } = makeWorld();
    received(snapshotAt(700));
    received(snapshotAt(900));
    took();
    world.durable = 900;
    snapshots.afterApply();
    expect(took()).toEqual(["machine becomes 'state at 900'", 'forget before 900']);
    snapshots.afterApply();
    expect(took()).toEqual([]);
  });

  it('make an own one that is still being written worthless', () => {
    const { world, snapshots, apply, saved, received, took } = makeWorld();
    apply(100);
    received(snapshotAt(700));
    world.durable = 700;
    snapshots.afterApply();
    took();
    saved(100);
    expect(took()).toEqual([]);
    apply(800);
    expect(took()).toEqual(["save 800/2 'state at 800' 2 sessions"]);
  });
});

describe('a restart', () => {
  const recovered = (changes: Partial<RecoveredState> = {}): RecoveredState =>
    ({
      base: { index: 100, term: 2 },
      termRuns: [
        { firstIndex: 101, term: 2 },
        { firstIndex: 150, term: 4 },
      ],
      lastIndex: 200,
      ...changes,
    }) as RecoveredState;
  const settings = (snapshots: Snapshot[]) => ({
    store: {
      load: (_group: number, fits: (end: { index: number; term: number }) => boolean) => snapshots.find(fits),
    } as unknown as SnapshotStore,
    machine: () => undefined as never,
    everyEntries: 1,
    keepEntries: 0,
  });
  const startOf = (snapshots: Snapshot[], state = recovered()) =>
    snapshotToStartFrom(1, settings(snapshots), state)?.index;

  it('goes on from the newest snapshot that ends in the log, in the term that the log has there', () => {
    const at = (index: number, term: number): Snapshot => ({ ...snapshotAt(index), term });
    expect(startOf([at(201, 4), at(160, 3), at(120, 2), at(100, 2)])).toBe(120);
    expect(startOf([at(160, 4), at(100, 2)])).toBe(160);
    expect(startOf([at(200, 4)])).toBe(200);
    expect(startOf([at(99, 2), at(100, 1), at(100, 2)])).toBe(100);
  });

  it('fails where the log begins behind a snapshot that is not there, and begins anew where it is whole', () => {
    const error = expectCode(() => startOf([]), ErrorCode.LogDamaged);
    expect(error.details).toEqual({ group: 1, index: 100 });
    expectCode(() => snapshotToStartFrom(1, undefined, recovered()), ErrorCode.LogDamaged);
    const whole = recovered({ base: { index: 0, term: 0 } });
    expect(snapshotToStartFrom(1, undefined, whole)).toBeUndefined();
    expect(startOf([], whole)).toBeUndefined();
  });

  it('has the state of the snapshot before anything is applied', () => {
    const { world, apply, took } = makeWorld({ start: snapshotAt(250), base: 200 });
    expect(took()).toEqual(["machine becomes 'state at 250'", 'forget before 250']);
    expect(world.applied).toBe(250);
    apply(349);
    expect(took()).toEqual([]);
    apply(350);
    expect(took()).toEqual(["save 350/2 'state at 350' 2 sessions"]);
  });
});
