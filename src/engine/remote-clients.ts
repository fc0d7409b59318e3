import { ErrorCode } from '../base/errors.js';
import type { ClientId, GroupId, NodeId, Sequence } from '../base/ids.js';
import { encodeEnvelope } from '../codec/envelope.js';
import type { RingConsumer } from '../ring/consumer.js';
import { clientCodec } from '../workers/records.js';
import type { SessionRun } from './applier.js';
import type { Hub } from './hub.js';
import type { Replica } from './replica.js';

type ClientRecord = ReturnType<typeof clientCodec.read>;

interface ClientStream {
  readonly client: ClientId;
  /** The group that it proposes to; 0 before its first proposal. */
  group: GroupId;
  /** The sequence after the last one taken in. */
  nextSequence: Sequence;
  /** Its last word was said; what still comes is not taken. */
  ended: boolean;
}

/** The stream of a client that is to be sent to the leader as soon as there is one. It has `ended`. */
interface Held {
  readonly replica: Replica;
  readonly firstSequence: Sequence;
  ticksLeft: number;
}

/** Proposals taken from the ring in one turn at most. */
const PROPOSALS_PER_TURN = 64;
/** How long a client waits here for news of a leader before it is told that there is none. */
const HOLD_MS = 250;

/**
 * What remote clients propose, and what becomes of it. There is no list of pending requests: an entry is known by
 * (client, sequence) in the replicated session table, and whoever has that client's stream is told when it is applied.
 */
export class RemoteClients {
  readonly #streams = new Map<number, ClientStream>();
  /** The newest stream of each client. */
  readonly #byClient = new Map<ClientId, number>();
  readonly #ring: RingConsumer;
  readonly #hub: Hub;
  readonly #replicas: ReadonlyMap<GroupId, Replica>;
  readonly #addressOf: (node: NodeId) => string;
  /** By stream. At most one each, so they are bounded as streams are. */
  readonly #held = new Map<number, Held>();
  readonly #holdTicks: number;
  /** The proposal polled last still waits for room. */
  #waiting = false;

  constructor(
    ring: RingConsumer,
    hub: Hub,
    replicas: ReadonlyMap<GroupId, Replica>,
    addressOf: (node: NodeId) => string,
    tickMs: number,
  ) {
    this.#ring = ring;
    this.#hub = hub;
    this.#replicas = replicas;
    this.#addressOf = addressOf;
    this.#holdTicks = Math.ceil(HOLD_MS / tickMs);
  }

