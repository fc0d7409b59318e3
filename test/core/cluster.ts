import type { BatchHeader, PeerMessage } from '../../src/base/messages.js';
import { BatchKind } from '../../src/base/messages.js';
import { type Random, randomInteger, seededRandom } from '../../src/base/prng.js';
import type { RaftOptions } from '../../src/core/options.js';
import type { ProposedBatch } from '../../src/core/ready.js';
import { ClusterChecks } from './cluster-checks.js';
import { configurationOf, ToyNode } from './cluster-node.js';
import { configuration, GROUP, header } from './fixtures.js';
import { Links } from './links.js';

/** How much goes wrong in a run, each a probability. */
interface Weather {
  loss: number;
  duplication: number;
  /** Of delivering any message in flight instead of the oldest. */
  reorder: number;
  crash: number;
  partition: number;
  /** Of one more tick than usual: timers that run ahead of the network. */
  haste: number;
}

/** A whole cluster of Raft objects in one thread, every choice from one seed. */
export class Cluster {
  readonly nodes: ToyNode[];
  readonly checks: ClusterChecks;
  readonly #random: Random;
  readonly #weather: Weather;
  #inFlight: PeerMessage[] = [];
  #links = new Links();
  #healed = false;
  #batches = 0;
  /** Steps so far: the time that leases are measured by. */
  #now = 0;
  /** Whether reads may go by lease; then nobody's ticks are closer together than `tickSteps`. */
  readonly #leases: boolean;
  readonly #tickSteps: number;
  readonly #tickedAt = new Map<number, number>();
  #reads = 0;
  /** Changes of members that a leader has taken. */
  changed = 0;

  /** Where `changes` are made, half of the nodes are members at first. */
  constructor(
    seed: number,
    size: number,
    readonly changes = false,
    /** Instead of what the seed would choose. */
    parts: Partial<RaftOptions> = {},
  ) {
    const random = seededRandom(seed);
    this.#random = random;
    this.#weather = {
      loss: random() * 0.1,
      duplication: random() * 0.1,
      reorder: random(),
      crash: random() * 0.012,
      partition: random() * 0.012,
      haste: random() * 0.15,
    };
    const ids = Array.from({ length: size }, (_, i) => i + 1);
    // Where members come and go, some nodes begin with nothing.
    const voters = changes ? ids.filter((id) => id <= Math.ceil(size / 2)) : ids;
    const bootstrap = { term: 1, header: header(1, 1, 1, 0, BatchKind.Configuration) };
    const timing = { electionTicksMin: 5, electionTicksMax: 10, heartbeatTicks: 1 };
    // Clusters with and without what guards elections, and some that are just being changed over (H9).
    const preVotes = randomInteger(random, 0, 3);
    const checkQuorum = random() < 0.7;
    this.#leases = random() < 0.4;
    this.#tickSteps = 5 * size;
    const length = (timing.electionTicksMin - 1) * this.#tickSteps;
    const lease = { length, now: () => this.#now };
    configurationOf.set(bootstrap.header, configuration(voters));
    this.nodes = ids.map((id) => {
      const preVote = preVotes === 0 ? id % 2 === 0 : preVotes > 1;
      const basic = { group: GROUP, id, ...timing, random, preVote };
      const guards = this.#leases ? { checkQuorum: true, lease } : { checkQuorum };
      const options: RaftOptions = { ...basic, ...guards, ...parts };
      return new ToyNode(
        id,
        options,
        voters.includes(id) ? [bootstrap] : [],
        (batch) => this.#seal(batch),
        (message) => this.#post(message),
      );
    });
    this.checks = new ClusterChecks(this.nodes);
  }

