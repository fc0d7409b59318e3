import { serveParent } from '../../dist/bench/child.js';
import { Engine } from '../../dist/index.js';

/** One member of the cluster whose leaders are killed. It notes what happens to it, and when, on the clock that all processes share. */

const GROUP = 1;
const WATCH_EVERY_MS = 1;
const MARKS_MAX = 1000;

let engine;
/** @type {{ what: string, atMs: number, term?: number, peer?: number }[]} oldest first, the newest thousand */
const marks = [];

function mark(what, facts = {}) {
  marks.push({ what, atMs: performance.timeOrigin + performance.now(), ...facts });
  if (marks.length > MARKS_MAX) marks.shift();
}

/** Leading means little before the no-op, the entry at `lastIndex` when the leadership began, is committed. */
function watchCommit(group, term, firstIndex) {
  const { role, term: now, commitIndex } = group.status();
  if (role !== 'leader' || now !== term) return;
  if (commitIndex >= firstIndex) mark('committed', { term });
  else setTimeout(() => watchCommit(group, term, firstIndex), WATCH_EVERY_MS);
}

serveParent({
  async open({ id, directory, peers, election }) {
    engine = await Engine.open({
      id,
      cluster: 'failover',
      dataDirectory: directory,
      listen: peers[id],
      peers,
      groups: [{ id: GROUP, stateMachine: { apply: () => undefined } }],
      election,
      segmentBytes: 4 * 1024 * 1024,
    });
    const group = engine.group(GROUP);
    engine.on('leadership', ({ role, term, leader }) => {
      mark(role, { term, peer: leader });
      if (role === 'leader') watchCommit(group, term, group.status().lastIndex);
    });
    engine.on('peer', ({ id: peer, lane, up }) => {
      if (!up) mark(`${lane} down`, { peer });
    });
    engine.on('fatal', (error) => {
      process.stderr.write(`node ${id}: ${error.stack}\n`);
      process.exit(1);
    });
  },
  status() {
    const [group] = engine.status().groups;
    return group;
  },
  marks() {
    return marks;
  },
  async close() {
    await engine?.close();
  },
});
