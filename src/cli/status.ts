import { toRaftlineError } from '../base/errors.js';
import { RaftlineClient } from '../client/index.js';
import type { EngineStatus } from '../engine/status.js';
import { Arguments, CLUSTER_FLAG, type CommandShape, usageError } from './arguments.js';
import { ExitCode } from './failure.js';
import { Output } from './output.js';
import { type Answer, report } from './status-report.js';

export const statusShape: CommandShape = {
  name: 'status',
  summary: 'shows what each member says of itself',
  flags: [
    { name: 'peer', value: 'ID=HOST:PORT', repeated: true, required: true, help: 'a member to ask' },
    CLUSTER_FLAG,
    { name: 'json', help: 'print an array with the whole status of each instead' },
    { name: 'help', help: 'show this' },
  ],
  notes: ['Exit code 0 if every member answered, 1 if not.'],
};

export async function status(args: readonly string[]): Promise<ExitCode> {
  const given = new Arguments(statusShape, args);
  const servers = given.peers();
  if (Object.keys(servers).length === 0) throw usageError('--peer ID=HOST:PORT is missing');
  const cluster = given.text('cluster');
  const client = new RaftlineClient({ servers, ...(cluster === undefined ? {} : { cluster }) });
  const output = new Output();
  try {
    const answers = await Promise.all(
      Object.entries(servers).map(([id, address]) => ask(client, Number(id), address)),
    );
    if (given.flag('json')) output.json(answers.map(asJson));
    else output.write(report(answers));
    return answers.every(({ error }) => error === undefined) ? ExitCode.Done : ExitCode.Failed;
  } finally {
    client.close();
  }
}

/** Never rejects: a member that is down is an answer too. */
export async function ask(client: RaftlineClient, id: number, address: string): Promise<Answer> {
  try {
    const answer = (await client.status(address)) as EngineStatus;
    return { id, address, status: answer, error: undefined };
  } catch (thrown) {
    return { id, address, status: undefined, error: toRaftlineError(thrown) };
  }
}

function asJson({ id, address, status, error }: Answer): unknown {
  if (status !== undefined) return status;
  return { id, address, error: { code: error?.code, message: error?.message } };
}
