import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Files } from './source.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOT_OURS: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', '.git', '.tmp']);

/** The files of this repository (or of the one at `root`): all that git tracks, and new ones that it does not ignore. */
export function readRepository(root: string = ROOT): Files {
  const files = new Map<string, string>();
  for (const file of listFiles(root)) {
    const text = readText(join(root, file));
    if (text !== undefined) files.set(file, text);
  }
  return files;
}

/** In a copy without git's own folder everything that lies there counts as tracked. */
function listFiles(root: string): string[] {
  const listing = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  try {
    const listed = execFileSync('git', listing, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...new Set(listed.split('\0').filter((file) => file !== ''))];
  } catch {
    return walkFolder(root, '');
  }
}

function walkFolder(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return walkFolder(root, path);
    return entry.isFile() ? [path] : [];
  });
}

/** A file's text; undefined for binary files and for those that are tracked but gone. */
function readText(file: string): string | undefined {
  try {
    const bytes = readFileSync(file);
    return bytes.includes(0) ? undefined : bytes.toString('utf8');
  } catch {
    return undefined;
  }
}
