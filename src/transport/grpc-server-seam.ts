/**
 * The gRPC library opens the receive window of clients only: its servers, which here receive the data, stay at
 * 64 KiB, a quarter of the speed (grpc/grpc-node#3058). Nor has it options for HTTP/2's own limits. This file
 * reaches two fields inside its server for both, looks before it touches, and says when they are gone; a test
 * measures the window really in force.
 */

/** As much of node:http2's server session as is used here. */
export interface HttpSession {
  setLocalWindowSize(bytes: number): void;
  destroy(): void;
  once(event: 'close', listener: () => void): void;
  readonly socket: { readonly remoteAddress?: string; readonly remotePort?: number };
}

export interface ServerLimits {
  /** Receive window of each stream and each connection, bytes. */
  windowBytes: number;
  connectionsMax: number;
}

interface HttpServer {
  maxConnections: number;
  on(event: 'session', listener: (session: HttpSession) => void): void;
}

/** Longest header list, bytes, and most headers in it: a call of ours has nine short ones (S11). */
const HEADER_LIST_BYTES_MAX = 16 * 1024;
const HEADERS_MAX = 64;
/** Frames that make no sense, and streams over the limit, that a connection may send before it is dropped (S11). */
const INVALID_FRAMES_MAX = 32;
const REJECTED_STREAMS_MAX = 32;

/** Before `bindAsync`. False: the library has changed and nothing was done. */
export function prepareServer(server: object, limits: ServerLimits): boolean {
  const options = fieldOf(server, 'commonServerOptions');
  if (!isRecord(options)) return false;
  const settings = isRecord(options.settings) ? options.settings : {};
  options.settings = {
    ...settings,
    initialWindowSize: limits.windowBytes,
    maxHeaderListSize: HEADER_LIST_BYTES_MAX,
  };
  options.maxHeaderListPairs = HEADERS_MAX;
  options.maxSessionInvalidFrames = INVALID_FRAMES_MAX;
  options.maxSessionRejectedStreams = REJECTED_STREAMS_MAX;
  // Read only for TLS. Both ends are raftline's, so nothing older has to be understood (S1).
  options.minVersion = 'TLSv1.3';
  return true;
}

/**
 * After `bindAsync`. Opens the window of each connection and keeps the connections by the peer's `address:port`.
 * Undefined: the library has changed and nothing was done.
 */
export function watchSessions(server: object, limits: ServerLimits): Map<string, HttpSession> | undefined {
  const servers = fieldOf(server, 'http2Servers');
  if (!(servers instanceof Map)) return undefined;
  const https = [...servers.keys()].filter(isHttpServer);
  if (https.length === 0) return undefined;
  const sessions = new Map<string, HttpSession>();
  for (const http of https) {
    http.maxConnections = limits.connectionsMax;
    http.on('session', (session) => {
      session.setLocalWindowSize(limits.windowBytes);
      const { remoteAddress, remotePort } = session.socket;
      const remote = `${remoteAddress}:${remotePort}`;
      sessions.set(remote, session);
      session.once('close', () => sessions.delete(remote));
    });
  }
  return sessions;
}

function fieldOf(holder: object, name: string): unknown {
  return name in holder ? (holder as Record<string, unknown>)[name] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isHttpServer(value: unknown): value is HttpServer {
  return isRecord(value) && typeof value.on === 'function';
}
