import { BatchKind, type HardState } from '../../src/base/messages.js';
import type { TraceEvent, TraceState } from '../../src/core/trace-event.js';

/** A session of a leader to a follower, as its replicator was told of it. */
interface TracedSession {
  session: number;
  mode: 'probe' | 'stream';
  prevIndex: number;
  /** Refusals in a row that moved it, in this leadership. */
  refusals: number;
}

/** A configuration that a member's log holds. `members` undefined: it was there before the trace began. */
interface TracedConfiguration {
  index: number;
  members: ReadonlySet<number> | undefined;
  voters: ReadonlySet<number>;
}

/** What one life of a member has shown so far, as far as the rules ask for it. */
export class TraceLife {
  state: TraceState;
  step: number;
  /** What its disk holds for certain of term and vote, and what is on its way there. */
  durable: HardState;
  readonly #pending: { id: number; hardState: HardState }[] = [];
  /** Batches on their way to the disk, in order. */
  readonly #writes: { id: number; firstIndex: number }[] = [];
  /** The newest order that the log depends on, and the newest one of all. */
  newestOrder = 0;
  /** A candidate: who granted it a vote of its term. */
  readonly grants = new Set<number>();
  readonly sessions = new Map<number, TracedSession>();
  /** A follower: how far the leader of this term has shown it, in this session, that their logs agree. */
  verified = { term: 0, session: 0, match: 0 };
  /** Of its log: the newest committed configuration and all later ones, ascending. */
  configurations: TracedConfiguration[];

  constructor({ step, state }: TraceEvent) {
    this.state = state;
    this.step = step;
    this.durable = { term: state.term, vote: state.vote };
    this.configurations = knownFrom(state);
  }

  /** Takes in what is known before the rules are asked: what came, and what became durable by it. */
  before({ orders, message, state }: TraceEvent): void {
    for (const order of orders) {
      this.newestOrder = order.id;
      if (order.type === 'hardState') this.#pending.push(order);
      if (order.type === 'append') this.#writes.push({ id: order.id, firstIndex: order.batch.firstIndex });
    }
    if (message?.type === 'durable') {
      while ((this.#pending[0]?.id ?? Number.POSITIVE_INFINITY) <= message.order)
        this.durable = this.#pending.shift()?.hardState ?? this.durable;
      while ((this.#writes[0]?.id ?? Number.POSITIVE_INFINITY) <= message.order) this.#writes.shift();
    }
    const counts = message?.type === 'voteReply' && message.granted && !message.preVote;
    if (counts && message.term === this.state.term) this.grants.add(message.from);
    this.#configurationsAfter({ orders, message, state } as TraceEvent);
  }

  /** Takes the event in for good. */
  after({ state, step, sessions }: TraceEvent): void {
    if (state.term !== this.state.term || state.role === 'precandidate') this.grants.clear();
    if (state.role !== 'leader') this.sessions.clear();
    for (const command of sessions) {
      const { peer, session } = command;
      const known = this.sessions.get(peer);
      if (command.type === 'open') {
        const refusals = known?.refusals ?? 0;
        this.sessions.set(peer, { session, mode: 'probe', prevIndex: command.prevIndex, refusals });
      } else if (known === undefined) continue;
      else if (command.type === 'stream') Object.assign(known, { mode: 'stream', refusals: 0 });
      else known.session = 0;
    }
    this.state = state;
    this.step = step;
  }

  /** The lowest index of which some write is not on the disk yet. */
  get firstUnderWay(): number {
    return Math.min(...this.#writes.map(({ firstIndex }) => firstIndex));
  }

  /** The session in force to a follower. */
  sessionTo(peer: number): TracedSession | undefined {
    const known = this.sessions.get(peer);
    return known?.session === 0 ? undefined : known;
  }

  /** Whether a configuration that may be in force has `id` as a member, or as a voter; undefined: the trace began too late to tell. */
  knows(id: number): boolean | undefined {
    if (this.configurations.some(({ members }) => members?.has(id))) return true;
    return this.configurations.some(({ members }) => members === undefined) ? undefined : false;
  }

  mayLead(id: number): boolean | undefined {
    if (this.configurations.some(({ voters }) => voters.has(id))) return true;
    return this.configurations.some(({ members }) => members === undefined) ? undefined : false;
  }

  /** Follows the log's orders; what the newest configuration says stands in the state after them. */
  #configurationsAfter({ orders, message, state }: TraceEvent): void {
    const { commitIndex } = state;
    for (const order of orders) {
      if (order.type === 'append' && order.batch.kind === BatchKind.Configuration) {
        this.configurations.push({ index: order.batch.firstIndex, members: undefined, voters: new Set() });
      } else if (order.type === 'truncate') {
        this.configurations = this.configurations.filter(({ index }) => index < order.from);
      } else if (order.type === 'snapshot' && message?.type === 'snapshotReceived') {
        const later = this.configurations.filter(({ index }) => order.keepsSuffix && index > order.index);
        const { index } = message.configuration;
        this.configurations = [{ index, members: undefined, voters: new Set() }, ...later];
      }
    }
    const newest = this.configurations.at(-1);
    if (newest?.members === undefined) {
      // Who began with one that is cut off again had an older one, of which the trace says nothing.
      if (newest?.index === 0) this.configurations = knownFrom(state);
      else if (newest?.index === state.configuration.index)
        this.configurations[this.configurations.length - 1] = tracedConfiguration(state);
    }
    while ((this.configurations[1]?.index ?? Number.POSITIVE_INFINITY) <= commitIndex)
      this.configurations.shift();
  }
}

/** All that the trace says where only the newest configuration is known: what is not committed has an older one before it. */
function knownFrom(state: TraceState): TracedConfiguration[] {
  const newest = tracedConfiguration(state);
  const older = { index: 0, members: undefined, voters: new Set<number>() };
  return newest.index <= state.commitIndex ? [newest] : [older, newest];
}

function tracedConfiguration({ configuration }: TraceState): TracedConfiguration {
  const { index, voters, votersOutgoing, learners } = configuration;
  const either = new Set([...voters, ...votersOutgoing]);
  return { index, voters: either, members: new Set([...either, ...learners]) };
}
