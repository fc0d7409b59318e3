import { describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import { parseOptions } from '../../src/engine/options.js';
import { Pipelines } from '../../src/engine/pipeline.js';
import { Proposals } from '../../src/engine/proposals.js';
import { single } from './world.js';

interface Changes {
  blocked?: boolean;
  claims?: boolean;
  batchEntriesMax?: number;
  open?: { bytes: number; kept: number; bytesMax: number };
}

/** A leader of group 1 whose batches hold one entry if nothing else is said, and of which none can be sealed. */
function makeLeader(changes: Changes = {}) {
  const { blocked = false, claims = true, batchEntriesMax = 1 } = changes;
  const bounds = { pipeline: { batchEntriesMax }, uncommittedBytesMax: 1 << 20 };
  const config = parseOptions(single('d', { apply: () => undefined }, bounds));
  const ring = { abandoned: 0, abandon: () => ring.abandoned++ };
  const { open = { bytes: 0, kept: 0, bytesMax: 2 ** 30 } } = changes;
  const hub = { open, blocked, claim: () => claims, proposals: ring };
  const leadership = {
    ...{ group: 1, leads: true, compressionLevel: 0, batchEntriesInTime: 1 },
    notLeader: () => new Error('it leads'),
    place: () => ({ refused: 'transferring', leader: 1 }),
  };
  const clock = { ms: 0, nowMs: () => clock.ms };
  const parts = { config, hub, pipeline: new Pipelines(config).of(1), clock };
  const proposals = new Proposals(leadership as never, parts as never);
  const refusal = (bytes = 1): RaftlineError | undefined => {
    try {
      proposals.propose(Buffer.alloc(bytes)).catch(() => undefined);
      return undefined;
    } catch (thrown) {
      return thrown as RaftlineError;
    }
  };
  const refusalOfMany = (entries: readonly Buffer[]): RaftlineError | undefined => {
    try {
      proposals.proposeMany(entries, { resolve: () => undefined, reject: () => undefined });
      return undefined;
    } catch (thrown) {
      return thrown as RaftlineError;
    }
  };
  return { proposals, refusal, refusalOfMany, ring, hub, clock };
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

const MAX = 1 << 20;

/** The group holds so many bytes. */
function fill(proposals: Proposals, bytes: number): void {
  const { near } = proposals;
  if (bytes < near.bytes) near.finishedBytes += near.bytes - bytes;
  near.bytes = bytes;
}

describe('a remote client’s entries that find no room', () => {
  const RECORD = Buffer.alloc(200_000);
  it('have it kept: callers in this process take nothing of it, until they were taken', () => {
    const { proposals, refusal } = makeLeader();
    fill(proposals, MAX);
    expect(proposals.proposePacked(RECORD, 1)).toBe(false);
    fill(proposals, MAX - RECORD.length);
    expect(refusal(1000)).toMatchObject({
      code: ErrorCode.Overloaded,
      details: { reason: expect.stringMatching(/1048576 bytes .* kept for others who wait/) },
    });
    expect(proposals.proposePacked(RECORD, 1)).toBe(true);
  });

  it('have a sixteenth of the bytes kept, where they need less, for those behind them', () => {
    const { proposals, refusal } = makeLeader();
    fill(proposals, MAX);
    expect(proposals.proposePacked(Buffer.alloc(100), 1)).toBe(false);
    fill(proposals, MAX - MAX / 16);
    expect(refusal(1000)).toMatchObject({ code: ErrorCode.Overloaded });
    fill(proposals, MAX - MAX / 16 - 2000);
    expect(refusal(1000)).toBeUndefined();
  });

  it('have it kept no longer than they wait', () => {
    const { proposals, refusal } = makeLeader();
    fill(proposals, MAX);
    expect(proposals.proposePacked(RECORD, 1)).toBe(false);
    fill(proposals, MAX - RECORD.length);
    proposals.forgoRoom();
    expect(refusal(1000)).toBeUndefined();
  });

  it('have it kept by turns: as much as was taken comes free for others first', () => {
    const { proposals, refusal } = makeLeader();
    expect(proposals.proposePacked(RECORD, 1)).toBe(true);
    proposals.rejectOpen(new RaftlineError(ErrorCode.Closed, 'let go of'));
    fill(proposals, MAX);
    expect(proposals.proposePacked(RECORD, 1)).toBe(false);
    fill(proposals, MAX - RECORD.length);
    expect(refusal(1000), 'the turn of others').toBeUndefined();
    fill(proposals, MAX);
    expect(proposals.proposePacked(RECORD, 1)).toBe(false);
    proposals.rejectOpen(new RaftlineError(ErrorCode.Closed, 'let go of'));
    fill(proposals, MAX - RECORD.length);
    expect(refusal(1000)).toMatchObject({ code: ErrorCode.Overloaded });
  });

  it('need half of the bytes, however many they are, and leave the other half to others', () => {
    const { proposals, refusal } = makeLeader();
    const large = Buffer.alloc(MAX);
    fill(proposals, MAX / 2 + 1);
    expect(proposals.proposePacked(large, 1)).toBe(false);
    fill(proposals, MAX / 2 - 2000);
    expect(refusal(1000)).toBeUndefined();
    expect(refusal(1000)).toMatchObject({ code: ErrorCode.Overloaded });
    proposals.rejectOpen(new RaftlineError(ErrorCode.Closed, 'let go of'));
    expect(proposals.proposePacked(large, 1)).toBe(true);
  });

  it('seal the open batch first, where the ring was full', () => {
    const { proposals, refusal, hub, ring } = makeLeader({ claims: false });
    expect(refusal()).toBeUndefined();
    expect(proposals.proposePacked(RECORD, 1)).toBe(false);
    hub.claim = () => true;
    expect(refusal()).toMatchObject({ details: { reason: 'the proposal ring is full' } });
    expect(ring.abandoned, 'nobody else tries to').toBe(0);
    proposals.proposePacked(RECORD, 1);
    expect(ring.abandoned).toBe(1);
  });

  it('have memory kept for them by which the open batch has to grow, in all groups', () => {
    const open = { bytes: 0, kept: 0, bytesMax: 1_000_000 };
    const [one, other] = [makeLeader({ open }), makeLeader({ open })];
    open.bytes = 600_000;
    fill(one.proposals, MAX);
    expect(one.proposals.proposePacked(Buffer.alloc(500_000), 1)).toBe(false);
    expect(open.kept).toBeGreaterThan(200_000);
    expect(other.refusal(500_000)).toMatchObject({ code: ErrorCode.Overloaded });
    one.proposals.forgoRoom();
    expect(open.kept).toBe(0);
    expect(other.refusal(500_000)).toBeUndefined();
  });
});

describe('several entries at once that were refused as overloaded, beside single ones that take whatever comes free', () => {
  const MANY = Array.from({ length: 10 }, () => Buffer.alloc(10_000));
  const WIDE = 10 * 10_004;
  const closed = () => new RaftlineError(ErrorCode.Closed, 'let go of');
  const ask = () => {
    const leader = makeLeader({ batchEntriesMax: 100 });
    fill(leader.proposals, MAX);
    const { retryAfterMs } = leader.refusalOfMany(MANY)!.details as { retryAfterMs: number };
    return { ...leader, retryAfterMs };
  };

  it('find room when they come again: it is kept for them', () => {
    const { proposals, refusal, refusalOfMany } = ask();
    fill(proposals, MAX - WIDE + 1);
    expect(refusal(100), 'less than they need is kept as well').toMatchObject({ code: ErrorCode.Overloaded });
    expect(refusalOfMany(MANY), 'and what was kept stays so').toMatchObject({ code: ErrorCode.Overloaded });
    fill(proposals, MAX - WIDE);
    expect(refusal(100)).toMatchObject({
      details: { reason: expect.stringMatching(/1048576 bytes .* kept for others who wait/) },
    });
    expect(refusalOfMany(MANY)).toBeUndefined();
  });

  it('are waited for so long only, however often they come, and then others have as much first', () => {
    const { proposals, refusal, refusalOfMany, clock, retryAfterMs } = ask();
    for (let tries = 0; tries < 5; tries++) {
      clock.ms += retryAfterMs;
      proposals.tick();
      expect(refusalOfMany(MANY)).toMatchObject({ code: ErrorCode.Overloaded });
    }
    fill(proposals, MAX - 1000);
    expect(refusal(100)).toBeUndefined();
    proposals.rejectOpen(closed());
    fill(proposals, MAX - WIDE);
    fill(proposals, MAX);
    expect(refusalOfMany(MANY)).toMatchObject({ code: ErrorCode.Overloaded });
    fill(proposals, MAX - 1000);
    expect(refusal(100), 'their turn again').toMatchObject({ code: ErrorCode.Overloaded });
  });

  it('need not be several: one entry much larger than others is waited for as well, one like others is not', () => {
    const { proposals, refusal } = makeLeader();
    Object.assign(proposals.near, { bytes: MAX, entries: MAX / 1000 });
    expect(refusal(3000)).toMatchObject({ code: ErrorCode.Overloaded });
    proposals.near.bytes = MAX - 1000;
    expect(refusal(900), 'nothing is kept').toBeUndefined();
    proposals.rejectOpen(closed());
    expect(refusal(100_000)).toMatchObject({ code: ErrorCode.Overloaded });
    expect(refusal(900)).toMatchObject({ code: ErrorCode.Overloaded });
  });

  it('leave remote clients what is kept beyond their own size', () => {
    const { proposals, refusalOfMany } = makeLeader({ batchEntriesMax: 100, claims: false });
    fill(proposals, 500_000);
    proposals.proposePacked(Buffer.alloc(1000), 95);
    expect(refusalOfMany(MANY)).toMatchObject({ details: { reason: 'the proposal ring is full' } });
    expect(proposals.proposePacked(Buffer.alloc(1000), 1)).toBe(true);
  });

  it('have as much come free of their group where the ring is full', () => {
    const { proposals, refusal, refusalOfMany, hub } = makeLeader({ batchEntriesMax: 100, claims: false });
    fill(proposals, 500_000);
    for (let count = 0; count < 95; count++) expect(refusal(100)).toBeUndefined();
    expect(refusalOfMany(MANY)).toMatchObject({ details: { reason: 'the proposal ring is full' } });
    expect(refusal(100)).toMatchObject({ code: ErrorCode.Overloaded });
    fill(proposals, 500_000 - WIDE - 104);
    expect(refusal(100), 'what is beyond is for others').toBeUndefined();
    proposals.rejectOpen(closed());
    hub.claim = () => true;
    expect(refusalOfMany(MANY)).toBeUndefined();
  });
});
