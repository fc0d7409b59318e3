import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { Incarnation, NodeId } from '../base/ids.js';
import type { Configuration } from '../base/messages.js';
import type { ConfigurationTarget } from '../core/ready.js';
import type { MembersRequest } from './members-request.js';

/** What this node knows of others beside the configuration. */
export interface Known {
  /** Empty where nobody knows. */
  addressOf(id: NodeId): string;
  /** 0: never met. */
  incarnationOf(id: NodeId): Incarnation;
}

/** One step of a change: what the configuration is to become, or undefined where it is so already. */
export interface Step {
  /** Who must be there first, and say with which incarnation. */
  invite?: { id: NodeId; address: string };
  target(current: Configuration): ConfigurationTarget | undefined;
}

/** Turns what is asked for into steps, each a function from the configuration in force to the next one. */
export class MemberSteps {
  readonly #known: Known;

  constructor(known: Known) {
    this.#known = known;
  }

  stepsOf(request: MembersRequest): Step[] {
    switch (request.type) {
      case 'add': {
        const learn = this.#learnStep(request);
        return request.as === 'learner'
          ? [learn]
          : [learn, { target: (current) => this.#promoted(current, request.id) }];
      }
      case 'promote':
        return [{ target: (current) => this.#promoted(current, request.id) }];
      case 'remove':
        return [{ target: (current) => this.#without(current, request.id) }];
      case 'compression':
        return [{ target: (current) => this.#compressing(current, request.level) }];
      case 'set':
        return [{ target: (current) => this.#exactly(current, request) }];
    }
  }

  /** A new member begins as a learner; one that is there already may get another address. */
  #learnStep({ id, address }: { id: NodeId; address: string }): Step {
    return {
      invite: { id, address },
      target: (current) => {
        const isMember = current.voters.includes(id) || current.learners.includes(id);
        if (isMember && this.#known.addressOf(id) === address) return undefined;
        const learners = isMember ? current.learners : [...current.learners, id];
        const next = this.#filled(current, current.voters, learners);
        return {
          ...next,
          addresses: [...next.addresses.filter((member) => member.id !== id), { id, address }],
        };
      },
    };
  }

  #promoted(current: Configuration, id: NodeId): ConfigurationTarget | undefined {
    if (current.voters.includes(id)) return undefined;
    if (!current.learners.includes(id)) throw invalid(`node ${id} is no learner`);
    return this.#filled(
      current,
      [...current.voters, id],
      current.learners.filter((other) => other !== id),
    );
  }

  #without(current: Configuration, id: NodeId): ConfigurationTarget | undefined {
    const others = (ids: NodeId[]): NodeId[] => ids.filter((other) => other !== id);
    const [voters, learners] = [others(current.voters), others(current.learners)];
    if (voters.length === current.voters.length && learners.length === current.learners.length)
      return undefined;
    if (voters.length === 0) throw invalid(`node ${id} is the last voter`);
    return this.#filled(current, voters, learners);
  }

  #exactly(
    current: Configuration,
    next: { voters: readonly NodeId[]; learners: readonly NodeId[] },
  ): ConfigurationTarget | undefined {
    const { voters, learners } = next;
    const stranger = [...voters, ...learners].find(
      (id) => !current.voters.includes(id) && !current.learners.includes(id),
    );
    if (stranger !== undefined) throw invalid(`node ${stranger} is no member; add it first`);
    if (isSame(voters, current.voters) && isSame(learners, current.learners)) return undefined;
    return this.#filled(current, [...voters], [...learners]);
  }

  #compressing(current: Configuration, level: number): ConfigurationTarget | undefined {
    if (level === current.compressionLevel) return undefined;
    const { voters, learners } = current;
    return { ...this.#filled(current, [...voters], [...learners]), compressionLevel: level };
  }

  /** With what this leader knows of its members and the configuration does not say yet. */
  #filled(current: Configuration, voters: NodeId[], learners: NodeId[]) {
    const ids = [...current.voters, ...learners];
    const isPinned = (id: NodeId): boolean =>
      current.incarnations.some((member) => member.id === id && member.incarnation !== 0);
    const incarnations = ids
      .filter((id) => !isPinned(id))
      .map((id) => ({ id, incarnation: this.#known.incarnationOf(id) }));
    const addresses = ids
      .map((id) => ({ id, address: this.#known.addressOf(id) }))
      .filter(({ address }) => address !== '');
    return { voters, learners, incarnations, addresses, compressionLevel: current.compressionLevel };
  }
}

function invalid(reason: string): RaftlineError {
  return new RaftlineError(ErrorCode.MemberInvalid, `change of members: ${reason}`, { reason });
}

function isSame(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
