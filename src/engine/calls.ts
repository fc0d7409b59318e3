import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';
import type { GroupId, NodeId } from '../base/ids.js';
import type { Loop } from './loop.js';
import {
  type ChangeOptions,
  checkRequest,
  type MembersRequest,
  type MembersView,
} from './members-request.js';
import { checkObject, invalid } from './option-checks.js';
import type { Pipelines } from './pipeline.js';
import type { PipelineOptions } from './pipeline-options.js';
import type { Proposals } from './proposals.js';
import type { ReadOptions, ReadPoint } from './reads.js';
import type { Replica } from './replica.js';
import type { Listener, Proposed } from './waiters.js';

/**
 * What callers in this process ask of its groups, between two turns. A refusal is thrown, and is the caller's: then nothing was done. A broken
 * invariant ends the engine as it would in a turn; what a caller gives is looked at before that counts.
 */
export class Calls {
  readonly #loop: Loop;
  readonly #replicas: ReadonlyMap<GroupId, Replica>;
  readonly #pipelines: Pipelines;

  constructor(loop: Loop, replicas: ReadonlyMap<GroupId, Replica>, pipelines: Pipelines) {
    this.#loop = loop;
    this.#replicas = replicas;
    this.#pipelines = pipelines;
  }

  /** Once for every entry, as `append`: no closure, no copy of its own. */
  propose(group: GroupId, bytes: Uint8Array): Promise<Proposed> {
    const proposals = this.#proposalsFor(group, bytes);
    try {
      return proposals.propose(bytes);
    } catch (thrown) {
      throw this.#refused(thrown);
    }
  }

  /** As `propose`, for an entry of which `listener` hears, together with its neighbours. */
  append(group: GroupId, bytes: Uint8Array, listener: Listener): void {
    const proposals = this.#proposalsFor(group, bytes);
    try {
      proposals.append(bytes, listener);
    } catch (thrown) {
      throw this.#refused(thrown);
    }
  }

  /** As `propose`, for several entries of one batch. */
  proposeMany(group: GroupId, entries: readonly Uint8Array[], listener: Listener): void {
    if (!Array.isArray(entries)) throw invalid('entries', 'an array of Uint8Array', entries);
    for (const bytes of entries) checkBytes('entries', bytes);
    this.#guarded(() => this.#replica(group).proposals.proposeMany(entries, listener));
  }

  read(
    group: GroupId,
    options: ReadOptions,
    resolve: (point: ReadPoint) => void,
    reject: (error: Error) => void,
  ): void {
    const { policy } = checkObject('options', options);
    this.#guarded(() => this.#replica(group).read({ policy }, resolve, reject));
  }

  /** Changes the pipeline of one group, or of all: at once, and nothing in flight is lost. */
  tune(group: GroupId | undefined, changes: PipelineOptions): void {
    if (this.#loop.stopped !== undefined) throw this.#loop.stopped;
    this.#pipelines.tune(group, changes);
    this.#guarded(() => {
      const replicas = group === undefined ? this.#replicas.values() : [this.#replica(group)];
      for (const replica of replicas) replica.tune(this.#pipelines);
    });
  }

  transferLeadership(group: GroupId, to: NodeId): void {
    this.#guarded(() => this.#replica(group).transferLeadership(to));
  }

  changeMembers(
    group: GroupId,
    request: MembersRequest,
    options: ChangeOptions,
    resolve: (view: MembersView) => void,
    reject: (error: Error) => void,
  ): void {
    checkRequest(request, options);
    this.#guarded(() => this.#replica(group).members.begin(request, options, resolve, reject));
  }

  #replica(group: GroupId): Replica {
    return this.#replicas.get(group)!;
  }

  /** What a single entry is handed to; a turn will be due. */
  #proposalsFor(group: GroupId, bytes: Uint8Array): Proposals {
    if (this.#loop.stopped !== undefined) throw this.#loop.stopped;
    checkBytes('entry', bytes);
    this.#loop.schedule();
    return this.#replica(group).proposals;
  }

  #guarded(step: () => void): void {
    if (this.#loop.stopped !== undefined) throw this.#loop.stopped;
    try {
      step();
    } catch (thrown) {
      throw this.#refused(thrown);
    }
    this.#loop.schedule();
  }

  #refused(thrown: unknown): RaftlineError {
    const error = toRaftlineError(thrown);
    // A hook of the state machine may be called in a caller's step.
    const fatal = error.code === ErrorCode.Internal || error.code === ErrorCode.StateMachineFailed;
    if (fatal) this.#loop.fail(error);
    return error;
  }
}

function checkBytes(what: string, received: unknown): void {
  if (received instanceof Uint8Array) return;
  const message = `${what}: expected a Uint8Array, received ${typeof received}`;
  throw new RaftlineError(ErrorCode.OptionInvalid, message, { received: typeof received });
}
