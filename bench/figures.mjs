import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `node bench/figures.mjs REPORT.html DIR NAME`: the pictures of a sweep's report as NAME-1.svg, NAME-2.svg, … for pages like docs/tuning.md. */
const [report, directory, name] = process.argv.slice(2);
if (name === undefined) {
  process.stderr.write('usage: node bench/figures.mjs REPORT.html DIR NAME\n');
  process.exitCode = 2;
} else {
  const pictures = readFileSync(report, 'utf8').match(/<svg [\s\S]*?<\/svg>/g) ?? [];
  pictures.forEach((picture, at) => {
    writeFileSync(join(directory, `${name}-${at + 1}.svg`), `${picture}\n`);
  });
  process.stdout.write(`${pictures.length} pictures\n`);
}
