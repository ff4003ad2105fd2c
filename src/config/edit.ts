/** Changes numbers of `[gateway]` in a configuration's text; all else stays as it is, comments too. */
import { KeyLocator, type KeyPath } from './key-locator.js';

/** A line before and after; without a `before` it is new. */
export interface EditedLine {
  /** From 1, in the text before. */
  readonly line: number;
  readonly before?: string;
  readonly after: string;
}

export interface EditedText {
  readonly text: string;
  readonly lines: readonly EditedLine[];
}

/**
 * @param text      has been parsed: it is well-formed, and holds the table `[gateway]`
 * @param settings  by key
 * @returns undefined where the table is written in a way that this does not edit, such as inline
 */
export function setGatewayNumbers(
  text: string,
  settings: Readonly<Record<string, number>>,
): EditedText | undefined {
  const lines = text.split('\n');
  const header = lines.findIndex((line) => /^\s*\[\s*gateway\s*\]\s*(#.*)?$/.test(line));
  if (header < 0) return undefined;
  const locator = new KeyLocator(text);
  const edited: EditedLine[] = [];
  for (const [key, value] of Object.entries(settings)) {
    const path: KeyPath = ['gateway', key];
    const at = locator.locate(path).line - 1;
    const [, before, old, rest] =
      new RegExp(`^(\\s*${key}\\s*=\\s*)("[a-z]*"|\\d+)(\\s*(?:#.*)?)$`).exec(lines[at]!) ?? [];
    if (before === undefined) {
      if (new RegExp(`^\\s*${key}\\s*=`).test(lines[at]!)) return undefined;
      edited.push({ line: header + 2, after: `${key} = ${value}` });
    } else if (old !== String(value)) {
      edited.push({ line: at + 1, before: lines[at]!, after: `${before}${value}${rest}` });
    }
  }
  return { text: apply(lines, edited).join('\n'), lines: edited };
}

function apply(lines: readonly string[], edited: readonly EditedLine[]): string[] {
  return [...lines, undefined].flatMap((line, i) => {
    const here = edited.filter((one) => one.line === i + 1);
    const added = here.filter(({ before }) => before === undefined).map(({ after }) => after);
    const changed = here.find(({ before }) => before !== undefined);
    const kept = changed?.after ?? line;
    return kept === undefined ? added : [...added, kept];
  });
}
