import { arrowFindings, cycleFindings } from './arrows.js';
import { clockFindings } from './clocks.js';
import { mannerFindings } from './manners.js';
import { placeFindings } from './places.js';
import { sizeFindings } from './sizes.js';
import { type Files, type Finding, parseAll } from './source.js';

/** Everything in the tree that breaks a rule of the house. */
export function violations(files: Files): Finding[] {
  const sources = parseAll(files);
  return [
    ...arrowFindings(sources),
    ...cycleFindings(sources, files),
    ...clockFindings(sources),
    ...mannerFindings(sources),
    ...sizeFindings(sources, 'fail'),
    ...placeFindings(files),
  ];
}

/** What breaks no rule yet but deserves a second look. */
export function notices(files: Files): Finding[] {
  return sizeFindings(parseAll(files), 'notice');
}

/** One line for people and editors: where, which rule, what. */
export function describeFinding({ file, line, rule, message }: Finding): string {
  return `${file}:${line} [${rule}] ${message}`;
}
