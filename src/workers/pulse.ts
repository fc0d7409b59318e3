import type { GroupId, NodeId } from '../base/ids.js';
import type { Program } from './program.js';

/** The newest heartbeat that main sent to one peer for one group. */
interface Beat {
  readonly peer: NodeId;
  readonly group: GroupId;
  readonly envelope: Buffer;
  /** Main's stamp: when it came out of main's ring. */
  readonly stampedMs: number;
  sentMs: number;
}

export interface PulsePorts {
  /** How often main sends heartbeats, ms. */
  intervalMs: number;
  /** How long one of them may be repeated after main sent it, ms: at most half of the shortest election timeout. */
  lifeMs: number;
  send: (peer: NodeId, envelope: Buffer) => void;
}

/**
 * Heartbeats in main's name while main is busy: the newest one is sent again, byte for byte, when the next is late. Main's silence
 * is bridged for `lifeMs` and no longer, so that a leader whose main thread hangs is replaced (H43, tarantool#7512). A repetition
 * promises nothing new: its round and its commit index are those that main decided on.
 */
export class Pulse implements Program {
  readonly name = 'pulse';
  readonly #ports: PulsePorts;
  readonly #beats = new Map<string, Beat>();
  #polledMs = Number.NaN;

  constructor(ports: PulsePorts) {
    this.#ports = ports;
  }

  /** Heartbeats that were sent again. */
  repeated = 0;

  /** Main has sent a heartbeat. */
  note(peer: NodeId, group: GroupId, envelope: Buffer, nowMs: number): void {
    this.#beats.set(`${peer}/${group}`, { peer, group, envelope, stampedMs: nowMs, sentMs: nowMs });
  }

  /** Main has ended its session with the peer: it may not lead any more. */
  forget(peer: NodeId, group: GroupId): void {
    this.#beats.delete(`${peer}/${group}`);
  }

  poll(nowMs: number): boolean {
    const { intervalMs, lifeMs, send } = this.#ports;
    // This thread was late itself: how long main's word had been waiting by then is not known.
    if (nowMs - this.#polledMs > lifeMs) this.#beats.clear();
    this.#polledMs = nowMs;
    let worked = false;
    for (const [key, beat] of this.#beats) {
      if (nowMs - beat.stampedMs > lifeMs) this.#beats.delete(key);
      else if (nowMs - beat.sentMs >= 1.5 * intervalMs) {
        beat.sentMs = nowMs;
        this.repeated++;
        send(beat.peer, beat.envelope);
        worked = true;
      }
    }
    return worked;
  }

  close(): void {
    this.#beats.clear();
  }
}
