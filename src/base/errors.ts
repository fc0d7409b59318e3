/**
 * Every error that a user of raftline can meet has a code that never changes, listed in `docs/errors.md`; a test
 * holds that page and this list together.
 */
export const ErrorCode = {
  OptionInvalid: 'RAFTLINE_OPTION_INVALID',
  UsageInvalid: 'RAFTLINE_USAGE_INVALID',
  FileUnreadable: 'RAFTLINE_FILE_UNREADABLE',
  AddressInUse: 'RAFTLINE_ADDRESS_IN_USE',
  AddressInvalid: 'RAFTLINE_ADDRESS_INVALID',
  InsecureRefused: 'RAFTLINE_INSECURE_REFUSED',
  DirectoryLocked: 'RAFTLINE_DIRECTORY_LOCKED',
  DirectoryInvalid: 'RAFTLINE_DIRECTORY_INVALID',
  LogDamaged: 'RAFTLINE_LOG_DAMAGED',
  DiskFailed: 'RAFTLINE_DISK_FAILED',
  DiskFull: 'RAFTLINE_DISK_FULL',
  EntryTooLarge: 'RAFTLINE_ENTRY_TOO_LARGE',
  Overloaded: 'RAFTLINE_OVERLOADED',
  NotLeader: 'RAFTLINE_NOT_LEADER',
  OutcomeUnknown: 'RAFTLINE_OUTCOME_UNKNOWN',
  GroupUnknown: 'RAFTLINE_GROUP_UNKNOWN',
  Compacted: 'RAFTLINE_COMPACTED',
  Closed: 'RAFTLINE_CLOSED',
  Timeout: 'RAFTLINE_TIMEOUT',
  Unreachable: 'RAFTLINE_UNREACHABLE',
  HandshakeRefused: 'RAFTLINE_HANDSHAKE_REFUSED',
  MembersChanged: 'RAFTLINE_MEMBERS_CHANGED',
  MembersBusy: 'RAFTLINE_MEMBERS_BUSY',
  MemberInvalid: 'RAFTLINE_MEMBER_INVALID',
  MemberLagging: 'RAFTLINE_MEMBER_LAGGING',
  MemberRemoved: 'RAFTLINE_MEMBER_REMOVED',
  BytesInvalid: 'RAFTLINE_BYTES_INVALID',
  SessionExpired: 'RAFTLINE_SESSION_EXPIRED',
  SequenceGap: 'RAFTLINE_SEQUENCE_GAP',
  StateMachineFailed: 'RAFTLINE_STATE_MACHINE_FAILED',
  ThreadDied: 'RAFTLINE_THREAD_DIED',
  Internal: 'RAFTLINE_INTERNAL',
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** Codes after which the same call may simply be made again, later or elsewhere. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ErrorCode.Overloaded,
  ErrorCode.NotLeader,
  ErrorCode.Unreachable,
  ErrorCode.MembersBusy,
  ErrorCode.SequenceGap,
]);

/** Facts beside the message, by name: `path`, `expected`, `received`, `limit`, `leader`, `file`, `offset` … */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one error class of raftline. */
export class RaftlineError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RaftlineError';
    this.code = code;
    this.details = details;
  }

  /** Whether the call certainly had no effect and may be made again. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }

  /** A plain object that survives a thread border, where classes and codes are lost. */
  toPlain(): PlainError {
    return { code: this.code, message: this.message, details: this.details };
  }

  static fromPlain(plain: PlainError): RaftlineError {
    return new RaftlineError(plain.code, plain.message, plain.details);
  }
}

export interface PlainError {
  code: ErrorCode;
  message: string;
  details: ErrorDetails;
}

/** Turns whatever was thrown into a RaftlineError; foreign errors get `code` and keep their message. */
export function toRaftlineError(thrown: unknown, code: ErrorCode = ErrorCode.Internal): RaftlineError {
  if (thrown instanceof RaftlineError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new RaftlineError(code, message, {}, thrown);
}
