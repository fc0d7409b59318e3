// Loaded before anything else, in every thread of a node: once the file that RAFTLINE_TEST_HANG names is there, no sync
// returns any more, as with a disk that has gone away.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { fdatasyncSync } = fs;
fs.fdatasyncSync = (fd) => {
  if (fs.existsSync(process.env.RAFTLINE_TEST_HANG))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  fdatasyncSync(fd);
};
syncBuiltinESMExports();
