import { assert } from '../base/assert.js';
import type { GroupId, LogIndex, NodeId, SessionCounter, Term } from '../base/ids.js';
import {
  type Append,
  type AppendReply,
  type BatchHeader,
  type Configuration,
  lastIndexOf,
} from '../base/messages.js';
import type { SessionCommand } from './ready.js';

/** Where an `AppendSender` finds what it sends. */
export interface SentLog {
  /** The batch that holds `index`; undefined beyond the log's ends. */
  batchAt(index: LogIndex): BatchHeader | undefined;
  termAt(index: LogIndex): Term | undefined;
  /** What a batch of kind Configuration says. */
  configurationOf(header: BatchHeader): Configuration | undefined;
}

/** How the sessions to one follower stand. */
export interface SenderStatus {
  session: SessionCounter;
  mode: 'probe' | 'stream';
  /** The first index that was not sent yet. */
  next: LogIndex;
  /** Messages sent and not answered. */
  inFlight: number;
  /** Nothing is sent until an answer comes: a probe is out, or the window is full. */
  paused: boolean;
}

interface Session extends Omit<SenderStatus, 'paused'> {
  readonly term: Term;
  prevIndex: LogIndex;
  commitSent: LogIndex;
}

/**
 * Plays the replicators of one node for whoever drives a `Raft` without the engine: obeys the session commands of its
 * Readies, and makes the append messages, one batch each. A window of `depth` messages a follower; a probe has one.
 */
export class AppendSender {
  readonly #sessions = new Map<NodeId, Session>();

  constructor(
    private readonly group: GroupId,
    private readonly id: NodeId,
    private readonly log: SentLog,
    private readonly depth = 16,
  ) {
    assert(depth >= 1, 'a window takes a message at least');
  }

  obey(command: SessionCommand): void {
    const { peer, session } = command;
    const current = this.#sessions.get(peer);
    if (command.type === 'open') {
      const { term, prevIndex } = command;
      const place = { next: prevIndex + 1, prevIndex, inFlight: 0, commitSent: -1 };
      this.#sessions.set(peer, { session, term, mode: 'probe', ...place });
    } else if (current?.session !== session) return;
    else if (command.type === 'close') this.#sessions.delete(peer);
    else Object.assign(current, { mode: 'stream', next: command.next, inFlight: 0 });
  }

  /** The next message to a follower; undefined: there is nothing to send, or it is paused. */
  next(peer: NodeId, commit: LogIndex): Append | undefined {
    const session = this.#sessions.get(peer);
    if (session === undefined || this.#isPaused(session)) return undefined;
    const header = session.mode === 'stream' ? this.log.batchAt(session.next) : undefined;
    if (session.mode === 'stream') {
      if (header === undefined && session.commitSent >= commit) return undefined;
      session.prevIndex = (header?.firstIndex ?? session.next) - 1;
    }
    session.inFlight += 1;
    session.commitSent = commit;
    if (header !== undefined) session.next = lastIndexOf(header) + 1;
    return this.#append(peer, session, commit, header === undefined ? [] : [header]);
  }

  /** An answer came back to this node: there is room for one more. */
  answered(reply: AppendReply): void {
    const session = this.#sessions.get(reply.from);
    if (session?.session === reply.session) session.inFlight = Math.max(0, session.inFlight - 1);
  }

  status(peer: NodeId): SenderStatus | undefined {
    const session = this.#sessions.get(peer);
    if (session === undefined) return undefined;
    const { session: counter, mode, next, inFlight } = session;
    return { session: counter, mode, next, inFlight, paused: this.#isPaused(session) };
  }

  #isPaused({ mode, inFlight }: Session): boolean {
    return inFlight >= (mode === 'probe' ? 1 : this.depth);
  }

  #append(to: NodeId, session: Session, commit: LogIndex, headers: BatchHeader[]): Append {
    const { term, prevIndex } = session;
    const prevTerm = this.log.termAt(prevIndex);
    assert(prevTerm !== undefined, 'what is sent follows an entry of the log');
    const configurations = headers.flatMap((header) => this.log.configurationOf(header) ?? []);
    const place = { group: this.group, from: this.id, to, term, session: session.session };
    return { type: 'append', ...place, prevIndex, prevTerm, commit, headers, configurations };
  }
}
