import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { planMemory, streamQueueBytes } from '../../src/engine/memory-plan.js';
import { type EngineOptions, parseOptions } from '../../src/engine/options.js';
import { workerSettings } from '../../src/engine/worker-settings.js';
import { engineMemoryBytes } from '../../src/workers/memory.js';
import { Cluster, Engine, errorOf, Ledger, leads, single, temporaryDirectory } from './world.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const RINGS = 75 * MiB;
const BATCH = 1 * MiB;

function planOf(changes: Partial<EngineOptions>) {
  const config = parseOptions({ ...single('data', new Ledger()), ...changes });
  return planMemory(config, RINGS, BATCH);
}

/** As `Engine.open` does it on a machine with cores for two encoders. */
function realPlanOf(changes: Partial<EngineOptions>) {
  const config = parseOptions({ ...single('data', new Ledger()), ...changes });
  const { batchRawBytesMax } = workerSettings(config);
  const sizes = { ...config.memory, batchRawBytesMax, encoders: 2, webAssembly: true };
  return { batchRawBytesMax, ...planMemory(config, engineMemoryBytes(sizes, [1]), batchRawBytesMax) };
}

function refusalOf(changes: Partial<EngineOptions>): RaftlineError {
  try {
    planOf(changes);
  } catch (thrown) {
    return thrown as RaftlineError;
  }
  return expect.fail('the budget was taken');
}

