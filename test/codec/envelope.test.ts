import { readFileSync } from 'node:fs';
import { ByteBuffer } from 'flatbuffers';
import { describe, expect, it, vi } from 'vitest';
import { randomInteger, seededRandom } from '../../src/base/prng.js';
import { crc32 } from '../../src/codec/checksum.js';
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../src/codec/envelope.js';
import { LAYOUTS } from '../../src/codec/envelope-layouts.js';
import { Append } from '../../src/codec/generated/append.js';
import { AppendReply } from '../../src/codec/generated/append-reply.js';
import { AppendReplyKind } from '../../src/codec/generated/append-reply-kind.js';
import { Envelope as FlatEnvelope } from '../../src/codec/generated/envelope.js';
import { Hello } from '../../src/codec/generated/hello.js';
import { Lane } from '../../src/codec/generated/lane.js';
import { Message } from '../../src/codec/generated/message.js';
import { ProposeOutcome } from '../../src/codec/generated/propose-outcome.js';
import { TailRequest } from '../../src/codec/generated/tail-request.js';
import { messageOf, SAMPLES } from './envelope-samples.js';
import { expectHarmless, expectRefused, mutate } from './samples.js';

const HEAD = 16;

/** Makes the checksum right again after the envelope was changed. */
function reseal(bytes: Buffer): void {
  bytes.writeUInt32LE(crc32(bytes.subarray(HEAD, HEAD + bytes.readUInt32LE(4))), 8);
}

function sample<Type extends Envelope['type']>(type: Type): Extract<Envelope, { type: Type }> {
  return SAMPLES.find((envelope) => envelope.type === type) as Extract<Envelope, { type: Type }>;
}

/** Encodes without our own range checks in the way: a 32- or 64-bit field is overwritten behind them. */
function withNumber(envelope: Envelope, field: string, value: number): Buffer {
  const { bytes } = encodeEnvelope(envelope);
  const current = messageOf(envelope)[field] as number;
  const wide = Buffer.alloc(8);
  wide.writeBigUInt64LE(BigInt(current));
  const at = bytes.indexOf(wide.subarray(0, current > 0xffff_ffff ? 8 : 4), HEAD + 8);
  expect(at, `${field} stands in the bytes`).toBeGreaterThan(0);
  if (current > 0xffff_ffff) bytes.writeBigUInt64LE(BigInt(value), at);
  else bytes.writeUInt32LE(value, at);
  reseal(bytes);
  return bytes;
}

