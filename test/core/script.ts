import type { PeerMessage } from '../../src/base/messages.js';
import { BatchKind } from '../../src/base/messages.js';
import type { RaftOptions } from '../../src/core/options.js';
import type { LocalMessage, Order, Ready } from '../../src/core/ready.js';
import { ClusterChecks } from './cluster-checks.js';
import { configurationOf, type Entry, ToyNode } from './cluster-node.js';
import { configuration, GROUP, header } from './fixtures.js';

/**
 * A cluster that does nothing by itself: every tick, every write that gets durable and every message that arrives is a
 * command of a story. What the cores answer is the story's recorded output. `docs/driving-the-core.md` has the commands.
 */
export class Story {
  readonly #nodes = new Map<number, ToyNode>();
  #messages: PeerMessage[] = [];
  #lines: string[] = [];
  #batches = 0;
  /** Raft's promises, looked at after every command. */
  #checks: ClusterChecks | undefined;

  /** Carries out one command and returns what it made happen. */
  run(command: string): string {
    this.#lines = [];
    const [verb = '', ...words] = command.split(/\s+/);
    const numbers = words.map(Number);
    switch (verb) {
      case 'cluster':
        this.#start(words);
        break;
      case 'tick':
        this.#each(numbers[0], (node) => this.#times(numbers[1] ?? 1, () => node.tick()));
        break;
      case 'sync':
        this.#each(numbers[0], (node) => node.sync(node.pending.length));
        break;
      case 'deliver':
        this.#deliver(words);
        break;
      case 'drop':
        this.#take(words).forEach((message) => {
          this.#say(`dropped ${describeMessage(message)}`);
        });
        break;
      case 'send':
        this.#node(numbers[0]).replicate(numbers[1] ?? 0, numbers[2] ?? 9);
        break;
      case 'propose':
        this.#say(this.#node(numbers[0]).propose(numbers[1] ?? 1) ? 'taken' : 'refused');
        break;
      case 'crash':
        this.#node(numbers[0]).crash(0);
        break;
      case 'restart':
        this.#node(numbers[0]).restart();
        break;
      case 'settle':
        this.#settle();
        break;
      case 'status':
        this.#each(numbers[0], (node) => this.#status(node));
        break;
      default:
        this.#command(verb, numbers);
    }
    for (const node of this.#nodes.values()) this.#checks?.check(node);
    return this.#lines.join('\n');
  }

  #command(verb: string, [id, ...numbers]: number[]): void {
    const node = this.#node(id);
    const { raft } = node;
    if (verb === 'transfer') this.#say(describeStart(raft.transferLeadership(numbers[0] ?? 0)));
    else if (verb === 'read') this.#say(node.read(numbers[0] ?? 0, 0));
    else if (verb === 'voters') {
      const { index, configuration: current } = raft.status().configuration;
      const learners = current.learners.filter((learner) => !numbers.includes(learner));
      this.#say(describeAnswer(raft.proposeConfiguration({ ...current, voters: numbers, learners }, index)));
    } else if (verb === 'learners') {
      const { index, configuration: current } = raft.status().configuration;
      this.#say(describeAnswer(raft.proposeConfiguration({ ...current, learners: numbers }, index)));
    } else if (verb === 'compact') node.compactTo(numbers[0] ?? 0);
    else if (verb === 'snapshot') this.#snapshot(node, this.#node(numbers[0]));
    else throw new Error(`unknown command: ${verb}`);
    node.drain();
  }

  /** A whole snapshot, sent and received at once. */
  #snapshot(from: ToyNode, to: ToyNode): void {
    to.receive(from);
    from.step({ type: 'snapshotResult', peer: to.id, index: from.base, ok: true });
  }

  /** `cluster 3 voters=1,2 term=4 terms=1,1,2 prevote checkquorum`: node i waits 10 + 2 i ticks. `terms1=…` for node 1 alone. */
  #start(words: string[]): void {
    const settings = new Map(words.slice(1).map((word) => word.split('=') as [string, string | undefined]));
    const list = (name: string) => settings.get(name)?.split(',').map(Number);
    const ids = Array.from({ length: Number(words[0]) }, (_, i) => i + 1);
    const voters = list('voters') ?? ids;
    for (const id of ids) {
      const options: RaftOptions = {
        group: GROUP,
        id,
        electionTicksMin: 10,
        electionTicksMax: 10 + 2 * id,
        heartbeatTicks: 3,
        random: () => 0.999,
        preVote: settings.has('prevote'),
        checkQuorum: settings.has('checkquorum'),
      };
      const terms = voters.includes(id) ? (list(`terms${id}`) ?? list('terms') ?? [1]) : [];
      const log = terms.map((term, i) => this.#entry(term, i + 1, terms[i - 1] ?? 0, voters));
      const node = new ToyNode(
        id,
        options,
        log,
        (batch) => {
          const { term, firstIndex, count, prevTerm, kind } = batch;
          const sealed = { ...header(term, firstIndex, count, prevTerm, kind), checksum: ++this.#batches };
          if (batch.configuration !== undefined) configurationOf.set(sealed, batch.configuration);
          return sealed;
        },
        (message) => this.#messages.push(message as PeerMessage),
      );
      node.disk.hardState = { term: list('term')?.[0] ?? 0, vote: 0 };
      node.restart();
      node.onReady = (ready) => this.#record(node, ready);
      this.#nodes.set(id, node);
    }
    this.#checks = new ClusterChecks([...this.#nodes.values()]);
  }

  /** One object for one entry, so that logs that begin alike are alike. */
  readonly #entries = new Map<string, Entry>();

  #entry(term: number, index: number, prevTerm: number, voters: number[]): Entry {
    const key = `${term}@${index}`;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const kind = index === 1 ? BatchKind.Configuration : BatchKind.Data;
    const entry = { term, header: header(term, index, 1, prevTerm, kind) };
    if (index === 1) configurationOf.set(entry.header, configuration(voters));
    this.#entries.set(key, entry);
    return entry;
  }

  /** Everything works until nothing is left to do; no time passes. */
  #settle(): void {
    for (let round = 0; round < 100; round++) {
      for (const node of this.#nodes.values()) {
        if (!node.up) continue;
        node.sync(node.pending.length);
        const reachable = [...node.sessions.keys()].filter((peer) => this.#node(peer).up);
        for (const peer of reachable) node.replicate(peer, 9);
      }
      if (this.#messages.length === 0) return;
      this.#deliver([]);
    }
    throw new Error('the story does not settle');
  }

  #deliver(words: string[]): void {
    for (const message of this.#take(words)) {
      const node = this.#node(message.to);
      if (node.up) node.step(message);
    }
  }

  /** `[from] [to] [type]`; a dash or nothing is any. */
  #take([from = '-', to = '-', type = '-']: string[]): PeerMessage[] {
    const fits = (message: PeerMessage) =>
      (from === '-' || message.from === Number(from)) &&
      (to === '-' || message.to === Number(to)) &&
      (type === '-' || message.type === type);
    const taken = this.#messages.filter(fits);
    this.#messages = this.#messages.filter((message) => !fits(message));
    return taken;
  }

  #record(node: ToyNode, ready: Ready): void {
    const { leadership, commitMoved, commitIndex } = ready;
    if (leadership !== undefined) {
      const leader = leadership.leader === 0 ? '' : `, follows ${leadership.leader}`;
      const known = leadership.role === 'follower' ? leader : '';
      this.#say(`${node.id}: ${leadership.role} of term ${leadership.term}${known}`);
    }
    for (const order of ready.orders) this.#say(`${node.id}: writes ${describeOrder(order)}`);
    for (const { message } of ready.messages) this.#say(`${node.id}: sends ${describeMessage(message)}`);
    for (const command of ready.sessions) {
      const at =
        command.type === 'open'
          ? ` at ${command.prevIndex}`
          : command.type === 'stream'
            ? ` from ${command.next}`
            : '';
      this.#say(`${node.id}: session to ${command.peer}: ${command.type}${at}`);
    }
    for (const { peer, index } of ready.snapshots)
      this.#say(`${node.id}: ${peer} needs a snapshot to ${index}`);
    if (commitMoved) this.#say(`${node.id}: commits ${commitIndex}`);
    for (const { context, index } of ready.readStates) this.#say(`${node.id}: read ${context} at ${index}`);
    for (const context of ready.readsFailed) this.#say(`${node.id}: read ${context} failed`);
  }

  #status(node: ToyNode): void {
    const status = node.raft.status();
    const terms = node.log.map((entry) => entry.term).join(' ');
    const { voters, votersOutgoing, learners } = status.configuration.configuration;
    const parts = [
      `${status.role} of term ${status.term}, leader ${status.leader}, commit ${status.commitIndex}`,
      `log ${terms}`,
      `voters ${voters}${votersOutgoing.length > 0 ? ` and ${votersOutgoing}` : ''}${learners.length > 0 ? `, learners ${learners}` : ''}`,
      ...status.progress.map(({ id, state, match, next }) => `to ${id}: ${state} ${match}/${next}`),
    ];
    this.#say(`${node.id}: ${parts.join('; ')}`);
  }

  #say(line: string): void {
    this.#lines.push(line);
  }

  #times(count: number, what: () => void): void {
    for (let i = 0; i < count; i++) what();
  }

  /** That node, or all that are up. */
  #each(id: number | undefined, what: (node: ToyNode) => void): void {
    if (id !== undefined) what(this.#node(id));
    else for (const node of this.#nodes.values()) if (node.up) what(node);
  }

  #node(id = 0): ToyNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }
}

