import { describe, expect, it } from 'vitest';
import { ErrorCode, type RaftlineError } from '../../src/base/errors.js';
import { parseOptions } from '../../src/engine/options.js';
import { Pipelines } from '../../src/engine/pipeline.js';
import { Proposals } from '../../src/engine/proposals.js';
import { single } from './world.js';

/** A leader of group 1 whose batches hold one entry, and of which none can be sealed. */
function makeLeader(changes: { blocked?: boolean; claims?: boolean } = {}) {
  const { blocked = false, claims = true } = changes;
  const config = parseOptions(single('d', { apply: () => undefined }, { pipeline: { batchEntriesMax: 1 } }));
  const ring = { abandoned: 0, abandon: () => ring.abandoned++ };
  const hub = { open: { bytes: 0, bytesMax: 2 ** 30 }, blocked, claim: () => claims, proposals: ring };
  const leadership = {
    ...{ group: 1, leads: true, compressionLevel: 0, batchEntriesInTime: 1 },
    notLeader: () => new Error('it leads'),
    place: () => ({ refused: 'transferring', leader: 1 }),
  };
  const parts = { config, hub, pipeline: new Pipelines(config).of(1), clock: { nowMs: () => 0 } };
  const proposals = new Proposals(leadership as never, parts as never);
  const refusal = (): RaftlineError | undefined => {
    try {
      proposals.propose(Buffer.from('x')).catch(() => undefined);
      return undefined;
    } catch (thrown) {
      return thrown as RaftlineError;
    }
  };
  return { proposals, refusal, ring };
}

describe('a proposal for which a batch would have to be sealed', () => {
  it('is refused as not for this node while leadership is handed over: a batch of them waits, and no ring is full', () => {
    const { proposals, refusal, ring } = makeLeader();
    expect(refusal(), 'it waits').toBeUndefined();
    const refused = refusal();
    expect(refused).toMatchObject({ code: ErrorCode.NotLeader, retryable: true, details: { leader: 0 } });
    expect(refused?.message).toMatch(/^group 1: this node is handing the leadership over; /);
    expect(refused?.details).not.toHaveProperty('retryAfterMs');
    expect(proposals.proposePacked(Buffer.alloc(8), 1), 'a remote client’s stands and waits').toBe(false);
    expect(ring.abandoned, 'what was claimed is given back').toBe(3);
  });

  it.each([
    [{ claims: false }, 'the proposal ring is full'],
    [{ blocked: true }, 'a ring from the main thread to another is full'],
  ])('is refused by the very ring that is full: %j', (changes, reason) => {
    const { refusal } = makeLeader(changes);
    expect(refusal()).toBeUndefined();
    expect(refusal()).toMatchObject({ code: ErrorCode.Overloaded, details: { reason } });
  });
});
