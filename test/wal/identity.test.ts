import { describe, expect, it } from 'vitest';
import { RaftlineError } from '../../src/base/errors.js';
import { openIdentity } from '../../src/wal/identity.js';
import { FaultyDisk } from './faulty-disk.js';
import { openLog, realDisk, temporaryDirectory } from './log-tools.js';

const options = { clusterId: 'städte', nodeId: 7, newIncarnation: () => 2 ** 53 - 1 };
const never = (): number => {
  throw new Error('asked for a new incarnation');
};

describe('the identity of a data directory', () => {
  it('H64 is made once and known again, with the peers that it has met', () => {
    const { path, remove } = temporaryDirectory();
    const first = openIdentity(realDisk, path, options);
    expect([first.clusterId, first.nodeId, first.incarnation]).toEqual(['städte', 7, 2 ** 53 - 1]);
    expect(first.peerIncarnation(2)).toBeUndefined();
    first.rememberPeer(2, 99);
    first.rememberPeer(3, 2 ** 40 + 1);
    first.rememberPeer(2, 100);
    const again = openIdentity(realDisk, path, { ...options, newIncarnation: never });
    expect([again.peerIncarnation(2), again.peerIncarnation(3), again.peerIncarnation(4)]).toEqual([
      100,
      2 ** 40 + 1,
      undefined,
    ]);
    expect(again.incarnation).toBe(2 ** 53 - 1);
    remove();
  });

  it('H61 knows for good whether it was made for a node that joins, whatever later starts say', () => {
    for (const joins of [true, false]) {
      const disk = new FaultyDisk(1);
      expect(openIdentity(disk, 'd', { ...options, joins }).joined).toBe(joins);
      disk.crash();
      expect(openIdentity(disk, 'd', { ...options, joins: !joins }).joined).toBe(joins);
    }
  });

  it('H64 learns once with whom its cluster began, keeps it, and takes no other', () => {
    const disk = new FaultyDisk(1);
    const first = openIdentity(disk, 'd', options);
    expect(first.bootstrapChecksum).toBe(0);
    first.rememberPeer(2, 5);
    first.rememberBootstrap(0xfedc_ba98);
    disk.crash();
    const again = openIdentity(disk, 'd', { ...options, newIncarnation: never });
    expect([again.bootstrapChecksum, again.peerIncarnation(2)]).toEqual([0xfedc_ba98, 5]);
    again.rememberBootstrap(0xfedc_ba98);
    expect(() => again.rememberBootstrap(7)).toThrow(
      expect.objectContaining({
        code: 'RAFTLINE_DIRECTORY_INVALID',
        message: expect.stringMatching(/expected .*bootstrap configuration .*4275878552, received 7/),
      }),
    );
    expect(again.bootstrapChecksum).toBe(0xfedc_ba98);
    expect(openIdentity(disk, 'd', options).bootstrapChecksum).toBe(0xfedc_ba98);
  });

  it('H64 refuses another cluster or node, and a log without an identity', () => {
    const disk = new FaultyDisk(1);
    openIdentity(disk, 'd', options);
    const invalid = (message: RegExp): unknown =>
      expect.objectContaining({
        code: 'RAFTLINE_DIRECTORY_INVALID',
        message: expect.stringMatching(message),
      });
    expect(() => openIdentity(disk, 'd', { ...options, clusterId: 'x' })).toThrow(
      invalid(/cluster x.*städte/),
    );
    expect(() => openIdentity(disk, 'd', { ...options, nodeId: 8 })).toThrow(invalid(/node 8.*node 7/));
    openLog(disk, 'd');
    disk.unlink('d/identity');
    expect(() => openIdentity(disk, 'd', options)).toThrow(invalid(/a log without one/));
    expect(() => openIdentity(disk, 'e', { ...options, clusterId: '' })).toThrow(invalid(/cluster id/));
    expect(() => openIdentity(disk, 'e', { ...options, clusterId: 'x'.repeat(256) })).toThrow(
      invalid(/cluster id/),
    );
  });

  it('H83 a file that is not intact is never taken for a fresh one: every bit, every length', () => {
    const disk = new FaultyDisk(1);
    openIdentity(disk, 'd', options).rememberPeer(2, 5);
    const { length } = disk.file('d/identity');
    const opened = (): unknown => {
      try {
        return openIdentity(disk, 'd', { ...options, newIncarnation: never });
      } catch (thrown) {
        return thrown instanceof RaftlineError ? thrown.code : thrown;
      }
    };
    for (let bit = 0; bit < length * 8; bit += 1) {
      disk.damage('d/identity', bit >> 3, 1 << (bit & 7));
      expect(opened(), `bit ${bit}`).toBe('RAFTLINE_LOG_DAMAGED');
      disk.damage('d/identity', bit >> 3, 1 << (bit & 7));
    }
    const fd = disk.openForWriting('d/identity');
    for (let size = length - 1; size >= 0; size -= 1) {
      disk.truncate(fd, size);
      expect(opened(), `${size} bytes`).toBe('RAFTLINE_LOG_DAMAGED');
    }
    disk.truncate(fd, 1_000_000);
    expect(opened()).toBe('RAFTLINE_LOG_DAMAGED');
  });

  it('H82 after a power cut anywhere: what was returned is known, what was not is old or new, never damaged', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      for (let crashAt = 1; crashAt <= 16; crashAt += 1) {
        const disk = new FaultyDisk(seed);
        disk.faults = { crashAt };
        let known: number | undefined;
        let peer: number | undefined;
        try {
          const identity = openIdentity(disk, 'd', { ...options, newIncarnation: () => 41 });
          known = 41;
          identity.rememberPeer(2, 5);
          peer = 5;
          identity.rememberPeer(2, 6);
          peer = 6;
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(RaftlineError);
        }
        disk.crash();
        const again = openIdentity(disk, 'd', { ...options, newIncarnation: () => 42 });
        const story = `seed ${seed}, power cut at ${crashAt}`;
        expect(again.incarnation === 41 || known === undefined, story).toBe(true);
        expect((again.peerIncarnation(2) ?? 0) >= (peer ?? 0), story).toBe(true);
      }
    }
  });
});
