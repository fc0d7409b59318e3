/** A promise of Raft or of the engine was broken; the message says which. */
export class Broken extends Error {}

export function must(holds: boolean, promise: () => string): asserts holds {
  if (!holds) throw new Broken(promise());
}
