/**
 * The daemon's log: pino underneath, as JSON for machines or as one readable line for people. What
 * it shows is set by subsystem and by connection, at any time; who subscribes sees every line.
 *
 * No secret can reach it by construction: a line is a message and fields of plain text and
 * numbers, and `Secret` prints itself as a redaction.
 */
import { type DestinationStream, destination, pino } from 'pino';
import type { LogLevel } from './ike/event.js';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** The parts of the gateway that a line may be of. */
export const SUBSYSTEMS = ['gateway', 'ike', 'dataplane'] as const;
export type Subsystem = (typeof SUBSYSTEMS)[number];

/** A line, as `esplane logs --json` prints it. */
export interface LogEntry {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: LogLevel;
  readonly subsystem: string;
  readonly connection?: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** What a line is about; both left out: everything. */
export interface LogScope {
  readonly subsystem?: Subsystem;
  readonly connection?: string;
}

/** The daemon's own log. */
export interface DaemonLog extends Log {
  /**
   * Sets the least level that is written. One for a subsystem or a connection goes before the one
   * for everything; of both, the one that shows more. Without a level, a scope has none of its own.
   */
  setLevel(level: LogLevel | undefined, scope?: LogScope): void;
  /** Hears every line, whether it is written or not, until the function it answers is called. */
  subscribe(listener: (entry: LogEntry) => void): () => void;
  /** The last lines of level info and above, oldest first. */
  recent(): readonly LogEntry[];
  /** Tells the least level that a line needs to be of use to anybody, now and when it changes. */
  watchLeast(listener: (least: LogLevel) => void): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  /** Where lines go; default: standard error, written at once, so that a crash loses none. */
  readonly write?: (line: string) => void;
}

/** From the most detailed one on. */
export const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const RECENT_LINES = 1_000;

export function createLog({ level, format, write }: LogOptions): DaemonLog {
  const sink: DestinationStream =
    write === undefined ? destination({ fd: 2, sync: true }) : { write };
  const logger = pino(
    { level: 'debug', base: null, formatters: { level: (label) => ({ level: label }) } },
    sink,
  );
  const levels = new Levels(level);
  const listeners = new Set<(entry: LogEntry) => void>();
  const recent: LogEntry[] = [];
  const watchers: ((least: LogLevel) => void)[] = [];
  // What is of level info is remembered in any case.
  const least = () => (listeners.size > 0 || levels.showDebug ? 'debug' : 'info');
  const tellLeast = () => {
    for (const watcher of watchers) watcher(least());
  };
  const enter =
    (at: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      const entry = entryOf(at, message, fields);
      for (const listener of listeners) listener(entry);
      if (isAtLeast(at, 'info') && recent.push(entry) > RECENT_LINES) recent.shift();
      if (!levels.shows(entry)) return;
      if (format === 'json') logger[at](fields, message);
      else sink.write(`${formatEntry(entry)}\n`);
    };
  return {
    debug: enter('debug'),
    info: enter('info'),
    warn: enter('warn'),
    error: enter('error'),
    setLevel(to, scope = {}) {
      levels.set(to, scope);
      tellLeast();
    },
    subscribe(listener) {
      listeners.add(listener);
      tellLeast();
      return () => {
        listeners.delete(listener);
        tellLeast();
      };
    },
    recent: () => recent,
    watchLeast(listener) {
      watchers.push(listener);
      listener(least());
    },
  };
}

/** The same log, whose lines are of one subsystem. */
export function ofSubsystem(log: Log, subsystem: Subsystem): Log {
  const enter =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      log[level](message, { subsystem, ...fields });
  return {
    debug: enter('debug'),
    info: enter('info'),
    warn: enter('warn'),
    error: enter('error'),
  };
}

export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}

/** The least level of everything, and of what has one of its own. */
class Levels {
  #all: LogLevel;
  /** By kind of scope and name. */
  readonly #own = new Map<string, LogLevel>();

  constructor(all: LogLevel) {
    this.#all = all;
  }

  set(level: LogLevel | undefined, scope: LogScope): void {
    const keys = Object.entries(scope).map(([kind, name]) => `${kind} ${name}`);
    for (const key of keys) {
      if (level === undefined) this.#own.delete(key);
      else this.#own.set(key, level);
    }
    if (keys.length === 0 && level !== undefined) this.#all = level;
  }

  /** Whether lines of level debug are shown of anything. */
  get showDebug(): boolean {
    return [this.#all, ...this.#own.values()].includes('debug');
  }

  shows({ level, subsystem, connection }: LogEntry): boolean {
    const own = [`subsystem ${subsystem}`, `connection ${connection}`].flatMap(
      (key) => this.#own.get(key) ?? [],
    );
    return own.length === 0
      ? isAtLeast(level, this.#all)
      : own.some((least) => isAtLeast(level, least));
  }
}

function entryOf(level: LogLevel, message: string, all: LogFields): LogEntry {
  const { subsystem = 'gateway', connection, ...fields } = all;
  return {
    time: Date.now(),
    level,
    subsystem: String(subsystem),
    ...(connection === undefined ? {} : { connection: String(connection) }),
    message,
    fields,
  };
}

/** `10:20:30.456 warn  office: no answer (ikeSpi=1f…)`. */
export function formatEntry({ time, level, connection, message, fields }: LogEntry): string {
  const clock = new Date(time).toISOString().slice(11, 23);
  const subject = connection === undefined ? '' : `${connection}: `;
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const detail = pairs.length === 0 ? '' : ` (${pairs.join(', ')})`;
  // Of several lines the first says it; the fields belong to all of them.
  const [first, ...more] = message.split('\n');
  const lines = [`${subject}${first}${detail}`, ...more.map((line) => `  ${line}`)];
  return `${clock} ${level.padEnd(5)} ${lines.join('\n')}`;
}

export const silentLog: DaemonLog = {
  ...{ debug() {}, info() {}, warn() {}, error() {} },
  setLevel() {},
  subscribe: () => () => {},
  recent: () => [],
  watchLeast: (listener) => listener('error'),
};
