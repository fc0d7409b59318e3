import { parentPort } from 'node:worker_threads';
import type { ScenarioOptions } from './scenario.js';
import { runSeed } from './simulation.js';

/** A thread that runs the seeds it is given, one at a time. */
const port = parentPort!;
// Refusals are errors, and many; a run that failed is run again to be told, in another thread, with all its stacks.
Error.stackTraceLimit = 0;
port.on('message', async (options: ScenarioOptions) => port.postMessage(await runSeed(options)));
