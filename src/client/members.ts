import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type NodeId, SAFE_MAX, U32_MAX } from '../base/ids.js';
import { CompressionLevel, type MemberAddress } from '../base/messages.js';
import type { MemberReply } from '../codec/envelope.js';
import type { MemberAction, MemberRequest } from '../codec/envelope-types.js';
import { closedError } from './appender.js';
import { Connection, errorFromServer } from './connection.js';
import { type ClientConfig, type ClientWorld, integer } from './options.js';
import { Servers } from './servers.js';

/** The members of a group as its leader has them: what `group.members()` of the engine returns. */
export interface Members {
  index: number;
  committed: boolean;
  voters: NodeId[];
  votersOutgoing: NodeId[];
  learners: NodeId[];
  members: { id: NodeId; address: string; incarnation: number }[];
  removed: { id: NodeId; incarnation: number }[];
  /** What leaders may compress with: 0 nothing, 1 LZ4, 2 deflate as well. */
  compressionLevel: number;
}

export interface ChangeOptions {
  /** Compare-and-set: refuse unless the configuration in force stands at this log index. */
  expectedIndex?: number;
  /** How long it may take, ms, 1 … 2^31 − 1. Default 60,000. */
  timeoutMs?: number;
}

export interface MemberQuestion {
  action: MemberAction;
  node?: NodeId;
  address?: string;
  level?: number;
  options: ChangeOptions;
}

const TIMEOUT_MS_DEFAULT = 60_000;
const PAUSE_MS = 50;
/** Between two tries to hand leadership over: proposals wait during each, so they must have their turn in between. */
const TRANSFER_PAUSE_MS = 1000;
const NO_ANSWER = 'no server answered';
const WHO_LEADS: MemberQuestion = { action: 'list', options: {} };

/** One try: what was answered, or why nothing was, and whether the question had been sent by then. */
type Outcome =
  | { members: Members }
  | { refused: RaftlineError; leader: NodeId; leaderAddress: string }
  | { error: RaftlineError; sent: boolean };

/** A question that is under way. */
interface Asked {
  outcome: Promise<Outcome>;
  giveUp: (cause: RaftlineError) => void;
}

/** Asks about members, and for changes of them. */
export class MembersClient {
  readonly #config: ClientConfig;
  readonly #world: ClientWorld;
  /** Where the members are, as the cluster said last. */
  #members: readonly MemberAddress[] = [];
  /** Who answered last. */
  #leaderAddress = '';
  #closed = false;

  constructor(config: ClientConfig, world: ClientWorld) {
    this.#config = config;
    this.#world = world;
  }

  /** The members are there now. */
  learn(members: readonly MemberAddress[]): void {
    this.#members = members;
  }

