import { Engine } from 'raftline';

const [id, ...addresses] = process.argv.slice(2); // 1 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103
const peers = Object.fromEntries(addresses.map((address, at) => [at + 1, address]));
const where = { id: Number(id), cluster: 'example', listen: peers[id], peers, dataDirectory: `data-${id}` };
const log = [];
const stateMachine = {
  apply(batch) {
    const before = log.length; // every node gets the same entries in the same order
    batch.forEach((bytes) => {
      log.push(Buffer.from(bytes).toString().trim());
    });
    return log.slice(before).map((text) => Buffer.from(text.toUpperCase())); // the proposer gets this
  },
};
const engine = await Engine.open({ ...where, groups: [{ id: 1, stateMachine }] });
engine.on('leadership', ({ role, leader }) => console.log(`${role}, leader ${leader}`));
process.on('SIGINT', () => engine.close().then(() => process.exit()));
const propose = (bytes) => engine.group(1).propose(bytes); // on a follower: RAFTLINE_NOT_LEADER
const show = ({ index, result }) => console.log(index, String(result));
for await (const bytes of process.stdin) await propose(bytes).then(show, console.error);
