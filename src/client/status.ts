import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { GroupId } from '../base/ids.js';
import { Connection } from './connection.js';
import type { ClientConfig, ClientWorld } from './options.js';
import { StatusPages } from './status-pages.js';

/** Asks one node for its status: a stream of its own, a question for each message that all groups take. Bounded by `serverTimeoutMs`. */
export function requestStatus(config: ClientConfig, world: ClientWorld, address: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const pages = new StatusPages();
    let requestId = 0;
    const ask = (fromGroup: GroupId): void => {
      requestId++;
      connection.send({ type: 'statusRequest', requestId, fromGroup });
    };
    const introduction = { cluster: config.cluster, clientId: 0 };
    const connection = new Connection(world.transport, address, introduction, {
      onWelcome: () => ask(0),
      onMessage: (envelope) => {
        if (envelope.type !== 'statusReply' || envelope.requestId !== requestId) {
          throw new RaftlineError(
            ErrorCode.BytesInvalid,
            `${address}: expected statusReply, received ${envelope.type}`,
          );
        }
        const next = pages.take(parse(envelope.json, address));
        if (next !== undefined) return ask(next);
        resolve(pages.whole);
        connection.close();
      },
      onClose: (cause) => {
        cancel();
        reject(cause);
      },
    });
    const { serverTimeoutMs } = config;
    const cancel = world.clock.after(serverTimeoutMs, () => {
      const message = `${address} gave no answer within ${serverTimeoutMs} ms`;
      connection.close(new RaftlineError(ErrorCode.Timeout, message, { server: address }));
    });
  });
}

function parse(json: string, address: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (thrown) {
    throw new RaftlineError(
      ErrorCode.BytesInvalid,
      `${address}: expected a status as JSON, received something else`,
      { server: address },
      thrown,
    );
  }
}
