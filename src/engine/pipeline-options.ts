import { type NodeId, U32_MAX } from '../base/ids.js';
import { checkObject, checkRow, invalid } from './option-checks.js';
import { type OptionRow, optionTable } from './option-table.js';

/** What of the pipeline may be set for one follower alone. */
export interface FollowerPipelineOptions {
  depth?: number | 'auto';
  inflightBytesMax?: number;
  catchUpBytesPerSecond?: number;
}

/**
 * How a leader pipelines: for the engine, over that for a group, over both for single followers. What is left out is as one
 * level further out has it; limits and defaults stand in docs/options.md.
 */
export interface PipelineOptions extends FollowerPipelineOptions {
  batchBytesMax?: number;
  batchEntriesMax?: number;
  lingerUs?: number;
  /** By node id. */
  followers?: Readonly<Record<number, FollowerPipelineOptions>>;
}

/** Followers that may have settings of their own, in the engine's and in each group's. */
const FOLLOWERS_MAX = 1024;
const FOLLOWER_NAMES = ['depth', 'inflightBytesMax', 'catchUpBytesPerSecond'];
const rows: ReadonlyMap<string, OptionRow> = new Map(
  optionTable
    .filter(({ path }) => path.startsWith('pipeline.'))
    .map((row) => [row.path.slice('pipeline.'.length), row]),
);

/**
 * Checks settings of the pipeline that stand at `path`; none need be there. Returns a copy that has only what was given.
 * @throws RaftlineError `RAFTLINE_OPTION_INVALID` with `path`, `expected` and `received` of the first fault
 */
export function checkPipeline(path: string, given: unknown): PipelineOptions {
  const { followers, ...own } = settingsAt(path, given);
  const checked: PipelineOptions = checkNames(path, own, [...rows.keys()]);
  if (followers === undefined) return checked;
  const byId: Record<NodeId, FollowerPipelineOptions> = {};
  for (const [key, settings] of Object.entries(settingsAt(`${path}.followers`, followers))) {
    const id = Number(key);
    const at = `${path}.followers.${key}`;
    if (!Number.isSafeInteger(id) || id < 1 || id > U32_MAX)
      throw invalid(at, `an id from 1 to ${U32_MAX}`, key);
    byId[id] = checkNames(at, settingsAt(at, settings), FOLLOWER_NAMES);
  }
  checkFollowers(path, byId);
  return { ...checked, followers: byId };
}

function settingsAt(path: string, given: unknown): Record<string, unknown> {
  return checkObject(path, given as Record<string, unknown>);
}

/** The settings of a group, all of them, go to another thread in one record. */
export function checkFollowers(path: string, followers: PipelineOptions['followers'] = {}): void {
  const count = Object.keys(followers).length;
  if (count > FOLLOWERS_MAX) throw invalid(`${path}.followers`, `at most ${FOLLOWERS_MAX} followers`, count);
}

function checkNames(path: string, given: Record<string, unknown>, names: readonly string[]): object {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name)) throw invalid(`${path}.${name}`, `one of ${names.join(', ')}`, value);
    if (value !== undefined) checked[name] = checkRow(rows.get(name)!, value, `${path}.${name}`);
  }
  return checked;
}