describe('the bytes of an envelope', () => {
  it('are these, and stay so', () => {
    const request = { type: 'statusRequest', requestId: 0x0102_0304, fromGroup: 0x0506_0708 } as const;
    const { bytes, bodyOffset } = encodeEnvelope(request, 3);
    expect(bodyOffset).toBe(72);
    expect(bytes.length).toBe(75);
    const golden = [
      '524c4d01' + '38000000' + '8d18a41d' + '00000000', // "RLM" version 1, length, checksum, reserved
      '14000000' + '524c4531' + '00000000', // root, "RLE1", alignment
      '0800' + '0c00' + '0b00' + '0400' + '08000000' + '10000000' + '0000000e', // envelope: the message, its type 14
      '0800' + '1000' + '0800' + '0400' + '08000000' + '08070605' + '0403020100000000', // status request
    ];
    expect(bytes.toString('hex', 0, bodyOffset)).toBe(golden.join(''));
  });

  it('of an earlier build say what they said: a status request without a group asks from the start', () => {
    const golden = [
      '524c4d01' + '30000000' + '1fc490b1' + '00000000',
      '14000000' + '524c4531' + '00000000',
      '0800' + '0a00' + '0900' + '0400' + '08000000' + '0c000000' + '000e',
      '0600' + '0c00' + '0400' + '06000000' + '0403020100000000', // its only field
    ];
    const { envelope } = decodeEnvelope(Buffer.from(golden.join(''), 'hex'));
    expect(envelope).toEqual({ type: 'statusRequest', requestId: 0x0102_0304, fromGroup: 0 });
  });

  it.each(SAMPLES.map((envelope) => [messageOf(envelope).type, envelope] as const))(
    'come back: %s',
    (_, envelope) => {
      for (const bodyBytes of [0, 1, 8, 1000]) {
        const { bytes, bodyOffset } = encodeEnvelope(envelope, bodyBytes);
        expect(bodyOffset % 8).toBe(0);
        expect(bytes.length).toBe(bodyOffset + bodyBytes);
        bytes.fill(0xff, bodyOffset);
        expect(decodeEnvelope(bytes)).toStrictEqual({ envelope, bodyOffset });
        const shared = Buffer.from(new SharedArrayBuffer(bytes.length + 3)).subarray(3);
        bytes.copy(shared);
        expect(decodeEnvelope(shared)).toStrictEqual({ envelope, bodyOffset });
      }
    },
  );

  it('come back with every number and text at its default', () => {
    const none = {
      code: '',
      message: '',
      node: 0,
      incarnation: 0,
      controlPort: 0,
      dataPort: 0,
      clientPort: 0,
      formerIncarnations: [],
    };
    const reply: Envelope = { type: 'helloReply', accepted: false, ...none };
    expect(decodeEnvelope(encodeEnvelope(reply).bytes).envelope).toStrictEqual(reply);
    const hello: Envelope = { ...sample('hello'), clusterId: '', groups: [], bootstrapChecksum: 0 };
    expect(decodeEnvelope(encodeEnvelope(hello).bytes).envelope).toStrictEqual(hello);
  });

  it('are padded with zeros, whatever the memory held before', () => {
    const dirty = vi.spyOn(Buffer, 'allocUnsafe').mockImplementation((length) => Buffer.alloc(length, 0xff));
    for (const envelope of SAMPLES) {
      expect(decodeEnvelope(encodeEnvelope(envelope).bytes).envelope).toStrictEqual(envelope);
    }
    for (const code of ['', 'four', 'eight ch']) {
      decodeEnvelope(encodeEnvelope({ ...sample('clientWelcome'), code }).bytes);
    }
    dirty.mockRestore();
  });

  it('have a sample and a layout for every message of the union', () => {
    const tags = Object.values(Message).filter((tag) => typeof tag === 'number' && tag > 0);
    expect(SAMPLES.map((envelope) => messageOf(envelope).type).sort()).toEqual(Object.keys(LAYOUTS).sort());
    expect(Object.values(LAYOUTS).map(({ tag }) => tag)).toEqual(tags);
  });

  it('have the fields of the schema, in its order and with its types', () => {
    const schema = readFileSync(new URL('../../schemas/envelope.fbs', import.meta.url), 'utf8');
    const types = { u32: 'uint32', u64: 'uint64', flag: 'bool', text: 'string' };
    for (const [type, { tag, fields }] of Object.entries(LAYOUTS)) {
      const body = new RegExp(`table ${Message[tag]} \\{([^}]*)\\}`).exec(schema)?.[1] ?? '';
      const wanted = [...body.matchAll(/(\w+): ([\w[\]]+);/g)].map(([, name, kind]) => {
        const camel = name!.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
        return `${camel}: ${/^[A-Z]/.test(kind!) ? 'choice' : kind}`;
      });
      const kindOf = (field: (typeof fields)[number]): string => {
        if (field.kind === 'list') return `[uint${8 * field.itemBytes}]`;
        return field.kind === 'choice' ? 'choice' : types[field.kind];
      };
      const ours = fields.map((field) => `${field.name}: ${kindOf(field)}`);
      expect(ours, type).toEqual(wanted);
    }
  });

  it('read the same through the generated code', () => {
    const read = (envelope: Envelope) => {
      const { bytes, bodyOffset } = encodeEnvelope(envelope);
      return FlatEnvelope.getRootAsEnvelope(new ByteBuffer(bytes.subarray(HEAD, bodyOffset)));
    };
    const append = read(sample('append'));
    expect(append.messageType()).toBe(Message.Append);
    const flat = append.message(new Append()) as Append;
    expect([flat.group(), flat.from(), flat.to(), flat.batches()]).toEqual([7, 1, 0xffff_ffff, 65_536]);
    expect([flat.term(), flat.session(), flat.prevIndex()]).toEqual([2n ** 40n + 3n, 5n, 2n ** 50n]);
    expect([flat.prevTerm(), flat.commit(), flat.more()]).toEqual([2n ** 39n, 2n ** 49n, true]);
    const hello = read(sample('hello')).message(new Hello()) as Hello;
    expect([hello.clusterId(), hello.lane()]).toEqual(['orders-éü', Lane.Append]);
    expect([...hello.groupsArray()!]).toEqual(sample('hello').groups);
    expect(hello.formerIncarnationsLength()).toBe(3);
    expect([0, 1, 2].map((at) => Number(hello.formerIncarnations(at)))).toEqual(
      sample('hello').formerIncarnations,
    );
    const reply = read(sample('appendReply')).message(new AppendReply()) as AppendReply;
    expect([reply.kind(), reply.match(), reply.applied()]).toEqual([
      AppendReplyKind.Durable,
      2n ** 50n,
      2n ** 48n,
    ]);
  });

  it('name the choices in the order of the schema', () => {
    for (const [flat, type, name] of [
      [Lane, 'hello', 'lane'],
      [AppendReplyKind, 'appendReply', 'kind'],
      [ProposeOutcome, 'proposeReply', 'outcome'],
    ] as const) {
      const field = LAYOUTS[type].fields.find((candidate) => candidate.name === name);
      const names = Object.keys(flat).filter((key) => Number.isNaN(Number(key)));
      expect(['none', ...(field?.kind === 'choice' ? field.choices : [])]).toEqual(
        names.map((n) => n.toLowerCase()),
      );
    }
  });

  it('hold cut text for people, and refuse to hold what the format does not allow', () => {
    const long = encodeEnvelope({ ...sample('tailEnd'), message: 'é'.repeat(5000) });
    expect(decodeEnvelope(long.bytes).envelope).toMatchObject({ message: 'é'.repeat(1024) });
    expect(() => encodeEnvelope({ ...sample('hello'), clusterId: 'c'.repeat(65) })).toThrow(
      /clusterId has at most 64/,
    );
    expect(() => encodeEnvelope({ ...sample('hello'), groups: new Array(16_385).fill(1) })).toThrow(
      /groups has/,
    );
    expect(() => encodeEnvelope({ ...sample('hello'), groups: [2 ** 32] })).toThrow(
      /groups holds numbers of 32 bits/,
    );
    expect(() => encodeEnvelope({ ...sample('hello'), formerIncarnations: [2 ** 53] })).toThrow(
      /formerIncarnations holds numbers of 64 bits/,
    );
    expect(() => encodeEnvelope({ ...sample('append'), term: 0 })).toThrow(/term is a whole number of 1/);
    expect(() => encodeEnvelope({ ...sample('append'), commit: 1.5 })).toThrow(/commit is a whole number/);
    expect(() => encodeEnvelope({ ...sample('append'), batches: -1 })).toThrow(/batches is a whole number/);
    expect(() => encodeEnvelope(sample('append'), 2 ** 30)).toThrow(/a message is within its ceiling/);
    expect(decodeEnvelope(encodeEnvelope(sample('append')).bytes).envelope).toEqual(sample('append'));
  });
});

