import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Splitter } from '../../src/cli/splitter.js';

/** Splits `input` given in blocks that end where `cuts` say. */
function split(input: Buffer, cuts: readonly number[], recordBytes?: number): string[] {
  const splitter = new Splitter(recordBytes);
  const entries: string[] = [];
  let start = 0;
  for (const end of [...cuts].sort((a, b) => a - b).concat(input.length)) {
    const to = Math.min(Math.max(end, start), input.length);
    const block = Buffer.from(input.subarray(start, to));
    for (const entry of splitter.take(block)) entries.push(entry.toString('latin1'));
    // The reader uses its buffer again: nothing may be left pointing into it.
    block.fill('#');
    start = to;
  }
  for (const entry of splitter.finish()) entries.push(entry.toString('latin1'));
  return entries;
}

const lines = (text: string, cuts: readonly number[] = []): string[] =>
  split(Buffer.from(text, 'latin1'), cuts);

describe('lines', () => {
  it.each([
    ['', []],
    ['\n', ['']],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\n\nb', ['a', '', 'b']],
    ['a\r\nb\r\n', ['a\r', 'b\r']],
    ['\n\n', ['', '']],
  ])('cuts %j', (text, entries) => {
    expect(lines(text)).toEqual(entries);
  });

  it('does not care where the blocks end', () => {
    const text = fc.stringMatching(/^[ab\n]{0,60}$/);
    fc.assert(
      fc.property(text, fc.array(fc.nat(60), { maxLength: 8 }), (input, cuts) => {
        const whole = input === '' ? [] : input.replace(/\n$/, '').split('\n');
        expect(lines(input, cuts)).toEqual(whole);
      }),
    );
  });

  it('refuses a line that no cluster could take, instead of gathering it without end', () => {
    const splitter = new Splitter();
    const block = Buffer.alloc(16 * 1024 * 1024, 'x');
    const feed = (): void => {
      for (let at = 0; at < 5; at++)
        for (const _ of splitter.take(block)) throw new Error('no entry ends here');
    };
    expect(feed).toThrow('line 1 is longer than 67108864 bytes');
  });
});

describe('records', () => {
  it('does not care where the blocks end, and keeps a shorter last one', () => {
    const input = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(
        input,
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat(100), { maxLength: 8 }),
        (bytes, size, cuts) => {
          const whole: string[] = [];
          for (let at = 0; at < bytes.length; at += size) {
            whole.push(bytes.toString('latin1', at, Math.min(at + size, bytes.length)));
          }
          expect(split(bytes, cuts, size)).toEqual(whole);
        },
      ),
    );
  });
});
