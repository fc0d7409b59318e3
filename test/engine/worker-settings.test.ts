import { describe, expect, it } from 'vitest';
import { PROPOSE_BYTES_MAX } from '../../src/base/limits.js';
import { parseOptions } from '../../src/engine/options.js';
import { workerSettings } from '../../src/engine/worker-settings.js';

describe('what the threads are told', () => {
  it('H69: a full message of a remote client fits, however small entries and batches may be here', () => {
    const config = parseOptions({
      id: 1,
      cluster: 'test',
      dataDirectory: 'data',
      groups: [{ id: 1, stateMachine: { apply: () => undefined } }],
      entryBytesMax: 16 * 1024,
      pipeline: { batchBytesMax: 16 * 1024 },
    });
    expect(workerSettings(config).batchRawBytesMax).toBeGreaterThanOrEqual(PROPOSE_BYTES_MAX);
  });
});
