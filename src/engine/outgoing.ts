/** Tries to hand something over; false: there is no room now. */
export type Attempt = () => boolean;

/**
 * What main has decided and could not yet hand over because a ring was full, in order. While anything is in it main
 * takes nothing new in, so it holds no more than one input's worth of output.
 */
export class Outgoing {
  #blocked: Attempt[] = [];

  /** Hands over now, or after all that is blocked. */
  push(attempt: Attempt): void {
    if (this.#blocked.length > 0 || !attempt()) this.#blocked.push(attempt);
  }

  /** True: nothing is blocked any more. */
  flush(): boolean {
    let done = 0;
    for (const attempt of this.#blocked) {
      if (!attempt()) break;
      done++;
    }
    if (done > 0) this.#blocked.splice(0, done);
    return this.#blocked.length === 0;
  }

  get blocked(): boolean {
    return this.#blocked.length > 0;
  }
}
