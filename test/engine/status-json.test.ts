import { describe, expect, it } from 'vitest';
import { JSON_CHARS_MAX } from '../../src/base/limits.js';
import { decodeEnvelope, encodeEnvelope } from '../../src/codec/envelope.js';
import type { Hub } from '../../src/engine/hub.js';
import { Inbox, type InboxParts } from '../../src/engine/inbox.js';
import type { EngineStatus } from '../../src/engine/status.js';
import { statusJson } from '../../src/engine/status-json.js';
import { inboxCodec } from '../../src/workers/records.js';
import { ringPair } from '../workers/parts.js';

/** Of groups that each take about `chars` characters. */
function statusOf(groups: number, chars: number): EngineStatus {
  const list = Array.from({ length: groups }, (_, at) => ({ group: at + 1, role: 'x'.repeat(chars) }));
  return { id: 1, cluster: 'c', groups: list } as unknown as EngineStatus;
}

describe("a status in a remote client's answer", () => {
  it('is whole where a message holds it', () => {
    const status = statusOf(200, 1000);
    expect(JSON.parse(statusJson(status, 0))).toEqual(status);
  });

  it('has as many of 1,024 groups as a message holds, and says how many it leaves out', () => {
    for (const chars of [300, 1000, 30_000]) {
      const status = statusOf(1024, chars);
      const { bytes } = encodeEnvelope({ type: 'statusReply', requestId: 1, json: statusJson(status, 0) });
      const { json } = decodeEnvelope(bytes).envelope as { json: string };
      const { groups, groupsLeftOut, ...rest } = JSON.parse(json) as EngineStatus;
      expect(groups).toEqual(status.groups.slice(0, groups.length));
      expect(groups.length).toBeGreaterThan(0);
      expect(groups.length + (groupsLeftOut ?? 0)).toBe(1024);
      expect(rest).toEqual({ id: 1, cluster: 'c' });
      const next = JSON.stringify(status.groups[groups.length]).length;
      expect(json.length + next, 'one more would not fit').toBeGreaterThan(JSON_CHARS_MAX - 10);
    }
  });

  it('goes on from a group, by growing ids, until all were told', () => {
    const status = statusOf(1024, 1000);
    status.groups.reverse();
    const told: number[] = [];
    for (let left = 1024; left > 0; ) {
      const page = JSON.parse(statusJson(status, (told.at(-1) ?? 0) + 1)) as EngineStatus;
      left = page.groupsLeftOut ?? 0;
      told.push(...page.groups.map(({ group }) => group));
      expect(told.length + left).toBe(1024);
    }
    expect(told).toEqual(Array.from({ length: 1024 }, (_, at) => at + 1));
  });

  it('is never longer than a message holds, whatever the last group takes', () => {
    const spare = JSON_CHARS_MAX - JSON.stringify(statusOf(2, 100)).length;
    const counts = new Set<number>();
    for (let more = spare - 60; more <= spare + 10; more++) {
      const status = statusOf(2, 100);
      Object.assign(status.groups[1]!, { role: 'x'.repeat(100 + more) });
      const json = statusJson(status, 0);
      expect(json.length).toBeLessThanOrEqual(JSON_CHARS_MAX);
      counts.add((JSON.parse(json) as EngineStatus).groups.length);
    }
    expect([...counts]).toEqual([2, 1]);
  });

  it('of more groups than fit is answered like any other', () => {
    const { producer, consumer: ring } = ringPair();
    const replies: Buffer[] = [];
    const hub = { blocked: false, command: ({ body }: { body: Buffer }) => replies.push(body) };
    const parts = { ring, hub: hub as unknown as Hub, status: () => statusOf(1024, 1000) };
    inboxCodec.push(producer, { type: 'statusRequest', stream: 5, requestId: 7, fromGroup: 1001 });
    new Inbox(parts as unknown as InboxParts).drain();
    const [reply] = replies.map((bytes) => decodeEnvelope(bytes).envelope);
    expect(reply).toMatchObject({ type: 'statusReply', requestId: 7 });
    const { groups } = JSON.parse((reply as { json: string }).json) as EngineStatus;
    expect(groups.map(({ group }) => group)).toEqual(Array.from({ length: 24 }, (_, at) => 1001 + at));
  });
});
