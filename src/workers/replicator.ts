import type { GroupId, LogIndex, NodeId, SessionCounter, Term } from '../base/ids.js';
import { ENVELOPE_BYTES_MAX } from '../base/limits.js';
import { BATCH_PAYLOAD_OFFSET } from '../codec/batch.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { AppendReplyEnvelope } from '../codec/envelope-types.js';
import type { PeerLink } from '../transport/link.js';
import type { BatchRun, BatchSource } from './batch-source.js';
import { CatchUp } from './catch-up.js';
import type { MessageBuffers } from './message-buffers.js';
import { dueMsOf, type Program } from './program.js';
import { ReadTurns } from './read-turns.js';
import type { inboxCodec } from './records.js';
import { openSession, type Session, type SessionOpening, takeIn } from './session.js';
import type { FollowerFlow } from './settings.js';

/** Bytes of batches in one message, unless one batch alone is larger. */
const MESSAGE_BYTES = 256 * 1024;
/** Messages that one poll sends in one session at most. */
const MESSAGES_PER_POLL = 16;
/**
 * Bytes read back from the disk that one poll sends at most, in all sessions together, but for a batch that is larger: who waits for the disk sends nothing to
 * the others meanwhile, and what was sent at once comes back at once.
 */
const FAR_BYTES_PER_POLL = 1024 * 1024;
/** How often one poll reads from the disk at most: what one read brings may end in the middle of a batch, or be other groups'. */
const FILLS_PER_POLL = 2;
/** How long after a read the next one waits for a group that has no room, ms: most acknowledgements take less. The slowest group leaves the others 100 MiB/s. */
const HOLD_MS = 10;
/** A window that is full with so few would stand still until they are durable: where something waits for room in it, `received` is asked for. */
const SHALLOW = 4;
/** One message in so many is answered at once in any case, so that it is known how far away the follower is. */
const ANSWERED_AT_ONCE = 16;
/** How long a commit index waits for a message that it can travel with, before it goes alone, ms. */
const COMMIT_ALONE_MS = 2;

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
  readonly #turns = new ReadTurns(HOLD_MS);
  /** All groups together are sent no more from the disk than the fastest of them may be alone, beside what their logs grow by. */
  readonly #catchUp = new CatchUp();
  #catchUpBytesPerSecond = 0;
  #grown = 0;
  /** Of this poll: what may still be sent that was read back, bytes. */
  #farLeft = 0;

  constructor(ports: ReplicatorPorts) {
    this.#ports = ports;
    this.name = `replicator-${ports.peer}`;
  }

  open(command: SessionOpening): void {
    const former = this.#sessions.get(command.group);
    const commit = former?.term === command.term ? former.commit : 0;
    const { flow, source } = this.#ports;
    this.#turns.done(command.group);
    const opened = openSession(command, commit, flow(command.group), source.grown(command.group));
    this.#sessions.set(command.group, opened);
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
    if (this.#sessions.get(command.group)?.counter !== command.session) return;
    this.#sessions.delete(command.group);
    this.#turns.done(command.group);
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
    return Math.min(first, this.#turns.dueMs(nowMs));
  }

  poll(nowMs: number): boolean {
    const { link } = this.#ports;
    let worked = link.poll(nowMs);
    this.#farLeft = FAR_BYTES_PER_POLL;
    this.#catchUpBytesPerSecond = 0;
    for (const { flow } of this.#sessions.values())
      this.#catchUpBytesPerSecond = Math.max(this.#catchUpBytesPerSecond, flow.catchUpBytesPerSecond);
    for (const session of this.#sessions.values()) {
      takeIn(session, nowMs);
      if (this.#report(session)) worked = true;
      if (!link.up || session.broken) continue;
      if (session.mode === 'probe') worked = this.#probe(session, nowMs) || worked;
      else if (session.mode === 'stream') worked = this.#stream(session, nowMs, 0) || worked;
      this.#watch(session, nowMs);
    }
    return this.#readOn(nowMs) || worked;
  }

  /** Reads on from the disk for whose turn it is, and lets all others look through what was read. */
  #readOn(nowMs: number): boolean {
    for (let fills = 0; fills < FILLS_PER_POLL; fills++) {
      const group = this.#mayFill(nowMs) ? this.#turns.next(nowMs) : undefined;
      if (group === undefined) return fills > 0;
      this.#stream(this.#sessions.get(group)!, nowMs, 1);
      for (const other of this.#sessions.values())
        if (other.far && other.group !== group) this.#stream(other, nowMs, 0);
    }
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
    const { group } = session;
    if (session.mode !== 'stream' || session.broken || !this.#ports.link.up) {
      this.#turns.done(group);
      return false;
    }
    let far = this.#allowance(session, nowMs);
    let sent = 0;
    const looks = this.#ports.link.hasRoom && (fillsMax > 0 || !this.#turns.stillWaits(group));
    while (looks && sent < MESSAGES_PER_POLL && session.next !== session.tooLargeAt) {
      const room = session.window.room();
      if (room === 0) {
        this.#noRoom(session, nowMs);
        break;
      }
      const most = Math.min(room, MESSAGE_BYTES);
      const run = source.next(group, session.term, session.next, most, far, fillsMax - sent);
      this.#notePlace(session, run, far, nowMs);
      if (run === undefined || this.#isTooLarge(session, run) || !this.#sendRun(session, run, nowMs)) break;
      sent++;
      if (run.far) far = this.#spend(session, run.byteLength, far);
    }
    if (session.commit > session.commitSent && session.window.room() > 0 && sent === 0) {
      session.commitHeldSinceMs ??= nowMs;
      if (nowMs - session.commitHeldSinceMs >= COMMIT_ALONE_MS) return this.#sendEmpty(session, nowMs);
    }
    return sent > 0;
  }

  /** Whether anything may be sent now that is read back, so that nobody has a turn in vain. */
  #mayFill(nowMs: number): boolean {
    if (!this.#ports.link.hasRoom || this.#farLeft <= 0) return false;
    return this.#catchUp.allowance(nowMs, this.#catchUpBytesPerSecond, this.#grown) > 0;
  }

  /** Bytes that may be sent in it from the disk now. */
  #allowance(session: Session, nowMs: number): number {
    const { catchUp, group, flow } = session;
    const grown = this.#ports.source.grown(group);
    if (session.far) this.#grown += grown - session.grown;
    session.grown = grown;
    const alone = catchUp.allowance(nowMs, flow.catchUpBytesPerSecond, grown);
    const together = this.#catchUp.allowance(nowMs, this.#catchUpBytesPerSecond, this.#grown);
    return Math.min(alone, together, this.#farLeft);
  }

  #spend(session: Session, bytes: number, far: number): number {
    session.catchUp.spent(bytes);
    this.#catchUp.spent(bytes);
    this.#farLeft -= bytes;
    return far - bytes;
  }

  #noRoom(session: Session, nowMs: number): void {
    const { window, group, term, next } = session;
    const { source } = this.#ports;
    window.limited();
    if (session.far) this.#turns.held(group, nowMs);
    session.pressed ||= window.messages <= SHALLOW && source.isNear(group, term, next);
  }

  /** What the source's answer says about where the session stands beside others. */
  #notePlace(session: Session, run: BatchRun | undefined, allowed: number, nowMs: number): void {
    const { source } = this.#ports;
    const { group } = session;
    if (run === undefined && source.wantsFill) {
      session.far = true;
      this.#turns.waits(group, source.farPlaceOf(group), nowMs);
    } else if (run === undefined && session.far && allowed <= 0) {
      this.#turns.held(group, nowMs);
    } else {
      session.far = run?.far === true;
      this.#turns.done(group);
    }
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
