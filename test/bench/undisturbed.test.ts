import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { arrivedEverywhere, requireUndisturbed, type Told, watched } from '../../src/bench/undisturbed.js';
import type { EngineStatus } from '../../src/engine/status.js';

const NODES = [1, 2, 3];
const CONFIGURATION = { voters: NODES, votersOutgoing: [], learners: [] };

interface Changes {
  /** Node that does not answer. */
  silent?: number;
  /** By node. */
  cpuMs?: Record<number, number>;
  applied?: Record<number, number>;
  term?: number;
}

/** What three nodes with one group say, as far as it is looked at. */
function told({ silent, cpuMs = {}, applied = {}, term = 4 }: Changes = {}): Told {
  return new Map(
    NODES.map((id) => {
      const status = {
        id,
        incarnation: id * 100,
        cpuMs: cpuMs[id] ?? 1000,
        disk: { syncs: 50 },
        encoder: { batches: 20 },
        groups: [
          {
            group: 1,
            // A follower may not have heard of the latest term yet.
            term: id === 3 ? Math.min(term, 4) : term,
            commitIndex: 90,
            appliedIndex: applied[id] ?? 90,
            configuration: CONFIGURATION,
          },
        ],
      };
      return [`host:${id}`, id === silent ? undefined : (status as unknown as EngineStatus)];
    }),
  );
}

describe('a run against a cluster that runs already', () => {
  it('counts while the same nodes run on, and one that never answered is left out', () => {
    expect(() => requireUndisturbed(told(), told({ cpuMs: { 1: 1500 } }), [1])).not.toThrow();
    expect(() => requireUndisturbed(told({ silent: 3 }), told({ silent: 3 }), [1])).not.toThrow();
    expect(() => requireUndisturbed(told({ silent: 3 }), told(), [1])).not.toThrow();
  });

  it.each<[string, Changes, ErrorCode, RegExp]>([
    [
      'a node that does not answer any more',
      { silent: 2 },
      ErrorCode.Unreachable,
      /host:2: expected node 2 .* no answer$/,
    ],
    [
      'a node that was started anew',
      { cpuMs: { 2: 300 } },
      ErrorCode.Unreachable,
      /host:2: .* one that was started anew$/,
    ],
    ['another leader', { term: 6 }, ErrorCode.NotLeader, /group 1: .* leader of term 4 .* received term 6$/],
  ])('is refused with %s', async (_, changes, code, message) => {
    const refused = expect.objectContaining({ code, message: expect.stringMatching(message) });
    expect(() => requireUndisturbed(told(), told(changes), [1])).toThrow(refused);
    const ask = () => Promise.resolve(told(changes));
    await expect(watched(told(), 2000, [1], ask)).rejects.toEqual(refused);
    await expect(arrivedEverywhere(told(), [1], ask, 1000)).rejects.toEqual(refused);
  });

  it('ends when every node holds what was committed, and is refused when one does not come to it', async () => {
    let asked = 0;
    const soon = () => Promise.resolve(told({ applied: { 3: asked++ < 3 ? 80 : 90 } }));
    await arrivedEverywhere(told(), [1], soon, 10_000);
    expect(asked).toBe(4);
    const never = () => Promise.resolve(told({ applied: { 3: 80 } }));
    await expect(arrivedEverywhere(told(), [1], never, 0)).rejects.toThrow(
      /node 3: expected all entries of group 1, to index 90, received them to 80, in 0 ms/,
    );
  });
});
