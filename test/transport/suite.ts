import { afterEach, describe, expect, it } from 'vitest';
import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type {
  Lane,
  Listener,
  MessageStream,
  Transport,
  TransportOptions,
} from '../../src/transport/transport.js';

/** Two hosts of one network, and how to come to rest. */
export interface Pair {
  a: Transport;
  b: Transport;
  /** A host name for `b` to listen on. */
  host: string;
}

/** Makes a pair; each side may have limits of its own. */
export type MakePair = (a: TransportOptions, b?: TransportOptions) => Pair;

export const LIMITS: TransportOptions = { messageBytesMax: 256 * 1024, queuedBytesMax: 4 * 1024 * 1024 };

/** Waits for what the network brings, by looking again and again; the test's own timeout is the only limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Gives whatever might still happen the time to happen, for showing that something does not. */
export const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

/** Everything that one end of a stream saw. */
export class Witness {
  readonly messages: Buffer[] = [];
  readonly closes: RaftlineError[] = [];

  constructor(readonly stream: MessageStream) {
    stream.onMessage = (bytes) => this.messages.push(bytes);
    stream.onClose = (cause) => this.closes.push(cause);
  }
}

interface Joined {
  near: Witness;
  far: Witness;
  lane: Lane;
  address: string;
  listener: Listener;
}