  /** Whoever waits is told so; its streams end with the transport. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Asks the leader, wherever it is. What is refused for a reason that passes is asked again until the time is over; so is what was sent
   * and not answered, since every change skips what is done already. Not so a compare-and-set: it ends as unknown. A transfer that the
   * other node did not take over is tried again, too: it was behind, or did not hear of it.
   */
  async ask(question: MemberQuestion): Promise<Members> {
    check(question);
    const { timeoutMs = TIMEOUT_MS_DEFAULT, expectedIndex } = question.options;
    const { clock } = this.#world;
    const servers = this.#serversInTurn();
    const deadline = clock.now() + timeoutMs;
    let last: RaftlineError = new RaftlineError(ErrorCode.Unreachable, NO_ANSWER);
    const isTransfer = question.action === 'transfer';
    let open = false;
    for (;;) {
      let pauseMs = PAUSE_MS;
      const remaining = deadline - clock.now();
      if (remaining <= 0 || this.#closed) break;
      const address = servers.next();
      const asked = this.#askOne(address, question, Math.ceil(remaining));
      const outcome =
        question.action === 'list' ? await asked.outcome : await this.#watched(servers, address, asked);
      if ('members' in outcome) {
        this.#leaderAddress = address;
        this.learn(outcome.members.members);
        return outcome.members;
      }
      if ('refused' in outcome) {
        last = outcome.refused;
        const missed = isTransfer && last.code === ErrorCode.Timeout;
        if (!last.retryable && !missed) throw last;
        if (missed) pauseMs = TRANSFER_PAUSE_MS;
        if (last.code === ErrorCode.NotLeader) servers.follow(outcome.leader, outcome.leaderAddress);
      } else {
        last = outcome.error;
        open ||= outcome.sent && question.action !== 'list';
        if (open && expectedIndex !== undefined) break;
      }
      await new Promise<void>((resolve) => clock.after(Math.max(servers.delayMs(), pauseMs), resolve));
    }
    if (open) {
      const message = `the change was sent, and whether it comes into force is not known: ${last.message}`;
      throw new RaftlineError(ErrorCode.OutcomeUnknown, message, {}, last);
    }
    if (this.#closed) throw closedError();
    const message = `no answer within ${timeoutMs} ms (last: ${last.message})`;
    throw new RaftlineError(ErrorCode.Timeout, message, {}, last);
  }

  /**
   * A change takes as long as it takes. But a server that is silent may hang, and another may lead by now: that one is asked
   * instead then, since a leader that is no more changes nothing.
   */
  async #watched(servers: Servers, address: string, { outcome, giveUp }: Asked): Promise<Outcome> {
    const { serverTimeoutMs } = this.#config;
    for (;;) {
      const silence = this.#silence(serverTimeoutMs);
      const first = await Promise.race([outcome, silence.over]);
      silence.cancel();
      if (first !== undefined) return first;
      if (!(await this.#someLead(servers.all.filter((other) => other !== address)))) continue;
      const message = `${address} is silent, and another server leads`;
      giveUp(new RaftlineError(ErrorCode.Timeout, message, { server: address }));
    }
  }

  async #someLead(addresses: readonly string[]): Promise<boolean> {
    const answers = addresses.map(async (address) => {
      const asked = this.#askOne(address, WHO_LEADS, this.#config.serverTimeoutMs);
      if (!('members' in (await asked.outcome))) throw new Error('it does not lead');
    });
    return Promise.any(answers).then(
      () => true,
      () => false,
    );
  }

  /** For one question: who hangs holds up that one only. */
  #serversInTurn(): Servers {
    const servers = new Servers(this.#config.servers);
    servers.learn(this.#members);
    servers.follow(0, this.#leaderAddress);
    return servers;
  }

  #silence(ms: number): { over: Promise<undefined>; cancel: () => void } {
    let cancel = (): void => {};
    const over = new Promise<undefined>((resolve) => {
      cancel = this.#world.clock.after(ms, () => resolve(undefined));
    });
    return { over, cancel };
  }

  /** `timeoutMs`: what the server is told. It must say who it is, and who the members are, much sooner. */
  #askOne(address: string, question: MemberQuestion, timeoutMs: number): Asked {
    const { clock, transport } = this.#world;
    const { cluster, serverTimeoutMs } = this.#config;
    let giveUp: Asked['giveUp'] = () => {};
    const outcome = new Promise<Outcome>((resolve) => {
      let sent = false;
      let cancel = (): void => {};
      const patience = (ms: number): void => {
        cancel();
        cancel = clock.after(ms, () => {
          const message = `${address} gave no answer in time`;
          giveUp(new RaftlineError(ErrorCode.Timeout, message, { server: address }));
        });
      };
      const connection = new Connection(
        transport,
        address,
        { cluster, clientId: 0 },
        {
          onWelcome: () => {
            if (question.action !== 'list') patience(timeoutMs + serverTimeoutMs);
            sent = connection.send(this.#request(question, timeoutMs));
          },
          onMessage: (envelope) => {
            if (envelope.type !== 'memberReply') {
              const message = `${address}: expected memberReply, received ${envelope.type}`;
              throw new RaftlineError(ErrorCode.BytesInvalid, message);
            }
            resolve(answered(envelope, address));
            connection.close();
          },
          onClose: (error) => {
            cancel();
            resolve({ error, sent });
          },
        },
      );
      giveUp = (cause) => connection.close(cause);
      patience(Math.min(timeoutMs, serverTimeoutMs));
    });
    return { outcome, giveUp };
  }

  #request(
    { action, node = 0, address = '', level = 0, options }: MemberQuestion,
    timeoutMs: number,
  ): MemberRequest {
    return {
      type: 'memberRequest',
      requestId: 1,
      group: this.#config.group,
      action,
      node,
      address,
      compare: options.expectedIndex !== undefined,
      expectedIndex: options.expectedIndex ?? 0,
      timeoutMs,
      level,
    };
  }
}

/** What could not even be sent. What it means is for the leader to judge. */
function check({ node = 0, level = 0, options }: MemberQuestion): void {
  const { timeoutMs = TIMEOUT_MS_DEFAULT, expectedIndex = 0 } = options;
  integer('id', node, 0, U32_MAX);
  integer('level', level, 0, CompressionLevel.Deflate);
  integer('timeoutMs', timeoutMs, 1, 0x7fff_ffff);
  integer('expectedIndex', expectedIndex, 0, SAFE_MAX);
}

function answered({ code, message, leader, leaderAddress, json }: MemberReply, address: string): Outcome {
  if (code !== '') return { refused: errorFromServer(code, message, 'the cluster'), leader, leaderAddress };
  try {
    return { members: JSON.parse(json) as Members };
  } catch (thrown) {
    const expected = `${address}: expected members as JSON, received something else`;
    throw new RaftlineError(ErrorCode.BytesInvalid, expected, { server: address }, thrown);
  }
}
