import type { RaftlineError } from '../base/errors.js';

/**
 * What travels on a stream. Votes and heartbeats (`control`) have a connection of their own, never behind data;
 * snapshots never hold up appends (A16).
 */
export const LANES = ['control', 'append', 'client', 'snapshot'] as const;
export type Lane = (typeof LANES)[number];

/** What every message is charged in `queuedBytes` beside its own bytes, so that empty ones are bounded as well. */
export const MESSAGE_OVERHEAD_BYTES = 64;

/** One end of a long-lived ordered stream of byte messages. Both ends look the same. */
export interface MessageStream {
  /** Unique within one transport, or one memory network. */
  readonly id: number;
  /** The other end as `host:port`, for logs. */
  readonly remote: string;
  /**
   * Takes the message if fewer than `queuedBytesMax` are queued (so at most one message beyond that is held);
   * false: full or closed, and nothing was taken. From here on `bytes` belong to the stream and must not change.
   * `done` is called once the bytes were handed to the socket. It may never be called (a stuck peer, a close), so
   * nobody may wait for it to release memory.
   * @throws BytesInvalid for a message above `messageBytesMax`: the other end would end the stream over it
   */
  send(bytes: Buffer, done?: () => void): boolean;
  /** Whether `send` would take a message now. */
  readonly hasRoom: boolean;
  /** Bytes taken and not yet handed to the socket, with `MESSAGE_OVERHEAD_BYTES` for each message. */
  readonly queuedBytes: number;
  /** Stops delivering messages; HTTP/2 flow control then stops the peer. A few messages are held on this side. */
  pause(): void;
  resume(): void;
  /**
   * Ends the stream at once; twice is fine. What is queued is dropped, what is on the wire may be lost: whoever
   * needs a last word delivered lets the other end close. `onClose` gets `cause`, or code Closed.
   */
  close(cause?: Error): void;
  /** Set both in the turn that the stream was given out. A BytesInvalid thrown from here costs the stream. */
  onMessage: (bytes: Buffer) => void;
  /** Called exactly once, whichever end closed; code Unreachable when the network or the peer ended the stream. */
  onClose: (cause: RaftlineError) => void;
}

export interface Listener {
  readonly port: number;
  /** Ends the listener and the streams that came in through it. Twice is fine. */
  close(): Promise<void>;
}

/** What a network is to raftline. */
export interface Transport {
  /**
   * @param address `host:port`, port 0 for any free one
   * @throws AddressInvalid, AddressInUse, InsecureRefused, Closed (as rejections)
   */
  listen(address: string, onStream: (lane: Lane, stream: MessageStream) => void): Promise<Listener>;
  /**
   * Returns at once; messages are queued until connected. Failing to connect is told by `onClose`, later.
   * @throws AddressInvalid
   */
  connect(address: string, lane: Lane): MessageStream;
  /** Ends every listener and stream. */
  close(): void;
}

/** What peers use to prove who they are to each other: PEM texts. The certificate serves both directions. */
export interface TlsOptions {
  /** Certificates of the authorities that are believed. */
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

export interface TransportOptions {
  /** Largest message in either direction, bytes. A peer that sends a larger one loses its stream. */
  messageBytesMax: number;
  /** A stream takes no further message once so many bytes are queued on it. */
  queuedBytesMax: number;
  /** What all streams of this transport have queued, and how much that may be. Default: unbounded. */
  queue?: SharedQueue;
  /** How much a peer may have in flight to us per stream before we read it; bandwidth × delay. Default 1 MiB. */
  receiveWindowBytes?: number;
}

/**
 * What is queued on many streams, as two numbers that only grow: bytes taken, and bytes that left. At a difference of `bytesMax` a stream that
 * has something queued takes no more; one that has nothing takes one message, so that nobody starves.
 */
export interface SharedQueue {
  taken: number;
  left: number;
  readonly bytesMax: number;
}

export const RECEIVE_WINDOW_BYTES_DEFAULT = 1024 * 1024;
