/** The remote client: `import { RaftlineClient } from 'raftline/client'`. */
export { ErrorCode, RaftlineError } from '../base/errors.js';
export type { Appender } from './appender.js';
export { type Appended, RaftlineClient } from './client.js';
export type { ChangeOptions, Members } from './members.js';
export type { ClientOptions } from './options.js';
export type { ServerAddresses } from './servers.js';
export type { TailChunk } from './tail.js';
export type { AppendCallback, AppendedRun } from './window.js';
