import { expect, it } from 'vitest';
import { pausedLeader, Registers } from './registers.js';

/** The long form: `npm run soak:reads` asks for fifty. */
const rounds = Number(process.env.ROUNDS ?? 5);
/** Longer than a lease can be. */
const LEASE_MS = 200;

it(`H67 H68 a leader is stopped for three leases ${rounds} times: no read is stale, by read-index or lease`, async () => {
  const election = { timeoutMsMin: LEASE_MS, timeoutMsMax: 2 * LEASE_MS, heartbeatIntervalMs: 40 };
  const cluster = await Registers.start({ election, reads: { policy: 'lease' }, prepareSegments: false });
  try {
    const result = await pausedLeader(cluster, rounds, 3 * LEASE_MS);
    const { answered, refused, answeredByStopped, stale } = result;
    console.info(
      `${rounds} rounds: ${answered} reads answered, ${answeredByStopped} of them had been asked of a stopped leader; refused: ${JSON.stringify(refused)}`,
    );
    expect(stale).toEqual([]);
    expect(answered).toBeGreaterThan(20 * rounds);
    expect(Object.keys(refused).filter((code) => !/_(NOT_LEADER|TIMEOUT)$/.test(code))).toEqual([]);
  } finally {
    await cluster.end();
  }
}, 600_000);
