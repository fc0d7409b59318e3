import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let copy: string;

function generate(folder: string, ...options: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [join(folder, 'schemas/generate.mjs'), ...options], {
    encoding: 'utf8',
  });
}

describe('the generated code', () => {
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'raftline-schemas-'));
    for (const folder of ['schemas', 'src/codec/generated']) {
      cpSync(join(root, folder), join(copy, folder), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  });

  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  it('is what the schemas make', () => {
    expect(generate(root, '--check')).toMatchObject({ status: 0, stderr: '' });
  });

  it('is reported by name when it is not, and made anew', () => {
    const generated = join(copy, 'src/codec/generated');
    appendFileSync(join(generated, 'batch.ts'), '// by hand\n');
    writeFileSync(join(generated, 'left-over.ts'), '');
    rmSync(join(generated, 'append.ts'));
    const { status, stderr } = generate(copy, '--check');
    expect(status).toBe(1);
    expect(stderr).toMatch(/generated\/batch\.ts is not what the schemas make; run `npm run schema`/);
    expect(stderr).toMatch(/generated\/append\.ts is not what the schemas make/);
    expect(stderr).toMatch(/generated\/left-over\.ts is made by no schema/);
    expect(generate(copy).status).toBe(0);
    expect(generate(copy, '--check').status).toBe(0);
  });
});
