/** One entry in so many has its latency taken; a prime, so that it falls on every place of a batch. */
const SAMPLED = 61;
const LATENCIES_MAX = 1 << 20;

/**
 * A closed loop: a fixed number of proposals is outstanding; whenever one is done the next is proposed, one promise
 * each. Engine and pipe are driven by this same code.
 */
export class ClosedLoop {
  completed = 0;
  /** Proposals that were refused as overloaded, and proposed again. */
  overloaded = 0;
  /** @type {Error | undefined} */
  failure = undefined;
  #propose;
  #pool;
  #outstanding;
  #entriesMax;
  #next = 0;
  #started = 0;
  #untilSample = SAMPLED;
  #latencies = new Float64Array(LATENCIES_MAX);
  #sampled = 0;
  #stopping = false;
  #finished = () => {};
  #done;
  #failed;

  /**
   * @param {{ propose: (bytes: Buffer) => Promise<unknown>, pool: Buffer[], outstanding: number, entriesMax?: number }} parts
   */
  constructor({ propose, pool, outstanding, entriesMax = Number.POSITIVE_INFINITY }) {
    this.#propose = propose;
    this.#pool = pool;
    this.#outstanding = outstanding;
    this.#entriesMax = entriesMax;
    this.ended = new Promise((resolve) => {
      this.#finished = resolve;
    });
    // Shared by all proposals: a closure for each would be the benchmark's cost, not the engine's.
    this.#done = () => {
      this.completed++;
      this.#go();
    };
    this.#failed = (error) => this.#refused(error);
  }

  start() {
    for (let at = 0; at < this.#outstanding; at++) this.#go();
  }

  /** Proposes nothing more; `ended` resolves when everything outstanding is done. */
  stop() {
    this.#stopping = true;
    this.#maybeFinish();
  }

  forgetLatencies() {
    this.#sampled = 0;
  }

  /** @returns {{ p50Ms: number, p99Ms: number, samples: number }} */
  latencies() {
    const sorted = this.#latencies.slice(0, this.#sampled).sort();
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return { p50Ms: at(0.5), p99Ms: at(0.99), samples: sorted.length };
  }

  #go() {
    if (this.#stopping || this.#started >= this.#entriesMax) {
      this.#maybeFinish();
      return;
    }
    this.#started++;
    const bytes = this.#pool[this.#next];
    this.#next = this.#next + 1 === this.#pool.length ? 0 : this.#next + 1;
    if (--this.#untilSample > 0) this.#propose(bytes).then(this.#done, this.#failed);
    else this.#goSampled(bytes);
  }

  #goSampled(bytes) {
    this.#untilSample = SAMPLED;
    const startedMs = performance.now();
    this.#propose(bytes).then(() => {
      if (this.#sampled < LATENCIES_MAX) this.#latencies[this.#sampled++] = performance.now() - startedMs;
      this.#done();
    }, this.#failed);
  }

  #refused(error) {
    this.#started--;
    if (error?.code === 'RAFTLINE_OVERLOADED' && !this.#stopping) {
      this.overloaded++;
      setImmediate(() => this.#go());
      return;
    }
    this.failure ??= error;
    this.stop();
  }

  #maybeFinish() {
    const over = this.#stopping || this.#started >= this.#entriesMax;
    if (over && this.completed >= this.#started) this.#finished();
  }
}
