import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = 'owner';

/** Whose a directory is. A pid alone says little: it is counted anew at every boot and in every container. */
interface Owner {
  bootId: string;
  pidNamespace: string;
  pid: number;
}

/** Writes into `directory` that it is this process's; says nothing where the system does not tell one boot and container from others. */
export function own(directory: string): void {
  const owner = thisProcess();
  if (owner !== undefined) writeFileSync(join(directory, FILE), JSON.stringify(owner));
}

/** Removes the directories below `parent` whose owner is no more, with what a SIGKILL left in them. What may be another machine's or container's stays. */
export function removeAbandoned(parent: string, prefix: string): void {
  const now = thisProcess();
  if (now === undefined) return;
  for (const name of namesIn(parent)) {
    const path = join(parent, name);
    if (name.startsWith(prefix) && isAbandoned(path, now)) remove(path);
  }
}

/** None of a directory that may be written and not read. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isAbandoned(directory: string, { bootId, pidNamespace }: Owner): boolean {
  try {
    const { uid } = lstatSync(directory);
    // What another user has put there may say anything of itself.
    if (uid !== process.getuid?.()) return false;
    const owner = JSON.parse(readFileSync(join(directory, FILE), 'utf8')) as Owner;
    if (owner.bootId !== bootId || owner.pidNamespace !== pidNamespace) return false;
    return Number.isInteger(owner.pid) && owner.pid > 0 && !isAlive(owner.pid);
  } catch {
    return false;
  }
}

/** One that another user runs is alive as well. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Somebody else's may refuse; then it stays. */
function remove(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  } catch {}
}

function thisProcess(): Owner | undefined {
  try {
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { bootId, pidNamespace: readlinkSync('/proc/self/ns/pid'), pid: process.pid };
  } catch {
    return undefined;
  }
}
