import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { differenceNotes, type MachineFacts, machineFacts } from '../../src/bench/machine.js';
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
  expect(differenceNotes(of(VERSIONS), of({ ...VERSIONS }))).toEqual([]);
  const changed = { ...of({ ...VERSIONS, 'lz4-napi': 'absent' }), node: 'v20.1.0' };
  expect(differenceNotes(of(VERSIONS), changed)).toEqual([
    'not of the same versions: node v20.0.0 → v20.1.0, lz4-napi 2.10.0 → absent',
  ]);
  expect(differenceNotes(of(VERSIONS), of({ v8: '11.3', '@grpc/grpc-js': '1.14.7' }))).toEqual([
    'not of the same versions: lz4-napi 2.10.0 → not known',
  ]);
  for (const [base, other] of [[MACHINE, of(VERSIONS)] as const, [of(VERSIONS), MACHINE] as const])
    expect(differenceNotes(base, other).join()).toMatch(/not known of both/);
});

it('says where two results were not taken on the same machine', () => {
  const other = { cpu: 'another', cores: 8, system: 'darwin', fileSystem: 'tmpfs', loadAverage: [9, 9, 9] };
  expect(differenceNotes(of(VERSIONS), { ...of(VERSIONS), ...other })).toEqual([
    'not of the same machine: processor a processor → another, cores 2 → 8, system linux → darwin, file system ext4 → tmpfs',
  ]);
});

it('stand in a report, and are left out where a file does not have them', () => {
  const page = (machine: Partial<MachineFacts>): string =>
    sweepPage(resultsOf([measuredAt({}, [1000, 2])], machine), true);
  expect(page({ versions: VERSIONS })).toContain(
    '(abc1234), v8 11.3, @grpc/grpc-js 1.14.7, lz4-napi 2.10.0; load',
  );
  expect(page({})).toContain('(abc1234); load');
});