describe('the memory budget', () => {
  it('is divided without a rest, and refused where it cannot hold what the options allow, naming the least that can', () => {
    const three = { 2: '127.0.0.1:2', 3: '127.0.0.1:3' };
    const parts = planOf({ peers: three });
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(512 * MiB);
    expect(Math.min(...Object.values(parts))).toBeGreaterThan(0);
    const seven = Object.fromEntries([2, 3, 4, 5, 6, 7].map((id) => [id, `127.0.0.1:${id}`]));
    const { openBatches, batchRawBytesMax } = realPlanOf({ peers: seven });
    expect(openBatches, 'the defaults are enough for seven nodes').toBeGreaterThan(batchRawBytesMax);

    const refused = refusalOf({ peers: three, memory: { budgetBytes: 64 * MiB } });
    expect(refused.code).toBe(ErrorCode.OptionInvalid);
    expect(refused.message).toMatch(/rings 75\.0 MiB \(memory\.ringBytes/);
    expect(refused.message).toMatch(/clients 256\.0 MiB \(limits\.clientStreams/);
    const least = refused.details.least as number;
    expect(planOf({ peers: three, memory: { budgetBytes: least } }).openBatches).toBe(BATCH + 256 * KiB);
    expect(refusalOf({ peers: three, memory: { budgetBytes: least - 1 } }).details.least).toBe(least);
    const fewer = refusalOf({
      peers: three,
      memory: { budgetBytes: 64 * MiB },
      limits: { clientStreams: 16 },
    });
    expect(fewer.details.least).toBe(least - 240 * MiB);
  });

  it('counts each reader, that of what is applied without the place that it has among the rings, and one largest batch', () => {
    const one = { tailStreams: 1 };
    const message = BATCH + MiB / 4;
    const [tail, follower, applying] = [0.5 * MiB, 1.25 * MiB, 0.25 * MiB];
    expect(planOf({ limits: one }).reading).toBe(tail + applying + message);
    const withPeer = planOf({ limits: one, peers: { 2: '127.0.0.1:2' } });
    expect(withPeer.reading).toBe(follower + tail + applying + message);
    const tails = planOf({ limits: { tailStreams: 11 } });
    expect(tails.reading - planOf({ limits: one }).reading).toBe(10 * tail);
    expect(tails.sending - planOf({ limits: one }).sending).toBe(10 * message);
    expect(tails.working).toBe(6 * MiB + message);
  });

  it('has an open batch for each group, as large as that group may seal it, and one largest beside them', () => {
    const stateMachine = new Ledger();
    const groups = [1, 2, 3].map((id) => ({ id, stateMachine }));
    const least = (changes: Partial<EngineOptions>): number =>
      refusalOf({ memory: { budgetBytes: 16 * MiB }, ...changes }).details.least as number;
    expect(least({ groups }) - least({})).toBe(2 * 256 * KiB);
    const own = [...groups, { id: 4, stateMachine, pipeline: { batchBytesMax: 100 * KiB } }];
    expect(least({ groups: own }) - least({ groups })).toBe(100 * KiB);
    const larger = { groups: own, pipeline: { batchBytesMax: 300 * KiB } };
    expect(least(larger) - least({ groups: own })).toBe(3 * 44 * KiB);
    expect(refusalOf({ memory: { budgetBytes: 16 * MiB }, groups }).message).toMatch(
      /openBatches 1\.8 MiB \(groups, pipeline\.batchBytesMax/,
    );
  });

  it('by default has room for the open batches of 200 groups of three nodes', () => {
    const groups = Array.from({ length: 200 }, (_, at) => ({ id: at + 1, stateMachine: new Ledger() }));
    const peers = { 2: '127.0.0.1:2', 3: '127.0.0.1:3' };
    expect(realPlanOf({ peers, groups }).openBatches).toBeGreaterThan(201 * 256 * KiB);
  });

  it('leaves each follower a share of what may be queued, so that one that is stuck leaves the others theirs', () => {
    expect([1, 2, 4, 32, 63].map((peers) => streamQueueBytes(peers) / MiB)).toEqual([16, 16, 8, 1, 1]);
  });

  it('is held by large entries in open batches of many groups: refused with the reason and a hint, nothing lost, and then it goes on', async () => {
    const directory = temporaryDirectory();
    const ledgers = Array.from({ length: 40 }, () => new Ledger());
    const groups = ledgers.map((stateMachine, at) => ({ id: at + 1, stateMachine }));
    const options = { ...single(directory.path, new Ledger()), groups, memory: { budgetBytes: 32 * MiB } };
    const least = (await errorOf(Engine.open(options))).details.least as number;
    const engine = await Engine.open({ ...options, memory: { budgetBytes: least + MiB } });
    try {
      for (const { id } of groups) await leads(engine, id);
      expect(() => engine.tune({ batchBytesMax: MiB }), 'for forty groups').toThrow(/memory\.budgetBytes/);
      const reserved = groups.length * 256 * KiB;
      expect(engine.status().memory.parts.openBatches.usedBytes, 'before anybody proposes').toBe(reserved);
      // The ring takes the first; the others stay open.
      const entry = Buffer.alloc(900_000, 1);
      const proposed = groups.map(({ id }) => engine.group(id).propose(entry));
      const { memory } = engine.status();
      expect(memory.budgetBytes).toBe(least + MiB);
      expect(memory.usedBytes).toBeLessThanOrEqual(memory.budgetBytes);
      expect(memory.parts.openBatches.usedBytes).toBeGreaterThan(reserved);
      expect(memory.parts.openBatches.usedBytes).toBeLessThanOrEqual(memory.parts.openBatches.limitBytes);
      const fates = await Promise.allSettled(proposed);
      const refused = fates.flatMap((fate) =>
        fate.status === 'rejected' ? [fate.reason as RaftlineError] : [],
      );
      expect(refused.length).toBeGreaterThan(10);
      for (const { code, retryable, details } of refused) {
        expect([code, retryable]).toEqual([ErrorCode.Overloaded, true]);
        expect(details.reason).toMatch(/memory\.budgetBytes/);
        expect(details.retryAfterMs).toBeGreaterThanOrEqual(1);
      }
      const taken = ledgers.filter(({ entries }) => entries.length > 0).length;
      expect(taken, 'what was not refused, and nothing else').toBe(40 - refused.length);
      for (const { id } of groups) await engine.group(id).propose(entry);
      expect(engine.status().memory.parts.openBatches.usedBytes, 'large ones are let go of').toBe(reserved);
    } finally {
      await engine.close();
      directory.remove();
    }
  });
});

describe('a leader that lost its quorum and does not know it yet', () => {
  it('C13 H38 holds what uncommittedBytesMax allows and refuses the rest, however much clients send', async () => {
    const cluster = await Cluster.start(() => ({ uncommittedBytesMax: 4 * MiB }));
    try {
      const leader = await cluster.leader();
      const group = leader.group(1);
      await Promise.all(Array.from({ length: 100 }, () => group.propose(Buffer.alloc(1000))));
      for (const id of cluster.nodes.keys()) if (id !== leader.id) await cluster.stop(id);
      const entry = Buffer.alloc(1000, 7);
      const refused: RaftlineError[] = [];
      const appender = group.appender({ pipeline: 1 << 20, callback: () => {} });
      const before = process.memoryUsage().arrayBuffers;
      // In one go: the leader has no turn in which it could notice.
      for (let sent = 0; sent < 200_000; sent++) {
        const refusal = appender.append(entry);
        if (refusal !== undefined) refused.push(refusal);
      }
      const { memory, rings } = leader.status();
      const held = appender.outstanding * 1004;
      expect(held).toBeGreaterThan(2 * MiB);
      expect(held, 'uncommittedBytesMax, of 200 MB that were offered').toBeLessThanOrEqual(4 * MiB);
      expect(memory.usedBytes).toBeLessThanOrEqual(memory.budgetBytes);
      expect(rings.proposal!.usedBytes).toBeLessThanOrEqual(rings.proposal!.capacityBytes);
      expect(process.memoryUsage().arrayBuffers - before, 'beside the rings').toBeLessThan(4 * MiB);
      expect(refused.length).toBeGreaterThan(150_000);
      const [first] = refused;
      expect(first).toMatchObject({ code: ErrorCode.Overloaded, retryable: true });
      expect(first!.details.retryAfterMs).toBeGreaterThanOrEqual(1);
      await appender.close();
      expect(leader.status().memory.parts.openBatches.usedBytes).toBe(256 * KiB);
    } finally {
      await cluster.close();
    }
  });
});
