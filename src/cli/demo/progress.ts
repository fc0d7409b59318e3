import type { NodeId } from '../../base/ids.js';
import type { Answer } from '../status-report.js';
import { byteText, grouped } from '../table.js';

const INTERVAL_MS_TERMINAL = 200;
const INTERVAL_MS_LINES = 2000;

/** One line that renews itself on a terminal; elsewhere a line every two seconds. On the standard error. */
export class Progress {
  readonly #terminal = process.stderr.isTTY === true;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  /** Shows what `line` returns, again and again, until the next `during` or `end`. */
  during(line: () => string): void {
    this.end();
    const show = (): void => this.#show(line());
    if (this.#terminal) show();
    this.#timer = setInterval(show, this.#terminal ? INTERVAL_MS_TERMINAL : INTERVAL_MS_LINES);
    this.#timer.unref();
  }

  /** A line that stays. */
  say(text: string): void {
    this.#clear();
    process.stderr.write(`${text}\n`);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  #show(text: string): void {
    if (!this.#terminal) {
      process.stderr.write(`${text}\n`);
      return;
    }
    const width = process.stderr.columns ?? 80;
    process.stderr.write(`\r\u001b[K${text.slice(0, width - 1)}`);
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}

/** What the progress line of a replication shows. */
export interface ReplicationView {
  acknowledged: number;
  entries: number;
  /** Since the last line. */
  bytesPerSecond: number;
  leader: NodeId;
  killed: NodeId;
  answers: readonly Answer[];
}

/** `replicating  45 %  512,000 of 1,000,000 entries  34.5 MB/s  leader 2  behind: node 1 0, node 3 1,024`. */
export function replicationLine(view: ReplicationView): string {
  const percent = view.entries === 0 ? 100 : Math.floor((view.acknowledged / view.entries) * 100);
  const leader = view.leader === 0 ? 'no leader' : `leader ${view.leader}`;
  return [
    `replicating ${String(percent).padStart(3)} %`,
    `${grouped(view.acknowledged)} of ${grouped(view.entries)} entries`,
    `${byteText(view.bytesPerSecond)}/s`,
    leader,
    followersText(view),
  ]
    .filter((part) => part !== '')
    .join('  ');
}

function followersText({ answers, killed }: ReplicationView): string {
  const groups = answers.map(({ status }) => status?.groups[0]);
  const leader = groups.find((group) => group?.role === 'leader');
  if (leader === undefined) return killed === 0 ? '' : `node ${killed} killed`;
  const parts = leader.followers.map(({ id, match }) => {
    return id === killed ? `node ${id} dead` : `node ${id} ${grouped(Math.max(0, leader.lastIndex - match))}`;
  });
  return `behind: ${parts.join(', ')}`;
}
