import type { GroupId, LogIndex } from '../base/ids.js';
import type { AppendReply, ControlMessage } from '../base/messages.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { Outbound, SessionCommand } from '../core/ready.js';
import type { Hub } from './hub.js';
import type { Orders } from './orders.js';

export interface PeerMessagesParts {
  readonly group: GroupId;
  readonly hub: Hub;
  readonly orders: Pick<Orders, 'globalOf'>;
  readonly commitIndex: () => LogIndex;
  /** How far this node's state machine is. */
  readonly applied: () => LogIndex;
}

/** What the core of one group says to its peers, on its way to the network thread. */
export class PeerMessages {
  readonly #parts: PeerMessagesParts;
  /** What this follower said last to the leader of this term. */
  #lastReply: { reply: AppendReply; after: number; applied: LogIndex } | undefined;

  constructor(parts: PeerMessagesParts) {
    this.#parts = parts;
  }

  send({ message, after, rare }: Outbound): void {
    const global = this.#parts.orders.globalOf(after);
    if (message.type === 'appendReply') this.#sendReply(message, global);
    else this.#sendControl(message, global, rare === true);
  }

  session(command: SessionCommand): void {
    const { group, hub, commitIndex } = this.#parts;
    const { peer, session } = command;
    if (command.type === 'close') {
      hub.command({ type: 'sessionClose', group, peer, session });
    } else if (command.type === 'stream') {
      const { term, next } = command;
      hub.command({ type: 'sessionStream', group, peer, session, term, next });
    } else {
      const { term, prevIndex, prevTerm } = command;
      hub.command({ type: 'sessionOpen', group, peer, session, term, prevIndex, prevTerm });
      hub.command({ type: 'commit', group, term, commit: commitIndex() });
    }
  }

  /** What was applied since the last reply is told again with it, so that the leader's view of an idle follower comes up to date. */
  repeatReply(): void {
    const last = this.#lastReply;
    if (last !== undefined && last.applied < this.#parts.applied()) this.#sendReply(last.reply, last.after);
  }

  /** Another leadership: what was said to the one before is not said again. */
  forgetReply(): void {
    this.#lastReply = undefined;
  }

  #sendControl(message: ControlMessage, after: number, rare: boolean): void {
    const { group, hub } = this.#parts;
    const body = encodeEnvelope({ type: 'control', message }).bytes;
    // What the network thread notes as a heartbeat it repeats while main is late.
    const heartbeatOf = message.type === 'heartbeat' && !rare ? group : 0;
    hub.command({ type: 'control', peer: message.to, after, heartbeatOf, body });
  }

  #sendReply(reply: AppendReply, after: number): void {
    const { group, to: peer, term, session, match, hintIndex, hintTerm } = reply;
    const refused = reply.refused ? 1 : 0;
    const applied = this.#parts.applied();
    this.#lastReply = reply.refused ? undefined : { reply, after, applied };
    const record = { group, peer, term, session, refused, match, hintIndex, hintTerm } as const;
    this.#parts.hub.command({ type: 'appendReply', ...record, applied, after });
  }
}
