import { execFileSync } from 'node:child_process';

/** Processes that `parent` has started, and how each was called. */
export function childrenOf(parent: number): { pid: number; command: string }[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
  const processes = lines.map((line) => line.trim().split(/\s+/));
  return processes
    .filter(([, of]) => Number(of) === parent)
    .map(([pid, , ...args]) => ({ pid: Number(pid), command: args.join(' ') }));
}
