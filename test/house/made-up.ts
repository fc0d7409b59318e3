import { violations } from './violations.js';

/** The rules that a made-up tree breaks, in the order of the findings. */
export function broken(tree: Record<string, string>): string[] {
  return violations(new Map(Object.entries(tree))).map(({ rule }) => rule);
}

/** What a single file breaks when it stands at `file`. */
export function brokenBy(file: string, text: string): string[] {
  return broken({ [file]: text });
}

/** Joins parts that must not stand next to each other in a file of this repository. */
export function joined(...parts: string[]): string {
  return parts.join('');
}