describe('S6 a damaged envelope', () => {
  const each = SAMPLES.map((envelope) => [messageOf(envelope).type, envelope] as const);

  it.each(each)('is refused at every truncation and with any bit flipped: %s', (_, envelope) => {
    const { bytes, bodyOffset } = encodeEnvelope(envelope);
    for (let length = 0; length < bodyOffset; length++) {
      expectRefused(() => decodeEnvelope(bytes.subarray(0, length)));
    }
    for (let bit = 0; bit < bodyOffset * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expectRefused(() => decodeEnvelope(flipped));
    }
  });

  it.each(each)(
    'costs nothing but a refusal when the checksum was made to fit (by seed): %s',
    (type, envelope) => {
      for (let seed = 1; seed <= 700; seed++) {
        const random = seededRandom(seed);
        const whole = encodeEnvelope(envelope).bytes;
        mutate(random, whole, HEAD, HEAD + whole.readUInt32LE(4));
        const bytes = Buffer.concat([whole, Buffer.alloc(40, 0x5a)]);
        if (seed % 4 === 0) bytes.writeUInt32LE(randomInteger(random, 0, whole.length), 4);
        reseal(bytes);
        const story = `seed ${seed}, ${type}: ${bytes.toString('hex')}`;
        expectHarmless(() => {
          const text = JSON.stringify(decodeEnvelope(bytes).envelope);
          expect(text, story).not.toMatch(/ZZZ|1515870810/); // 0x5a…: bytes behind the envelope
        }, story);
      }
    },
  );

  it('is refused when its length claims more than there is, before it is read', () => {
    const { bytes } = encodeEnvelope(sample('append'));
    bytes.writeUInt32LE(0xffff_fff0, 4);
    expectRefused(() => decodeEnvelope(bytes), /envelope length: expected at most 120, received 4294967280/);
  });

  it('is refused as unknown when the message is from the future', () => {
    const { bytes } = encodeEnvelope({ type: 'statusRequest', requestId: 1, fromGroup: 0 });
    for (const tag of [0, 24, 255]) {
      bytes[HEAD + 31] = tag;
      reseal(bytes);
      expectRefused(() => decodeEnvelope(bytes), /unknown message: expected 1 to 23/);
    }
  });

  it('is refused with another magic, version, reserved field or identifier, and with padding', () => {
    const spoil = (at: number, value: number, message: RegExp) => {
      const { bytes } = encodeEnvelope(sample('tailRequest'), 4);
      bytes[at] = value;
      reseal(bytes);
      expectRefused(() => decodeEnvelope(bytes), message);
    };
    spoil(0, 0x51, /magic and version/);
    spoil(3, 2, /magic and version/);
    spoil(12, 1, /reserved/);
    spoil(HEAD + 4, 0x53, /envelope identifier: expected RLE1/);
    const welcomes = ['', 'four', 'eight ch'].map((code) =>
      encodeEnvelope({ ...sample('clientWelcome'), code }),
    );
    const padded = welcomes.find(({ bytes, bodyOffset }) => HEAD + bytes.readUInt32LE(4) < bodyOffset)!;
    padded.bytes[padded.bodyOffset - 1] = 1;
    expectRefused(() => decodeEnvelope(padded.bytes), /padding/);
  });

  it('S4 is refused when a list or text is longer than its cap, although it fits the buffer', () => {
    const groups = new Array<number>(16_384).fill(1);
    const { bytes } = encodeEnvelope({ ...sample('hello'), groups });
    expect(decodeEnvelope(bytes).envelope).toMatchObject({ groups });
    const count = Buffer.from('00400000' + '01000000', 'hex');
    bytes.writeUInt32LE(16_385, bytes.indexOf(count));
    reseal(bytes);
    expectRefused(() => decodeEnvelope(bytes), /groups count: expected at most 16384, received 16385/);
  });
});

