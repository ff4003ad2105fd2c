/** Reads what `swanctl --raw` prints: nested sections, lists and values. */

export type Section = { [name: string]: Value };
export type Value = string | readonly string[] | Section;

/** Parses the content of each `<type> event {...}` line. */
export function parseEvents(text: string, type: string): Section[] {
  const head = `${type} event {`;
  return text
    .split('\n')
    .filter((line) => line.startsWith(head))
    .map((line) => section(new Cursor(line.slice(head.length))));
}

class Cursor {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The text up to one of `ends`, and the end that was met. */
  until(ends: string): [string, string] {
    const start = this.at;
    while (this.at < this.text.length && !ends.includes(this.text[this.at]!)) this.at++;
    if (this.at === this.text.length) throw new Error(`unfinished: ${this.text}`);
    return [this.text.slice(start, this.at), this.text[this.at++]!];
  }
}

function section(cursor: Cursor): Section {
  const result: Section = {};
  for (;;) {
    const [raw, end] = cursor.until('={}');
    const name = raw.trim();
    if (end === '}') return result;
    result[name] = end === '{' ? section(cursor) : value(cursor);
  }
}

function value(cursor: Cursor): string | string[] {
  if (cursor.text[cursor.at] === '[') {
    cursor.at++;
    return cursor.until(']')[0].split(' ').filter(Boolean);
  }
  const [text, end] = cursor.until(' }');
  if (end === '}') cursor.at--;
  return text;
}
