import { ErrorCode, type RaftlineError } from '../base/errors.js';
import { type AppendCallback, RaftlineClient } from '../client/index.js';
import { Arguments, CLUSTER_FLAG, type CommandShape, GROUP_FLAG, usageError } from './arguments.js';
import { ExitCode, oneLine } from './failure.js';
import { note, Output } from './output.js';
import { retryNotes } from './retry-notes.js';
import { Splitter } from './splitter.js';
import { counted } from './table.js';

export const appendShape: CommandShape = {
  name: 'append',
  summary: 'appends entries from the standard input, one a line',
  flags: [
    {
      name: 'peer',
      value: 'ID=HOST:PORT',
      repeated: true,
      required: true,
      help: 'a member; give all of them',
    },
    GROUP_FLAG,
    CLUSTER_FLAG,
    { name: 'timeout', value: 'MS', help: 'give up after so long without any answer (default 30000)' },
    { name: 'json', help: 'print {"line","index","term"} for each line that is acknowledged' },
    { name: 'help', help: 'show this' },
  ],
  notes: [
    'Every line is applied once and in order, also when the leader changes in between.',
    'Exit code 0 only if every line was acknowledged; 1 if not; 2 if the command line is wrong.',
  ],
};

/** Lines that failed for one reason. */
interface Failure {
  error: RaftlineError;
  firstLine: number;
  lastLine: number;
}

export async function append(args: readonly string[]): Promise<ExitCode> {
  const given = new Arguments(appendShape, args);
  const servers = given.peers();
  if (Object.keys(servers).length === 0) throw usageError('--peer ID=HOST:PORT is missing');
  const cluster = given.text('cluster');
  const timeoutMs = given.integer('timeout', 1, 0x7fff_ffff);
  const client = new RaftlineClient({
    servers,
    group: given.group(),
    ...(cluster === undefined ? {} : { cluster }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    onRetry: retryNotes(),
  });
  const run = new AppendRun(client, given.flag('json'));
  try {
    await run.all(process.stdin);
  } finally {
    client.close();
  }
  return run.report();
}

/** One run over the input. An entry's sequence is its line: the client's one session lasts as long as the run. */
class AppendRun {
  readonly #client: RaftlineClient;
  readonly #json: boolean;
  readonly #output = new Output();
  readonly #failures: Failure[] = [];
  #acknowledged = 0;
  /** The standard output takes no more: nothing further is read, and what is under way is waited for. */
  #outputFault: string | undefined;

  constructor(client: RaftlineClient, json: boolean) {
    this.#client = client;
    this.#json = json;
  }

  async all(input: NodeJS.ReadStream): Promise<void> {
    const { appender } = this.#client;
    const splitter = new Splitter();
    this.#output.onFault = (message) => {
      this.#outputFault = message;
      input.destroy();
    };
    const callback: AppendCallback = (error, run) => {
      if (error === undefined) this.#acknowledge(run.firstSequence, run.count, run.index, run.term);
      else {
        this.#fail(error, run.firstSequence, run.count);
        // Whoever types, or a pipe that stays open, must not keep a failed run alive.
        input.destroy();
      }
    };
    const appendAll = async (entries: Iterable<Buffer>): Promise<void> => {
      for (const entry of entries) {
        if (this.#output.full) await this.#output.drained();
        while (!this.#stopped && !appender.append(entry, callback)) await appender.drained();
        if (this.#stopped) return;
      }
    };
    try {
      for await (const block of input) await appendAll(splitter.take(block as Buffer));
      await appendAll(splitter.finish());
    } catch (thrown) {
      if (!this.#stopped) throw thrown;
    }
    await appender.settled();
    await this.#output.flushed();
  }

  get #stopped(): boolean {
    return this.#failures.length > 0 || this.#outputFault !== undefined;
  }

  report(): ExitCode {
    if (!this.#stopped) {
      if (!this.#json) note(`raftline append: ${counted(this.#acknowledged, 'line')} acknowledged`);
      return ExitCode.Done;
    }
    const parts = this.#failures.map(({ error, firstLine, lastLine }) => {
      const lines = firstLine === lastLine ? `line ${firstLine}` : `lines ${firstLine} to ${lastLine}`;
      const fate = error.code === ErrorCode.OutcomeUnknown ? 'may be applied' : 'certainly not applied';
      return `${lines} ${fate}: ${oneLine(error)}`;
    });
    if (this.#outputFault !== undefined) parts.push(this.#outputFault);
    note(`raftline append: ${counted(this.#acknowledged, 'line')} acknowledged; ${parts.join('; ')}`);
    return ExitCode.Failed;
  }

  #acknowledge(firstLine: number, count: number, index: number, term: number): void {
    this.#acknowledged += count;
    if (!this.#json) return;
    let text = '';
    for (let at = 0; at < count; at++) {
      const place = index === 0 ? null : index + at;
      text += `{"line":${firstLine + at},"index":${place},"term":${index === 0 ? null : term}}\n`;
    }
    this.#output.write(text);
  }

  #fail(error: RaftlineError, firstLine: number, count: number): void {
    const last = this.#failures[this.#failures.length - 1];
    if (last?.error === error) last.lastLine += count;
    else this.#failures.push({ error, firstLine, lastLine: firstLine + count - 1 });
  }
}
