import { ErrorCode, RaftlineError } from './errors.js';

/**
 * States what must be true here. Assertions stay on in production: a broken invariant ends the engine before it
 * can lose data. The message names the invariant.
 */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new RaftlineError(ErrorCode.Internal, `invariant broken: ${invariant}`);
}

/** For the `default` of an exhaustive switch: the compiler proves that it cannot be reached. */
export function unreachable(value: never, what: string): never {
  throw new RaftlineError(ErrorCode.Internal, `invariant broken: unknown ${what}: ${JSON.stringify(value)}`);
}
