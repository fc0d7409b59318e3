import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import { RaftlineClient } from '../../src/client/client.js';
import type { History } from './history.js';
import type { SimNetwork } from './network.js';
import type { SimNode } from './node.js';
import { addressOf } from './node-config.js';
import type { Scheduler } from './scheduler.js';

/** Someone who writes, until told to stop. */
export interface Writer {
  stop(): void;
}

function filler(scheduler: Scheduler): Buffer {
  const kind = scheduler.random();
  // Mostly small; some that compress well; a few that fill a batch of their own.
  const length = kind < 0.9 ? scheduler.integer(0, 120) : kind < 0.98 ? scheduler.integer(200, 1500) : 6000;
  const bytes = Buffer.alloc(length, 97);
  for (let at = 0; at < Math.min(length, 24); at++) bytes[at] = scheduler.integer(0, 255);
  return bytes;
}

/** Proposes on the nodes themselves, each time on one that may lead. */
export class LocalWriter implements Writer {
  #number = 0;
  #stopped = false;

  constructor(
    readonly writer: number,
    readonly parts: {
      group: GroupId;
      scheduler: Scheduler;
      history: History;
      nodes: readonly SimNode[];
      everyMs: number;
      burst: number;
    },
  ) {
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
  }

  #later(): void {
    const { scheduler, everyMs, burst } = this.parts;
    scheduler.after(-Math.log(1 - scheduler.random()) * everyMs, () => {
      if (this.#stopped) return;
      for (let left = scheduler.integer(1, burst); left > 0; left--) this.#propose();
      this.#later();
    });
  }

  #propose(): void {
    const { scheduler, nodes, group } = this.parts;
    const up = nodes.filter((node) => node.up);
    if (up.length === 0) return;
    const leading = up.filter((node) => node.leads(group));
    const asked = leading.length > 0 && scheduler.chance(0.95) ? leading : up;
    this.proposeOn(scheduler.pick(asked));
  }

  proposeOn(node: SimNode): void {
    const { scheduler, history, group } = this.parts;
    const number = ++this.#number;
    const bytes = history.entry(this.writer, number, filler(scheduler));
    const refused = (error: unknown): void => {
      if (!(error instanceof RaftlineError)) throw error;
      if (isOpen(error)) history.leaveOpen(this.writer, number);
      else history.refuse(this.writer, number, error.code);
    };
    try {
      node.turn!.calls.proposeMany(group, [bytes], {
        resolve: ({ index, term }) => history.acknowledge(this.writer, number, index, term),
        reject: refused,
      });
    } catch (thrown) {
      refused(thrown);
    }
  }
}

/** A remote client, the real one, that appends as its window allows. */
export class RemoteWriter implements Writer {
  readonly #client: RaftlineClient;
  #number = 0;
  #stopped = false;

  constructor(
    readonly writer: number,
    readonly parts: {
      group: GroupId;
      /** The first members. */
      servers: readonly number[];
      scheduler: Scheduler;
      history: History;
      network: SimNetwork;
      everyMs: number;
      burst: number;
      fail: (thrown: unknown) => void;
    },
  ) {
    const { scheduler, history, network, group } = parts;
    const servers = Object.fromEntries(parts.servers.map((id) => [id, addressOf(id)]));
    this.#client = new RaftlineClient(
      {
        servers,
        group,
        timeoutMs: scheduler.pick([1_500, 15_000]),
        serverTimeoutMs: 2_000,
        entriesMax: 32,
        bytesMax: 64 * 1024,
      },
      {
        transport: network.transport(`c${group}.${writer}`),
        clock: {
          now: () => scheduler.nowMs,
          after: (delayMs, run) =>
            scheduler.after(delayMs, () => {
              scheduler.unsettled = true;
              run();
            }),
        },
        newClientId: () => {
          history.beginSession(writer);
          return scheduler.integer(1, 2 ** 48);
        },
      },
    );
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
  }

  #later(): void {
    const { scheduler, everyMs, burst } = this.parts;
    scheduler.after(-Math.log(1 - scheduler.random()) * everyMs, () => {
      if (this.#stopped) return;
      for (let left = scheduler.integer(1, burst); left > 0; left--) {
        if (this.#client.appender.outstanding < 24) this.#append();
      }
      this.#later();
    });
  }

  #append(): void {
    const { scheduler, history, fail } = this.parts;
    const number = ++this.#number;
    const bytes = history.entry(this.writer, number, filler(scheduler));
    scheduler.unsettled = true;
    const taken = this.#client.appender.append(bytes, (error, { index, term }) => {
      try {
        if (error === undefined) history.acknowledge(this.writer, number, index, term);
        else if (isOpen(error)) history.leaveOpen(this.writer, number);
        else history.refuse(this.writer, number, `${error.code}: ${error.message}`);
      } catch (thrown) {
        fail(thrown);
      }
    });
    if (!taken) history.refuse(this.writer, number, 'not taken');
  }
}

export function isOpen(error: RaftlineError): boolean {
  return error.code === ErrorCode.OutcomeUnknown || error.code === ErrorCode.Closed || !isCertain(error);
}

/** Codes that say "certainly not done"; the end of an engine says nothing of what was under way. */
function isCertain({ code }: RaftlineError): boolean {
  const certain: string[] = [
    ErrorCode.NotLeader,
    ErrorCode.Overloaded,
    ErrorCode.EntryTooLarge,
    ErrorCode.Timeout,
    ErrorCode.SessionExpired,
  ];
  return certain.includes(code);
}
