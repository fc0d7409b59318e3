import { parentPort } from 'node:worker_threads';
import type { ScenarioOptions } from './scenario.js';
import { runSeed } from './simulation.js';

/** A thread that runs the seeds it is given, one at a time. */
const port = parentPort!;
port.on('message', async (options: ScenarioOptions) => port.postMessage(await runSeed(options)));
