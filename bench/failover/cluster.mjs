import { freePorts } from '../../dist/bench/free-ports.js';
import { sleep, until } from '../../dist/bench/processes.js';

const HEALTHY_TIMEOUT_MS = 60_000;
const NEW_LEADER_TIMEOUT_MS = 60_000;

/** Real processes over loopback with real files, whose leader can be killed and started again. */
export class Cluster {
  #workspace;
  #election;
  #directories;
  #peers;
  /** @type {Map<number, any>} */
  #nodes = new Map();

  static async start({ nodes, election }, workspace) {
    const cluster = new Cluster();
    const ids = Array.from({ length: nodes }, (_, at) => at + 1);
    const ports = await freePorts(nodes);
    cluster.#workspace = workspace;
    cluster.#election = election;
    cluster.#peers = Object.fromEntries(ids.map((id, at) => [id, `127.0.0.1:${ports[at]}`]));
    cluster.#directories = new Map(ids.map((id) => [id, workspace.directory(`node-${id}`)]));
    await Promise.all(ids.map((id) => cluster.open(id)));
    return cluster;
  }

  get addresses() {
    return this.#peers;
  }

  async open(id) {
    const node = this.#workspace.fork(`node-${id}`, new URL('./node.mjs', import.meta.url).href);
    this.#nodes.set(id, node);
    const directory = this.#directories.get(id);
    await node.ask('open', { id, directory, peers: this.#peers, election: this.#election });
  }

  /** Waits until all nodes follow one leader, who streams to all of them and has committed everything it began with. */
  healthyLeader() {
    return until('a healthy cluster', HEALTHY_TIMEOUT_MS, async () => {
      const groups = await Promise.all([...this.#nodes.values()].map((node) => node.ask('status')));
      const ids = [...this.#nodes.keys()];
      const at = groups.findIndex(({ role }) => role === 'leader');
      if (at < 0 || groups.some(({ leader, term }) => leader !== ids[at] || term !== groups[at].term))
        return undefined;
      const { followers, commitIndex } = groups[at];
      const streaming = followers.every(({ state, connected, match }) => {
        return state === 'replicate' && connected && match >= commitIndex - 1000;
      });
      return streaming ? ids[at] : undefined;
    });
  }

  /** SIGKILL. @returns when, on the clock that all processes share */
  kill(id) {
    const atMs = performance.timeOrigin + performance.now();
    this.#nodes.get(id).signal('SIGKILL');
    return atMs;
  }

  /** What the survivors noted from `sinceMs` on, in the order of time, once one of them has led and committed. */
  async nextLeader(killed, sinceMs) {
    return until('a new leader', NEW_LEADER_TIMEOUT_MS, async () => {
      const survivors = [...this.#nodes].filter(([id]) => id !== killed);
      const notes = await Promise.all(
        survivors.map(async ([node, child]) => (await child.ask('marks')).map((mark) => ({ node, ...mark }))),
      );
      const since = notes.flat().filter(({ atMs }) => atMs >= sinceMs);
      since.sort((a, b) => a.atMs - b.atMs);
      return since.some(({ what }) => what === 'committed') ? since : undefined;
    });
  }

  async restart(id) {
    await this.#workspace.close([this.#nodes.get(id)], []);
    await sleep(100);
    await this.open(id);
  }

  async close() {
    await this.#workspace.close([...this.#nodes.values()], [...this.#directories.values()]);
  }
}
