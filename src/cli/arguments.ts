import { parseArgs } from 'node:util';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type NodeId, U32_MAX } from '../base/ids.js';

/** A flag of a command. Without `value` it is a switch. */
export interface Flag {
  name: string;
  /** What stands for the value in the help. */
  value?: string;
  repeated?: boolean;
  required?: boolean;
  help: string;
}

/** What a command looks like from outside; its help is made from this. */
export interface CommandShape {
  name: string;
  summary: string;
  /** The positional argument, if the command takes one. */
  positional?: string;
  flags: readonly Flag[];
  /** Further lines of the help. */
  notes: readonly string[];
}

export const GROUP_FLAG: Flag = { name: 'group', value: 'ID', help: 'replication group (default 1)' };
export const CLUSTER_FLAG: Flag = {
  name: 'cluster',
  value: 'NAME',
  help: 'refuse servers of another cluster (default: any)',
};

/** A command line that makes no sense: one line, exit code 2. */
export function usageError(message: string): RaftlineError {
  return new RaftlineError(ErrorCode.UsageInvalid, message);
}

/** The values of a command's flags, checked as they are asked for. */
export class Arguments {
  readonly positional: string | undefined;
  readonly #values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

  /** @throws RaftlineError `RAFTLINE_USAGE_INVALID` for an unknown flag, a missing one, or one argument too many */
  constructor(shape: CommandShape, args: readonly string[]) {
    const options = Object.fromEntries(
      shape.flags.map(({ name, value, repeated }) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', multiple: repeated === true } as const,
      ]),
    );
    const { values, positionals } = parse(args, options);
    this.#values = values;
    this.positional = positionals[0];
    const allowed = shape.positional === undefined ? 0 : 1;
    if (positionals.length > allowed) throw usageError(`unexpected argument '${positionals[allowed]}'`);
    for (const { name, value, required } of shape.flags) {
      if (required === true && values[name] === undefined) throw usageError(`--${name} ${value} is missing`);
      for (const given of [values[name]].flat()) {
        if (given === '') throw usageError(`--${name}: expected ${value}, received nothing`);
      }
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  }

  /** A whole number; undefined when the flag was not given. */
  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw usageError(`--${name}: expected a whole number from ${min} to ${max}, received '${text}'`);
  }

  group(): number {
    return this.integer('group', 1, U32_MAX) ?? 1;
  }

  /** The `--peer id=host:port` flags, by id. */
  peers(): Record<NodeId, string> {
    const peers: Record<NodeId, string> = {};
    for (const text of this.texts('peer')) {
      const [, idText = '', address = ''] = /^(\d+)=(.+:\d{1,5})$/.exec(text) ?? [];
      const id = Number(idText);
      if (id < 1 || id > U32_MAX) throw usageError(`--peer: expected id=host:port, received '${text}'`);
      if (peers[id] !== undefined) throw usageError(`--peer: node ${id} is given twice`);
      if (Object.values(peers).includes(address)) throw usageError(`--peer: ${address} is given twice`);
      peers[id] = address;
    }
    return peers;
  }
}

type ParseOptions = Record<string, { type: 'boolean' | 'string'; multiple: boolean }>;

function parse(args: readonly string[], options: ParseOptions) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const [, flag] = /^Option '(?:-\w, )?(--[\w-]+)[^']*' argument is ambiguous/.exec(message) ?? [];
    if (flag !== undefined) {
      const value = args[args.indexOf(flag) + 1] ?? '';
      throw usageError(
        `${flag}: received '${value}', which begins as a flag does; as a value it is written ${flag}=${value}`,
      );
    }
    // What follows the first sentence is advice about parseArgs, not about us.
    const first = message.split(/\.\s|\n/)[0] ?? message;
    throw usageError(first.charAt(0).toLowerCase() + first.slice(1));
  }
}

/** The help of one command. @param program as it is called */
export function helpOf(shape: CommandShape, program = 'raftline'): string {
  const named = shape.flags.map((flag) => ({ flag, left: flagText(flag) }));
  const width = Math.max(...named.map(({ left }) => left.length));
  const positional = shape.positional === undefined ? '' : ` [${shape.positional}]`;
  const required = shape.flags.filter((flag) => flag.required === true).map((flag) => ` ${flagText(flag)}`);
  return [
    `${program} ${shape.name}: ${shape.summary}`,
    '',
    `usage: ${program} ${shape.name}${required.join('')} [flags]${positional}`,
    '',
    ...named.map(({ flag, left }) => `  ${left.padEnd(width)}  ${flag.help}`),
    '',
    ...shape.notes,
    '',
  ].join('\n');
}

function flagText({ name, value, repeated }: Flag): string {
  return `--${name}${value === undefined ? '' : ` ${value}`}${repeated === true ? ' …' : ''}`;
}