  /** Takes proposals in, in order, while there is room. What has no room waits in its ring, and so does the client. */
  drain(): boolean {
    let taken = 0;
    while (taken < PROPOSALS_PER_TURN && !this.#hub.blocked) {
      if (!this.#waiting && !this.#ring.poll()) break;
      this.#waiting = !this.#take();
      if (this.#waiting) break;
      this.#ring.release();
      taken++;
    }
    return taken > 0;
  }

  /** One tick of time has passed. */
  tick(): void {
    for (const [id, held] of this.#held) {
      held.ticksLeft--;
      if (held.ticksLeft <= 0) this.#sendAway(id, held);
    }
  }

  /** A group has changed hands, or its leader is known or gone. */
  leadershipChanged(replica: Replica): void {
    if (replica.role !== 'leader') this.#leadershipLost(replica);
    if (replica.leader === 0) return;
    for (const [id, held] of this.#held) if (held.replica === replica) this.#sendAway(id, held);
  }

  /** Streams that proposed here learn that the fate of what is under way is open. */
  #leadershipLost(replica: Replica): void {
    for (const [id, stream] of this.#streams) {
      if (stream.group !== replica.group || stream.ended) continue;
      this.#end(id, stream, replica, 'unknown', ErrorCode.OutcomeUnknown, 'leadership was lost');
    }
  }

  /** Tells those whose streams are here what became of their entries. */
  report(replica: Replica, runs: readonly SessionRun[]): void {
    for (const run of runs) {
      const id = this.#byClient.get(run.client);
      const stream = id === undefined ? undefined : this.#streams.get(id);
      if (id === undefined || stream === undefined || stream.ended) continue;
      const { firstSequence, count, index, term, outcome, code, result } = run;
      const message = outcome === 'refused' ? `entry ${firstSequence}: ${REFUSALS[code] ?? 'refused'}` : '';
      const place = { leader: 0, leaderAddress: '' };
      const body = {
        type: 'proposeReply',
        group: replica.group,
        firstSequence,
        count,
        index,
        term,
        outcome,
      } as const;
      const { bytes, bodyOffset } = encodeEnvelope({ ...body, code, message, ...place }, result?.length ?? 0);
      if (result !== undefined) bytes.set(result, bodyOffset);
      this.#hub.command({ type: 'clientReply', stream: id, body: bytes });
      if (outcome !== 'refused') continue;
      stream.ended = true;
      this.#hub.command({ type: 'clientClose', stream: id });
    }
  }

  /** Looks without taking anything. What waits for room is not new. */
  pending(): boolean {
    return !this.#waiting && this.#ring.pending();
  }

  /** False: no room. */
  #take(): boolean {
    const record = clientCodec.read(this.#ring);
    switch (record.type) {
      case 'opened':
        this.#streams.set(record.stream, { client: record.client, group: 0, nextSequence: 0, ended: false });
        this.#byClient.set(record.client, record.stream);
        return true;
      case 'closed':
        this.#forget(record.stream);
        return true;
      case 'propose':
        return this.#takeProposal(record);
    }
  }

  #forget(stream: number): void {
    const known = this.#streams.get(stream);
    if (known === undefined) return;
    this.#streams.delete(stream);
    this.#held.delete(stream);
    if (this.#byClient.get(known.client) === stream) this.#byClient.delete(known.client);
  }

  /** False: no room. A proposal that is not taken ends its stream, so nothing later can slip past it. */
  #takeProposal(proposal: Extract<ClientRecord, { type: 'propose' }>): boolean {
    const { stream: id, group, firstSequence, count, body } = proposal;
    const stream = this.#streams.get(id);
    const replica = this.#replicas.get(group)!;
    // Whatever becomes of it: what waited for room is looked at again.
    replica.proposals.forgoRoom();
    if (stream === undefined || stream.ended) return true;
    if (stream.group === 0) stream.group = group;
    stream.nextSequence = firstSequence + count;
    if (stream.group !== group) {
      this.#end(
        id,
        stream,
        replica,
        'refused',
        ErrorCode.GroupUnknown,
        `this stream proposes to group ${stream.group}`,
      );
      return true;
    }
    if (replica.role !== 'leader') {
      this.#turnAway(id, stream, replica, firstSequence);
      return true;
    }
    return replica.proposals.proposePacked(body, count);
  }

  /**
   * Sends a client to the leader. While none is known it is kept here for a moment: else it would ask every node in turn, again and
   * again, until the election is over, and be in the middle of a pause when it is.
   */
  #turnAway(id: number, stream: ClientStream, replica: Replica, firstSequence: Sequence): void {
    stream.ended = true;
    const held = { replica, firstSequence, ticksLeft: this.#holdTicks };
    if (knownLeader(replica) === 0) this.#held.set(id, held);
    else this.#sendAway(id, held);
  }

  #sendAway(id: number, { replica, firstSequence }: Held): void {
    this.#held.delete(id);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#end(id, stream, replica, 'refused', ErrorCode.NotLeader, 'this node does not lead', firstSequence);
  }

  #end(
    id: number,
    stream: ClientStream,
    replica: Replica,
    outcome: 'refused' | 'unknown',
    code: ErrorCode,
    message: string,
    firstSequence: Sequence = stream.nextSequence,
  ): void {
    stream.ended = true;
    const { group } = replica;
    const leader = knownLeader(replica);
    const place = { index: 0, term: 0, leader, leaderAddress: this.#addressOf(leader) };
    const reply = {
      type: 'proposeReply',
      group,
      firstSequence,
      count: 1,
      outcome,
      code,
      message,
      ...place,
    } as const;
    this.#hub.command({ type: 'clientReply', stream: id, body: encodeEnvelope(reply).bytes });
    this.#hub.command({ type: 'clientClose', stream: id });
  }
}

/** 0 also for one whose connection broke: nobody is sent to where there is most likely nobody. */
function knownLeader(replica: Replica): NodeId {
  return replica.leaderUnreachable ? 0 : replica.leader;
}

const REFUSALS: Readonly<Record<string, string>> = {
  [ErrorCode.SequenceGap]: 'an earlier entry of this client is missing',
  [ErrorCode.SessionExpired]: "this client's session is not known any more",
};
