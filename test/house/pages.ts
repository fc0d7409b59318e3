/** One error code's section of `docs/errors.md`. */
export interface ErrorSection {
  code: string;
  when: string;
  /** What the line "Retry:" begins with. */
  retry: 'yes' | 'no' | undefined;
  todo: string;
}

/** Reads the sections: a heading `### \`CODE\`` followed by the paragraphs **When:**, **Retry:** and **What to do:**. */
export function parseErrorPage(page: string): ErrorSection[] {
  const [, ...sections] = page.split(/^### /m);
  return sections.map((section) => {
    const body = section.replace(/^## [\s\S]*$/m, '');
    const retry = /^(yes|no)\b/.exec(paragraph(body, 'Retry').toLowerCase())?.[1];
    return {
      code: /^`([^`]*)`\s*$/m.exec(section.split('\n')[0] ?? '')?.[1] ?? '',
      when: paragraph(body, 'When'),
      retry: retry === 'yes' || retry === 'no' ? retry : undefined,
      todo: paragraph(body, 'What to do'),
    };
  });
}

/** The text of the paragraph or list item that begins with `**title:**`, '' when there is none. */
function paragraph(body: string, title: string): string {
  const start = body.indexOf(`**${title}:**`);
  if (start < 0) return '';
  const rest = body.slice(start + title.length + '**:**'.length);
  return (rest.split(/\n\s*\n|\n- \*\*/)[0] ?? '').trim();
}

/** One row of the tables in `docs/options.md`. */
export interface OptionRow {
  path: string;
  type: string;
  default: string;
  limits: string;
  meaning: string;
}

const OPTION_HEADINGS = ['path', 'type', 'default', 'limits', 'meaning'];
/** A bar that a backslash stands before belongs to the cell. */
const CELL_BORDER = /(?<!\\)\|/;

/** Reads every table whose head is `path | type | default | limits | meaning`; a row of another width is an error. */
export function parseOptionPage(page: string): OptionRow[] {
  const rows: OptionRow[] = [];
  let inTable = false;
  for (const line of page.split('\n')) {
    const cells = line.startsWith('|') ? cellsOf(line) : undefined;
    if (cells === undefined) {
      inTable = false;
    } else if (cells.join() === OPTION_HEADINGS.join()) {
      inTable = true;
    } else if (inTable && !cells.every((cell) => /^:?-+:?$/.test(cell))) {
      rows.push(optionRow(cells, line));
    }
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(CELL_BORDER)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function optionRow(cells: string[], line: string): OptionRow {
  const [path = '', type = '', given = '', limits = '', meaning = ''] = cells;
  const named = /^`([a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*)`$/.exec(path)?.[1];
  if (cells.length !== OPTION_HEADINGS.length || named === undefined || meaning === '') {
    throw new Error(`docs/options.md has a row that cannot be read: ${line}`);
  }
  return { path: named, type, default: bare(given), limits: bare(limits), meaning };
}

/** A cell without its code marks and without a remark in brackets behind the value: `\`1048576\` (1 MiB)`. */
function bare(cell: string): string {
  return cell.replace(/ \([^()]*\)$/, '').replace(/^`(.*)`$/, '$1');
}

/** A default as the page writes it: text bare, nothing as a dash, numbers without grouping, the rest as JSON. */
export function writtenDefault(value: unknown): string {
  if (value === undefined || value === null) return '—';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The limits as the page writes them: the words that may be given, or the bounds of a number. */
export function writtenLimits(option: { min?: number; max?: number; oneOf?: readonly string[] }): string {
  if (option.oneOf !== undefined) return option.oneOf.join(', ');
  return option.max === undefined ? '' : `${option.min ?? 0} … ${option.max}`;
}
