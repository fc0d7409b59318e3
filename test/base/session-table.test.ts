import { describe, expect, it } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { SessionTable } from '../../src/base/session-table.js';

/** What the table should do, said as plainly as possible: every applied entry is remembered, clients by last use. */
class Model {
  /** Least recently used first. */
  clients: { id: number; applied: { index: number; term: number }[] }[] = [];

  constructor(readonly clientsMax: number) {}

  admit(id: number, sequence: number, index: number, term: number): string {
    const at = this.clients.findIndex((client) => client.id === id);
    if (at < 0) {
      if (sequence !== 1) return 'expired';
      if (this.clients.length === this.clientsMax) this.clients.shift();
      this.clients.push({ id, applied: [{ index, term }] });
      return 'apply';
    }
    const client = this.clients[at]!;
    if (sequence <= client.applied.length) return 'duplicate';
    if (sequence > client.applied.length + 1) return 'gap';
    client.applied.push({ index, term });
    this.clients.splice(at, 1);
    this.clients.push(client);
    return 'apply';
  }
}

describe('the session table', () => {
  it('H71 C12 agrees with a naive model on any history', () => {
    const seen = new Map<string, number>();
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const clientsMax = randomInteger(random, 1, 5);
      const table = new SessionTable(clientsMax);
      const model = new Model(clientsMax);
      let index = 0;
      let term = 1;
      for (let step = 0; step < 400; step++) {
        index += random() < 0.8 ? 1 : randomInteger(random, 2, 5);
        if (random() < 0.03) term++;
        const client = randomInteger(random, 1, 7);
        const last = model.clients.find(({ id }) => id === client)?.applied.length ?? 0;
        const sequence = Math.max(1, last + randomInteger(random, -2, 3) + (random() < 0.4 ? 1 - 2 : 0));
        const expected = model.admit(client, sequence, index, term);
        seen.set(expected, (seen.get(expected) ?? 0) + 1);
        expect(table.admit(client, sequence, index, term), `seed ${seed}, step ${step}`).toBe(expected);
        expect(table.clients).toBe(model.clients.length);
      }
      for (let client = 1; client <= 7; client++) {
        const applied = model.clients.find(({ id }) => id === client)?.applied ?? [];
        expect(table.lastSequence(client)).toBe(applied.length);
        applied.forEach(({ index: at, term: of }, position) => {
          const found = table.find(client, position + 1);
          if (found !== undefined) expect(found, `seed ${seed}`).toMatchObject({ index: at, term: of });
        });
        expect(table.find(client, applied.length + 1)).toBeUndefined();
        if (applied.length > 0) expect(table.find(client, applied.length)).toBeDefined();
      }
    }
    for (const verdict of ['apply', 'duplicate', 'gap', 'expired']) {
      expect(seen.get(verdict), verdict).toBeGreaterThan(100);
    }
  });

  it('a client begins with 1, and nothing slips past what is missing', () => {
    const table = new SessionTable();
    expect(table.admit(7, 2, 1, 1)).toBe('expired');
    expect(table.admit(7, 1, 2, 1)).toBe('apply');
    expect(table.admit(7, 3, 3, 1)).toBe('gap');
    expect(table.admit(7, 2, 4, 1)).toBe('apply');
    expect(table.admit(7, 3, 5, 1)).toBe('apply');
    expect(table.admit(7, 1, 6, 1)).toBe('duplicate');
    expect(table.find(7, 1)).toEqual({ index: 2, term: 1, result: undefined });
  });

  it('forgets the client that applied least recently; a duplicate is no use', () => {
    const table = new SessionTable(2);
    table.admit(1, 1, 1, 1);
    table.admit(2, 1, 2, 1);
    table.admit(1, 2, 3, 1);
    expect(table.admit(2, 1, 4, 1)).toBe('duplicate');
    table.admit(3, 1, 5, 1);
    expect([1, 2, 3].map((client) => table.lastSequence(client))).toEqual([2, 0, 1]);
    expect(table.admit(2, 2, 6, 1)).toBe('expired');
    expect(table.admit(1, 3, 7, 1)).toBe('apply');
  });

  it('keeps answers for retries, the newest 256 of a client', () => {
    const table = new SessionTable();
    for (let sequence = 1; sequence <= 300; sequence++) {
      table.admit(1, sequence, sequence, 1);
      table.keepResult(1, sequence, Buffer.from(`r${sequence}`));
    }
    expect(table.find(1, 300)?.result).toEqual(Buffer.from('r300'));
    expect(table.find(1, 45)?.result).toEqual(Buffer.from('r45'));
    expect(table.find(1, 44)).toEqual({ index: 44, term: 1, result: undefined });
    table.keepResult(9, 1, Buffer.from('nobody'));
    expect(table.find(9, 1)).toBeUndefined();
  });

  it('remembers places by run, the newest 256 of a client', () => {
    const table = new SessionTable();
    for (let sequence = 1; sequence <= 600; sequence++) table.admit(1, sequence, sequence * 2, 1);
    expect(table.find(1, 345)).toMatchObject({ index: 690 });
    expect(table.find(1, 344), 'applied, but nobody knows where').toBeUndefined();
    expect(table.admit(1, 344, 5000, 1)).toBe('duplicate');
    table.admit(2, 1, 2000, 1);
    for (let sequence = 2; sequence <= 5000; sequence++) table.admit(2, sequence, 1999 + sequence, 1);
    expect(table.find(2, 1), 'one run is one, however long').toMatchObject({ index: 2000 });
    expect(table.find(2, 5000)).toMatchObject({ index: 6999 });
  });

  it('a new term begins a new run', () => {
    const table = new SessionTable();
    table.admit(1, 1, 5, 1);
    table.admit(1, 2, 6, 2);
    expect([table.find(1, 1)?.term, table.find(1, 2)?.term]).toEqual([1, 2]);
  });
});
