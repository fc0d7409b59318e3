import { serveParent } from '../../dist/bench/child.js';
import { GrpcTransport } from '../../dist/transport/grpc.js';

/** Answers every message with eight bytes. */
const transport = new GrpcTransport({ messageBytesMax: 1024 * 1024, queuedBytesMax: 16 * 1024 * 1024 });

serveParent({
  open: async () => {
    const answer = Buffer.alloc(8);
    const { port } = await transport.listen('127.0.0.1:0', (_lane, stream) => {
      stream.onMessage = () => stream.send(answer);
      stream.onClose = () => {};
    });
    return { port };
  },
  close: () => transport.close(),
});
