/**
 * Several TOML files as one document: `[gateway]` stands in one of them, each connection in one,
 * `[[policy]]` tables follow each other in the order of the files. Each key is still found where it
 * stands.
 */
import { KeyLocator, type KeyPath, type Position } from './key-locator.js';
import type { ConfigSource } from './source.js';

/** A source whose text has been parsed. */
export interface ParsedSource extends ConfigSource {
  readonly document: Readonly<Record<string, unknown>>;
}

/** Where a key of the merged document stands. */
export interface Place extends Position {
  readonly file: string;
  /** The key as that file has it. */
  readonly path: KeyPath;
}

/** The same thing in two files. */
export interface Duplicate {
  readonly path: KeyPath;
  readonly place: Place;
  readonly first: Place;
}

/** What came from where: a table of connections, a range of policies, or a whole section. */
interface Origin {
  readonly source: ParsedSource;
  /** Number of the file's first policy among all. */
  readonly base: number;
}

export class MergedDocument {
  readonly document: unknown;
  readonly duplicates: readonly Duplicate[];
  readonly #sources: readonly ParsedSource[];
  readonly #locators = new Map<ParsedSource, KeyLocator>();
  /** By section, or section and entry. */
  readonly #origins = new Map<string, Origin>();

  /** @param sources  one or more */
  constructor(sources: readonly ParsedSource[]) {
    this.#sources = sources;
    const sections = new Map<string, unknown>();
    const connections = new Map<string, unknown>();
    const policies: unknown[] = [];
    const duplicates: Duplicate[] = [];
    for (const source of sources) {
      const take = (path: KeyPath, add: () => void, base = 0) => {
        const key = JSON.stringify(path);
        const before = this.#origins.get(key);
        if (before === undefined) {
          this.#origins.set(key, { source, base });
          add();
          return;
        }
        const place = this.#place({ source, base }, path);
        duplicates.push({ path, place, first: this.#place(before, path) });
      };
      for (const [section, value] of Object.entries(source.document)) {
        if (section === 'connection' && isTable(value)) {
          for (const [name, entry] of Object.entries(value)) {
            take(['connection', name], () => connections.set(name, entry));
          }
        } else if (section === 'policy' && Array.isArray(value)) {
          const base = policies.length;
          for (const [i, policy] of value.entries()) {
            take(['policy', base + i], () => policies.push(policy), base);
          }
        } else {
          take([section], () => sections.set(section, value));
        }
      }
    }
    if (connections.size > 0) sections.set('connection', Object.fromEntries(connections));
    if (policies.length > 0) sections.set('policy', policies);
    this.document = Object.fromEntries(sections);
    this.duplicates = duplicates;
  }

  /** Where a key stands; what is missing altogether would stand in the first file. */
  locate(path: KeyPath): Place {
    for (const length of [2, 1]) {
      const origin = this.#origins.get(JSON.stringify(path.slice(0, length)));
      if (origin !== undefined) return this.#place(origin, path);
    }
    return this.#place({ source: this.#sources[0]!, base: 0 }, path);
  }

  #place({ source, base }: Origin, path: KeyPath): Place {
    const [section, index, ...rest] = path;
    const own = typeof index === 'number' ? [section!, index - base, ...rest] : path;
    let locator = this.#locators.get(source);
    if (locator === undefined) {
      locator = new KeyLocator(source.text);
      this.#locators.set(source, locator);
    }
    return { file: source.file, path: own, ...locator.locate(own) };
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