describe('an envelope whose checksum and structure are right but which means nothing', () => {
  it('is refused: numbers out of their range', () => {
    expectRefused(() => decodeEnvelope(withNumber(sample('append'), 'group', 0)), /group: expected 1/);
    expectRefused(
      () => decodeEnvelope(withNumber(sample('append'), 'batches', 65_537)),
      /batches: expected 0 to 65536/,
    );
    expectRefused(() => decodeEnvelope(withNumber(sample('append'), 'commit', 2 ** 53)), /2\^53 - 1/);
    expectRefused(
      () => decodeEnvelope(withNumber(sample('propose'), 'count', 0)),
      /count: expected 1 to 1048576/,
    );
    expectRefused(() => decodeEnvelope(withNumber(sample('propose'), 'clientId', 0)), /clientId/);
  });

  it('is refused: a bool that is neither 0 nor 1', () => {
    const flagged = encodeEnvelope(sample('tailRequest')).bytes;
    const table = FlatEnvelope.getRootAsEnvelope(new ByteBuffer(flagged.subarray(HEAD))).message(
      new TailRequest(),
    );
    flagged[HEAD + table.bb_pos + table.bb.__offset(table.bb_pos, 8)] = 2; // slot 2
    reseal(flagged);
    expectRefused(() => decodeEnvelope(flagged), /follow: expected 0 or 1, received 2/);
  });

  it('is refused: positions that no log has', () => {
    const refused = (envelope: Envelope, message: RegExp) =>
      expectRefused(() => decodeEnvelope(encodeEnvelope(envelope).bytes), message);
    refused({ ...sample('append'), prevIndex: 0 }, /append: term of entry 0: expected 0/);
    refused({ ...sample('append'), prevTerm: 0 }, /append: term of entry \d+: expected at least 1/);
    refused({ ...sample('append'), prevTerm: 2 ** 41 }, /append: term of entry/);
    const vote = {
      group: 1,
      from: 1,
      to: 2,
      term: 4,
      lastIndex: 3,
      lastTerm: 5,
      preVote: false,
      transfer: false,
    };
    refused(
      { type: 'control', message: { type: 'vote', ...vote } },
      /vote: term of entry 3: expected at most 4/,
    );
    refused({ ...sample('propose'), firstSequence: 2 ** 53 - 1, count: 2 }, /propose: last number/);
    refused({ ...sample('tailChunk'), firstIndex: 2 ** 53 - 1, count: 2 }, /tailChunk: last number/);
    refused({ ...sample('proposeReply'), index: 2 ** 53 - 1, count: 2 }, /proposeReply: last number/);
  });
});
