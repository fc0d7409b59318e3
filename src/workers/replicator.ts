import type { GroupId, LogIndex, NodeId, SessionCounter, Term } from '../base/ids.js';
import { ENVELOPE_BYTES_MAX } from '../base/limits.js';
import type { SessionMode } from '../base/messages.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { AppendReplyEnvelope } from '../codec/envelope-types.js';
import type { PeerLink } from '../transport/link.js';
import type { BatchRun, BatchSource } from './batch-source.js';
import { CatchUp } from './catch-up.js';
import type { MessageBuffers } from './message-buffers.js';
import { dueMsOf, type Program } from './program.js';
import type { inboxCodec } from './records.js';
import { SendWindow } from './send-window.js';
import type { FollowerFlow } from './settings.js';

/** Bytes of batches in one message, unless one batch alone is larger. */
const MESSAGE_BYTES = 256 * 1024;
/** Messages that one poll sends in one session at most. */
const MESSAGES_PER_POLL = 16;
/**
 * Bytes read back from the disk that one poll sends in one session at most, but for a batch that is larger: who waits for the disk sends nothing to
 * the others meanwhile, and what was sent at once comes back at once.
 */
const FAR_BYTES_PER_POLL = 1024 * 1024;
/** A window that is full with so few would stand still until they are durable: where something waits for room in it, `received` is asked for. */
const SHALLOW = 4;
/** One message in so many is answered at once in any case, so that it is known how far away the follower is. */
const ANSWERED_AT_ONCE = 16;
/** How long a commit index waits for a message that it can travel with, before it goes alone, ms. */
const COMMIT_ALONE_MS = 2;

/** One leader's replication of one group to one follower. Lives within one stream; its counter says whose acknowledgements count. */
interface Session {
  readonly group: GroupId;
  readonly counter: SessionCounter;
  readonly term: Term;
  /** `ended`: refused, or its stream broke; waits for main to open the next one. */
  mode: SessionMode | 'ended';
  /** The position right before `next`; its term goes with the next message as `prevTerm`. */
  prevIndex: LogIndex;
  prevTerm: Term;
  next: LogIndex;
  /** Something was sent in it: if the stream breaks now, main must be told. */
  started: boolean;
  /** The leader's commit index, and the highest that was sent. */
  commit: LogIndex;
  commitSent: LogIndex;
  /** Messages sent, and whether something has waited for room while few were in flight since the last of them. */
  messages: number;
  pressed: boolean;
  /** Since when `commit` could have gone alone; undefined: it was sent. */
  commitHeldSinceMs: number | undefined;
  /** How far the follower has received what was sent, and how far it is durable there, as heard since the last poll. */
  received: LogIndex;
  durable: LogIndex;
  /** What the follower has applied, as any of its acknowledgements in this session said; main hears of it with the next one that it is told. */
  applied: LogIndex;
  /** The newest durable or refused acknowledgement that main has not been told of. */
  reply: AppendReplyEnvelope | undefined;
  broken: boolean;
  /** Where a batch begins that fits into no message: it is not read again. */
  tooLargeAt: LogIndex | undefined;
  /** The settings in force. */
  flow: FollowerFlow;
  readonly window: SendWindow;
  readonly catchUp: CatchUp;
}

export interface ReplicatorPorts {
  self: NodeId;
  peer: NodeId;
  link: PeerLink;
  source: BatchSource;
  /** Of messages with batches. */
  buffers: MessageBuffers;
  /** False: the inbox is full; it is tried again at the next poll. */
  push: (record: Parameters<typeof inboxCodec.push>[1]) => boolean;
  /** How much may be in flight in a group. */
  flow: (group: GroupId) => FollowerFlow;
  /** Without a `received` for so long the stream is given up as stuck (H42). */
  ackTimeoutMs: number;
  messageBytesMax: number;
  /** A batch of the log does not fit into a message. Called once in every session. */
  tooLarge: (message: string) => void;
}

