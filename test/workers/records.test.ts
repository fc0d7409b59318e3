import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/base/errors.js';
import { clientCodec, commandCodec, inboxCodec, orderCodec, RecordCodec } from '../../src/workers/records.js';
import { expectCode, ringPair } from './parts.js';

type AnyCodec = {
  push(ring: unknown, record: Record<string, unknown>): boolean;
  read(ring: unknown): Record<string, unknown>;
};

/** What the codecs were made from is theirs alone; a proxy as a record tells which fields one asks for. */
function fieldsAsked(codec: AnyCodec, type: string): string[] {
  const asked: string[] = [];
  const record = new Proxy({ type } as Record<string, unknown>, {
    get(target, name) {
      if (name === 'type' || name === 'body') return target[name as string];
      asked.push(String(name));
      return 0;
    },
  });
  codec.push(ringPair().producer, record);
  return asked;
}

const languages: [string, unknown, string[]][] = [
  ['order', orderCodec, ['own', 'received', 'drop', 'truncate', 'hardState']],
  [
    'command',
    commandCodec,
    [
      'sessionOpen',
      'sessionStream',
      'sessionClose',
      'commit',
      'control',
      'appendReply',
      'applied',
      'feed',
      'clientReply',
      'clientClose',
    ],
  ],
  [
    'inbox',
    inboxCodec,
    ['control', 'append', 'appendReply', 'sessionBroken', 'peer', 'statusRequest', 'log'],
  ],
  ['client', clientCodec, ['propose', 'opened', 'closed']],
];

describe('records', () => {
  for (const [name, codec, types] of languages) {
    it(`${name}: every type comes back with its fields, up to 2^53, and its body`, () => {
      const any = codec as AnyCodec;
      const { producer, consumer } = ringPair();
      const sent: Record<string, unknown>[] = [];
      for (const type of types) {
        const record: Record<string, unknown> = { type };
        fieldsAsked(any, type).forEach((field, at) => {
          record[field] = Number.MAX_SAFE_INTEGER - at * 7;
        });
        sent.push({ ...record, body: Buffer.alloc(0) }, { ...record, body: Buffer.from(`body of ${type}`) });
        any.push(producer, record);
        any.push(producer, { ...record, body: Buffer.from(`body of ${type}`) });
      }
      for (const expected of sent) {
        expect(consumer.poll()).toBe(true);
        const read = any.read(consumer);
        expect({ ...read, body: Buffer.from(read.body as Buffer) }).toEqual(expected);
        consumer.release();
      }
      expect(consumer.poll()).toBe(false);
    });
  }

  it('a body is a view into the ring, not a copy', () => {
    const { producer, consumer } = ringPair();
    commandCodec.push(producer, { type: 'clientReply', stream: 1, body: Buffer.from('abc') });
    consumer.poll();
    const { body } = commandCodec.read(consumer);
    consumer.bytes[consumer.offset + 16] = 0x7a;
    expect(body.toString()).toBe('zbc');
  });

  it('a full ring takes nothing, and says so', () => {
    const { producer, consumer } = ringPair(4096);
    const push = () =>
      commandCodec.push(producer, { type: 'clientReply', stream: 7, body: Buffer.alloc(900) });
    let pushed = 0;
    while (push()) pushed++;
    expect(pushed).toBe(4);
    consumer.poll();
    consumer.release();
    expect(push()).toBe(true);
  });

  it('a record that no state of the ring could take is a bug of ours', () => {
    const { producer } = ringPair(4096);
    const body = Buffer.alloc(3000);
    expectCode(
      () => commandCodec.push(producer, { type: 'clientReply', stream: 7, body }),
      ErrorCode.Internal,
    );
  });

  it('two records of one schema do not mix', () => {
    const codec = new RecordCodec({ point: ['x', 'y'], line: ['from', 'to', 'width'] });
    const { producer, consumer } = ringPair();
    codec.push(producer, { type: 'line', from: 1, to: 2, width: 0.5 });
    codec.push(producer, { type: 'point', x: -1, y: 2 ** 53 - 1 });
    consumer.poll();
    expect(codec.read(consumer)).toMatchObject({ type: 'line', from: 1, to: 2, width: 0.5 });
    consumer.poll();
    expect(codec.read(consumer)).toMatchObject({ type: 'point', x: -1, y: 2 ** 53 - 1 });
  });
});
