import { addedNodesRow } from './added-nodes.mjs';
import { latencyRow, throughputRows } from './against-pipe.mjs';
import { autoDepthRow } from './auto-depth.mjs';
import { catchingUpRow } from './catching-up.mjs';
import { eventLoopRow } from './event-loop.mjs';
import { soakRow } from './soak.mjs';
import { stoppedFollowerRow } from './stopped-follower.mjs';

/**
 * A figure of a row: `low` and `high` are its spread over the runs. `missing` says instead why there is none.
 * @typedef {{ name: string, value: number, low: number, high: number, met: boolean } | { name: string, missing: string, met: false }} Figure
 */

/**
 * What the engine is to reach. `run` measures one row; it prints what it sees by `context.output`, makes processes and directories by
 * `context.workspace` and settings by `context.settings`, and returns its figures, the settings that stand beside them, lines that
 * must be read with them, and all that was measured.
 * @typedef {object} Row
 * @property {string} name
 * @property {string} measure
 * @property {string} target
 * @property {string[]} own flags that it takes no notice of, since it has a value of its own or none
 * @property {string[]} [codecs] all that it can be measured with
 * @property {(context: Context) => Promise<{ figures: Figure[], settings: import('../../dist/bench/settings.js').BenchSettings, beside: string[], data: unknown }>} run
 */

/**
 * @typedef {object} Context
 * @property {import('../../dist/cli/output.js').Output} output
 * @property {import('../../dist/bench/processes.js').Workspace} workspace
 * @property {number} runs interleaved ones, of each side
 * @property {number} minutes of rows that take long
 * @property {number | undefined} rate entries a second, instead of the row's own
 * @property {number | 'auto' | undefined} depth instead of the row's own
 * @property {number | undefined} seconds measured of each run, instead of the row's own
 * @property {(point: object) => import('../../dist/bench/settings.js').BenchSettings} settings what is not given is as the flags say
 */

/** @type {Row[]} */
export const ROWS = [
  ...throughputRows,
  latencyRow,
  stoppedFollowerRow,
  catchingUpRow,
  autoDepthRow,
  addedNodesRow,
  eventLoopRow,
  soakRow,
];
