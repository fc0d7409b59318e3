import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { TraceFile } from '../../src/cli/trace-file.js';
import type { TraceEvent } from '../../src/core/trace-event.js';
import { TraceModel } from '../core/trace-model.js';
import { codeOf, Engine, Ledger, leads, single } from '../engine/world.js';

describe('a trace in a file', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'raftline-trace-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const linesOf = (path: string): unknown[] =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  it('of a real engine, over two lives, is one that Raft can have', async () => {
    const path = join(directory, 'trace.ndjson');
    for (let life = 0; life < 2; life++) {
      const file = await TraceFile.open(path, () => {});
      const engine = await Engine.open(single(join(directory, 'data'), new Ledger(), { trace: file.write }));
      await leads(engine);
      for (let at = 0; at < 20; at++) await engine.group(1).propose(Buffer.from(`${at}`));
      await engine.close();
      await file.close();
      expect(file.lost).toBe(0);
    }
    const model = new TraceModel();
    for (const event of linesOf(path)) model.take(event as TraceEvent);
    expect(model.faults).toEqual([]);
    expect(model.leaderships).toBe(2);
    expect(model.commits).toBeGreaterThan(20);
  });

  it('says how many events are missing, where, and once that it began', async () => {
    const path = join(directory, 'trace.ndjson');
    const notes: string[] = [];
    const file = await TraceFile.open(path, (note) => notes.push(note));
    const text = 'x'.repeat(1024 * 1024);
    for (let at = 0; at < 20; at++) file.write({ at, text });
    await file.close();
    const lines = linesOf(path) as { at?: number; lost?: number }[];
    const written = lines.filter(({ at }) => at !== undefined).length;
    expect(written).toBeLessThan(20);
    expect(lines.at(-1)).toEqual({ lost: 20 - written });
    expect(file.lost).toBe(20 - written);
    expect(notes).toEqual([expect.stringMatching(/left out$/), expect.stringMatching(/^trace: \d+ events/)]);
  });

  it('that cannot be opened is refused', async () => {
    expect(await codeOf(TraceFile.open(join(directory, 'no', 'such'), () => {}))).toBe(
      ErrorCode.FileUnreadable,
    );
  });

  it('whose sink throws ends with a warning, and the engine goes on', async () => {
    const trace = (): void => {
      throw new Error('full');
    };
    const engine = await Engine.open(single(join(directory, 'data'), new Ledger(), { trace }));
    const warnings: string[] = [];
    engine.on('log', ({ message }) => warnings.push(message));
    try {
      await leads(engine);
      await engine.group(1).propose(Buffer.from('still here'));
      expect(warnings.filter((message) => message.includes('trace'))).toHaveLength(1);
    } finally {
      await engine.close();
    }
  });
});
