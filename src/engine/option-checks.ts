import { ErrorCode, RaftlineError } from '../base/errors.js';
import { SAFE_MAX } from '../base/ids.js';
import type { OptionRow } from './option-table.js';

/** The error of an option that does not hold: its path, what was expected and what was received. */
export function invalid(path: string, expected: string, received: unknown): RaftlineError {
  const shown = shownAs(received);
  return new RaftlineError(
    ErrorCode.OptionInvalid,
    `option ${path}: expected ${expected}, received ${shown}`,
    {
      path,
      expected,
      received: shown,
    },
  );
}

/** Whatever it is, in at most 80 characters. */
export function shownAs(value: unknown): string {
  const text = textOf(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function textOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'bigint') return `${value}n`;
  const kind = typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  try {
    return JSON.stringify(value) ?? kind;
  } catch {
    // A circle, or what JSON has no word for.
    return kind;
  }
}

/** @throws RaftlineError `RAFTLINE_OPTION_INVALID` */
export function checkObject<Given extends object>(path: string, given: Given): Given {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
  throw invalid(path, 'an object', given);
}

/** The value of one option, or its default. @throws RaftlineError `RAFTLINE_OPTION_INVALID` */
export function checkRow(row: OptionRow, given: unknown, path = row.path): unknown {
  const value = given === undefined ? row.default : given;
  const expected = expectation(row);
  if (row.auto && value === 'auto') return value;
  if (row.type === 'integer') {
    if (!Number.isSafeInteger(value) || !isWithin(row, value as number)) throw invalid(path, expected, given);
  } else if (row.type === 'number') {
    if (typeof value !== 'number' || !isWithin(row, value)) throw invalid(path, expected, given);
  } else if (typeof value !== row.type) throw invalid(path, expected, given);
  else if (row.type === 'string' && value === '') throw invalid(path, expected, given);
  if (row.oneOf !== undefined && !row.oneOf.includes(value as string)) throw invalid(path, expected, given);
  return value;
}

/** NaN never is. */
function isWithin({ min = 0, max = SAFE_MAX }: OptionRow, value: number): boolean {
  return value >= min && value <= max;
}

function expectation(row: OptionRow): string {
  if (row.oneOf !== undefined) return `one of ${row.oneOf.join(', ')}`;
  if (row.type === 'boolean') return 'true or false';
  if (row.type === 'string') return 'a string that is not empty';
  const unit = row.unit === undefined ? '' : ` ${row.unit}`;
  const auto = row.auto ? " or 'auto'" : '';
  return `a ${row.type === 'integer' ? 'whole number' : 'number'} from ${row.min} to ${row.max}${unit}${auto}`;
}
