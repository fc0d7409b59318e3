import { AROUND_MUTANTS } from './mutants-around.js';
import { DISK_MUTANTS } from './mutants-disk.js';
import { ELECTION_MUTANTS } from './mutants-elections.js';
import { MEMBER_MUTANTS } from './mutants-members.js';
import { REPLICATION_MUTANTS } from './mutants-replication.js';

/** One way to break the engine on purpose, in one place. */
export interface Mutant {
  /** The hazard or statement that it breaks, as `docs/hazards.md` numbers it; a letter tells several of one apart. */
  id: string;
  /** Other numbers whose tests it fails as well. */
  also?: readonly string[];
  /** What it does, for people. */
  name: string;
  file: string;
  /** Stands in the file exactly once; no two mutants are about the same line. */
  find: string;
  replace: string;
  /** The profile in which the simulator finds it. Absent: what it breaks is held twice, or needs what a run does not have. */
  profile?: string;
}

export const MUTANTS: readonly Mutant[] = [
  ...ELECTION_MUTANTS,
  ...REPLICATION_MUTANTS,
  ...MEMBER_MUTANTS,
  ...DISK_MUTANTS,
  ...AROUND_MUTANTS,
];

/** The numbers whose tests a mutant fails: the one that its id begins with, and others. */
export function numbersOf({ id, also = [] }: Mutant): string[] {
  return [id.replace(/[a-z]$/, ''), ...also];
}

/** `source` with the mutant in it. Throws when it does not say exactly what to change. */
export function mutate(mutant: Mutant, source: string): string {
  const found = source.split(mutant.find).length - 1;
  if (found !== 1) throw new Error(`mutant ${mutant.id}: its text stands ${found} times in ${mutant.file}`);
  const mutated = source.replace(mutant.find, () => mutant.replace);
  if (mutated === source) throw new Error(`mutant ${mutant.id}: changes nothing`);
  return mutated;
}

/** The lines of `source` that the mutant touches, first and last, counted from 1. */
export function linesOf(mutant: Mutant, source: string): [number, number] {
  const before = source.slice(0, source.indexOf(mutant.find)).split('\n').length;
  return [before, before + mutant.find.trimEnd().split('\n').length - 1];
}
