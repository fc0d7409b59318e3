import { sleep } from '../../dist/bench/processes.js';
import { RaftlineClient } from '../../dist/client/index.js';

const PULSE_MS = 5;

/** A client of its own process that appends numbered lines at a rate, without pause, and knows when who acknowledged them. */
export class Writer {
  client;
  #rate;
  #lineBytes;
  #running = true;
  #failure;
  /** Tries at servers that could not be used. */
  retries = 0;
  acknowledged = 0;
  /** Entries that had been applied before the request whose answer told so: retries that the cluster turned away. */
  duplicates = 0;
  /** The node that acknowledged last, and when. */
  newest = { leader: 0, atMs: 0 };

  constructor({ addresses, rate, lineBytes }) {
    this.#rate = rate;
    this.#lineBytes = lineBytes;
    this.client = new RaftlineClient({
      servers: addresses,
      timeoutMs: 60_000,
      onRetry: () => this.retries++,
    });
    this.ended = this.#run();
  }

  get outstanding() {
    return this.client.appender.outstanding;
  }

  /** Waits for an acknowledgement by another leader than `killed`. @returns when it came */
  async acknowledgedByAnother(killed) {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const { leader, atMs } = this.newest;
      if (leader !== killed && leader !== 0) return atMs;
      await sleep(1);
    }
  }

  async stop() {
    this.#running = false;
    await this.ended;
    this.client.close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #run() {
    const { appender } = this.client;
    const line = Buffer.alloc(this.#lineBytes, 'line ');
    const lines = (this.#rate * PULSE_MS) / 1000;
    const answered = (error, { count, duplicate }) => {
      this.#failure ??= error;
      if (duplicate) this.duplicates += count;
      this.acknowledged += count;
      const { leader } = this.client;
      if (leader !== this.newest.leader)
        this.newest = { leader, atMs: performance.timeOrigin + performance.now() };
    };
    for (let owed = 0; this.#running && this.#failure === undefined; owed += lines) {
      for (; owed >= 1; owed--) {
        while (!appender.append(line, answered)) await appender.drained();
      }
      await sleep(PULSE_MS);
    }
    await appender.settled();
  }
}
