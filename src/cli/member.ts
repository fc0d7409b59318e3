import { SAFE_MAX, U32_MAX } from '../base/ids.js';
import { type Members, RaftlineClient } from '../client/index.js';
import {
  Arguments,
  CLUSTER_FLAG,
  type CommandShape,
  type Flag,
  GROUP_FLAG,
  usageError,
} from './arguments.js';
import { ExitCode } from './failure.js';
import { Output } from './output.js';
import { table } from './table.js';

const PEER: Flag = {
  name: 'peer',
  value: 'ID=HOST:PORT',
  repeated: true,
  required: true,
  help: 'a member to ask; it names the leader',
};
const TIMEOUT: Flag = { name: 'timeout', value: 'MS', help: 'how long it may take (default 60000)' };
const EXPECT: Flag = {
  name: 'expect',
  value: 'INDEX',
  help: 'refuse unless the configuration in force has this index (see member list)',
};
const COMMON: readonly Flag[] = [
  TIMEOUT,
  GROUP_FLAG,
  CLUSTER_FLAG,
  { name: 'json', help: 'print the members as JSON' },
  { name: 'help', help: 'show this' },
];
const AGAIN =
  'Prints the members as they are then. What is done already is skipped, so it may be run again after any failure.';

export const memberListShape: CommandShape = {
  name: 'member list',
  summary: 'shows the members of a group',
  flags: [PEER, ...COMMON],
  notes: ['Answered by the leader, from the configuration in force.'],
};

export const memberAddShape: CommandShape = {
  name: 'member add',
  summary: 'adds a node that waits (serve --join), or moves a member to another address',
  positional: 'ID=HOST:PORT',
  flags: [PEER, { name: 'learner', help: 'do not make it a voter' }, EXPECT, ...COMMON],
  notes: ['It becomes a learner, catches up, and is then made a voter.', AGAIN],
};

export const memberPromoteShape: CommandShape = {
  name: 'member promote',
  summary: 'makes a learner a voter, once it has caught up',
  positional: 'ID',
  flags: [PEER, EXPECT, ...COMMON],
  notes: [AGAIN],
};

export const memberRemoveShape: CommandShape = {
  name: 'member remove',
  summary: 'removes a member for good; a leader hands over first',
  positional: 'ID',
  flags: [PEER, EXPECT, ...COMMON],
  notes: ['It may come back with an empty directory only.', AGAIN],
};

export const transferShape: CommandShape = {
  name: 'transfer',
  summary: 'hands the leadership to another voter',
  positional: 'ID',
  flags: [PEER, ...COMMON],
  notes: ['Returns once that node leads. Exit code 1 if it did not take over.'],
};

export const compressionShape: CommandShape = {
  name: 'compression',
  summary: 'sets what the leaders of a group may compress with',
  positional: 'none|lz4|deflate',
  flags: [PEER, EXPECT, ...COMMON],
  notes: ["Every member reads all of them; 'deflate' allows lz4 as well. A cluster begins with lz4.", AGAIN],
};

/** By level. */
const LEVELS = ['none', 'lz4', 'deflate'];

export const memberList = (args: readonly string[]): Promise<ExitCode> =>
  run(memberListShape, args, (client, given) => client.members(optionsOf(given)));

export const memberAdd = (args: readonly string[]): Promise<ExitCode> =>
  run(memberAddShape, args, (client, given) => {
    const [, idText = '', address = ''] = /^(\d+)=(.+:\d{1,5})$/.exec(given.positional ?? '') ?? [];
    const id = Number(idText);
    if (id < 1 || id > U32_MAX)
      throw usageError(`expected ID=HOST:PORT, received '${given.positional ?? ''}'`);
    return client.addMember(
      { id, address, as: given.flag('learner') ? 'learner' : 'voter' },
      optionsOf(given),
    );
  });

export const memberPromote = (args: readonly string[]): Promise<ExitCode> =>
  run(memberPromoteShape, args, (client, given) => client.promoteMember(idOf(given), optionsOf(given)));

export const memberRemove = (args: readonly string[]): Promise<ExitCode> =>
  run(memberRemoveShape, args, (client, given) => client.removeMember(idOf(given), optionsOf(given)));

export const transfer = (args: readonly string[]): Promise<ExitCode> =>
  run(transferShape, args, (client, given) => client.transferLeadership(idOf(given), optionsOf(given)));

export const compression = (args: readonly string[]): Promise<ExitCode> =>
  run(compressionShape, args, (client, given) => {
    const level = LEVELS.indexOf(given.positional ?? '');
    if (level < 0) throw usageError(`expected none, lz4 or deflate, received '${given.positional ?? ''}'`);
    return client.setCompressionLevel(level, optionsOf(given));
  });

async function run(
  shape: CommandShape,
  args: readonly string[],
  act: (client: RaftlineClient, given: Arguments) => Promise<Members>,
): Promise<ExitCode> {
  const given = new Arguments(shape, args);
  const cluster = given.text('cluster');
  const client = new RaftlineClient({
    servers: given.peers(),
    group: given.group(),
    ...(cluster === undefined ? {} : { cluster }),
  });
  try {
    const members = await act(client, given);
    const output = new Output();
    if (given.flag('json')) output.json(members);
    else output.write(report(members));
    return ExitCode.Done;
  } finally {
    client.close();
  }
}

function idOf(given: Arguments): number {
  const text = given.positional ?? '';
  const id = Number(text);
  if (!/^\d+$/.test(text) || id < 1 || id > U32_MAX)
    throw usageError(`expected a node id, received '${text}'`);
  return id;
}

function optionsOf(given: Arguments): { expectedIndex?: number; timeoutMs?: number } {
  const timeoutMs = given.integer('timeout', 1, 0x7fff_ffff);
  const expectedIndex = given.integer('expect', 0, SAFE_MAX);
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(expectedIndex === undefined ? {} : { expectedIndex }),
  };
}

function report(view: Members): string {
  const { index, committed, voters, votersOutgoing, learners, members, compressionLevel } = view;
  const role = (id: number): string => {
    if (learners.includes(id)) return 'learner';
    if (!voters.includes(id)) return 'voter, leaving';
    return votersOutgoing.length > 0 && !votersOutgoing.includes(id) ? 'voter, coming' : 'voter';
  };
  const rows = members.map(({ id, address, incarnation }) => [
    String(id),
    role(id),
    address === '' ? 'unknown' : address,
    incarnation === 0 ? '' : String(incarnation),
  ]);
  const state = committed ? 'committed' : 'not committed yet';
  const level = LEVELS[compressionLevel] ?? String(compressionLevel);
  return `configuration ${index}, ${state}, compression ${level}\n${table([['node', 'role', 'address', 'incarnation'], ...rows])}\n`;
}
