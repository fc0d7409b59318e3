import { expect, it } from 'vitest';
import { chaos } from './chaos.js';

/** The long form: `npm run soak` asks for ten restarts of each node and fifty kills. */
const restartsPerNode = Number(process.env.RESTARTS ?? 1);
const kills = Number(process.env.KILLS ?? 4);

it(`keeps every acknowledged line, in order, once, through ${restartsPerNode} restarts of each node and ${kills} kills of the leader`, async () => {
  const result = await chaos({ restartsPerNode, kills, log: (line) => console.info(line) });
  const times = [...result.withoutLeaderMs].sort((a, b) => a - b);
  const median = Math.round(times[times.length >> 1] ?? 0);
  console.info(
    `${result.acknowledged} lines; ${result.duplicatesTurnedAway} retries turned away; without a leader: median ${median} ms, longest ${Math.round(times.at(-1) ?? 0)} ms`,
  );
  expect(result.differences).toEqual([undefined, undefined, undefined]);
  expect(result.acknowledged).toBeGreaterThan(1000);
}, 1_200_000);
