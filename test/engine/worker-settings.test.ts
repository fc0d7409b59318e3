import { describe, expect, it } from 'vitest';
import { ENVELOPE_BYTES_MAX, PROPOSE_BYTES_MAX } from '../../src/base/limits.js';
import { parseOptions } from '../../src/engine/options.js';
import { workerSettings } from '../../src/engine/worker-settings.js';

const MiB = 1024 * 1024;

const OPTIONS = {
  id: 1,
  cluster: 'test',
  dataDirectory: 'data',
  groups: [{ id: 1, stateMachine: { apply: () => undefined } }],
};

describe('what the threads are told', () => {
  it('H68: the lease that reads rest on, the same on every node, whatever the clocks are thought to do', () => {
    const leaseMs = (reads: object, election: object = {}): number =>
      workerSettings(parseOptions({ ...OPTIONS, reads, election })).leaseMs;
    expect(leaseMs({})).toBe(0);
    expect(leaseMs({ policy: 'readIndex', clockDriftMax: 2 })).toBe(0);
    // 500 ms less two ticks of a quarter of 100 ms.
    expect(leaseMs({ policy: 'lease' })).toBe(450);
    expect(leaseMs({ policy: 'lease', clockDriftMax: 2 })).toBe(450);
    expect(leaseMs({ policy: 'lease' }, { timeoutMsMin: 600 })).toBe(550);
    expect(leaseMs({ policy: 'lease' }, { heartbeatIntervalMs: 40 })).toBe(480);
  });

  it('a batch of 1 MiB of another leader is taken and sent on, however small batches are here, and larger ones where they are', () => {
    const settingsOf = (batchBytesMax: number) =>
      workerSettings(parseOptions({ ...OPTIONS, entryBytesMax: 1024, pipeline: { batchBytesMax } }));
    const small = settingsOf(1024);
    expect(small.batchTakenBytesMax).toBe(MiB);
    expect(small.messageBytesMax).toBeGreaterThanOrEqual(MiB + ENVELOPE_BYTES_MAX);
    const large = settingsOf(4 * MiB);
    expect(large.batchTakenBytesMax).toBe(large.batchRawBytesMax);
  });

  it('H69: a full message of a remote client fits, however small entries and batches may be here', () => {
    const config = parseOptions({
      ...OPTIONS,
      entryBytesMax: 16 * 1024,
      pipeline: { batchBytesMax: 16 * 1024 },
    });
    expect(workerSettings(config).batchRawBytesMax).toBeGreaterThanOrEqual(PROPOSE_BYTES_MAX);
  });
});
