import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Story } from './script.js';

const FOLDER = new URL('./scripts/', import.meta.url);

/** `> command`, then what came of it, indented by two; everything else is prose and stays. */
function play(text: string): string {
  const story = new Story();
  const out: string[] = [];
  for (const line of text.split('\n')) {
    // Recorded before: made again.
    if (line.startsWith('  ')) continue;
    out.push(line);
    if (!line.startsWith('> ')) continue;
    const output = story.run(line.slice(2).trim());
    if (output !== '') out.push(output.replace(/^/gm, '  '));
  }
  return out.join('\n');
}

describe('stories: commands and recorded output (npm run test:rewrite records them anew)', () => {
  for (const name of readdirSync(FOLDER).sort()) {
    const file = new URL(name, FOLDER);
    const text = readFileSync(file, 'utf8');
    it(`${name}: ${text.split('\n')[0]}`, () => {
      const played = play(text);
      if (process.env.REWRITE === '1') writeFileSync(file, played);
      else expect(played).toBe(text);
    });
  }
});
