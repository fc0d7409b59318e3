import { RaftlineClient } from '../client/client.js';
import { serveParent } from './child.js';
import { type DataSettings, makePool } from './data.js';
import { inTurn, LoadRunner, type LoadSettings } from './load-report.js';

/** A client process: appends over the network through the remote client, one promise per entry. */
export interface RemoteSettings {
  servers: Record<number, string>;
  cluster?: string;
  /** Entries go to them in turn. */
  groupIds: readonly number[];
  /** Outstanding at most, all groups. */
  entriesMax: number;
  bytesMax: number;
}

let clients: RaftlineClient[] = [];
const load = new LoadRunner();

function open({ servers, cluster, groupIds, entriesMax, bytesMax }: RemoteSettings): void {
  const limits = { entriesMax, bytesMax, ...(cluster === undefined ? {} : { cluster }) };
  clients = groupIds.map((group) => new RaftlineClient({ servers, group, ...limits }));
}

const own = serveParent({
  open,
  load: (settings: LoadSettings & DataSettings) => {
    const appends = clients.map((client) => (bytes: Buffer) => client.append(bytes));
    load.start(inTurn(appends), makePool(settings), settings);
  },
  sample: (args: { latencies?: boolean }) => ({ ...own(), ...load.report(args.latencies === true) }),
  /** What a node of a running cluster says of itself. */
  status: ({ address }: { address: string }) => clients[0]!.status(address),
  stop: () => load.stop(),
  finish: () => load.finish(),
  close: () => {
    for (const client of clients) client.close();
  },
});