/** Drives the streaming append pipeline of one follower: the sessions of all groups over one stream. Decides nothing. */
export class Replicator implements Program {
  readonly name: string;
  readonly #ports: ReplicatorPorts;
  readonly #sessions = new Map<GroupId, Session>();
  /** Of this poll: the session whose reading waits the furthest back in the log for more to be read. */
  #behind: { session: Session; place: number } | undefined;
  /** Of this poll: whether something was sent that had been read back. */
  #farSent = false;

  constructor(ports: ReplicatorPorts) {
    this.#ports = ports;
    this.name = `replicator-${ports.peer}`;
  }

  open(command: {
    group: GroupId;
    session: SessionCounter;
    term: Term;
    prevIndex: LogIndex;
    prevTerm: Term;
  }): void {
    const commit = this.#sessions.get(command.group);
    const flow = this.#ports.flow(command.group);
    this.#sessions.set(command.group, {
      group: command.group,
      counter: command.session,
      term: command.term,
      mode: 'probe',
      prevIndex: command.prevIndex,
      prevTerm: command.prevTerm,
      next: command.prevIndex + 1,
      started: false,
      commit: commit?.term === command.term ? commit.commit : 0,
      commitSent: 0,
      commitHeldSinceMs: undefined,
      messages: 0,
      pressed: false,
      received: 0,
      durable: 0,
      applied: 0,
      reply: undefined,
      broken: false,
      tooLargeAt: undefined,
      catchUp: new CatchUp(),
      flow,
      window: new SendWindow(flow),
    });
  }

  /** The probe was accepted: everything from `next` on. */
  stream(command: { group: GroupId; session: SessionCounter; next: LogIndex }): void {
    const session = this.#sessions.get(command.group);
    if (session?.counter !== command.session || session.mode !== 'probe') return;
    session.mode = 'stream';
    session.next = command.next;
    session.received = 0;
    session.durable = 0;
    session.window.reset();
  }

  closeSession(command: { group: GroupId; session: SessionCounter }): void {
    if (this.#sessions.get(command.group)?.counter === command.session) this.#sessions.delete(command.group);
  }

  /** The settings of a group have changed: its session goes by them at once, with all that is in flight. */
  retune(group: GroupId): void {
    const session = this.#sessions.get(group);
    if (session === undefined) return;
    session.flow = this.#ports.flow(group);
    session.window.setFlow(session.flow);
  }

  /** The leader of `term` has committed up to `commit`. */
  commit(group: GroupId, term: Term, commit: LogIndex): void {
    const session = this.#sessions.get(group);
    if (session?.term === term && commit > session.commit) session.commit = commit;
  }

  /** A message from the follower on the append stream. A reply without a matching session moves nothing (A2, H26). */
  onReply(reply: AppendReplyEnvelope): void {
    const session = this.#sessions.get(reply.group);
    if (session === undefined || session.counter !== reply.session) {
      if (session !== undefined && reply.term > session.term) session.reply = reply;
      return;
    }
    if (session.mode === 'ended') return;
    session.applied = Math.max(session.applied, reply.applied);
    // A probe stays in the window until main has decided on its answer: otherwise it would be sent again meanwhile.
    if (session.mode === 'stream' && reply.kind !== 'refused')
      session.received = Math.max(session.received, reply.match);
    if (reply.kind === 'received') return;
    if (session.mode === 'stream' && reply.kind === 'durable')
      session.durable = Math.max(session.durable, reply.match);
    if (reply.kind === 'refused') session.mode = 'ended';
    if (session.reply?.kind !== 'refused') session.reply = reply;
  }

  dueMs(nowMs: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { commitHeldSinceMs } of this.#sessions.values()) {
      first = Math.min(first, dueMsOf(commitHeldSinceMs, COMMIT_ALONE_MS, nowMs));
    }
    return first;
  }

  poll(nowMs: number): boolean {
    const { link } = this.#ports;
    let worked = link.poll(nowMs);
    this.#behind = undefined;
    this.#farSent = false;
    // One group alone has nobody to be read together with.
    const fillsMax = this.#sessions.size === 1 ? Number.POSITIVE_INFINITY : 0;
    for (const session of this.#sessions.values()) {
      takeIn(session, nowMs);
      if (this.#report(session)) worked = true;
      if (!link.up || session.broken) continue;
      if (session.mode === 'probe') worked = this.#probe(session, nowMs) || worked;
      else if (session.mode === 'stream') worked = this.#stream(session, nowMs, fillsMax) || worked;
      this.#watch(session, nowMs);
    }
    return this.#readOn(nowMs) || worked;
  }

  /**
   * The groups' records lie between each other's in one log, so what was read for one group is first looked through for all; then who stands furthest
   * back reads on, once a poll. Each stretch is so read once for all groups that are equally far, and nothing else waits for more than one read.
   */
  #readOn(nowMs: number): boolean {
    const behind = this.#behind;
    if (behind === undefined || this.#farSent) return false;
    this.#stream(behind.session, nowMs, 1);
    return true;
  }

  close(): void {
    this.#ports.link.close();
  }

  /** Tells main what it has not heard yet; only the newest of each kind is kept (acknowledgements are cumulative). */
  #report(session: Session): boolean {
    const { push, peer } = this.#ports;
    let told = false;
    const { reply } = session;
    if (reply !== undefined) {
      const { group, term, match, hintIndex, hintTerm } = reply;
      const applied = Math.max(session.applied, reply.applied);
      const refused = reply.kind === 'refused' ? 1 : 0;
      const record = { type: 'appendReply', group, peer, term, session: reply.session, refused } as const;
      const { depth, roundTripMs, durableMs } = session.window;
      const flow = { depth, roundTripMs, durableMs };
      if (!push({ ...record, match, hintIndex, hintTerm, applied, ...flow })) return false;
      session.reply = undefined;
      told = true;
    }
    if (session.broken && session.started) {
      if (!push({ type: 'sessionBroken', group: session.group, peer, session: session.counter })) return told;
      session.started = false;
      told = true;
    }
    return told;
  }

  /** One empty append, and nothing more until it is answered. */
  #probe(session: Session, nowMs: number): boolean {
    if (session.window.messages > 0) return false;
    return this.#sendEmpty(session, nowMs);
  }

  /** `fillsMax`: how often something may be read from the disk for it. */
  #stream(session: Session, nowMs: number, fillsMax: number): boolean {
    const { source } = this.#ports;
    const { catchUp, group, flow } = session;
    const allowed = catchUp.allowance(nowMs, flow.catchUpBytesPerSecond, source.grown(group));
    let far = Math.min(allowed, FAR_BYTES_PER_POLL);
    let sent = 0;
    while (sent < MESSAGES_PER_POLL && session.next !== session.tooLargeAt) {
      const room = session.window.room();
      if (room === 0) {
        const { window, term, next } = session;
        window.limited();
        session.pressed ||= window.messages <= SHALLOW && source.isNear(group, term, next);
        break;
      }
      const run = source.next(
        group,
        session.term,
        session.next,
        Math.min(room, MESSAGE_BYTES),
        far,
        fillsMax - sent,
      );
      if (run === undefined && source.wantsFill) this.#waits(session);
      if (run === undefined || this.#isTooLarge(session, run) || !this.#sendRun(session, run, nowMs)) break;
      sent++;
      if (!run.far) continue;
      this.#farSent = true;
      catchUp.spent(run.byteLength);
      far -= run.byteLength;
    }
    if (session.commit > session.commitSent && session.window.room() > 0 && sent === 0) {
      session.commitHeldSinceMs ??= nowMs;
      if (nowMs - session.commitHeldSinceMs >= COMMIT_ALONE_MS) return this.#sendEmpty(session, nowMs);
    }
    return sent > 0;
  }

  #waits(session: Session): void {
    const place = this.#ports.source.farPlaceOf(session.group);
    if (place < (this.#behind?.place ?? Number.POSITIVE_INFINITY)) this.#behind = { session, place };
  }

  /** Whoever sealed it had larger batches: this node while it was opened with other options, or another leader. */
  #isTooLarge(session: Session, { byteLength }: BatchRun): boolean {
    const most = this.#ports.messageBytesMax - ENVELOPE_BYTES_MAX;
    const payload = byteLength - BATCH_PAYLOAD_OFFSET;
    if (payload <= most) return false;
    session.tooLargeAt = session.next;
    this.#ports.tooLarge(
      `group ${session.group}: a batch of ${payload} bytes, this node sends at most ${most}; ` +
        'give every member the larger pipeline.batchBytesMax',
    );
    return true;
  }

  #sendRun(session: Session, run: BatchRun, nowMs: number): boolean {
    const { prevIndex, prevTerm } = run;
    const envelope = this.#envelope(session, prevIndex, prevTerm, run.count);
    const { buffers, link } = this.#ports;
    const { bytes, bodyOffset } = encodeEnvelope(envelope, run.byteLength, (n) => buffers.take(n));
    const left = (): void => buffers.give(bytes);
    if (!run.copyTo(bytes, bodyOffset) || !link.send(bytes, left)) {
      left();
      return false;
    }
    this.#sent(session, run.lastIndex, bytes.length, nowMs);
    session.prevIndex = run.lastIndex;
    session.prevTerm = run.lastTerm;
    session.next = run.lastIndex + 1;
    return true;
  }

  /** A probe, or a commit index that moved alone (A7). */
  #sendEmpty(session: Session, nowMs: number): boolean {
    if (session.mode === 'stream' && session.prevIndex !== session.next - 1) return false;
    const envelope = this.#envelope(session, session.prevIndex, session.prevTerm, 0);
    const { bytes } = encodeEnvelope(envelope);
    if (!this.#ports.link.send(bytes)) return false;
    this.#sent(session, session.prevIndex, bytes.length, nowMs);
    return true;
  }

  #envelope(session: Session, prevIndex: LogIndex, prevTerm: Term, batches: number) {
    const { self: from, peer: to } = this.#ports;
    const { group, term, counter, commit } = session;
    const more = !session.pressed && (session.messages + 1) % ANSWERED_AT_ONCE !== 0;
    return {
      type: 'append',
      group,
      from,
      to,
      term,
      session: counter,
      prevIndex,
      prevTerm,
      commit,
      more,
      batches,
    } as const;
  }

  #sent(session: Session, lastIndex: LogIndex, bytes: number, nowMs: number): void {
    session.window.sent(lastIndex, bytes, nowMs);
    session.started = true;
    session.commitSent = session.commit;
    session.commitHeldSinceMs = undefined;
    session.messages++;
    session.pressed = false;
  }

  /** A follower that no longer says that it received anything is stuck: the stream ends, and everything starts anew. */
  #watch(session: Session, nowMs: number): void {
    const oldest = session.window.oldestSentAtMs();
    if (oldest !== undefined && nowMs - oldest > this.#ports.ackTimeoutMs)
      this.#ports.link.reset('no acknowledgement');
  }

  /** The stream ended; nothing that was sent on it counts any more. */
  streamBroke(): void {
    for (const session of this.#sessions.values()) {
      session.window.reset();
      if (!session.started) continue;
      session.mode = 'ended';
      session.broken = true;
    }
  }
}

/** What was heard since the last poll makes room. */
function takeIn(session: Session, nowMs: number): void {
  if (session.received > 0) session.window.received(session.received, nowMs);
  if (session.durable > 0) session.window.durable(session.durable, nowMs);
  session.received = 0;
  session.durable = 0;
}
