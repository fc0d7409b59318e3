import type { GroupId } from '../../src/base/ids.js';
import { decodeEnvelope } from '../../src/codec/envelope.js';
import type { Lane } from '../../src/transport/transport.js';
import type { SimNode } from './node.js';

/** What every message says, and nobody needs to read. */
const HIDDEN = new Set(['type', 'from', 'to']);

/** A message between nodes in one line: its type, and what it says. */
export function tellMessage(lane: Lane, bytes: Buffer): string {
  const { envelope, bodyOffset } = decodeEnvelope(bytes);
  const message = envelope.type === 'control' ? envelope.message : envelope;
  const words: string[] = [lane, message.type];
  for (const [name, value] of Object.entries(message)) {
    if (HIDDEN.has(name) || value === undefined || value === false || value === '') continue;
    if (typeof value === 'object') continue;
    words.push(value === true ? name : `${name} ${value}`);
  }
  if (bytes.length > bodyOffset) words.push(`+ ${bytes.length - bodyOffset} bytes`);
  return words.join(' ');
}

/** How each node stands in a group. */
export function tellNodes(group: GroupId, nodes: readonly SimNode[]): string[] {
  return nodes.map((node) => {
    if (!node.up) return `${node.host}: down, ${node.durable(group).lastIndex} entries durable`;
    const replica = node.replica(group);
    const { role, term, leader, lastIndex, durableIndex, commitIndex } = replica.status();
    const { applied } = replica.applier;
    return `${node.host}: ${role} in term ${term}, leader ${leader}, log to ${lastIndex}, durable ${durableIndex}, committed ${commitIndex}, applied ${applied}`;
  });
}
