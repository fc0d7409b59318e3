import { ErrorCode, RaftlineError } from '../../src/base/errors.js';
import type { GroupId } from '../../src/base/ids.js';
import type { Configuration, ConfigurationAt } from '../../src/base/messages.js';
import type { ChangeOptions, MembersRequest, MembersView } from '../../src/engine/members-request.js';
import { must } from './broken.js';
import type { Chance } from './chance.js';
import type { SimNode } from './node.js';
import { addressOf } from './node-config.js';
import type { Scheduler } from './scheduler.js';

/** What an operator does to the members of a group. */
export const MEMBER_CHANGES = [
  'addLearner',
  'addVoter',
  'promoteLearner',
  'removeMember',
  'removeLeader',
  'exchangeSet',
  'loseDirectory',
] as const;
/** The same door, and nobody comes or goes. */
export const COMPRESSION_CHANGE = 'compressionLevel';
export type MemberChange = (typeof MEMBER_CHANGES)[number] | typeof COMPRESSION_CHANGE;

export interface OperatorParts {
  group: GroupId;
  scheduler: Scheduler;
  nodes: readonly SimNode[];
  /** No other group shares the directories: they may be lost. */
  alone: boolean;
  /** Every configuration that was committed up to now, in their order. */
  committed: readonly ConfigurationAt[];
  fail: (thrown: unknown) => void;
}

/**
 * Changes the members of one group as an operator would who reads the documentation: asks whoever leads, gives a removed node an empty
 * directory before it is added again, and first of all removes a member that has lost its directory.
 */
export class MemberOperator {
  /** Changes that came into force, and that were refused. */
  done = 0;
  /** Members that have lost their directories. */
  #lost = 0;
  refused = 0;
  /** Changes without an answer. */
  open = 0;
  readonly #parts: OperatorParts;
  /** Index of a configuration → where the one stands that took its place by compare-and-set. */
  readonly #replaced = new Map<number, number>();

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  get group(): GroupId {
    return this.#parts.group;
  }

  /** False: it makes no sense now. */
  do(kind: MemberChange, forMs: number, chance: Chance): boolean {
    const leader = this.#parts.nodes.find((node) => node.leads(this.#parts.group));
    if (leader === undefined || leader.mainStalledMs() > 0) return false;
    const view = leader.replica(this.#parts.group).members.view();
    const lost = this.#parts.nodes.find((node) => hasLost(view, node));
    if (kind === 'loseDirectory') return lost === undefined && this.#loseDirectory(view, forMs, chance);
    const request = lost === undefined ? this.#request(kind, leader, view, chance) : remove(lost.id);
    if (request === undefined) return false;
    this.#change(leader, view, request, chance);
    return true;
  }

  #request(
    kind: Exclude<MemberChange, 'loseDirectory'>,
    leader: SimNode,
    view: MembersView,
    chance: Chance,
  ): MembersRequest | undefined {
    const others = [...view.voters, ...view.learners].filter((id) => id !== leader.id);
    switch (kind) {
      case 'addLearner':
      case 'addVoter':
        return this.#add(kind === 'addVoter' ? 'voter' : 'learner', view, chance);
      case 'promoteLearner':
        return view.learners.length === 0 ? undefined : { type: 'promote', id: chance.pick(view.learners) };
      case 'removeMember':
        return others.length === 0 ? undefined : remove(chance.pick(others));
      case 'removeLeader':
        return view.voters.length < 2 ? undefined : remove(leader.id);
      case 'compressionLevel':
        return { type: 'compression', level: chance.integer(0, 2) };
      case 'exchangeSet': {
        const mixed = chance.shuffled([...view.voters, ...view.learners]);
        const count = chance.integer(1, mixed.length);
        const learners = mixed.slice(count).filter(() => chance.chance(0.5));
        return { type: 'set', voters: mixed.slice(0, count), learners };
      }
    }
  }

  #add(as: 'voter' | 'learner', view: MembersView, chance: Chance): MembersRequest | undefined {
    const strangers = this.#parts.nodes.filter(({ id }) => !isIn(view, id));
    if (strangers.length === 0) return undefined;
    const node = chance.pick(strangers);
    // Whoever was a member once comes back as somebody new; at times it is tried as it is, which must be refused (H60).
    if (node.durable(this.#parts.group).lastIndex > 0 && !chance.chance(0.2)) {
      if (!this.#mayBeReplaced(view, node)) return undefined;
      node.giveNewDirectory(true);
      node.boot();
    }
    return { type: 'add', id: node.id, address: addressOf(node.id), as };
  }

  #change(leader: SimNode, view: MembersView, request: MembersRequest, chance: Chance): void {
    const { group, scheduler, fail } = this.#parts;
    const expectedIndex = chance.chance(0.5) ? view.index : chance.chance(0.2) ? view.index - 1 : undefined;
    const options: ChangeOptions = { timeoutMs: chance.pick([500, 3000, 10_000]) };
    if (expectedIndex !== undefined) options.expectedIndex = Math.max(0, expectedIndex);
    const revives = this.#revives(view, request);
    scheduler.say(
      'member',
      `group ${group}: ${tellRequest(request)} expecting ${expectedIndex ?? 'any'} on ${leader.host}`,
    );
    const refused = (error: unknown): void => {
      this.refused++;
      if (!(error instanceof RaftlineError) || error.code === ErrorCode.Internal) throw error;
      scheduler.say('member', `${tellRequest(request)}: ${error.message}`);
    };
    const over = (end: () => void): void => {
      this.open--;
      try {
        end();
      } catch (thrown) {
        fail(thrown);
      }
    };
    this.open++;
    try {
      leader.turn!.calls.changeMembers(
        group,
        request,
        options,
        (now) =>
          over(() => {
            this.done++;
            scheduler.say('member', `group ${group}: ${tellRequest(request)}: done at ${now.index}`);
            must(!revives, () => `removed node ${tellRequest(request)} was taken as it was`);
            this.#checkDone(request, view.index, now, options.expectedIndex);
          }),
        (error) => over(() => refused(error)),
      );
    } catch (thrown) {
      over(() => refused(thrown));
    }
  }

