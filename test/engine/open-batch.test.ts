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
