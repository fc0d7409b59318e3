import type { OrderId } from '../base/ids.js';
import type { PeerMessage } from '../base/messages.js';
import type { RaftState } from './raft-state.js';
import type { LocalMessage, Order } from './ready.js';
import type {
  TraceBatch,
  TraceDoor,
  TraceEvent,
  TraceMessage,
  TraceOrder,
  TraceState,
} from './trace-event.js';

const COMPARED: readonly (keyof TraceState)[] = [
  ...(['role', 'term', 'vote', 'leader', 'firstIndex', 'lastIndex', 'lastTerm'] as const),
  ...(['durableIndex', 'commitIndex'] as const),
];

/** Tells a sink of every transition. What changes nothing, sends nothing and was sent by nobody is left out. */
export class Trace {
  readonly #state: RaftState;
  readonly #sink: (event: TraceEvent) => void;
  #step = 0;
  #newestOrder: OrderId = 0;
  /** How many of the outbox's messages and session commands were told. */
  #messagesTold = 0;
  #sessionsTold = 0;
  #lastState: TraceState | undefined;

  constructor(state: RaftState, sink: (event: TraceEvent) => void) {
    this.#state = state;
    this.#sink = sink;
    this.note('start');
  }

  note(door: TraceDoor, message?: PeerMessage | LocalMessage): void {
    const { outbox, options } = this.#state;
    const orders = outbox.orders.filter(({ id }) => id > this.#newestOrder).map(traceOrder);
    const sends = outbox.messages.slice(this.#messagesTold);
    const sessions = outbox.sessions.slice(this.#sessionsTold);
    const state = traceState(this.#state);
    this.#newestOrder = outbox.newestOrder;
    this.#messagesTold = outbox.messages.length;
    this.#sessionsTold = outbox.sessions.length;
    const idle = message === undefined && [orders, sends, sessions].every((told) => told.length === 0);
    if (idle && this.#lastState !== undefined && isSame(state, this.#lastState)) return;
    this.#lastState = state;
    this.#step += 1;
    const place = { group: options.group, node: options.id, step: this.#step, door };
    const came = message === undefined ? {} : { message: traceMessage(message) };
    this.#sink({ ...place, ...came, orders, sends, sessions, state });
  }

  /** The outbox is about to be handed over. */
  taken(): void {
    this.note('ready');
    this.#messagesTold = 0;
    this.#sessionsTold = 0;
  }
}

function traceState(state: RaftState): TraceState {
  const { role, term, vote, leader, log, progress } = state;
  const { index, configuration } = log.configuration;
  const { voters, votersOutgoing, learners } = configuration;
  return {
    role,
    term,
    vote,
    leader,
    firstIndex: log.baseIndex + 1,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    durableIndex: log.durableIndex,
    commitIndex: log.commitIndex,
    commitTerm: log.termAt(log.commitIndex) ?? 0,
    configuration: { index, voters, votersOutgoing, learners },
    match: Object.fromEntries([...progress.values()].map(({ id, match }) => [id, match])),
  };
}

/** A configuration and the term of a commit are told by where they stand: what stands there changes only with the log's end. */
function isSame(a: TraceState, b: TraceState): boolean {
  const peers = Object.keys(a.match);
  return (
    COMPARED.every((field) => a[field] === b[field]) &&
    a.configuration.index === b.configuration.index &&
    peers.length === Object.keys(b.match).length &&
    peers.every((id) => a.match[Number(id)] === b.match[Number(id)])
  );
}

function traceBatch({ kind, term, firstIndex, count }: TraceBatch): TraceBatch {
  return { kind, term, firstIndex, count };
}

function traceOrder(order: Order): TraceOrder {
  const { id } = order;
  switch (order.type) {
    case 'own': {
      const { configuration } = order.batch;
      const batch = { id, type: 'append', batch: traceBatch(order.batch) } as const;
      return configuration === undefined ? batch : { ...batch, configuration };
    }
    case 'append':
      return { id, type: 'append', batch: traceBatch(order.header) };
    case 'snapshot': {
      const { index, term, keepsSuffix } = order;
      return { id, type: 'snapshot', index, term, keepsSuffix };
    }
    default:
      return order;
  }
}

function traceMessage(message: PeerMessage | LocalMessage): TraceMessage {
  if (message.type !== 'append') return message;
  const { headers, configurations: _, ...rest } = message;
  return { ...rest, batches: headers.map(traceBatch) };
}
