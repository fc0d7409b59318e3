import { readFile } from 'node:fs/promises';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { U32_MAX } from '../base/ids.js';
import { Engine } from '../engine/engine.js';
import type { EngineOptions } from '../engine/options.js';
import type { StateMachine } from '../engine/state-machine.js';
import { Arguments, type CommandShape, GROUP_FLAG, usageError } from './arguments.js';
import { ExitCode, fileError, oneLine } from './failure.js';
import { note, Output } from './output.js';
import { TraceFile } from './trace-file.js';

export const serveShape: CommandShape = {
  name: 'serve',
  summary: 'runs one member of a cluster',
  flags: [
    {
      name: 'id',
      value: 'ID',
      help: "this member's id, 1 to 4294967295; never reused for another directory",
    },
    { name: 'cluster', value: 'NAME', help: 'name of the cluster, the same for all members' },
    {
      name: 'listen',
      value: 'HOST:PORT',
      help: "where to listen (default: this id's --peer, else any free port)",
    },
    {
      name: 'peer',
      value: 'ID=HOST:PORT',
      repeated: true,
      help: 'a member; at the first start these are the cluster',
    },
    { name: 'data', value: 'DIR', help: 'directory of the log; one process at a time' },
    {
      name: 'config',
      value: 'FILE',
      help: 'JSON object of engine options (docs/options.md); flags go before it',
    },
    { ...GROUP_FLAG, help: 'replication group to host (default 1)' },
    {
      name: 'trace',
      value: 'FILE',
      help: 'append every transition of Raft to this file, one JSON object a line (docs/trace.md)',
    },
    { name: 'join', help: 'begin with an empty log and wait to be added (member add)' },
    { name: 'insecure', help: 'allow listening beyond loopback without TLS' },
    { name: 'help', help: 'show this' },
  ],
  notes: [
    'Prints one line {"event":"ready",…} on the standard output once it listens; logs go to the standard error.',
    'SIGTERM or SIGINT closes cleanly, a second one at once.',
  ],
};

/** Entries are kept in the log, where `tail` reads them; there is nothing more to do with them. */
class CountingStateMachine implements StateMachine {
  entries = 0;

  apply(batch: { readonly count: number }): undefined {
    this.entries += batch.count;
    return undefined;
  }
}

export async function serve(args: readonly string[]): Promise<ExitCode> {
  const given = new Arguments(serveShape, args);
  const options = await serveOptions(given);
  const file = given.text('trace');
  const trace =
    file === undefined
      ? undefined
      : await TraceFile.open(file, (message) => log('warn', options.id, message));
  const stop = stopRequested();
  const engine = await Engine.open(trace === undefined ? options : { ...options, trace: trace.write });
  const fatal = new Promise<RaftlineError>((resolve) => engine.on('fatal', resolve));
  logEvents(engine);
  const { id, address } = engine;
  new Output().json({ event: 'ready', id, address, pid: process.pid });
  const end = await Promise.race([stop, fatal]);
  if (end instanceof RaftlineError) log('error', id, oneLine(end));
  else log('info', id, `closing: ${end}`);
  await engine.close();
  await trace?.close();
  return end instanceof RaftlineError ? ExitCode.Failed : ExitCode.Done;
}

/** What the flags and the file say together; the flags win. */
async function serveOptions(given: Arguments): Promise<EngineOptions> {
  const file = given.text('config');
  const config = file === undefined ? {} : await readConfig(file);
  const peers = given.peers();
  const id = given.integer('id', 1, U32_MAX) ?? config.id;
  const cluster = given.text('cluster') ?? config.cluster;
  const dataDirectory = given.text('data') ?? config.dataDirectory;
  if (id === undefined) throw usageError('--id ID is missing');
  if (cluster === undefined) throw usageError('--cluster NAME is missing');
  if (dataDirectory === undefined) throw usageError('--data DIR is missing');
  const listen = given.text('listen') ?? config.listen ?? peers[id];
  return {
    ...config,
    id,
    cluster,
    dataDirectory,
    groups: [{ id: given.group(), stateMachine: new CountingStateMachine() }],
    peers: Object.keys(peers).length > 0 ? peers : (config.peers ?? {}),
    ...(listen === undefined ? {} : { listen }),
    ...(given.flag('join') ? { join: true } : {}),
    ...(given.flag('insecure') ? { insecure: true } : {}),
  };
}

async function readConfig(file: string): Promise<Partial<EngineOptions>> {
  const text = await readFile(file, 'utf8').catch((thrown: unknown) => {
    throw fileError(file, thrown);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    const message = `${file}: expected a JSON object: ${(thrown as Error).message}`;
    throw new RaftlineError(ErrorCode.FileUnreadable, message, { path: file }, thrown);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const message = `${file}: expected a JSON object of options`;
    throw new RaftlineError(ErrorCode.FileUnreadable, message, { path: file });
  }
  if ('groups' in value) throw usageError(`${file}: groups cannot be given in a file; use --group`);
  return value as Partial<EngineOptions>;
}

/** Resolves with the reason at the first signal, or when the parent that holds our channel is gone. */
function stopRequested(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(signal === 'SIGINT' ? 130 : 143);
        asked = true;
        resolve(signal);
      });
    }
    process.on('disconnect', () => resolve('the parent process is gone'));
    // Listening keeps the channel open, and an open channel would keep the closed node's process alive.
    process.channel?.unref();
  });
}

function logEvents(engine: Engine): void {
  const { id } = engine;
  engine.on('leadership', ({ group, role, term, leader }) => {
    log('info', id, `group ${group}: ${role} in term ${term}, leader ${leader === 0 ? 'unknown' : leader}`);
  });
  engine.on('peer', ({ id: peer, lane, up, code, message }) => {
    const reason = code === undefined || code === '' ? '' : `: ${message ?? ''} [${code}]`;
    log(up ? 'info' : 'warn', id, `peer ${peer}: ${lane} ${up ? 'up' : 'down'}${reason}`);
  });
  engine.on('log', ({ level, message }) => log(level, id, message));
}

function log(level: 'info' | 'warn' | 'error', id: number, message: string): void {
  note(`${new Date().toISOString()} ${level.padEnd(5)} node ${id}: ${message.replace(/\s*\n\s*/g, ' ')}`);
}
