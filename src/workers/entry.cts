type Run = typeof import('./run.js', { with: { 'resolution-mode': 'import' }});

/**
 * What the pool loads into a worker: the programs, imported with the first job. The pool `require`s its file, and Node ends the whole process by a fatal
 * error where a worker is ended while an ES module is being linked that was required; one that is imported may be ended at any time (docs/decisions/0006).
 */
const load = (): Promise<Run> => import('./run.js');

const entry: {
  [Job in 'runThread' | 'prepareSegment']: (
    job: Parameters<Run[Job]>[0],
  ) => Promise<Awaited<ReturnType<Run[Job]>>>;
} = {
  runThread: async (task) => (await load()).runThread(task),
  prepareSegment: async (job) => (await load()).prepareSegment(job),
};

export = entry;
