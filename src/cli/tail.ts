import { SAFE_MAX } from '../base/ids.js';
import { RaftlineClient, type TailChunk } from '../client/index.js';
import { Arguments, CLUSTER_FLAG, type CommandShape, GROUP_FLAG, usageError } from './arguments.js';
import { ExitCode } from './failure.js';
import { Output } from './output.js';

export const tailShape: CommandShape = {
  name: 'tail',
  summary: 'prints what one replica has applied, in order, one entry a line',
  flags: [
    { name: 'peer', value: 'ID=HOST:PORT', repeated: true, required: true, help: 'the member to read from' },
    { name: 'from', value: 'INDEX', help: 'log index to begin at (default 1)' },
    { name: 'follow', help: 'go on with what comes' },
    GROUP_FLAG,
    CLUSTER_FLAG,
    { name: 'json', help: 'print {"index","term","base64"} for each entry instead of its bytes' },
    { name: 'help', help: 'show this' },
  ],
  notes: [
    'Indexes may leave gaps: not every log entry carries data, and a retry that the session table turned away is not printed.',
  ],
};

const NEWLINE = Buffer.from('\n');

export async function tail(args: readonly string[]): Promise<ExitCode> {
  const given = new Arguments(tailShape, args);
  const servers = given.peers();
  const [address, ...others] = Object.values(servers);
  if (address === undefined || others.length > 0) throw usageError('--peer: expected exactly one for tail');
  const cluster = given.text('cluster');
  const json = given.flag('json');
  const from = given.integer('from', 1, SAFE_MAX) ?? 1;
  const client = new RaftlineClient({
    servers,
    group: given.group(),
    ...(cluster === undefined ? {} : { cluster }),
  });
  const output = new Output();
  output.onGone = () => client.close();
  try {
    for await (const chunk of client.tail(address, from, given.flag('follow'))) {
      output.write(json ? chunkAsJson(chunk) : chunkAsLines(chunk));
      await output.drained();
      if (output.gone) break;
    }
  } catch (thrown) {
    if (!output.gone) throw thrown;
  } finally {
    client.close();
  }
  return ExitCode.Done;
}

function chunkAsLines(chunk: TailChunk): Buffer {
  const parts: Buffer[] = [];
  chunk.forEach((bytes) => {
    parts.push(bytes, NEWLINE);
  });
  return Buffer.concat(parts);
}

function chunkAsJson(chunk: TailChunk): string {
  let text = '';
  chunk.forEach((bytes, index) => {
    text += `{"index":${index},"term":${chunk.term},"base64":"${bytes.toString('base64')}"}\n`;
  });
  return text;
}
