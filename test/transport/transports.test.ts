import { GrpcTransport } from '../../src/transport/grpc.js';
import { MemoryNetwork } from '../../src/transport/memory.js';
import { transportSuite } from './suite.js';

transportSuite('memory transport', (a, b = a) => {
  const network = new MemoryNetwork({ ...a, autoDeliver: true });
  return { a: network.transport('a', a), b: network.transport('b', b), host: 'b' };
});

transportSuite('gRPC transport', (a, b = a) => ({
  a: new GrpcTransport(a),
  b: new GrpcTransport(b),
  host: '127.0.0.1',
}));
