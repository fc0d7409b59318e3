import { describe, expect, it } from 'vitest';
import { BatchFlag } from '../../src/base/messages.js';
import { EntryCursor, packedEntryBytes, packSessionEntry } from '../../src/codec/entries.js';
import { OpenBatch } from '../../src/engine/open-batch.js';

function entriesOf(batch: OpenBatch): string[] {
  const payload = Buffer.alloc(batch.length);
  batch.copyTo(payload, 0);
  const cursor = new EntryCursor().reset(payload, 0, payload.length, batch.count);
  const entries: string[] = [];
  while (cursor.next())
    entries.push(`${cursor.hasSession ? `${cursor.clientId}/${cursor.sequence} ` : ''}${cursor.bytes()}`);
  return entries;
}

describe('an open batch', () => {
  it('copies entries in their final layout; what the caller does to its bytes afterwards does not show', () => {
    const batch = new OpenBatch(1024, 10);
    const bytes = Buffer.from('first');
    batch.add(bytes);
    bytes.fill(0);
    batch.add(Buffer.alloc(0));
    const packed = Buffer.alloc(packedEntryBytes(3, true));
    packSessionEntry(packed, 0, 7, 9, Buffer.from('abc'));
    expect(batch.flags).toBe(0);
    batch.addPacked(packed, 1);
    expect(entriesOf(batch)).toEqual(['first', '', '7/9 abc']);
    expect(batch.flags).toBe(BatchFlag.Sessions);
    const { waiters } = batch;
    expect(batch.take()).toBe(waiters);
    expect([batch.count, batch.length, batch.flags]).toEqual([0, 0, 0]);
    expect(batch.waiters).not.toBe(waiters);
    batch.add(Buffer.from('next'));
    expect(entriesOf(batch)).toEqual(['next']);
  });

  it('is full at its bytes or its entries, and takes nothing beyond', () => {
    const batch = new OpenBatch(100, 3);
    batch.add(Buffer.alloc(40));
    expect(batch.fits(packedEntryBytes(52, false), 1), 'exactly').toBe(true);
    expect(batch.fits(packedEntryBytes(53, false), 1)).toBe(false);
    expect(batch.fits(8, 2)).toBe(true);
    expect(batch.fits(8, 3)).toBe(false);
    expect(batch.full).toBe(false);
    batch.add(Buffer.alloc(52));
    expect(batch.full).toBe(true);
    batch.take();
    for (let entry = 0; entry < 3; entry++) batch.add(Buffer.alloc(1));
    expect(batch.full).toBe(true);
  });

  it('its limits may be changed while entries are in it: lowered, it is full; raised, it takes more', () => {
    const batch = new OpenBatch(100, 3);
    for (const text of ['first', 'second']) batch.add(Buffer.from(text));
    batch.setLimits(100, 2);
    expect(batch.full).toBe(true);
    batch.setLimits(10, 3);
    expect(batch.full).toBe(true);
    batch.setLimits(4000, 30);
    expect(batch.fits(3000, 20)).toBe(true);
    batch.add(Buffer.alloc(2000, 'x'));
    expect(entriesOf(batch)).toEqual(['first', 'second', 'x'.repeat(2000)]);
  });

  it('counts its memory, full or not, says how much more it would take, and gives back what only a large entry needed', () => {
    const held = { bytes: 0, kept: 0, bytesMax: 10_000 };
    const [batch, other] = [new OpenBatch(100, 30, held), new OpenBatch(200, 30, held)];
    expect(held.bytes).toBe(300);
    expect([batch.growth(100, 1), other.growth(201, 1)]).toEqual([0, 1]);
    batch.add(Buffer.alloc(60));
    expect(batch.growth(packedEntryBytes(60, false), 1), 'it would be sealed before').toBe(0);
    expect(batch.growth(packedEntryBytes(996, false), 1)).toBe(900);
    batch.take();
    batch.add(Buffer.alloc(996));
    expect(held.bytes).toBe(1200);
    expect(batch.growth(2000, 1), 'beside what it has').toBe(1000);
    batch.take();
    expect(held.bytes).toBe(300);
    batch.setLimits(500, 30);
    expect(
      [batch.growth(10, 1), batch.growth(101, 1)],
      'raised limits are taken when they are needed',
    ).toEqual([0, 400]);
    batch.addPacked(Buffer.alloc(101), 1);
    expect(held.bytes).toBe(700);
    batch.setLimits(50, 30);
    batch.take();
    expect(held.bytes).toBe(250);
  });

  it('B4 an empty one takes anything, and does not keep the room for it', () => {
    const batch = new OpenBatch(100, 3);
    expect(batch.fits(1_000_000, 1_000_000)).toBe(true);
    batch.add(Buffer.alloc(5000, 'x'));
    expect(batch.full).toBe(true);
    expect(entriesOf(batch)).toEqual(['x'.repeat(5000)]);
    batch.take();
    batch.add(Buffer.from('small'));
    expect(entriesOf(batch)).toEqual(['small']);
  });
});
