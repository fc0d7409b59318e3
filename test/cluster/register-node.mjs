// One member of a cluster with a register as its state machine, driven over the process's message channel: a test
// stops this process as a whole, and what is asked meanwhile waits in the channel.
import { Engine } from '../../dist/engine/engine.js';

let value = 0;
const stateMachine = {
  apply(batch) {
    batch.forEach((bytes) => {
      value = Buffer.from(bytes).readUInt32LE();
    });
  },
};

const engine = await Engine.open({
  ...JSON.parse(process.argv[2]),
  groups: [{ id: 1, stateMachine }],
});
const group = engine.group(1);
const logs = [];
engine.on('log', ({ message }) => logs.push(message));

const ACTIONS = {
  async write({ value: next }) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(next);
    await group.propose(bytes);
    return {};
  },
  async read({ policy }) {
    await group.read({ policy });
    return { value };
  },
  status() {
    const { role, term, leader } = group.status();
    return { role, term, leader, logs };
  },
  /** From now on this thread does something else for so long, again and again. */
  busy({ ms }) {
    setInterval(() => {
      for (const end = performance.now() + ms; performance.now() < end; );
    }, 1);
    return {};
  },
};

process.on('message', async ({ id, action, ...given }) => {
  try {
    process.send({ id, ...(await ACTIONS[action](given)) });
  } catch (error) {
    process.send({ id, code: error.code ?? String(error) });
  }
});
process.on('disconnect', () => process.exit());
process.send({ ready: true });
