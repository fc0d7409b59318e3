import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { type MachineFacts, machineFacts, versionsNote } from '../../src/bench/machine.js';
import { sweepPage } from '../../src/bench/report/page.js';
import { MACHINE, measuredAt, resultsOf } from './figures.js';

const VERSIONS = { v8: '11.3', '@grpc/grpc-js': '1.14.7', 'lz4-napi': '2.10.0' };
const of = (versions: Record<string, string>): MachineFacts => ({ ...MACHINE, versions });

it('names the versions of V8 and of the packages that figures depend on, as they are installed', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const { versions, ...machine } = machineFacts(tmpdir());
  const native = versions?.['lz4-napi'];
  expect(versions).toEqual({
    v8: process.versions.v8,
    '@grpc/grpc-js': lock.packages['node_modules/@grpc/grpc-js']!.version,
    'lz4-napi': native === 'absent' ? 'absent' : lock.packages['node_modules/lz4-napi']!.version,
    flatbuffers: lock.packages['node_modules/flatbuffers']!.version,
    piscina: lock.packages['node_modules/piscina']!.version,
  });
  expect(machine.node).toBe(process.version);
});

it('says where two results were not taken with the same versions, or where one of them does not say', () => {
  expect(versionsNote(of(VERSIONS), of({ ...VERSIONS }))).toBeUndefined();
  const changed = { ...of({ ...VERSIONS, 'lz4-napi': 'absent' }), node: 'v20.1.0' };
  expect(versionsNote(of(VERSIONS), changed)).toBe(
    'not of the same versions: node v20.0.0 → v20.1.0, lz4-napi 2.10.0 → absent',
  );
  expect(versionsNote(of(VERSIONS), of({ v8: '11.3', '@grpc/grpc-js': '1.14.7' }))).toMatch(
    /lz4-napi 2.10.0 → not known$/,
  );
  expect(versionsNote(MACHINE, of(VERSIONS))).toMatch(/not known of both/);
  expect(versionsNote(of(VERSIONS), MACHINE)).toMatch(/not known of both/);
});

it('stand in a report, and are left out where a file does not have them', () => {
  const page = (machine: Partial<MachineFacts>): string =>
    sweepPage(resultsOf([measuredAt({}, [1000, 2])], machine), true);
  expect(page({ versions: VERSIONS })).toContain(
    '(abc1234), v8 11.3, @grpc/grpc-js 1.14.7, lz4-napi 2.10.0; load',
  );
  expect(page({})).toContain('(abc1234); load');
});
