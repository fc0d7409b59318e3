import { describe, expect, it } from 'vitest';
import type { GroupId } from '../../src/base/ids.js';
import type { Configuration, MemberIncarnation } from '../../src/base/messages.js';
import type { Hub } from '../../src/engine/hub.js';
import { type Membership, PeerBook } from '../../src/engine/peer-book.js';
import type { Roster, Tombstone } from '../../src/workers/roster.js';

const members = (voters: number[], incarnations: MemberIncarnation[], removed: MemberIncarnation[] = []) => ({
  ...{ voters, votersOutgoing: [], learners: [], learnersNext: [], compressionLevel: 0 },
  ...{ incarnations, removed },
});

/** Of node 1, with one committed configuration for each group; and what it told its network thread last. */
function makeBook(configurations: readonly Configuration[]): {
  book: PeerBook;
  told: () => Roster | undefined;
} {
  let roster: Roster | undefined;
  const hub = {
    command: ({ body }: { body: Buffer }) => {
      roster = JSON.parse(body.toString()) as Roster;
    },
    wake: () => {},
  } as unknown as Hub;
  const replicas = new Map<GroupId, Membership>(
    configurations.map((configuration, at) => {
      const only = [{ index: 5, term: 1, configuration }];
      return [at + 1, { group: at + 1, commitIndex: 9, configurations: only }];
    }),
  );
  const facts = { incarnation: 11, joined: false, peers: [] };
  const parts = { self: 1, address: 'n1:1', hints: new Map(), facts, hub, replicas };
  return { book: new PeerBook(parts), told: () => roster };
}

/** Whom it tells its network thread to turn away. */
function turnedAway(...configurations: Configuration[]): Tombstone[] {
  const { book, told } = makeBook(configurations);
  book.update();
  return told()?.removed ?? [];
}

describe('where a member is', () => {
  it('is known from the link to it, while that is up', () => {
    const { book } = makeBook([members([1, 2], [])]);
    const link = { id: 2, lane: 'control', incarnation: 22, address: 'n2:1', code: '', message: '' } as const;
    expect(book.connectedAt(2)).toBe('');
    book.noteLink({ ...link, up: true });
    expect(book.connectedAt(2)).toBe('n2:1');
    book.noteLink({ ...link, up: false });
    expect(book.connectedAt(2)).toBe('');
  });
});

describe('of very many groups', () => {
  it('looks at each a few times only, whenever a group changes', () => {
    let looks = 0;
    const only = [{ index: 5, term: 1, configuration: members([1, 2, 3], []) }];
    const replica = (group: number): Membership => ({
      ...{ group, commitIndex: 9 },
      get configurations() {
        looks++;
        return only;
      },
    });
    const replicas = new Map(Array.from({ length: 1024 }, (_, at) => [at + 1, replica(at + 1)]));
    const hub = { command: () => {}, wake: () => {} } as unknown as Hub;
    const facts = { incarnation: 11, joined: false, peers: [] };
    new PeerBook({ self: 1, address: 'n1:1', hints: new Map(), facts, hub, replicas }).update();
    expect(looks).toBeLessThanOrEqual(10 * 1024);
  });
});

describe('who was removed, in an engine with several groups', () => {
  const gone = [{ id: 3, incarnation: 33 }];
  const without = members([1, 2], [], gone);

  it('is turned away where no group has it any more', () => {
    expect(turnedAway(without)).toEqual([{ ...gone[0], groups: [1] }]);
    expect(turnedAway(without, without)).toEqual([{ ...gone[0], groups: [1, 2] }]);
    // Group 2 never had it, as far as this log goes.
    expect(turnedAway(without, members([1, 2], []))).toEqual([{ ...gone[0], groups: [1] }]);
  });

  it('H60 is not while another group has it, also one that does not know yet as whom it came', () => {
    expect(turnedAway(without, members([1, 3], gone))).toEqual([]);
    expect(turnedAway(without, members([1, 3], []))).toEqual([]);
    expect(turnedAway(without, members([1, 3], [{ id: 3, incarnation: 0 }]))).toEqual([]);
  });

  it('H61 is where the other group means somebody else under its id', () => {
    expect(turnedAway(without, members([1, 3], [{ id: 3, incarnation: 34 }]))).toEqual([
      { ...gone[0], groups: [1] },
    ]);
  });
});
