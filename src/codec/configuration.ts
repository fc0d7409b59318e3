import { Builder } from 'flatbuffers';
import { assert } from '../base/assert.js';
import { MEMBERS_MAX } from '../base/limits.js';
import type { Configuration } from '../base/messages.js';
import { readU64, refuseBytes } from './bytes.js';
import { isU32, readU32List } from './fields.js';
import { rootTable, type TableView } from './flat-table.js';
import { Configuration as ConfigurationTable } from './generated/configuration.js';
import { MemberIncarnation } from './generated/member-incarnation.js';

const IDENTIFIER = 'RLC1';
const INCARNATION_BYTES = MemberIncarnation.sizeOf();

// Slots of the table, in the schema's order.
const VOTERS = 0;
const VOTERS_OUTGOING = 1;
const LEARNERS = 2;
const LEARNERS_NEXT = 3;
const INCARNATIONS = 4;
const COMPRESSION_LEVEL = 5;

/**
 * The content of a configuration entry. Canonical: members are sorted, so that one configuration has one encoding. At
 * most 64 members, none twice in a list; anything else is a bug of the caller's.
 */
export function encodeConfiguration(configuration: Configuration): Buffer {
  const builder = new Builder(256);
  const voters = writeMembers(builder, configuration.voters);
  const votersOutgoing = writeMembers(builder, configuration.votersOutgoing);
  const learners = writeMembers(builder, configuration.learners);
  const learnersNext = writeMembers(builder, configuration.learnersNext);
  const incarnations = writeIncarnations(builder, configuration.incarnations);
  const root = ConfigurationTable.createConfiguration(
    builder,
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    incarnations,
    configuration.compressionLevel,
  );
  ConfigurationTable.finishConfigurationBuffer(builder, root);
  const bytes = Buffer.from(builder.asUint8Array());
  decodeConfiguration(bytes);
  return bytes;
}

function writeMembers(builder: Builder, members: readonly number[]): number {
  assert(members.every(isU32), 'a member is a number of 32 bits');
  const sorted = [...members].sort((a, b) => a - b);
  return ConfigurationTable.createVotersVector(builder, sorted);
}

function writeIncarnations(builder: Builder, incarnations: Configuration['incarnations']): number {
  const descending = [...incarnations].sort((a, b) => b.id - a.id);
  ConfigurationTable.startIncarnationsVector(builder, descending.length);
  for (const { id, incarnation } of descending) {
    assert(isU32(id) && Number.isSafeInteger(incarnation), 'an incarnation is a whole number');
    MemberIncarnation.createMemberIncarnation(builder, BigInt(incarnation), id);
  }
  return builder.endVector();
}

/** Reads a configuration from outside: structure, then meaning. Throws `RAFTLINE_BYTES_INVALID` naming the field. */
export function decodeConfiguration(bytes: Buffer): Configuration {
  const table = rootTable(bytes, IDENTIFIER, 'configuration');
  const configuration: Configuration = {
    voters: readMembers(bytes, table, VOTERS, 'voters'),
    votersOutgoing: readMembers(bytes, table, VOTERS_OUTGOING, 'votersOutgoing'),
    learners: readMembers(bytes, table, LEARNERS, 'learners'),
    learnersNext: readMembers(bytes, table, LEARNERS_NEXT, 'learnersNext'),
    incarnations: readIncarnations(bytes, table),
    compressionLevel: table.u8(COMPRESSION_LEVEL, 'compressionLevel'),
  };
  const { voters, votersOutgoing, learners, learnersNext } = configuration;
  const members = new Set([...voters, ...votersOutgoing, ...learners, ...learnersNext]).size;
  if (members > MEMBERS_MAX) refuseBytes('configuration members', `at most ${MEMBERS_MAX}`, members);
  return configuration;
}

function readMembers(bytes: Buffer, table: TableView, slot: number, name: string): number[] {
  const members = readU32List(bytes, table, slot, MEMBERS_MAX, name);
  checkAscending(members, name);
  return members;
}

function readIncarnations(bytes: Buffer, table: TableView): Configuration['incarnations'] {
  const { at, count } = table.vector(INCARNATIONS, INCARNATION_BYTES, MEMBERS_MAX, 'incarnations');
  const incarnations: Configuration['incarnations'] = [];
  for (let item = 0; item < count; item++) {
    const from = at + item * INCARNATION_BYTES;
    incarnations.push({
      id: bytes.readUInt32LE(from + 8),
      incarnation: readU64(bytes, from, 'configuration incarnation'),
    });
  }
  checkAscending(
    incarnations.map(({ id }) => id),
    'incarnations',
  );
  return incarnations;
}

/** The canonical order, which also rules out 0 and duplicates. */
function checkAscending(ids: readonly number[], name: string): void {
  let previous = 0;
  for (const id of ids) {
    if (id <= previous) refuseBytes(`configuration ${name}`, `ids above ${previous}`, id);
    previous = id;
  }
}
