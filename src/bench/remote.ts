import { RaftlineClient } from '../client/client.js';
import { serveParent } from './child.js';
import { type DataSettings, makePool } from './data.js';
import { LoadRunner, type LoadSettings } from './load-report.js';

/** A client process: appends over the network through the remote client, one promise per entry. */
export interface RemoteSettings {
  servers: Record<number, string>;
  cluster?: string;
  entriesMax: number;
  bytesMax: number;
}

let client: RaftlineClient | undefined;
const load = new LoadRunner();

const own = serveParent({
  open: ({ servers, cluster, entriesMax, bytesMax }: RemoteSettings) => {
    const limits = { entriesMax, bytesMax };
    client = new RaftlineClient({ servers, ...limits, ...(cluster === undefined ? {} : { cluster }) });
  },
  load: (settings: LoadSettings & DataSettings) =>
    load.start((bytes) => client!.append(bytes), makePool(settings), settings),
  sample: (args: { latencies?: boolean }) => ({ ...own(), ...load.report(args.latencies === true) }),
  /** What a node of a running cluster says of itself. */
  status: ({ address }: { address: string }) => client!.status(address),
  stop: () => load.stop(),
  finish: () => load.finish(),
  close: () => client?.close(),
});
