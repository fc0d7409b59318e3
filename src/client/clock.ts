/** Time as the client sees it. Tests bring their own; this file holds the only timer of the client. */
export interface ClientClock {
  /** Milliseconds that only grow; where they begin means nothing. */
  now(): number;
  /** Calls `run` once, no earlier than after `delayMs`. Returns what takes it back; taking it back late or twice is fine. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: ClientClock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
