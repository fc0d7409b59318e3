/** One way to break the engine on purpose. The text must stand in the file exactly once. */
export interface Mutant {
  /** The hazard that it brings back, as numbered in the project's list; T: threads and rings. */
  hazard: string;
  /** What it does, for people. */
  name: string;
  file: string;
  find: string;
  replace: string;
  /** The profile that should find it. Default: mixed. */
  profile?: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    hazard: 'H1',
    name: 'a vote leaves before it is durable',
    file: 'src/core/raft-state.ts',
    find: 'push(state, term, message, state.outbox.newestOrder);',
    replace: 'push(state, term, message, 0);',
    profile: 'crash',
  },
  {
    hazard: 'H1b',
    name: 'a voter votes again in the same term',
    file: 'src/core/voter.ts',
    find: 'return state.vote === request.from || (state.vote === 0 && state.leader === 0);',
    replace: 'return state.leader === 0;',
  },
  {
    hazard: 'H6',
    name: 'entries of earlier terms are committed by counting',
    file: 'src/core/replication.ts',
    find: 'if (index <= log.commitIndex || log.termAt(index) !== state.term) return;',
    replace: 'if (index <= log.commitIndex) return;',
  },
  {
    hazard: 'H7',
    name: 'the up-to-date check looks at the index only',
    file: 'src/core/voter.ts',
    find: 'return request.lastTerm > log.lastTerm;',
    replace: 'return request.lastIndex >= log.lastIndex;',
  },
  {
    hazard: 'H7b',
    name: 'a voter grants to a log that is behind in its term',
    file: 'src/core/voter.ts',
    find: 'if (request.lastTerm === log.lastTerm) return request.lastIndex >= log.lastIndex;',
    replace: 'if (request.lastTerm === log.lastTerm) return true;',
  },
  {
    hazard: 'H20',
    name: 'what the log holds already is replaced',
    file: 'src/core/follower.ts',
    find: 'if (lastIndexOf(header) <= log.baseIndex || log.termAt(header.firstIndex) === header.term) continue;',
    replace: 'if (lastIndexOf(header) <= log.baseIndex) continue;',
  },
  {
    hazard: 'H21',
    name: 'a conflicting suffix stays on disk',
    file: 'src/workers/wal-writer.ts',
    find: 'wal.stageTruncate(order.group, order.from);',
    replace: '',
  },
  {
    hazard: 'H22',
    name: 'commit goes beyond what the append proves',
    file: 'src/core/follower.ts',
    find: 'log.maybeCommit(Math.min(append.commit, end));',
    replace: 'log.maybeCommit(Math.min(append.commit, log.lastIndex));',
    profile: 'network',
  },
  {
    hazard: 'H28',
    name: 'a broken stream is not told to main',
    file: 'src/workers/replicator.ts',
    find: 'if (session.broken && session.started) {',
    replace: 'if (session.broken && session.started && session.counter < 0) {',
  },
  {
    hazard: 'H31',
    name: 'an acknowledgement leaves before its write is durable',
    file: 'src/workers/outbox.ts',
    find: 'if (after <= this.#durable.load()) {',
    replace: 'if (after >= 0) {',
  },
  {
    hazard: 'H31b',
    name: 'the log says durable when it has only written',
    file: 'src/workers/wal-writer.ts',
    find: "if (state === 'written') continue;",
    replace: "if (state === 'written') durable.store(this.#flushing);",
    profile: 'crash',
  },
  {
    hazard: 'H32',
    name: 'what was durable before a truncation counts after it',
    file: 'src/core/raft-log.ts',
    find: 'this.#durableIndex = Math.min(this.#durableIndex, from - 1);',
    replace: '',
  },
  {
    hazard: 'H34',
    name: 'a leader counts itself before its own sync',
    file: 'src/core/replication.ts',
    find: 'voter === id ? log.durableIndex :',
    replace: 'voter === id ? log.lastIndex :',
  },
  {
    hazard: 'H34b',
    name: 'a state machine takes what is not on its own disk',
    file: 'src/engine/replica.ts',
    find: 'return Math.min(this.#commit, this.#raft.durableIndex);',
    replace: 'return this.#commit;',
    profile: 'disk',
  },
  {
    hazard: 'H35',
    name: 'half of the voters are a majority',
    file: 'src/core/quorum.ts',
    find: 'return Math.floor(size / 2) + 1;',
    replace: 'return Math.ceil(size / 2);',
  },
  {
    hazard: 'H69',
    name: 'a lost leadership is told as certainly not done',
    file: 'src/engine/proposals.ts',
    find: 'this.abandonNear(term, outcome);',
    replace: 'this.abandonNear(term, this.#leadership.notLeader());',
  },
  {
    hazard: 'H66',
    name: 'what was under way when leadership was lost is never answered',
    file: 'src/engine/proposals.ts',
    find: 'this.near.takeOthers(term)) this.#abandonSlot(slot, error);',
    replace: 'this.near.takeOthers(term)) this.near.finish(slot);',
  },
  {
    hazard: 'H69b',
    name: 'a client that gave up says certainly not',
    file: 'src/client/appender.ts',
    find: 'this.#giveUp(this.#window.everSent, error);',
    replace: 'this.#giveUp(0, error);',
  },
  {
    hazard: 'H71',
    name: 'a retry is applied again',
    file: 'src/base/session-table.ts',
    find: "if (sequence <= session.last) return 'duplicate';",
    replace: "if (sequence <= session.last) return 'apply';",
  },
  {
    hazard: 'H76',
    name: 'what a start finds in the page cache counts as synced',
    file: 'src/wal/recovery.ts',
    find: '    disk.sync(fd);\n    disk.syncDirectory(directory);',
    replace: '',
    profile: 'disk',
  },
  {
    hazard: 'H82',
    name: "a new segment's name is not synced",
    file: 'src/wal/segment.ts',
    find: '    disk.rename(temporary, path);\n    disk.syncDirectory(directory);',
    replace: '    disk.rename(temporary, path);',
    profile: 'crash',
  },
  {
    hazard: 'H83',
    name: 'a vote is not written',
    file: 'src/workers/wal-writer.ts',
    find: 'wal.stageHardState(order.group, { term: order.term, vote: order.vote });',
    replace: 'wal.stageHardState(order.group, { term: order.term, vote: 0 });',
    profile: 'crash',
  },
  {
    hazard: 'T2',
    name: 'a refused batch stays in the receive ring',
    file: 'src/workers/wal-writer.ts',
    find: "assert(received.poll(), 'a batch ordered to be dropped stands in the receive ring');",
    replace: '',
  },
  {
    hazard: 'T4',
    name: 'what waits for the disk is not looked at again',
    file: 'src/workers/outbox.ts',
    find: 'if (ready.length === 0) return false;',
    replace: 'if (ready.length >= 0) return false;',
  },
];
