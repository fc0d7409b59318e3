import { helpOf } from '../dist/cli/arguments.js';

/** The help of what only a checkout has: how it is called there, and where it writes. */
export function checkoutHelp(shape) {
  const flags = shape.flags.map((flag) =>
    flag.name === 'dir' ? { ...flag, help: flag.help.replace('(default .)', '(default .tmp)') } : flag,
  );
  return helpOf({ ...shape, flags }, 'npm run bench --');
}
