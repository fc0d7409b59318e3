import { ErrorCode, RaftlineError, toRaftlineError } from '../base/errors.js';

/** The exit codes of every command. */
export const ExitCode = { Done: 0, Failed: 1, Usage: 2 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What whoever called the command can set right before anything was started. */
const CALLERS_OWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ErrorCode.OptionInvalid,
  ErrorCode.UsageInvalid,
  ErrorCode.FileUnreadable,
  ErrorCode.AddressInUse,
  ErrorCode.AddressInvalid,
  ErrorCode.InsecureRefused,
  ErrorCode.DirectoryLocked,
  ErrorCode.DirectoryInvalid,
]);

/** Errors that Node's file calls throw, in words. */
const FILE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'a part of the path is not a directory',
};

export function exitCodeOf(error: RaftlineError): ExitCode {
  return CALLERS_OWN.has(error.code) ? ExitCode.Usage : ExitCode.Failed;
}

/** One line for people, whatever the message holds. */
export function oneLine(error: RaftlineError): string {
  const message = error.message.replace(/\s*\n\s*/g, ' ');
  return error.code === ErrorCode.UsageInvalid ? message : `${message} [${error.code}]`;
}

/** What `work` fails with, where something is still to be done then. */
export function failureOf(work: Promise<unknown>): Promise<RaftlineError | undefined> {
  return work.then(
    () => undefined,
    (thrown: unknown) => toRaftlineError(thrown),
  );
}

/** What a file call threw, as an error about `path`. */
export function fileError(path: string, thrown: unknown): RaftlineError {
  const code = (thrown as { code?: unknown } | undefined)?.code;
  const reason = FILE_REASONS[String(code)] ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new RaftlineError(ErrorCode.FileUnreadable, `${path}: ${reason}`, { path }, thrown);
}
