import { createServer } from 'node:net';
import { ErrorCode, RaftlineError } from '../base/errors.js';
import { type Address, foreignText, formatAddress } from './address.js';

/**
 * Binds the address once with a plain socket and lets it go. The library reports a failed bind on standard error,
 * without a code; this way only a port taken in between can make it do so.
 */
export function probe({ host, port }: Address): Promise<void> {
  const socket = createServer();
  return new Promise((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      reject(bindError(formatAddress({ host, port }), error.code ?? '', error));
    });
    socket.listen({ host, port, exclusive: true }, () => socket.close(() => resolve()));
  });
}

/** A failed bind in our words. `errorCode`: the system's, `EADDRINUSE` and the like. */
export function bindError(address: string, errorCode: string, error: Error): RaftlineError {
  const inUse = errorCode === 'EADDRINUSE';
  const message = inUse
    ? `listen on ${address}: the port is in use by another process or engine`
    : `listen on ${address}: the address cannot be used: ${foreignText(error.message)}`;
  const code = inUse ? ErrorCode.AddressInUse : ErrorCode.AddressInvalid;
  return new RaftlineError(code, message, { received: address }, error);
}
