/**
 * TOML texts -> one validated `ConfigFile`, or problems with their files and lines. Reads no file
 * and looks at no interface; `config/load.ts` does.
 */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import type { KeyPath } from './key-locator.js';
import { type Duplicate, MergedDocument, type ParsedSource } from './merge.js';
import { ConfigError, type ConfigProblem, didYouMean } from './problem.js';
import { type ConfigFile, connectionSchema, fileSchema, gatewaySchema } from './schema.js';
import type { ConfigSource } from './source.js';
import { meantByStrongSwan, startOfStrongSwan } from './strongswan-words.js';

/** The contents of all files, and where each key stands. */
export interface ParsedConfig {
  readonly file: ConfigFile;
  readonly problemAt: ProblemAt;
  /** The file in which a key stands. */
  readonly fileOf: (path: KeyPath) => string;
}

/** Makes a problem of a key. */
export type ProblemAt = (path: KeyPath, found: string, allowed: string) => ConfigProblem;

/**
 * Throws `ConfigError` with every problem found.
 * @param sources  one or more
 */
export function parseConfig(sources: readonly ConfigSource[]): ParsedConfig {
  const merged = new MergedDocument(parseToml(sources));
  const problemAt: ProblemAt = (key, found, allowed) => {
    const { file, line, column, path } = merged.locate(key);
    return { file, line, column, key: renderPath(path), found, allowed };
  };
  const result = fileSchema.safeParse(merged.document);
  const issues = result.success ? [] : result.error.issues;
  const problems = [
    ...merged.duplicates.map(explainDuplicate),
    ...issues.flatMap((issue) => explain(issue, merged.document, problemAt)),
  ];
  if (!result.success || problems.length > 0) throw new ConfigError(inOrder(problems, sources));
  return { file: result.data, problemAt, fileOf: (path) => merged.locate(path).file };
}

function parseToml(sources: readonly ConfigSource[]): ParsedSource[] {
  const problems: ConfigProblem[] = [];
  const parsed = sources.flatMap((source) => {
    try {
      return [{ ...source, document: parse(source.text) }];
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      // The first line of the message only: the rest quotes the text, which may hold a secret.
      const found = error.message.replace(/^Invalid TOML document: /, '').split('\n')[0]!;
      const { line, column } = error;
      const allowed = allowedByToml(found);
      problems.push({ file: source.file, line, column, key: '', found, allowed });
      return [];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return parsed;
}

/** What is most likely meant where the text is no TOML. */
function allowedByToml(problem: string): string {
  if (problem === 'invalid value') return 'TOML 1.0, where a text stands in quotes: "wan0"';
  if (problem.includes('redefine')) return 'TOML 1.0, where each table and each key is there once';
  return 'TOML 1.0';
}

function explainDuplicate({ place, first }: Duplicate): ConfigProblem {
  const { file, line, column, path } = place;
  const allowed = `once; it stands in ${first.file}:${first.line} already`;
  return { file, line, column, key: renderPath(path), found: 'found again', allowed };
}

/** By file, line and column. */
function inOrder(problems: readonly ConfigProblem[], sources: readonly ConfigSource[]) {
  const fileNumber = ({ file }: ConfigProblem) =>
    sources.findIndex((source) => source.file === file);
  return [...problems].sort(
    (a, b) => fileNumber(a) - fileNumber(b) || a.line - b.line || a.column - b.column,
  );
}

/** `connection.office.remote.networks[1]`. */
function renderPath(path: KeyPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

type Issue = z.core.$ZodIssue;

function explain(issue: Issue, document: unknown, problemAt: ProblemAt): ConfigProblem[] {
  const path = issue.path as KeyPath;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path);
    return issue.keys.map((key) => {
      const allowed = placeOf(key, path) ?? suggest(key, known);
      return problemAt([...path, key], 'unknown key', allowed);
    });
  }
  const value = valueAt(document, path);
  if (issue.code === 'invalid_key') {
    const reason = issue.issues[0]?.message ?? '';
    return [problemAt(path, `found the name ${JSON.stringify(path.at(-1))}`, reason)];
  }
  const isLone = issue.code === 'invalid_type' && issue.expected === 'array';
  const example = isLone && typeof value === 'string' ? `, as in [${JSON.stringify(value)}]` : '';
  const start = path.at(-1) === 'start' ? startOfStrongSwan(value) : undefined;
  const allowed = start === undefined ? describeAllowed(issue) : `did you mean "${start}"?`;
  return [problemAt(path, describeFound(value), `${allowed}${example}`)];
}

/** Where a key belongs that stands in another table; undefined: nowhere, or in too many. */
function placeOf(key: string, [section, name]: KeyPath): string | undefined {
  const connection = `connection.${section === 'connection' ? name : '<name>'}`;
  const tables: readonly (readonly [string, object])[] = [
    ['gateway', gatewaySchema.shape],
    [connection, connectionSchema.shape],
    [`${connection}.local`, connectionSchema.shape.local.shape],
    [`${connection}.remote`, connectionSchema.shape.remote.shape],
  ];
  const places = tables.flatMap(([table, keys]) => (key in keys ? [`[${table}]`] : []));
  return places.length === 0 ? undefined : `that key in ${places.join(' or ')}`;
}

function suggest(key: string, known: readonly string[]): string {
  if (/psk|secret|password|passphrase/i.test(key)) {
    return '"psk_file" or "psk_credential" (secrets never stand in this file)';
  }
  const meant = meantByStrongSwan(key);
  if (meant !== undefined) return meant;
  const near = didYouMean(key, known);
  return near === undefined ? known.join(', ') : `did you mean "${near}"?`;
}

/** The keys that a table may have. */
function knownKeys(path: KeyPath): string[] {
  const table = path.reduce<z.core.$ZodType>(schemaWithin, fileSchema);
  const schema = unwrapped(table);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The schema of what stands in a table or a list. */
function schemaWithin(outer: z.core.$ZodType, part: string | number): z.core.$ZodType {
  const schema = unwrapped(outer);
  if (schema instanceof z.ZodObject) return schema.shape[part] ?? z.unknown();
  if (schema instanceof z.ZodRecord) return schema.valueType;
  return schema instanceof z.ZodArray ? schema.element : z.unknown();
}

/** Without what makes it optional, or gives it a default. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault;
  return isWrapped ? unwrapped(schema.unwrap()) : schema;
}

function valueAt(document: unknown, path: KeyPath): unknown {
  let value = document;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function describeFound(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return value.length === 0 ? 'found an empty list' : 'found a list';
  if (value instanceof Date) return `found the date ${value.toISOString()}`;
  if (typeof value === 'object') return 'found a table';
  return `found ${JSON.stringify(value)}`;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  number: 'a number',
  object: 'a table',
  record: 'a table',
  string: 'a text in quotes',
};

function describeAllowed(issue: Issue): string {
  // The schema's own words, where it has some, say more than the kind of the issue.
  if (!/^(Invalid|Too )/.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return TYPE_NAMES[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(', ');
    case 'too_small':
      return issue.origin === 'array' ? 'at least one entry' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap((branch) => branch.map(describeAllowed)))].join(
        ', or ',
      );
    default:
      return issue.message;
  }
}
