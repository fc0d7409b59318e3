import type { TraceEvent, TraceMessage } from '../../src/core/trace-event.js';
import { must } from './broken.js';
import type { SimNode } from './node.js';

/** The engine's defaults, as the simulated nodes have them, ms of the node's own clock. */
const ELECTION_MS = { min: 500, max: 1000 };
/** Two events of a leader are never further apart while its main thread runs: it says each heartbeat. */
const LEADER_GAP_MS = 250;
/** How often the time that it may take a leader may pass before it counts as broken. */
const PATIENCE = 3;

/** What one life of a node has heard, and when. */
interface Heard {
  life: number;
  sinceMs: number;
  role: string;
  term: number;
  /** When the leader that it follows was heard last. */
  leaderAtMs: number;
  /** Leaders: how long they have led while their main thread ran, and at which such time each other was heard. */
  ledMs: number;
  eventAtMs: number;
  readonly heardAt: Map<number, number>;
  /** Since when it leads without being a voter, or hands over. */
  removedAt: number | undefined;
  transferAt: number | undefined;
  /** The configuration in force, and since when. */
  configured: { index: number; atMs: number };
}

/** Promises that have to do with time: nobody votes against a leader that it hears, and no leader waits for ever. */
export class Patience {
  readonly #heard = new Map<SimNode, Heard>();
  readonly #lease: boolean;

  /** `lease`: reads rest on leases, and votes on what a node may have promised before it started. */
  constructor(lease: boolean) {
    this.#lease = lease;
  }

  take(node: SimNode, { state, message, sends, node: id }: TraceEvent): void {
    const nowMs = node.clock.nowMs();
    const heard = this.#of(node, nowMs);
    const hears = nowMs - heard.leaderAtMs < ELECTION_MS.min / 2;
    // A campaign that the leader ordered is none against it.
    if (state.role === 'precandidate' && heard.role === 'follower')
      must(!hears, () => `${node.host} hears its leader and campaigns (H13, H53)`);
    const granted = sends.some(({ message: sent }) => sent.type === 'voteReply' && sent.granted);
    if (granted && message?.type === 'vote' && !message.transfer && message.from !== state.leader)
      must(!hears || heard.role !== 'follower', () => `${node.host} hears its leader and votes (H12)`);
    if (granted && message?.type === 'vote' && !message.transfer && this.#lease)
      must(
        nowMs - heard.sinceMs >= ELECTION_MS.max / 2,
        () =>
          `${node.host} votes ${nowMs - heard.sinceMs} ms after its start, and may have promised a lease (H67)`,
      );
    if (message !== undefined && isFromLeader(message) && message.from === state.leader)
      heard.leaderAtMs = nowMs;
    if (state.term !== heard.term || state.leader === 0) heard.leaderAtMs = Number.NEGATIVE_INFINITY;
    if (state.role === 'leader') this.#leads(node, heard, { state, message, nowMs, id });
    heard.role = state.role;
    heard.term = state.term;
  }

  /**
   * A leader says a heartbeat. H15: a hand-over ends, one way or the other. Whose disk hangs may begin one after the other,
   * without a moment in between.
   */
  handsOver(node: SimNode, transferTo: number, diskStalledMs: number): void {
    const heard = this.#heard.get(node);
    if (heard === undefined) return;
    if (transferTo === 0 || diskStalledMs > ELECTION_MS.max) heard.transferAt = undefined;
    else heard.transferAt ??= heard.ledMs;
    const lastsMs = heard.ledMs - (heard.transferAt ?? heard.ledMs);
    must(
      lastsMs < PATIENCE * ELECTION_MS.max,
      () => `${node.host} has been handing over for ${lastsMs} ms (H15)`,
    );
  }

  #leads(
    node: SimNode,
    heard: Heard,
    {
      state,
      message,
      nowMs,
      id,
    }: Pick<TraceEvent, 'state'> & { message: TraceMessage | undefined; nowMs: number; id: number },
  ): void {
    if (heard.role !== 'leader' || heard.term !== state.term) {
      heard.ledMs = 0;
      heard.heardAt.clear();
      heard.removedAt = undefined;
      heard.transferAt = undefined;
      heard.configured = { index: 0, atMs: 0 };
    } else heard.ledMs += Math.min(nowMs - heard.eventAtMs, LEADER_GAP_MS);
    heard.eventAtMs = nowMs;
    const answers = message?.type === 'appendReply' || message?.type === 'heartbeatReply';
    if (answers && message.term === state.term) heard.heardAt.set(message.from, heard.ledMs);
    const { voters, votersOutgoing, index } = state.configuration;
    if (index !== heard.configured.index) heard.configured = { index, atMs: heard.ledMs };
    for (const half of [voters, votersOutgoing]) {
      // Who was silent before a configuration made a quorum need it, has its time from there.
      const since = (voter: number): number => Math.max(heard.heardAt.get(voter) ?? 0, heard.configured.atMs);
      const ages = half.map((voter) => (voter === id ? 0 : heard.ledMs - since(voter)));
      const quorumMs = ages.sort((a, b) => a - b)[Math.floor(half.length / 2)] ?? 0;
      must(
        quorumMs < PATIENCE * ELECTION_MS.max,
        () => `${node.host} leads term ${state.term} and has heard no quorum for ${quorumMs} ms (H11)`,
      );
    }
    const removed = index <= state.commitIndex && votersOutgoing.length === 0 && !voters.includes(id);
    if (!removed) heard.removedAt = undefined;
    else heard.removedAt ??= heard.ledMs;
    const removedMs = heard.ledMs - (heard.removedAt ?? heard.ledMs);
    must(
      removedMs < PATIENCE * ELECTION_MS.max,
      () => `${node.host} leads, ${removedMs} ms after it was left out (H58)`,
    );
  }

  #of(node: SimNode, nowMs: number): Heard {
    const known = this.#heard.get(node);
    if (known?.life === node.lives) return known;
    const heard = {
      ...{ life: node.lives, sinceMs: nowMs, role: 'follower', term: 0, ledMs: 0, eventAtMs: nowMs },
      ...{ leaderAtMs: Number.NEGATIVE_INFINITY, heardAt: new Map<number, number>() },
      ...{ removedAt: undefined, transferAt: undefined, configured: { index: 0, atMs: 0 } },
    };
    this.#heard.set(node, heard);
    return heard;
  }
}

/** What a leader alone sends. */
function isFromLeader(message: TraceMessage): message is Extract<TraceMessage, { from: number }> {
  return message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshotChunk';
}
