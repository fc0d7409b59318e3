import { type NodeId, U32_MAX } from '../base/ids.js';
import { checkRow, invalid } from './option-checks.js';
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
  const { followers, ...own } = objectAt(path, given);
  const checked: PipelineOptions = checkNames(path, own, [...rows.keys()]);
  if (followers === undefined) return checked;
  const byId: Record<NodeId, FollowerPipelineOptions> = {};
  for (const [key, settings] of Object.entries(objectAt(`${path}.followers`, followers))) {
    const id = Number(key);
    const at = `${path}.followers.${key}`;
    if (!Number.isSafeInteger(id) || id < 1 || id > U32_MAX)
      throw invalid(at, `an id from 1 to ${U32_MAX}`, key);
    byId[id] = checkNames(at, objectAt(at, settings), FOLLOWER_NAMES);
  }
  return { ...checked, followers: byId };
}

function objectAt(path: string, given: unknown): Record<string, unknown> {
  if (typeof given === 'object' && given !== null && !Array.isArray(given))
    return given as Record<string, unknown>;
  throw invalid(path, 'an object', given);
}

function checkNames(path: string, given: Record<string, unknown>, names: readonly string[]): object {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name)) throw invalid(`${path}.${name}`, `one of ${names.join(', ')}`, value);
    if (value !== undefined) checked[name] = checkRow(rows.get(name)!, value, `${path}.${name}`);
  }
  return checked;
}