/** What every transport must do, whatever it is made of. */
export function transportSuite(name: string, makePair: MakePair): void {
  describe(name, () => {
    const made: Pair[] = [];
    afterEach(() => {
      for (const { a, b } of made.splice(0)) {
        a.close();
        b.close();
      }
    });

    const pairOf: MakePair = (a, b) => {
      const pair = makePair(a, b);
      made.push(pair);
      return pair;
    };

    /** `b` listens, `a` connects; done when a first message has passed. */
    async function join(pair: Pair, lane: Lane = 'append'): Promise<Joined> {
      let far: Witness | undefined;
      let arrivedOn: Lane | undefined;
      const listener = await pair.b.listen(`${pair.host}:0`, (onLane, stream) => {
        arrivedOn = onLane;
        far = new Witness(stream);
      });
      const address = `${pair.host}:${listener.port}`;
      const near = new Witness(pair.a.connect(address, lane));
      near.stream.send(Buffer.from('first'));
      await until(() => far !== undefined && far.messages.length === 1);
      far!.messages.length = 0;
      return { near, far: far!, lane: arrivedOn!, address, listener };
    }

    it('carries many messages of all sizes in order, both ways at once', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      const sizes = [0, 1, 5, 1000, 16_383, 16_384, 65_536, 100_000];
      const messages = Array.from({ length: 400 }, (_, n) => Buffer.alloc(sizes[n % sizes.length]!, n));
      const feed = (stream: MessageStream): void => {
        let next = 0;
        const more = (): void => {
          while (next < messages.length && stream.send(messages[next]!, more)) next += 1;
        };
        more();
      };
      feed(near.stream);
      feed(far.stream);
      await until(() => far.messages.length === 400 && near.messages.length === 400);
      expect(Buffer.concat(far.messages).equals(Buffer.concat(messages))).toBe(true);
      expect(far.messages.map((bytes) => bytes.length)).toEqual(messages.map((bytes) => bytes.length));
      expect(near.messages.map((bytes) => bytes.length)).toEqual(messages.map((bytes) => bytes.length));
      expect(Buffer.concat(near.messages).equals(Buffer.concat(messages))).toBe(true);
      await until(() => near.stream.queuedBytes === 0);
      expect([near.closes, far.closes]).toEqual([[], []]);
    });

    it('names the lane that a stream came in on', async () => {
      for (const lane of ['control', 'append', 'client', 'snapshot'] as const) {
        expect((await join(pairOf(LIMITS), lane)).lane).toBe(lane);
      }
    });

    it('S4 carries empty messages and messages of exactly the limit', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      expect(near.stream.send(Buffer.alloc(0))).toBe(true);
      expect(near.stream.send(Buffer.alloc(LIMITS.messageBytesMax, 7))).toBe(true);
      await until(() => far.messages.length === 2);
      expect(far.messages[0]!.length).toBe(0);
      expect(far.messages[1]!.equals(Buffer.alloc(LIMITS.messageBytesMax, 7))).toBe(true);
    });

    it('S4 refuses to send a message one above the limit, and the stream lives on', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      const attempt = (): boolean => near.stream.send(Buffer.alloc(LIMITS.messageBytesMax + 1));
      expect(attempt).toThrow(expect.objectContaining({ code: ErrorCode.BytesInvalid }));
      near.stream.send(Buffer.from('next'));
      await until(() => far.messages.length === 1);
      expect(far.messages[0]!.toString()).toBe('next');
    });

    it('S7 a peer that sends one byte above our limit loses its stream and nothing else', async () => {
      const pair = pairOf({ ...LIMITS, messageBytesMax: 1024 * 1024 }, LIMITS);
      const { near, far, address } = await join(pair);
      near.stream.send(Buffer.alloc(LIMITS.messageBytesMax + 1));
      await until(() => near.closes.length === 1 && far.closes.length === 1);
      expect(far.messages).toEqual([]);
      expect(far.closes[0]!.code).toBe(ErrorCode.Unreachable);
      const again = new Witness(pair.a.connect(address, 'append'));
      again.stream.send(Buffer.from('still there'), () => again.messages.push(Buffer.from('written')));
      await until(() => again.messages.length === 1);
    });

    it('who sent what is refused learns what that is', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      far.stream.onMessage = () => {
        throw new RaftlineError(ErrorCode.BytesInvalid, 'a batch: expected at most 1 byte, received 4');
      };
      near.stream.send(Buffer.from('much'));
      await until(() => near.closes.length === 1);
      expect(near.closes[0]!.message).toContain(
        'RAFTLINE_BYTES_INVALID: a batch: expected at most 1 byte, received 4',
      );
    });

    it('a client loses its stream in the same way when the server sends too much', async () => {
      const { near, far } = await join(pairOf(LIMITS, { ...LIMITS, messageBytesMax: 1024 * 1024 }));
      far.stream.send(Buffer.alloc(LIMITS.messageBytesMax + 1));
      await until(() => near.closes.length === 1 && far.closes.length === 1);
      expect(near.messages).toEqual([]);
    });

    it('B1 holds no more than the queue limit and one message for a peer that never reads', async () => {
      const limits = { ...LIMITS, queuedBytesMax: 512 * 1024 };
      const { near, far, address } = await join(pairOf(limits));
      far.stream.pause();
      const message = Buffer.alloc(64 * 1024);
      let accepted = 0;
      for (let idle = 0; idle < 20; ) {
        if (near.stream.send(message)) {
          accepted += 1;
          idle = 0;
        } else {
          idle += 1;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      }
      expect(near.stream.queuedBytes).toBeGreaterThanOrEqual(limits.queuedBytesMax);
      expect(near.stream.queuedBytes).toBeLessThanOrEqual(limits.queuedBytesMax + message.length + 64);
      // The rest lies in the receive window, sockets and the few messages that a paused end holds.
      expect(accepted * message.length).toBeLessThan(16 * 1024 * 1024);
      expect(far.messages).toEqual([]);

      const other = new Witness(made[0]!.a.connect(address, 'append'));
      let written = 0;
      other.stream.send(Buffer.from('past the stuck one'), () => (written += 1));
      await until(() => written === 1);

      far.stream.resume();
      await until(() => far.messages.length === accepted && near.stream.queuedBytes === 0);
    });

    it('B1 bounds empty messages too', async () => {
      const { near } = await join(pairOf({ ...LIMITS, queuedBytesMax: 6400 }));
      let accepted = 0;
      while (near.stream.send(Buffer.alloc(0))) accepted += 1;
      expect(accepted).toBe(100);
      expect(near.stream.queuedBytes).toBe(6400);
    });

    it('pauses and resumes without losing or reordering anything', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      const seen: number[] = [];
      far.stream.onMessage = (bytes) => {
        seen.push(bytes.readUInt32BE(0));
        if (seen.length % 10 === 0) {
          far.stream.pause();
          const count = seen.length;
          setTimeout(() => {
            expect(seen.length).toBe(count);
            far.stream.resume();
          }, 1);
        }
      };
      for (let n = 0; n < 100; n += 1) {
        const message = Buffer.alloc(2000);
        message.writeUInt32BE(n, 0);
        near.stream.send(message);
      }
      await until(() => seen.length === 100);
      expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
    });

    it('tells both ends once when the connecting end closes', async () => {
      const { near, far } = await join(pairOf(LIMITS));
      near.stream.close();
      near.stream.close(new Error('again'));
      await until(() => far.closes.length === 1);
      await aWhile();
      expect(near.closes.map((cause) => cause.code)).toEqual([ErrorCode.Closed]);
      expect(far.closes.map((cause) => cause.code)).toEqual([ErrorCode.Unreachable]);
      expect([near.stream.send(Buffer.from('x')), far.stream.send(Buffer.from('x'))]).toEqual([false, false]);
    });

    it('tells both ends once when the listening end closes, with or without a cause', async () => {
      for (const cause of [undefined, new Error('had enough')]) {
        const { near, far } = await join(pairOf(LIMITS));
        far.stream.close(cause);
        await until(() => near.closes.length === 1);
        await aWhile();
        expect(near.closes.map((seen) => seen.code)).toEqual([ErrorCode.Unreachable]);
        expect(far.closes.map((seen) => seen.code)).toEqual([ErrorCode.Closed]);
        if (cause !== undefined) expect(far.closes[0]!.message).toBe('had enough');
        expect(far.stream.send(Buffer.from('x'))).toBe(false);
      }
    });

    it('A13 a close with a stuck peer returns at once, frees the queue, and tells both ends', async () => {
      for (const stuck of ['near', 'far'] as const) {
        const joined = await join(pairOf(LIMITS));
        const reader = joined[stuck];
        const writer = stuck === 'near' ? joined.far : joined.near;
        reader.stream.pause();
        let done = 0;
        while (writer.stream.send(Buffer.alloc(64 * 1024), () => (done += 1)));
        await aWhile();
        writer.stream.close();
        const doneAtClose = done;
        expect(writer.stream.queuedBytes).toBe(0);
        expect(writer.closes.length).toBe(1);
        await until(() => reader.closes.length === 1);
        await aWhile();
        expect(done).toBe(doneAtClose);
        expect(reader.closes.length).toBe(1);
      }
    });

    it('a message that the receiver finds invalid costs the sender its stream, not the process', async () => {
      const { RaftlineError: Thrown } = await import('../../src/base/errors.js');
      const { near, far } = await join(pairOf(LIMITS));
      far.stream.onMessage = () => {
        throw new Thrown(ErrorCode.BytesInvalid, 'nonsense');
      };
      near.stream.send(Buffer.from('?'));
      near.stream.send(Buffer.from('?'));
      await until(() => near.closes.length === 1);
      expect(far.closes.map((cause) => cause.message)).toEqual(['nonsense']);
    });

    it('connecting to nobody closes the stream as unreachable, later and once, and frees what was queued', async () => {
      const pair = pairOf(LIMITS);
      const listener = await pair.b.listen(`${pair.host}:0`, () => {});
      const address = `${pair.host}:${listener.port}`;
      await listener.close();
      const lost = new Witness(pair.a.connect(address, 'control'));
      let done = 0;
      expect(lost.stream.send(Buffer.from('anybody?'), () => (done += 1))).toBe(true);
      expect(lost.closes).toEqual([]);
      await until(() => lost.closes.length === 1);
      await aWhile();
      expect(lost.closes.map((cause) => cause.code)).toEqual([ErrorCode.Unreachable]);
      expect([lost.stream.queuedBytes, done]).toEqual([0, 0]);
    });

    it('refuses to connect or listen to what is no address', async () => {
      const pair = pairOf(LIMITS);
      const invalid = expect.objectContaining({ code: ErrorCode.AddressInvalid });
      for (const address of ['', 'host', 'host:', ':1', 'host:65536', 'a b:1', 'http://host:1', '::1:1']) {
        expect(() => pair.a.connect(address, 'control')).toThrow(invalid);
        await expect(pair.b.listen(address, () => {})).rejects.toEqual(invalid);
      }
    });

    it('refuses a second listener on one port, and takes it once the first is closed', async () => {
      const pair = pairOf(LIMITS);
      const first = await pair.b.listen(`${pair.host}:0`, () => {});
      const address = `${pair.host}:${first.port}`;
      const inUse = expect.objectContaining({ code: ErrorCode.AddressInUse });
      await expect(pair.a.listen(address, () => {})).rejects.toEqual(inUse);
      await first.close();
      await first.close();
      await (await pair.b.listen(address, () => {})).close();
    });

    it('closing a listener ends its streams', async () => {
      const { near, far, listener } = await join(pairOf(LIMITS));
      await listener.close();
      await until(() => near.closes.length === 1);
      expect([near.closes.length, far.closes.length]).toEqual([1, 1]);
    });

    it('a closed transport ends everything and starts nothing', async () => {
      const pair = pairOf(LIMITS);
      const { near, far, address } = await join(pair);
      pair.a.close();
      expect(near.closes.map((cause) => cause.code)).toEqual([ErrorCode.Closed]);
      await until(() => far.closes.length === 1);
      const late = new Witness(pair.a.connect(address, 'append'));
      await until(() => late.closes.length === 1);
      expect(late.closes[0]!.code).toBe(ErrorCode.Closed);
      const closed = expect.objectContaining({ code: ErrorCode.Closed });
      await expect(pair.a.listen(`${pair.host}:0`, () => {})).rejects.toEqual(closed);
    });
  });
}
