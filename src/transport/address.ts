import { ErrorCode, RaftlineError } from '../base/errors.js';

export interface Address {
  /** A name or an IPv4 address, or an IPv6 address without its brackets. */
  host: string;
  port: number;
}

const FORM = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/;
const FOREIGN_TEXT_MAX = 200;

/** Reads `host:port` (IPv6 in brackets). @throws AddressInvalid */
export function parseAddress(address: string): Address {
  const parts = FORM.exec(address);
  const port = Number(parts?.[3]);
  if (parts === null || port > 65_535) {
    throw new RaftlineError(
      ErrorCode.AddressInvalid,
      `address: expected host:port with a port up to 65535 (IPv6 in brackets), received ${foreignText(address)}`,
      { received: foreignText(address) },
    );
  }
  return { host: parts[1] ?? parts[2] ?? '', port };
}

/** The opposite of `parseAddress`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach the host. A name other than `localhost` may resolve to anything: no. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

/** Text from outside, quoted, with control characters escaped and its length capped, fit for a message (S10). */
export function foreignText(text: string): string {
  return JSON.stringify(text.length > FOREIGN_TEXT_MAX ? `${text.slice(0, FOREIGN_TEXT_MAX)}…` : text);
}

/** Listening where strangers could come, without TLS (S1). */
export function insecureRefused(address: string): RaftlineError {
  const message = `listen on ${address}: without TLS only loopback is allowed; give tls, or insecure: true`;
  return new RaftlineError(ErrorCode.InsecureRefused, message, { received: address });
}