  /**
   * It is as was asked for; or it was, since `askedIndex` was in force: whoever asked a leader that was cut off hears of it when others have changed
   * more.
   */
  #checkDone(
    request: MembersRequest,
    askedIndex: number,
    now: MembersView,
    expectedIndex: number | undefined,
  ): void {
    const since = this.#parts.committed.filter(({ index }) => index > askedIndex && index < now.index);
    const was = since.some(({ configuration }) => isAsAsked(request, configuration));
    must(
      was || (now.committed && isAsAsked(request, now)),
      () => `${tellRequest(request)} was said to be done, and ${tellView(now)} is in force`,
    );
    if (expectedIndex === undefined || now.index === expectedIndex) return;
    // H63: of two changes that were computed from the same configuration only one came about.
    const other = this.#replaced.get(expectedIndex);
    must(other === undefined, () => `the configuration at ${expectedIndex} was replaced twice`);
    this.#replaced.set(expectedIndex, now.index);
  }

  /** Whether the request is to take in, as it is, somebody who was removed for good. */
  #revives(view: MembersView, request: MembersRequest): boolean {
    if (request.type !== 'add') return false;
    const node = this.#parts.nodes.find(({ id }) => id === request.id)!;
    return view.removed.some((gone) => gone.id === node.id && gone.incarnation === node.incarnation);
  }

  /** A member loses all that it has on disk, and is started again as if it were new: its peers must refuse it (H61). */
  #loseDirectory(view: MembersView, forMs: number, chance: Chance): boolean {
    const { scheduler } = this.#parts;
    const { length } = view.voters;
    const id = chance.pick(view.voters);
    const node = this.#parts.nodes.find((each) => each.id === id)!;
    // The others must be a quorum without it.
    if (2 * (length - 1) <= length || !this.#mayBeReplaced(view, node)) return false;
    scheduler.say('member', `${node.host} loses its directory`);
    // Only the first as a founder, by mistake: two such might take each other for the whole cluster.
    const join = chance.chance(0.5) || this.#lost > 0;
    this.#lost++;
    node.giveNewDirectory(join);
    scheduler.after(forMs, () => node.boot());
    return true;
  }

  /**
   * Whether everybody would notice that there is somebody new under the id of `node`: members have what is in force on disk, no change is
   * under way, and whoever has ever had a log knows what `node` came as. (`docs/membership.md`: who is away may not use an id anew.)
   */
  #mayBeReplaced(view: MembersView, node: SimNode): boolean {
    const { group, nodes, alone } = this.#parts;
    if (!alone || this.open > 0 || node.incarnation === 0) return false;
    if (!view.committed || view.votersOutgoing.length > 0) return false;
    return nodes.every((other) => {
      const { lastIndex } = other.durable(group);
      if (other === node || lastIndex === 0) return true;
      if (!other.up) return false;
      const own = other.replica(group).members.view();
      const isCurrent = own.index === view.index && own.committed && lastIndex >= view.index;
      const knows = [...own.members, ...own.removed].some(
        ({ id, incarnation }) => id === node.id && incarnation === node.incarnation,
      );
      return knows && (isCurrent || !isIn(view, other.id));
    });
  }
}

/** A member has lost its directory, and is somebody else now. */
export function hasLost({ members }: MembersView, { id, incarnation }: SimNode): boolean {
  const known = members.find((member) => member.id === id)?.incarnation ?? 0;
  return known !== 0 && known !== incarnation;
}

const remove = (id: number): MembersRequest => ({ type: 'remove', id });

function isIn(
  { voters, votersOutgoing, learners }: Pick<MembersView, 'voters' | 'votersOutgoing' | 'learners'>,
  id: number,
): boolean {
  return voters.includes(id) || votersOutgoing.includes(id) || learners.includes(id);
}

function isAsAsked(
  request: MembersRequest,
  current: Pick<Configuration, 'voters' | 'votersOutgoing' | 'learners' | 'compressionLevel'>,
): boolean {
  const { voters, votersOutgoing, learners, compressionLevel } = current;
  if (votersOutgoing.length > 0) return false;
  switch (request.type) {
    case 'compression':
      return compressionLevel === request.level;
    case 'remove':
      return !isIn(current, request.id);
    case 'set':
      return isSame(voters, request.voters) && isSame(learners, request.learners);
    case 'promote':
      return voters.includes(request.id);
    case 'add':
      return voters.includes(request.id) || (request.as === 'learner' && learners.includes(request.id));
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}

function tellRequest(request: MembersRequest): string {
  if (request.type === 'compression') return `compression level ${request.level}`;
  if (request.type !== 'set')
    return `${request.type}${'as' in request ? ` ${request.as}` : ''} n${request.id}`;
  return `set voters ${request.voters.join(',')} learners ${request.learners.join(',')}`;
}

export function tellView({ index, voters, votersOutgoing, learners, committed }: MembersView): string {
  const joint = votersOutgoing.length > 0 ? ` joint with ${votersOutgoing.join(',')}` : '';
  return `voters ${voters.join(',')}${joint} learners ${learners.join(',')} at ${index}${committed ? '' : ', not committed'}`;
}
