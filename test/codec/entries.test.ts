import { describe, expect, it } from 'vitest';
import { SAFE_MAX } from '../../src/base/ids.js';
import { ENTRY_BYTES_CEILING } from '../../src/base/limits.js';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import {
  EntryCursor,
  packEntry,
  packedEntryBytes,
  packSessionEntry,
  verifyEntries,
} from '../../src/codec/entries.js';
import { expectHarmless, expectRefused, mutate, packEntries, randomBytes } from './samples.js';

describe('packed entries', () => {
  it('are these bytes', () => {
    const payload = Buffer.alloc(packedEntryBytes(2, false) + packedEntryBytes(1, true) + 4);
    let at = packEntry(payload, 0, Buffer.from('hi'));
    at = packSessionEntry(payload, at, 2 ** 40 + 1, SAFE_MAX, Buffer.from('x'));
    expect(packEntry(payload, at, Buffer.alloc(0))).toBe(payload.length);
    expect(payload.toString('hex')).toBe(
      '10000000' + '6869' + '09000000' + '0100000000010000' + 'ffffffffffff1f00' + '78' + '00000000',
    );
  });

  it('are walked in order by one cursor, again and again, in shared memory too', () => {
    const cursor = new EntryCursor();
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const entries = Array.from({ length: randomInteger(random, 1, 20) }, (_, position) => ({
        position,
        bytes: randomBytes(random, randomInteger(random, 0, 90)),
        session: random() < 0.5 ? { clientId: position + 2 ** 45, sequence: seed } : undefined,
      }));
      const payload = Buffer.from(new SharedArrayBuffer(4096));
      let end = 5;
      for (const { bytes, session } of entries) {
        end = session
          ? packSessionEntry(payload, end, session.clientId, session.sequence, bytes)
          : packEntry(payload, end, bytes);
      }
      verifyEntries(payload, 5, end, entries.length, 90);
      cursor.reset(payload, 5, end, entries.length);
      for (const entry of entries) {
        expect(cursor.next(), `seed ${seed}`).toBe(true);
        const { clientId, sequence } = cursor;
        expect(cursor.position).toBe(entry.position);
        expect(cursor.length).toBe(entry.bytes.length);
        expect(cursor.bytes().equals(entry.bytes), `seed ${seed}`).toBe(true);
        expect(cursor.hasSession ? { clientId, sequence } : undefined).toEqual(entry.session);
      }
      expect(cursor.next()).toBe(false);
      expect(cursor.next()).toBe(false);
    }
  });

  it('may be empty, and as large as the limit', () => {
    const largest = Buffer.alloc(ENTRY_BYTES_CEILING, 0x5a);
    const payload = packEntries([Buffer.alloc(0), largest]);
    verifyEntries(payload, 0, payload.length, 2, ENTRY_BYTES_CEILING);
    const cursor = new EntryCursor().reset(payload, 0, payload.length, 2);
    expect(cursor.next() && cursor.length).toBe(0);
    expect(cursor.next() && cursor.bytes().equals(largest)).toBe(true);
    expectRefused(
      () => verifyEntries(payload, 0, payload.length, 2, ENTRY_BYTES_CEILING - 1),
      /entry 1: length/,
    );
  });

  it('are not written past their room or their ceiling', () => {
    expect(() => packEntry(Buffer.alloc(7), 0, Buffer.from('four'))).toThrow(/fits its payload/);
    expect(() => packSessionEntry(Buffer.alloc(23), 0, 1, 1, Buffer.from('four'))).toThrow(
      /fits its payload/,
    );
    const room = Buffer.alloc(ENTRY_BYTES_CEILING + 100);
    expect(() => packEntry(room, 0, room.subarray(0, ENTRY_BYTES_CEILING + 1))).toThrow(/fits its payload/);
  });

  it('S6 must fit exactly', () => {
    const payload = packEntries([Buffer.from('one'), Buffer.from('two')]);
    const { length } = payload;
    expectRefused(() => verifyEntries(payload, 0, length, 1, 99), /1 entries to end at 14/);
    expectRefused(() => verifyEntries(payload, 0, length, 3, 99), /entry 2: head/);
    expectRefused(() => verifyEntries(payload, 0, length + 1, 2, 99), /end at 15/);
    for (let end = 0; end < length; end++) {
      expectRefused(() => verifyEntries(payload, 0, end, 2, 99));
      expectRefused(() => verifyEntries(payload.subarray(0, end), 0, length, 2, 99));
    }
  });

  it('refuse unknown flags and session numbers that no client has', () => {
    const flagged = packEntries([Buffer.from('one')]);
    flagged[0]! |= 2;
    expectRefused(() => verifyEntries(flagged, 0, flagged.length, 1, 99), /entry 0: flags/);
    for (const [clientId, sequence, message] of [
      [0, 1, /client id/],
      [1, 0, /sequence/],
      [2 ** 53, 1, /client id/],
      [1, 2 ** 60, /sequence/],
    ] as const) {
      const payload = Buffer.alloc(21);
      packSessionEntry(payload, 0, clientId, sequence, Buffer.from('x'));
      expectRefused(() => verifyEntries(payload, 0, 21, 1, 99), message);
    }
  });

  it('S6 say which part of which entry lies outside', () => {
    const walk = (hex: string) => () => {
      const payload = Buffer.from(hex, 'hex');
      const cursor = new EntryCursor().reset(payload, 0, payload.length, 2);
      while (cursor.next());
    };
    const verify = (hex: string) => () =>
      verifyEntries(Buffer.from(hex, 'hex'), 0, hex.length / 2, 2, 2 ** 30);
    for (const read of [walk, verify]) {
      expectRefused(read('00000000' + '000000'), /entry 1: head: .* 3 bytes left/);
      expectRefused(read(`0000000001000000${'11'.repeat(15)}`), /entry 1: session: .* 15 bytes left/);
      expectRefused(read('00000000' + '10000000' + '61'), /entry 1: 2 bytes: .* 1 bytes left/);
      expectRefused(read('f8ffffff' + '00000000'), /entry 0: 536870911 bytes: .* 4 bytes left/);
    }
  });

  it('S6 never lead a walk outside, whatever the bytes (by seed)', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = seededRandom(seed);
      const payload = packEntries([Buffer.from('first'), Buffer.alloc(0), randomBytes(random, 30)]);
      mutate(random, payload, 0, payload.length);
      const story = `seed ${seed}: ${payload.toString('hex')}`;
      const walk = () => {
        const cursor = new EntryCursor().reset(payload, 0, payload.length, 3);
        while (cursor.next()) expect(cursor.start + cursor.length, story).toBeLessThanOrEqual(payload.length);
      };
      expectHarmless(walk, story);
      expectHarmless(() => {
        verifyEntries(payload, 0, payload.length, 3, 99);
        walk();
      }, story);
    }
  });
});
