import { type RaftlineError, toRaftlineError } from '../base/errors.js';
import { RaftlineClient } from '../client/index.js';
import type { EngineStatus } from '../engine/status.js';
import { Arguments, CLUSTER_FLAG, type CommandShape, usageError } from './arguments.js';
import { ExitCode, oneLine } from './failure.js';
import { Output } from './output.js';
import { table } from './table.js';

const MiB = 1024 * 1024;

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

/** One member's answer. */
export interface Answer {
  id: number;
  address: string;
  status: EngineStatus | undefined;
  error: RaftlineError | undefined;
}

type GroupStatus = EngineStatus['groups'][number];

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

/** A table of the members, the leader's view of its followers, and what each node works with. */
export function report(answers: readonly Answer[]): string {
  const rows: string[][] = [];
  const followers: string[][] = [];
  const pipelines: string[] = [];
  const nodes: string[][] = [];
  for (const { id, address, status, error } of answers) {
    if (status === undefined) {
      rows.push([String(id), address, '', `no answer: ${error === undefined ? '' : oneLine(error)}`]);
      continue;
    }
    nodes.push(nodeRow(id, status));
    for (const group of status.groups) {
      rows.push([
        String(id),
        address,
        String(group.group),
        roleOf(group),
        ...positions(group),
        lz4Of(status),
      ]);
      if (group.role === 'leader') pipelines.push(pipelineLine(group));
      for (const each of group.followers) followers.push(followerRow(group, each));
    }
  }
  const counters = ['last', 'durable', 'commit', 'applied'];
  const head = ['node', 'address', 'group', 'role', 'term', 'leader', ...counters, 'lz4'];
  const parts = [table([head, ...rows])];
  if (followers.length > 0) {
    const title = [
      'group',
      'follower',
      'state',
      'match',
      'next',
      'applied',
      'behind',
      'depth',
      'round trip',
      'sync',
      'connected',
    ];
    parts.push('', "the leader's view", table([title, ...followers]));
  }
  if (pipelines.length > 0) parts.push('', ...pipelines);
  if (nodes.length > 0)
    parts.push('', table([['node', 'threads beside main', 'compression', 'durability', 'memory'], ...nodes]));
  return `${parts.join('\n')}\n`;
}

/** How it would compress and how it decompresses. */
function lz4Of({ lz4: { compressor, decompressor } }: EngineStatus): string {
  return `${compressor}, ${decompressor}`;
}

/** Programs of one thread are joined by a plus sign. */
function nodeRow(id: number, { threads, compression, disk, memory }: EngineStatus): string[] {
  const { main: _main, ...workers } = threads;
  const plan = Object.values(workers).map((programs) => programs.join('+'));
  const held = [memory.usedBytes, memory.budgetBytes].map((bytes) => Math.round(bytes / MiB));
  return [String(id), plan.join(', '), compression ?? '', disk.durability, `${held.join(' of ')} MiB`];
}

/** What a follower that is no voter is says more than that it follows. */
function roleOf({ role, membership }: GroupStatus): string {
  return role !== 'follower' || membership === 'voter' ? role : membership;
}

function positions({
  term,
  leader,
  lastIndex,
  durableIndex,
  commitIndex,
  appliedIndex,
}: GroupStatus): string[] {
  const numbers = [lastIndex, durableIndex, commitIndex, appliedIndex].map(String);
  return [String(term), leader === 0 ? 'none' : String(leader), ...numbers];
}

function pipelineLine({ group, pipeline }: GroupStatus): string {
  const { uncommittedBatches, inflightBytesMax, batchBytesMax, batchEntriesMax, lingerUs } = pipeline;
  const batches = `batches up to ${batchBytesMax / 1024} KiB or ${batchEntriesMax} entries, linger ${lingerUs} µs`;
  return `pipeline of group ${group}: depth ${depthOf(pipeline)} (${uncommittedBatches} batches under way), in flight up to ${inflightBytesMax / 1024} KiB, ${batches}`;
}

/** As set, and what it comes to where it is found. */
function depthOf({ depth, depthNow }: { depth: number | 'auto'; depthNow: number }): string {
  return depth === 'auto' ? `auto ${depthNow}` : String(depth);
}

function times({ roundTripMs, syncMs }: { roundTripMs: number; syncMs: number }): string[] {
  return [roundTripMs, syncMs].map((ms) => `${ms.toFixed(1)} ms`);
}

function followerRow(group: GroupStatus, follower: GroupStatus['followers'][number]): string[] {
  const { id, state, match, next, applied, connected, pipeline } = follower;
  const numbers = [match, next, applied, Math.max(0, group.lastIndex - match)].map(String);
  return [
    String(group.group),
    String(id),
    state,
    ...numbers,
    depthOf(pipeline),
    ...times(pipeline),
    connected ? 'yes' : 'no',
  ];
}
