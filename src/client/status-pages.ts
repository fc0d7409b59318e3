import { type GroupId, U32_MAX } from '../base/ids.js';
import { HOSTED_GROUPS_MAX } from '../base/limits.js';

/** What is looked at of an answer that leaves groups out. */
interface Page {
  readonly groups: readonly { readonly group: GroupId }[];
  readonly groupsLeftOut?: number;
}

/** Puts together what a node says of itself, in as many messages as its groups take. The first one says all but the rest of the groups. */
export class StatusPages {
  #whole: unknown;
  #asked: GroupId = 0;

  get whole(): unknown {
    return this.#whole;
  }

  /** Takes an answer in. Returns from which group on to ask again; undefined: that was all, or all that the node will tell. */
  take(answer: unknown): GroupId | undefined {
    const isFirst = this.#asked === 0;
    if (isFirst) this.#whole = answer;
    // Nodes of earlier builds begin anew at every question.
    if (!isPage(answer, this.#asked)) return undefined;
    if (!isFirst) this.#append(answer);
    const { groups, groupsLeftOut = 0 } = this.#whole as Page;
    const last = answer.groups.at(-1)?.group ?? U32_MAX;
    if (groupsLeftOut === 0 || last === U32_MAX || groups.length >= HOSTED_GROUPS_MAX) return undefined;
    this.#asked = last + 1;
    return this.#asked;
  }

  #append({ groups, groupsLeftOut }: Page): void {
    const { groupsLeftOut: _before, ...whole } = this.#whole as Page;
    const left = groupsLeftOut === undefined ? {} : { groupsLeftOut };
    this.#whole = { ...whole, groups: [...whole.groups, ...groups], ...left };
  }
}

/** Whether its groups have growing ids, `from` or more, so that it is known where to go on. */
function isPage(answer: unknown, from: GroupId): answer is Page {
  if (typeof answer !== 'object' || answer === null) return false;
  const { groups, groupsLeftOut = 0 } = answer as Partial<Page>;
  if (!Array.isArray(groups) || !Number.isSafeInteger(groupsLeftOut)) return false;
  let least = from;
  for (const each of groups as (Page['groups'][number] | null)[]) {
    const group = each?.group;
    if (!Number.isSafeInteger(group) || group! < least || group! > U32_MAX) return false;
    least = group! + 1;
  }
  return true;
}
