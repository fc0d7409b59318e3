import { ErrorCode, RaftlineError } from '../base/errors.js';
import type { EngineStatus, GroupStatus } from '../engine/status.js';
import { sleep } from './processes.js';

/** How often the nodes are looked at while a run goes on: one that starts anew has counted little by the next look. */
const WATCH_EVERY_MS = 1000;
const LOOK_EVERY_MS = 50;

/** What the nodes say of themselves, by address; undefined: no answer. */
export type Told = ReadonlyMap<string, EngineStatus | undefined>;

type Ask = () => Promise<Told>;

/**
 * Looks at the nodes now and then until some time is over.
 * @returns the last look
 * @throws RaftlineError as `requireUndisturbed`
 */
export async function watched(
  before: Told,
  ms: number,
  groupIds: readonly number[],
  ask: Ask,
): Promise<Told> {
  const endMs = performance.now() + ms;
  let last = before;
  for (;;) {
    await sleep(Math.min(endMs - performance.now(), WATCH_EVERY_MS));
    if (performance.now() >= endMs) return last;
    const now = await ask();
    requireUndisturbed(last, now, groupIds);
    last = now;
  }
}

/**
 * Figures are differences of what the nodes have counted: good for nothing when one has begun to count anew, or others lead.
 * @throws RaftlineError `RAFTLINE_UNREACHABLE` for a node that answered before and is not there any more, or was started anew, `RAFTLINE_NOT_LEADER`
 * for a term that has ended
 */
export function requireUndisturbed(before: Told, now: Told, groupIds: readonly number[]): void {
  for (const [address, was] of before) {
    if (was === undefined) continue;
    const is = now.get(address);
    const expected = `${address}: expected node ${was.id} to run until the measurement ends, received`;
    if (is === undefined) throw new RaftlineError(ErrorCode.Unreachable, `${expected} no answer`);
    if (is.id !== was.id || is.incarnation !== was.incarnation || countsLess(is, was))
      throw new RaftlineError(ErrorCode.Unreachable, `${expected} answers of one that was started anew`);
  }
  for (const group of groupIds) {
    const [was, is] = [termOf(before, group), termOf(now, group)];
    if (is === was) continue;
    const message = `group ${group}: expected the leader of term ${was} until the measurement ends, received term ${is}`;
    throw new RaftlineError(ErrorCode.NotLeader, message, { expected: was, received: is });
  }
}

/** Of what only grows while a process lives; older versions do not tell all of it. */
function countsLess(is: EngineStatus, was: EngineStatus): boolean {
  return is.cpuMs < was.cpuMs || is.disk.syncs < was.disk.syncs || is.encoder.batches < was.encoder.batches;
}

function hosting(told: Told, id: number): { node: number; group: GroupStatus }[] {
  return [...told.values()].flatMap((status) => {
    const group = status?.groups.find((each) => each.group === id);
    return status === undefined || group === undefined ? [] : [{ node: status.id, group }];
  });
}

/** A term has one leader at most. */
function termOf(told: Told, id: number): number {
  return Math.max(0, ...hosting(told, id).map(({ group }) => group.term));
}

/**
 * Every member among the nodes that answer has applied what was committed when this is called, within some time, ms.
 * @throws RaftlineError `RAFTLINE_TIMEOUT` when one has not, otherwise as `requireUndisturbed`
 */
export async function arrivedEverywhere(
  before: Told,
  groupIds: readonly number[],
  ask: Ask,
  withinMs: number,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  const first = await ask();
  for (let now = first; ; now = await ask()) {
    requireUndisturbed(before, now, groupIds);
    const missing = missingOf(first, now, groupIds);
    if (missing === undefined) return;
    if (performance.now() > endMs)
      throw new RaftlineError(ErrorCode.Timeout, `${missing}, in ${withinMs} ms`);
    await sleep(LOOK_EVERY_MS);
  }
}

function missingOf(first: Told, now: Told, groupIds: readonly number[]): string | undefined {
  for (const id of groupIds) {
    const ahead = hosting(first, id).reduce((a, b) => (b.group.commitIndex > a.group.commitIndex ? b : a));
    const { commitIndex, configuration } = ahead.group;
    const members = [...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners];
    for (const status of now.values()) {
      if (status === undefined || !members.includes(status.id)) continue;
      const applied = status.groups.find(({ group }) => group === id)?.appliedIndex ?? 0;
      if (applied < commitIndex)
        return `node ${status.id}: expected all entries of group ${id}, to index ${commitIndex}, received them to ${applied}`;
    }
  }
  return undefined;
}
