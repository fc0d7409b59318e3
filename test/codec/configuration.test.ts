import { ByteBuffer } from 'flatbuffers';
import { describe, expect, it } from 'vitest';
import { SAFE_MAX, U32_MAX } from '../../src/base/ids.js';
import type { Configuration } from '../../src/base/messages.js';
import { seededRandom } from '../../src/base/prng.js';
import { decodeConfiguration, encodeConfiguration } from '../../src/codec/configuration.js';
import { Configuration as FlatConfiguration } from '../../src/codec/generated/configuration.js';
import { expectHarmless, expectRefused, mutate } from './samples.js';

const JOINT: Configuration = {
  voters: [1, 2, U32_MAX],
  votersOutgoing: [2, 3],
  learners: [10],
  learnersNext: [3],
  incarnations: [
    { id: 1, incarnation: 77 },
    { id: 2, incarnation: SAFE_MAX },
  ],
  compressionLevel: 1,
};
/** As a change leaves it behind: with addresses and tombstones, the latter in the order of their going. */
const SETTLED: Configuration = {
  ...JOINT,
  addresses: [
    { id: 1, address: 'one.example:7001' },
    { id: 10, address: '[::1]:7010' },
  ],
  removed: [
    { id: 9, incarnation: 5 },
    { id: 4, incarnation: 44 },
    { id: 4, incarnation: 45 },
  ],
};
const EMPTY: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  incarnations: [],
  compressionLevel: 0,
};
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe('a configuration', () => {
  it('comes back, joint, empty, and with as many members as there may be', () => {
    const full = { ...EMPTY, voters: numbers(64), votersOutgoing: numbers(64) };
    for (const configuration of [JOINT, SETTLED, EMPTY, full]) {
      expect(decodeConfiguration(encodeConfiguration(configuration))).toStrictEqual(configuration);
    }
  });

  it('is the same bytes however its members are ordered', () => {
    const shuffled = {
      ...JOINT,
      voters: [U32_MAX, 1, 2],
      votersOutgoing: [3, 2],
      incarnations: [...JOINT.incarnations].reverse(),
      addresses: [...SETTLED.addresses!].reverse(),
      removed: SETTLED.removed!,
    };
    expect(encodeConfiguration(shuffled).equals(encodeConfiguration(SETTLED))).toBe(true);
    expect(shuffled.voters).toEqual([U32_MAX, 1, 2]);
  });

  it('is these bytes, and stays so', () => {
    const golden = [
      '18000000' + '524c4331', // root, "RLC1"
      '1000' + '1c00' + '1800' + '1400' + '1000' + '0c00' + '0800' + '0700', // vtable: six fields
      '10000000' + '000000' + '01', // table: its vtable, alignment, compression level 1
      '14000000' + '14000000' + '14000000' + '14000000' + '14000000', // where the five lists are
      '00000000' + '00000000' + '00000000' + '00000000', // four empty ones
      '02000000' + '01000000' + '02000000', // voters 1 and 2
    ];
    const configuration = { ...EMPTY, voters: [1, 2], compressionLevel: 1 };
    expect(encodeConfiguration(configuration).toString('hex')).toBe(golden.join(''));
  });

  it('reads the same through the generated code', () => {
    const flat = FlatConfiguration.getRootAsConfiguration(new ByteBuffer(encodeConfiguration(JOINT)));
    expect([...flat.votersArray()!]).toEqual(JOINT.voters);
    expect([...flat.votersOutgoingArray()!]).toEqual(JOINT.votersOutgoing);
    expect([...flat.learnersArray()!]).toEqual(JOINT.learners);
    expect([...flat.learnersNextArray()!]).toEqual(JOINT.learnersNext);
    expect([flat.incarnations(1)!.id(), flat.incarnations(1)!.incarnation()]).toEqual([2, BigInt(SAFE_MAX)]);
    expect(flat.compressionLevel()).toBe(1);
    const later = FlatConfiguration.getRootAsConfiguration(new ByteBuffer(encodeConfiguration(SETTLED)));
    expect([later.addresses(1)!.id(), later.addresses(1)!.address()]).toEqual([10, '[::1]:7010']);
    expect([later.removed(2)!.id(), later.removed(2)!.incarnation()]).toEqual([4, 45n]);
  });

  it('is refused with members twice, out of order, of id 0, or too many', () => {
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, voters: [4, 4] }),
      /voters: expected ids above 4, received 4/,
    );
    expectRefused(() => encodeConfiguration({ ...EMPTY, learners: [0] }), /learners: expected ids above 0/);
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, voters: numbers(65) }),
      /voters count: expected at most 64/,
    );
    const scattered = { ...EMPTY, voters: numbers(64), learners: [65] };
    expectRefused(() => encodeConfiguration(scattered), /members: expected at most 64, received 65/);
    expect(() => encodeConfiguration({ ...EMPTY, voters: [2 ** 32 + 1] })).toThrow(
      /a member is a number of 32 bits/,
    );
    const twice = [1, 1].map((id) => ({ id, incarnation: 5 }));
    expectRefused(() => encodeConfiguration({ ...EMPTY, incarnations: twice }), /incarnations/);
    const homes = (count: number, address = 'a:1') => numbers(count).map((id) => ({ id, address }));
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, addresses: homes(65) }),
      /addresses count: expected at most 64/,
    );
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, addresses: homes(1, 'a'.repeat(257)) }),
      /address length/,
    );
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, addresses: homes(1, '') }),
      /address of node 1: expected host:port/,
    );
    const graves = numbers(257).map((id) => ({ id, incarnation: 1 }));
    expectRefused(
      () => encodeConfiguration({ ...EMPTY, removed: graves }),
      /removed count: expected at most 256/,
    );
    const bytes = encodeConfiguration({ ...EMPTY, voters: [0x0a0a, 0x0b0b] });
    bytes.writeUInt32LE(0x0c0c, bytes.indexOf(Buffer.from('0a0a0000', 'hex')));
    expectRefused(() => decodeConfiguration(bytes), /voters: expected ids above 3084, received 2827/);
  });

  it('is refused with an incarnation above 2^53 - 1', () => {
    const bytes = encodeConfiguration(JOINT);
    bytes[bytes.indexOf(Buffer.from('ffffffffffff1f00', 'hex')) + 6] = 0x20;
    expectRefused(() => decodeConfiguration(bytes), /incarnations: expected at most 2\^53 - 1/);
  });

  it('S6 is refused at every truncation, and harmless whatever is changed (by seed)', () => {
    const bytes = encodeConfiguration(SETTLED);
    for (let length = 0; length < bytes.length - 4; length++) {
      const cut = Buffer.from(bytes.subarray(0, length));
      expectRefused(() => decodeConfiguration(cut));
    }
    for (let seed = 1; seed <= 5000; seed++) {
      const damaged = Buffer.from(bytes);
      mutate(seededRandom(seed), damaged, 0, damaged.length);
      expectHarmless(() => decodeConfiguration(damaged), `seed ${seed}: ${damaged.toString('hex')}`);
    }
  });
});
