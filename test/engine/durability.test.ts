import { describe, expect, it } from 'vitest';
import { Engine, Ledger, leads, single, temporaryDirectory } from './world.js';

describe('durability', () => {
  it.each(['sync', 'os'] as const)(
    '%s: what is acknowledged is there after a restart; os hardly syncs',
    async (durability) => {
      const directory = temporaryDirectory();
      try {
        const first = await Engine.open(single(directory.path, new Ledger(), { durability }));
        await leads(first);
        const before = first.status().disk;
        for (let at = 0; at < 40; at++) await first.group(1).propose(Buffer.from(`entry ${at}`));
        const { disk } = first.status();
        expect(disk.durability).toBe(durability);
        expect(disk.flushes - before.flushes).toBeGreaterThanOrEqual(40);
        const syncs = disk.syncs - before.syncs;
        if (durability === 'sync') expect(syncs).toBeGreaterThanOrEqual(40);
        else expect(syncs).toBeLessThan(20);
        await first.close();
        const ledger = new Ledger();
        const second = await Engine.open(single(directory.path, ledger, { durability }));
        await leads(second);
        await second.group(1).propose(Buffer.from('last'));
        expect(ledger.texts).toEqual([...Array.from({ length: 40 }, (_, at) => `entry ${at}`), 'last']);
        await second.close();
      } finally {
        directory.remove();
      }
    },
  );
});