  /** Rough weather. */
  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const node = this.#act();
      if (node !== undefined) this.checks.check(node);
    }
  }

  /** Everything works again: within some election timeouts there is one leader, one log, and a write goes through. */
  heal(): void {
    this.#healed = true;
    this.#links = new Links();
    for (const node of this.nodes) {
      if (!node.up) node.restart();
      for (const [peer, { session }] of node.sessions) node.breakSession(peer, session);
    }
    this.#inFlight = [];
    this.#settle('after the last fault');
    const leader = this.nodes.find((node) => node.raft.status().role === 'leader') as ToyNode;
    const before = leader.commitIndex;
    leader.propose(3);
    this.#settle('after a fresh write');
    if (leader.commitIndex !== before + 3) throw new Error('the fresh write was not committed');
    this.#read(leader);
    this.#settle('after a fresh read');
  }

  #settle(when: string): void {
    let missing: string | undefined;
    for (let round = 0; round < 200; round++) {
      this.#calmRound(round);
      missing = this.checks.checkConverged();
      if (missing === undefined) return;
    }
    throw new Error(`no convergence ${when}: ${missing}`);
  }

  /** Everything works but these links, for so many ticks. */
  calm(links: Links, ticks: number): void {
    this.#healed = true;
    this.#links = links;
    for (let round = 0; round < 4 * ticks; round++) this.#calmRound(round);
  }

  /** The nodes that lead now. */
  get leaders(): ToyNode[] {
    return this.nodes.filter(({ raft }) => raft.status().role === 'leader');
  }

  #calmRound(round: number): void {
    this.#now += this.#tickSteps / 4;
    for (const node of this.nodes) {
      if (round % 4 === 0) node.tick();
      node.sync(node.pending.length);
      node.reportBroken();
      this.#sendSnapshot(node);
      for (const peer of node.sessions.keys()) node.replicate(peer, 4);
      this.checks.check(node);
    }
    for (const message of this.#inFlight.splice(0)) {
      const node = this.#deliver(message);
      if (node !== undefined) this.checks.check(node);
    }
  }

  #act(): ToyNode | undefined {
    const random = this.#random;
    this.#now += 1;
    if (random() < this.#weather.crash) return this.#crashOrRestart();
    if (random() < this.#weather.partition) this.#repartition();
    if (this.changes && random() < 0.02) return this.#change();
    const node = this.nodes[randomInteger(random, 0, this.nodes.length - 1)] as ToyNode;
    const choice = random();
    if (choice < 0.6) return this.#deliverOne();
    if (!node.up) return undefined;
    const peers = [...node.sessions.keys()];
    const peer = peers[randomInteger(random, 0, peers.length - 1)] ?? 0;
    if (choice < 0.7 || random() < this.#weather.haste) this.#tick(node);
    else if (choice < 0.82) node.sync(randomInteger(random, 1, 4));
    else if (choice < 0.94) node.replicate(peer, randomInteger(random, 0, 3));
    else if (choice < 0.955) node.reportBroken();
    else if (choice < 0.958) this.#read(node);
    else if (choice < 0.9585) node.compact();
    else if (choice < 0.9595) return this.#sendSnapshot(node);
    else if (choice < 0.96) node.transfer(randomInteger(random, 1, this.nodes.length));
    else if (choice < 0.962) node.step({ type: 'unreachable', peer });
    else if (choice < 0.964) node.breakSession(peer, node.sessions.get(peer)?.session ?? 0);
    else node.propose(randomInteger(random, 1, 3));
    return node;
  }

  #tick(node: ToyNode): void {
    if (this.#leases && this.#now - (this.#tickedAt.get(node.id) ?? 0) < this.#tickSteps) return;
    this.#tickedAt.set(node.id, this.#now);
    node.tick();
  }

  /** From any set of voters to any other, as far as the leader lets it. */
  #change(): ToyNode | undefined {
    const leaders = this.nodes.filter(({ up, raft }) => up && raft.status().role === 'leader');
    const node = leaders[randomInteger(this.#random, 0, leaders.length - 1)];
    if (node === undefined) return undefined;
    const { voters } = node.raft.status().configuration.configuration;
    const random = this.#random;
    const places = this.nodes.map(({ id }) => {
      const isVoter = voters.includes(id);
      if (random() < 0.6) return isVoter ? 'voter' : 'learner';
      return (['voter', 'learner', 'none'] as const)[randomInteger(random, 0, 2)] ?? 'none';
    });
    if (node.change(places)) this.changed += 1;
    return node;
  }

  #read(node: ToyNode): void {
    this.#reads += 1;
    node.read(this.#reads, this.checks.committed.length);
  }

  /** All of it at once, or not. Returns who changed besides `node`. */
  #sendSnapshot(node: ToyNode): ToyNode | undefined {
    const wanted = node.wanted.shift();
    const peer = this.nodes[(wanted?.peer ?? 0) - 1];
    if (wanted === undefined || peer === undefined) return undefined;
    const ok = peer.up && this.#links.carries(node.id, peer.id);
    const index = node.base;
    if (ok) peer.receive(node);
    node.step({ type: 'snapshotResult', peer: peer.id, index, ok });
    this.checks.check(node);
    return peer;
  }

  #crashOrRestart(): ToyNode | undefined {
    const down = this.nodes.find((node) => !node.up);
    const node = down ?? (this.nodes[randomInteger(this.#random, 0, this.nodes.length - 1)] as ToyNode);
    if (!node.up) node.restart();
    else node.crash(randomInteger(this.#random, 0, node.pending.length));
    return node;
  }

  #repartition(): void {
    const whole = this.#random() < 0.6;
    this.#links = whole ? new Links() : Links.broken(this.#random, this.nodes.length);
  }

  #deliverOne(): ToyNode | undefined {
    const random = this.#random;
    if (this.#inFlight.length === 0) return undefined;
    const any = random() < this.#weather.reorder;
    // A reordering network still delivers what is old more often than what is new.
    const place = any ? Math.floor(random() * random() * this.#inFlight.length) : 0;
    const [message] = this.#inFlight.splice(place, 1);
    if (random() < this.#weather.duplication) this.#inFlight.push(message as PeerMessage);
    return this.#deliver(message as PeerMessage);
  }

  #deliver(message: PeerMessage): ToyNode | undefined {
    const node = this.nodes[message.to - 1] as ToyNode;
    if (!node.up || !this.#links.carries(message.from, message.to)) {
      this.#lose(message);
      return undefined;
    }
    node.step(message);
    return node;
  }

  #post(message: PeerMessage): void {
    if (!this.#healed && this.#random() < this.#weather.loss) this.#lose(message);
    else this.#inFlight.push(message);
  }

  /** A stream has no holes: one that lost something breaks. */
  #lose(message: PeerMessage): void {
    if (message.type === 'append') this.nodes[message.from - 1]?.breakSession(message.to, message.session);
    if (message.type === 'appendReply')
      this.nodes[message.to - 1]?.breakSession(message.from, message.session);
  }

  #seal(batch: ProposedBatch): BatchHeader {
    this.#batches += 1;
    const { term, firstIndex, count, prevTerm, kind } = batch;
    const sealed = { ...header(term, firstIndex, count, prevTerm, kind), checksum: this.#batches };
    if (batch.configuration !== undefined) configurationOf.set(sealed, batch.configuration);
    return sealed;
  }
}

export interface Run {
  terms: number;
  committed: number;
  reads: number;
  leaseReads: number;
  changes: number;
  installed: number;
}

/** A whole run; the error names the seed. Returns what happened, for a look at how much a run really does. */
export function runCluster(seed: number, size: number, steps: number, changes = false): Run {
  const cluster = new Cluster(seed, size, changes);
  try {
    cluster.run(steps);
    const terms = cluster.checks.leaders.size;
    cluster.heal();
    const sum = (count: (node: ToyNode) => number) =>
      cluster.nodes.reduce((all, node) => all + count(node), 0);
    return {
      terms,
      committed: cluster.checks.committed.length,
      reads: sum((node) => node.readsAnswered),
      leaseReads: sum((node) => node.leaseReads),
      changes: cluster.changed,
      installed: sum((node) => node.installed),
    };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const kind = changes ? ', changing' : '';
    throw new Error(`SEED=${seed} (${size} nodes${kind}, ${steps} steps): ${reason}`, { cause: thrown });
  }
}
