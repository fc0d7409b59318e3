import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Input } from '../../src/cli/demo/input.js';
import { type EntryRun, ReplicaCheck } from '../../src/cli/demo/verify.js';
import { Splitter } from '../../src/cli/splitter.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'raftline-verify-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function inputOf(text: string, recordBytes?: number): Promise<Input> {
  const path = join(directory, 'input');
  writeFileSync(path, text, 'latin1');
  return Input.open(path, recordBytes);
}

function runOf(entries: readonly string[], firstIndex: number): EntryRun {
  return {
    count: entries.length,
    firstIndex,
    forEach(visit) {
      for (const [at, entry] of entries.entries()) visit(Buffer.from(entry, 'latin1'), firstIndex + at);
    },
  };
}

/** What the check says of a replica that holds `entries`, told in runs of `runLength`. */
async function check(input: Input, entries: readonly string[], runLength = 2): Promise<string | undefined> {
  const replica = new ReplicaCheck(input);
  for (let at = 0; at < entries.length; at += runLength) {
    await replica.take(runOf(entries.slice(at, at + runLength), at + 10));
  }
  const { difference, sha256 } = replica.finish();
  await input.close();
  if (difference === undefined) expect(sha256).toBe(input.facts.sha256);
  return difference;
}

const splitAll = (text: string, recordBytes?: number): string[] => {
  const splitter = new Splitter(recordBytes);
  const bytes = Buffer.from(text, 'latin1');
  return [...splitter.take(bytes), ...splitter.finish()].map((entry) => entry.toString('latin1'));
};

describe('a replica that holds the input', () => {
  it.each([
    '',
    '\n',
    'a',
    'a\n',
    'a\nb',
    'a\r\n\r\nb\r\n',
    '\n\n\n',
    'one\ntwo\nthree',
    '\u0000\u00ff\n\u0001',
  ])('is identical for %j, however its runs are cut', async (text) => {
    for (const runLength of [1, 2, 100]) {
      expect(await check(await inputOf(text), splitAll(text), runLength)).toBeUndefined();
    }
  });

  it('is identical for records, with a shorter last one', async () => {
    for (const text of ['', 'abcd', 'abcdefgh', 'abcdefghi\n']) {
      expect(await check(await inputOf(text, 4), splitAll(text, 4))).toBeUndefined();
    }
  });
});

describe('every way to differ is found, and said where', () => {
  const text = 'a\nbb\nccc\ndddd\n';
  it.each([
    ['one lost at the end', ['a', 'bb', 'ccc'], /has 3 entries, the input has 4/],
    ['all lost', [], /has 0 entries/],
    ['one lost in the middle', ['a', 'ccc', 'dddd'], /entry 2 \(index 11\), byte 2 .* expected "bb/],
    ['one doubled', ['a', 'bb', 'bb', 'ccc', 'dddd'], /entry 3 \(index 12\), byte 5/],
    ['two swapped', ['bb', 'a', 'ccc', 'dddd'], /entry 1 \(index 10\), byte 0/],
    ['one changed', ['a', 'bb', 'cxc', 'dddd'], /entry 3 .* expected "cc.*received "xc/],
    ['one too many', ['a', 'bb', 'ccc', 'dddd', ''], /goes on after the input's end|5 entries/],
    ['two joined', ['a\nbb', 'ccc', 'dddd'], /has 3 entries, the input has 4/],
  ])('%s', async (_, entries, words) => {
    expect(await check(await inputOf(text), entries)).toMatch(words);
  });

  it('records that are cut elsewhere', async () => {
    expect(await check(await inputOf('abcdefgh', 4), ['abc', 'defgh'])).toMatch(
      /entry 1 has 3 bytes, the input's record 4/,
    );
  });

  it('entries whose indexes do not ascend', async () => {
    const input = await inputOf('a\nb\n');
    const replica = new ReplicaCheck(input);
    await replica.take(runOf(['a'], 7));
    await replica.take(runOf(['b'], 7));
    expect(replica.finish().difference).toMatch(/index 7 comes after index 7/);
    await input.close();
  });
});

describe('the input file', () => {
  it('is described in one pass', async () => {
    const input = await inputOf('a\nlong line\n\nend');
    expect(input.facts).toMatchObject({
      bytes: 16,
      entries: 4,
      longestEntryBytes: 9,
      endsWithNewline: false,
    });
    await input.close();
  });

  it.each([
    ['missing', /no such file/],
    ['', /is a directory/],
  ])('%j is refused with a reason', async (name, words) => {
    await expect(Input.open(join(directory, name), undefined)).rejects.toThrow(words);
  });

  it('may grow while it is read, but not shrink', async () => {
    const input = await inputOf('a\nb\n');
    truncateSync(input.path, 1);
    await expect(input.read(0, 4)).rejects.toThrow('became shorter');
    await input.close();
  });
});
