import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { NodeId } from '../base/ids.js';
import type { MemberReply } from '../codec/envelope.js';
import type { MemberAction } from '../codec/envelope-types.js';
import { Connection, errorFromServer } from './connection.js';
import type { ClientConfig, ClientWorld } from './options.js';
import type { Servers } from './servers.js';

/** The members of a group as its leader has them: what `group.members()` of the engine returns. */
export interface Members {
  index: number;
  committed: boolean;
  voters: NodeId[];
  votersOutgoing: NodeId[];
  learners: NodeId[];
  members: { id: NodeId; address: string; incarnation: number }[];
  removed: { id: NodeId; incarnation: number }[];
}

export interface ChangeOptions {
  /** Compare-and-set: refuse unless the configuration in force stands at this log index. */
  expectedIndex?: number;
  /** How long it may take, ms, 1 … 2^31 − 1. Default 60,000. */
  timeoutMs?: number;
}

export interface MemberQuestion {
  action: MemberAction;
  node: NodeId;
  address: string;
  options: ChangeOptions;
}

const TIMEOUT_MS_DEFAULT = 60_000;
const PAUSE_MS = 50;
const NO_ANSWER = 'no server answered';

/** One try: what was answered, or why nothing was, and whether the question had been sent by then. */
type Outcome = { reply: MemberReply } | { error: RaftlineError; sent: boolean };

/**
 * Asks the leader, wherever it is. What is refused for a reason that passes is asked again until the time is over; so is what was sent
 * and not answered, since every change skips what is done already. Not so a compare-and-set: it ends as unknown.
 */
export async function askMembers(
  config: ClientConfig,
  world: ClientWorld,
  servers: Servers,
  question: MemberQuestion,
): Promise<Members> {
  const { timeoutMs = TIMEOUT_MS_DEFAULT, expectedIndex } = question.options;
  const deadline = world.clock.now() + timeoutMs;
  let last: RaftlineError = new RaftlineError(ErrorCode.Unreachable, NO_ANSWER);
  let open = false;
  for (;;) {
    const remaining = deadline - world.clock.now();
    if (remaining <= 0) break;
    const outcome = await ask(config, world, servers.next(), question, Math.ceil(remaining));
    if ('reply' in outcome) {
      const { code, message, leader, leaderAddress, json } = outcome.reply;
      if (code === '') {
        servers.progressed();
        return JSON.parse(json) as Members;
      }
      last = errorFromServer(code, message, 'the cluster');
      if (!last.retryable) throw last;
      if (last.code === ErrorCode.NotLeader) servers.follow(leader, leaderAddress);
    } else {
      last = outcome.error;
      open ||= outcome.sent && question.action !== 'list';
      if (open && expectedIndex !== undefined) break;
    }
    await new Promise<void>((resolve) => world.clock.after(Math.max(servers.delayMs(), PAUSE_MS), resolve));
  }
  if (!open)
    throw new RaftlineError(
      ErrorCode.Timeout,
      `no answer within ${timeoutMs} ms (last: ${last.message})`,
      {},
      last,
    );
  const message = `the change was sent, and whether it comes into force is not known: ${last.message}`;
  throw new RaftlineError(ErrorCode.OutcomeUnknown, message, {}, last);
}

function ask(
  config: ClientConfig,
  world: ClientWorld,
  address: string,
  question: MemberQuestion,
  timeoutMs: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let sent = false;
    const { action, node, options } = question;
    const request = {
      ...({
        type: 'memberRequest',
        requestId: 1,
        group: config.group,
        action,
        node,
        address: question.address,
      } as const),
      ...{
        compare: options.expectedIndex !== undefined,
        expectedIndex: options.expectedIndex ?? 0,
        timeoutMs,
      },
    };
    const connection = new Connection(
      world.transport,
      address,
      { cluster: config.cluster, clientId: 0 },
      {
        onWelcome: () => {
          sent = connection.send(request);
        },
        onMessage: (envelope) => {
          if (envelope.type !== 'memberReply') {
            throw new RaftlineError(
              ErrorCode.BytesInvalid,
              `${address}: expected memberReply, received ${envelope.type}`,
            );
          }
          resolve({ reply: envelope });
          connection.close();
        },
        onClose: (error) => {
          cancel();
          resolve({ error, sent });
        },
      },
    );
    const cancel = world.clock.after(timeoutMs + config.serverTimeoutMs, () => {
      const message = `${address} gave no answer in time`;
      connection.close(new RaftlineError(ErrorCode.Timeout, message, { server: address }));
    });
  });
}
