import type { Files, Finding } from './source.js';

/**
 * Absolute paths into places of one machine. Built from parts so that this file does not hold one; what stands before
 * the slash tells an absolute path from the middle of a relative one or of an address.
 */
const MACHINE_PATH = new RegExp(
  `(?<![\\w.})~*-])/(?:${['work', 'root', 'home', 'tmp', 'Users'].join('|')})/`,
);

/** Hosts that packages are fetched from: which one is used is each machine's business, not this repository's. */
const REGISTRY_WORDS = ['registry', 'artifactory', 'verdaccio', 'nexus', 'npm-proxy'].join('|');
const KNOWN_REGISTRIES = ['npmjs', 'yarnpkg', 'npmmirror'].join('|');
const REGISTRY_HOST = new RegExp(
  `(?:https?:|^)//[^/\\s'"]*(?:${REGISTRY_WORDS})[\\w.-]*|\\bregistry\\.(?:${KNOWN_REGISTRIES})\\.\\w+`,
  'i',
);

const RULES: readonly { rule: string; pattern: RegExp; what: string }[] = [
  { rule: 'machine-path', pattern: MACHINE_PATH, what: 'a path of one machine' },
  { rule: 'registry-host', pattern: REGISTRY_HOST, what: 'the host of a package registry' },
];

/** Looks at every line of every tracked file, whatever its language. */
export function placeFindings(files: Files): Finding[] {
  const findings: Finding[] = [];
  for (const [file, text] of files) {
    for (const [at, line] of text.split('\n').entries()) {
      for (const { rule, pattern, what } of RULES) {
        const found = pattern.exec(line)?.[0];
        if (found !== undefined) {
          findings.push({ file, line: at + 1, rule, message: `names ${what}: ${found}` });
        }
      }
    }
  }
  return findings;
}
