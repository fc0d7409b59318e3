import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Files } from './source.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', '.git', '.tmp']);

/** The files of this repository: all that git tracks, and new ones that it does not ignore. */
export function readRepository(): Files {
  const files = new Map<string, string>();
  for (const file of listFiles()) {
    const text = readText(file);
    if (text !== undefined) files.set(file, text);
  }
  return files;
}

/** In a copy without git's own folder everything that lies there counts as tracked. */
function listFiles(): string[] {
  const listing = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  try {
    const listed = execFileSync('git', listing, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...new Set(listed.split('\0').filter((file) => file !== ''))];
  } catch {
    return walkFolder('');
  }
}

function walkFolder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return walkFolder(path);
    return entry.isFile() ? [path] : [];
  });
}

/** A file's text; undefined for binary files and for those that are tracked but gone. */
function readText(file: string): string | undefined {
  try {
    const bytes = readFileSync(join(ROOT, file));
    return bytes.includes(0) ? undefined : bytes.toString('utf8');
  } catch {
    return undefined;
  }
}
