import { Builder } from 'flatbuffers';
import { assert } from '../base/assert.js';
import { ADDRESS_CHARS_MAX, MEMBERS_MAX, TOMBSTONES_MAX } from '../base/limits.js';
import type { Configuration, MemberAddress, MemberIncarnation } from '../base/messages.js';
import { readU64, refuseBytes } from './bytes.js';
import { isU32, readU32List } from './fields.js';
import { rootTable, TableView } from './flat-table.js';
import { Configuration as ConfigurationTable } from './generated/configuration.js';
import { MemberAddress as AddressTable } from './generated/member-address.js';
import { MemberIncarnation as IncarnationStruct } from './generated/member-incarnation.js';

const IDENTIFIER = 'RLC1';
const OFFSET_BYTES = 4;
const INCARNATION_BYTES = IncarnationStruct.sizeOf();

// Slots of the table, in the schema's order.
const VOTERS = 0;
const VOTERS_OUTGOING = 1;
const LEARNERS = 2;
const LEARNERS_NEXT = 3;
const INCARNATIONS = 4;
const COMPRESSION_LEVEL = 5;
const ADDRESSES = 6;
const REMOVED = 7;

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
  const sorted = [...configuration.incarnations].sort((a, b) => a.id - b.id);
  const incarnations = writeIncarnations(builder, sorted);
  const addresses = writeAddresses(builder, configuration.addresses ?? []);
  const gone = configuration.removed ?? [];
  const removed = gone.length === 0 ? 0 : writeIncarnations(builder, gone);
  const root = ConfigurationTable.createConfiguration(
    builder,
    voters,
    votersOutgoing,
    learners,
    learnersNext,
    incarnations,
    configuration.compressionLevel,
    addresses,
    removed,
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

/** In the order given. */
function writeIncarnations(builder: Builder, incarnations: readonly MemberIncarnation[]): number {
  ConfigurationTable.startIncarnationsVector(builder, incarnations.length);
  for (const { id, incarnation } of [...incarnations].reverse()) {
    assert(isU32(id) && Number.isSafeInteger(incarnation), 'an incarnation is a whole number');
    IncarnationStruct.createMemberIncarnation(builder, BigInt(incarnation), id);
  }
  return builder.endVector();
}

function writeAddresses(builder: Builder, addresses: readonly MemberAddress[]): number {
  if (addresses.length === 0) return 0;
  const sorted = [...addresses].sort((a, b) => a.id - b.id);
  const tables = sorted.map(({ id, address }) =>
    AddressTable.createMemberAddress(builder, id, builder.createString(address)),
  );
  return ConfigurationTable.createAddressesVector(builder, tables);
}

/** Reads a configuration from outside: structure, then meaning. Throws `RAFTLINE_BYTES_INVALID` naming the field. */
export function decodeConfiguration(bytes: Buffer): Configuration {
  const table = rootTable(bytes, IDENTIFIER, 'configuration');
  const configuration: Configuration = {
    voters: readMembers(bytes, table, VOTERS, 'voters'),
    votersOutgoing: readMembers(bytes, table, VOTERS_OUTGOING, 'votersOutgoing'),
    learners: readMembers(bytes, table, LEARNERS, 'learners'),
    learnersNext: readMembers(bytes, table, LEARNERS_NEXT, 'learnersNext'),
    incarnations: readIncarnations(bytes, table, INCARNATIONS, MEMBERS_MAX, 'incarnations'),
    compressionLevel: table.u8(COMPRESSION_LEVEL, 'compressionLevel'),
  };
  checkAscending(
    configuration.incarnations.map(({ id }) => id),
    'incarnations',
  );
  const addresses = readAddresses(bytes, table);
  if (addresses.length > 0) configuration.addresses = addresses;
  const removed = readIncarnations(bytes, table, REMOVED, TOMBSTONES_MAX, 'removed');
  if (removed.length > 0) configuration.removed = removed;
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

function readIncarnations(
  bytes: Buffer,
  table: TableView,
  slot: number,
  countMax: number,
  name: string,
): MemberIncarnation[] {
  const { at, count } = table.vector(slot, INCARNATION_BYTES, countMax, name);
  return Array.from({ length: count }, (_, item) => {
    const from = at + item * INCARNATION_BYTES;
    return { id: bytes.readUInt32LE(from + 8), incarnation: readU64(bytes, from, `configuration ${name}`) };
  });
}

function readAddresses(bytes: Buffer, table: TableView): MemberAddress[] {
  const { at, count } = table.vector(ADDRESSES, OFFSET_BYTES, MEMBERS_MAX, 'addresses');
  const addresses = Array.from({ length: count }, (_, item) => {
    const from = at + item * OFFSET_BYTES;
    const member = new TableView(bytes, from + bytes.readUInt32LE(from), 'configuration address');
    const idAt = member.field(0, 4, 'id');
    const id = idAt < 0 ? 0 : bytes.readUInt32LE(idAt);
    const address = member.text(1, ADDRESS_CHARS_MAX, 'address');
    if (address === '') refuseBytes(`configuration address of node ${id}`, 'host:port', 'nothing');
    return { id, address };
  });
  checkAscending(
    addresses.map(({ id }) => id),
    'addresses',
  );
  return addresses;
}

/** The canonical order, which also rules out 0 and duplicates. */
function checkAscending(ids: readonly number[], name: string): void {
  let previous = 0;
  for (const id of ids) {
    if (id <= previous) refuseBytes(`configuration ${name}`, `ids above ${previous}`, id);
    previous = id;
  }
}
