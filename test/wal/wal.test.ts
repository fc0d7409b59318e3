import { describe, expect, it } from 'vitest';
import { LogReader } from '../../src/wal/log-reader.js';
import { openLog, realDisk, settle, stageRun, temporaryDirectory } from './log-tools.js';

describe('smoke', () => {
  it('writes, reads back, restarts', () => {
    const dir = temporaryDirectory();
    const { wal, index } = openLog(realDisk, dir.path, { segmentBytes: 8192 });
    const batches = stageRun(wal, { term: 3, after: 0, prevTerm: 0, batches: 400 });
    wal.stageHardState(1, { term: 3, vote: 2 });
    expect(wal.flush()).toBe(true);
    expect(settle(wal)).toEqual(['written', 'durable']);
    const reader = new LogReader(realDisk, dir.path, index);
    const read = reader.read(1, 1, 400, 1 << 20);
    expect(read?.batches).toEqual(batches);
    wal.close();
    const again = openLog(realDisk, dir.path, { segmentBytes: 8192 });
    expect(again.recovered.get(1)).toMatchObject({ lastIndex: 400, hardState: { term: 3, vote: 2 } });
    dir.remove();
  });
});
