/**
 * Finds where each key of a TOML text stands, which the TOML parser does not tell.
 *
 * The text has already been parsed, so it is well-formed: this scanner only follows structure
 * (tables, arrays of tables, dotted keys, inline tables, arrays) and skips over everything else.
 */

export interface Position {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

/** A key as the parsed document has it: names, and indices of arrays. */
export type KeyPath = readonly (string | number)[];

export class KeyLocator {
  readonly #text: string;
  readonly #lineStarts: readonly number[];
  readonly #offsets = new Map<string, number>();
  /** Tables met in each array of tables so far, by path. */
  readonly #tables = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#lineStarts = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)];
    this.#document();
  }

  /** Position of the key, or of the nearest ancestor that stands in the text. */
  locate(path: KeyPath): Position {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offsets.get(JSON.stringify(path.slice(0, length)));
      if (offset !== undefined) return this.#position(offset);
    }
    return { line: 1, column: 1 };
  }

  #position(offset: number): Position {
    let line = this.#lineStarts.length;
    while (this.#lineStarts[line - 1]! > offset) line--;
    return { line, column: offset - this.#lineStarts[line - 1]! + 1 };
  }

  #document(): void {
    let table: KeyPath = [];
    for (this.#skip(); this.#at < this.#text.length; this.#skip()) {
      const before = this.#at;
      if (this.#text[this.#at] === '[') table = this.#header();
      else this.#keyValue(table);
      if (this.#at === before) return;
    }
  }

  /** `[a.b]` or `[[a.b]]`; answers the path of the table that it opens. */
  #header(): KeyPath {
    const start = this.#at;
    const many = this.#text.startsWith('[[', this.#at);
    this.#at += many ? 2 : 1;
    const names = this.#key();
    this.#at += many ? 2 : 1;
    const path: (string | number)[] = [];
    names.forEach((name, i) => {
      path.push(name);
      const id = JSON.stringify(path);
      if (many && i === names.length - 1) this.#tables.set(id, (this.#tables.get(id) ?? 0) + 1);
      this.#note(path, start);
      const count = this.#tables.get(id);
      if (count !== undefined) path.push(count - 1);
    });
    this.#note(path, start);
    return path;
  }

  #keyValue(table: KeyPath): void {
    const start = this.#at;
    const path = [...table];
    for (const name of this.#key()) {
      path.push(name);
      this.#note(path, start);
    }
    if (this.#text[this.#at] === '=') this.#at++;
    this.#skip(/[ \t]/);
    this.#value(path);
  }

  /** A dotted key; ends at the character after it and its blanks. */
  #key(): string[] {
    const names: string[] = [];
    for (;;) {
      this.#skip(/[ \t]/);
      const quote = this.#text[this.#at];
      if (quote === '"' || quote === "'") {
        names.push(this.#quoted(quote));
      } else {
        const start = this.#at;
        this.#skip(/[A-Za-z0-9_-]/);
        names.push(this.#text.slice(start, this.#at));
      }
      this.#skip(/[ \t]/);
      if (this.#text[this.#at] !== '.') return names;
      this.#at++;
    }
  }

  #value(path: KeyPath): void {
    const first = this.#text[this.#at];
    if (first === '[') this.#array(path);
    else if (first === '{') this.#inlineTable(path);
    else if (first === '"' || first === "'") this.#string(first);
    else this.#skip(/[^\s,\]}#]/);
  }

  #array(path: KeyPath): void {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#skip();
      if (this.#at >= this.#text.length || this.#text[this.#at] === ']') break;
      const before = this.#at;
      this.#note([...path, index], this.#at);
      this.#value([...path, index]);
      this.#skip();
      if (this.#text[this.#at] === ',') this.#at++;
      if (this.#at === before) break;
    }
    this.#at++;
  }

  #inlineTable(path: KeyPath): void {
    this.#at++;
    for (;;) {
      this.#skip();
      if (this.#at >= this.#text.length || this.#text[this.#at] === '}') break;
      const before = this.#at;
      this.#keyValue(path);
      this.#skip();
      if (this.#text[this.#at] === ',') this.#at++;
      if (this.#at === before) break;
    }
    this.#at++;
  }

  #string(quote: string): void {
    const long = quote.repeat(3);
    if (!this.#text.startsWith(long, this.#at)) {
      this.#quoted(quote);
      return;
    }
    this.#at += 3;
    while (this.#at < this.#text.length && !this.#text.startsWith(long, this.#at)) {
      this.#at += quote === '"' && this.#text[this.#at] === '\\' ? 2 : 1;
    }
    this.#at += 3;
    // Up to two quotes may stand before the closing three.
    this.#skip(quote === '"' ? /"/ : /'/);
  }

  /** A one-line string; answers what stands between the quotes. */
  #quoted(quote: string): string {
    const start = ++this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote) {
      this.#at += quote === '"' && this.#text[this.#at] === '\\' ? 2 : 1;
    }
    return this.#text.slice(start, this.#at++);
  }

  /** Skips characters of a class; without one, blanks, line ends and comments. */
  #skip(characters?: RegExp): void {
    const blank = characters ?? /\s/;
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!;
      if (characters === undefined && character === '#') {
        const end = this.#text.indexOf('\n', this.#at);
        this.#at = end < 0 ? this.#text.length - 1 : end;
      } else if (!blank.test(character)) {
        return;
      }
    }
  }

  #note(path: KeyPath, offset: number): void {
    const id = JSON.stringify(path);
    if (!this.#offsets.has(id)) this.#offsets.set(id, offset);
  }
}