function describeStart(answer: 'started' | { refused: string }): string {
  return answer === 'started' ? answer : `refused: ${answer.refused}`;
}

function describeAnswer(answer: { refused: string } | { firstIndex: number }): string {
  return 'refused' in answer ? `refused: ${answer.refused}` : `taken at ${answer.firstIndex}`;
}

function describeOrder(order: Order): string {
  switch (order.type) {
    case 'own':
      return describeBatch(order.batch);
    case 'append':
      return describeBatch(order.header);
    case 'truncate':
      return `a cut from ${order.from}`;
    case 'hardState':
      return `term ${order.hardState.term} vote ${order.hardState.vote}`;
    case 'snapshot':
      return `a snapshot to ${order.index}`;
  }
}

const KINDS = new Map<number, string>([
  [BatchKind.NoOp, ' (no-op)'],
  [BatchKind.Configuration, ' (configuration)'],
]);

function describeBatch({
  term,
  firstIndex,
  count,
  kind,
}: {
  term: number;
  firstIndex: number;
  count: number;
  kind: number;
}): string {
  const last = firstIndex + count - 1;
  return `${firstIndex}${count > 1 ? `–${last}` : ''} of term ${term}${KINDS.get(kind) ?? ''}`;
}

function describeMessage(message: PeerMessage | LocalMessage): string {
  if (!('to' in message)) return message.type;
  const { from, to, term } = message;
  return `${from}→${to} ${detailsOf(message)} (term ${term})`;
}

function detailsOf(message: PeerMessage): string {
  switch (message.type) {
    case 'vote':
      return `${message.preVote ? 'pre-vote' : 'vote'} with log ${message.lastIndex} of term ${message.lastTerm}${message.transfer ? ', handed over' : ''}`;
    case 'voteReply':
      return `${message.preVote ? 'pre-vote ' : ''}${message.granted ? 'granted' : 'refused'}`;
    case 'heartbeat':
      return `heartbeat ${message.round}, commit ${message.commit}`;
    case 'heartbeatReply':
      return `heartbeat ${message.round} heard`;
    case 'append':
      return `append after ${message.prevIndex}: ${message.headers.map(describeBatch).join(', ') || 'nothing'}; commit ${message.commit}`;
    case 'appendReply':
      return message.refused
        ? `refused at ${message.match}, hint ${message.hintIndex}`
        : `has ${message.match}`;
    case 'timeoutNow':
      return 'campaign now';
    case 'readIndex':
      return `asks for a read point${message.lease ? ', by lease' : ''}`;
    case 'readIndexReply':
      return `read point ${message.index}`;
  }
}
