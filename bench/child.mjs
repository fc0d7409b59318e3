import { rmSync } from 'node:fs';

const RSS_EVERY_MS = 100;

/**
 * The child's end of a benchmark's process: answers what the parent asks, one reply for each. Dies with its parent and takes
 * its directory along.
 *
 * @param {Record<string, (args: any) => unknown>} handlers by what is asked
 */
export function serveParent(handlers) {
  let directory;
  process.on('message', async ({ id, ask, args }) => {
    if (args?.directory !== undefined) directory = args.directory;
    try {
      process.send?.({ id, reply: await handlers[ask](args) });
    } catch (thrown) {
      process.send?.({ id, error: thrown?.stack ?? String(thrown) });
    }
  });
  // The parent decides what Ctrl-C means; without a parent there is nobody to clean up.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    process.exit(0);
  });
  let rssMax = 0;
  setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss());
  }, RSS_EVERY_MS).unref();
  return { rssMax: () => rssMax };
}

/** What any process knows of itself now. */
export function ownSample() {
  const { user, system } = process.cpuUsage();
  return { atMs: performance.now(), cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() };
}
