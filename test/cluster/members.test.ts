import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ChangingCluster, Writer } from './replacing.js';

/** The long form: `npm run soak:members`. */
const rounds = Number(process.env.ROUNDS ?? 1);
const isLong = rounds > 1;
/**
 * No acknowledgement for so long would be more than an election: the longest timeout, with the votes and what a busy
 * machine adds. Where the machine is shared with everything else there is more room.
 */
const GAP_MS_MAX = isLong ? 2_000 : 10_000;

/** 3 → 5 → 3 voters, none of which was there before. */
async function replaceAll(
  cluster: ChangingCluster,
  old: readonly number[],
  done: (step: string) => void,
): Promise<number[]> {
  const [first = 0, second = 0, third = 0] = old;
  const added: number[] = [];
  const add = async (): Promise<number[]> => {
    const { voters } = await cluster.add();
    added.push(Math.max(...voters));
    done(`added ${added.at(-1)}`);
    return voters;
  };
  const remove = async (id: number): Promise<number[]> => {
    const { voters } = await cluster.remove(id);
    done(`removed ${id}`);
    return voters;
  };
  expect(await add()).toHaveLength(4);
  expect(await remove(first)).toEqual([second, third, ...added]);
  expect(await add()).toHaveLength(4);
  expect(await add()).toEqual([second, third, ...added]);
  expect(added).toHaveLength(3);
  await remove(second);
  expect(await remove(third)).toEqual(added);
  await cluster.end(old);
  done('ended the old ones');
  return added;
}

it(
  `E7 E8 goes from three voters to five and back to three, replacing every original one, ${rounds} times under continuous appends: nothing lost, doubled or reordered, no gap longer than an election`,
  async () => {
    const cluster = await ChangingCluster.start();
    const writer = new Writer(cluster.client, isLong ? 200 : 20);
    try {
      const writing = isLong ? writer.run(20, 5) : writer.run(1, 5);
      let voters = [1, 2, 3];
      for (let round = 1; round <= rounds; round++) {
        const gaps: string[] = [];
        voters = await replaceAll(cluster, voters, (step) =>
          gaps.push(`${step} ${Math.round(writer.takeGap())}`),
        );
        const lines = writer.indexes.length;
        if (isLong)
          console.info(`round ${round}: ${lines} lines; longest gap (ms) at each step: ${gaps.join(', ')}`);
        while (writer.indexes.length < lines + 20 && writer.failure === undefined) await wait(5);
      }
      writer.stop();
      await writing;
      const { indexes, failure, longestGapMs } = writer;
      console.info(
        `${indexes.length} lines; longest time without an acknowledgement ${Math.round(longestGapMs)} ms`,
      );
      expect(failure).toBeUndefined();
      for (const id of voters) expect(await cluster.difference(id, writer)).toBeUndefined();
      expect(longestGapMs).toBeLessThan(GAP_MS_MAX);
    } finally {
      writer.stop();
      cluster.destroy();
    }
  },
  60_000 + rounds * 60_000,
);
