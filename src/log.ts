/**
 * The daemon's log: pino underneath, as JSON for machines or as one readable line for people.
 *
 * No secret can reach it by construction: a line is a message and fields of plain text and
 * numbers, and `Secret` prints itself as a redaction.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { LogLevel } from './ike/event.js';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** A log whose least level may be changed at any time. */
export interface SettableLog extends Log {
  setLevel(level: LogLevel): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  /** Where lines go; default: standard error, written at once, so that a crash loses none. */
  readonly write?: (line: string) => void;
}

export function createLog({ level, format, write }: LogOptions): SettableLog {
  const sink: DestinationStream =
    write === undefined ? destination({ fd: 2, sync: true }) : { write };
  const stream = format === 'json' ? sink : { write: (line: string) => sink.write(readable(line)) };
  const logger = pino(
    { level, base: null, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
  return {
    debug: bind(logger, 'debug'),
    info: bind(logger, 'info'),
    warn: bind(logger, 'warn'),
    error: bind(logger, 'error'),
    setLevel: (level) => {
      logger.level = level;
    },
  };
}

export interface RateLimit {
  readonly linesPerSecond: number;
  /** Lines that may come at once after a quiet time. */
  readonly burst: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/**
 * The same log, for lines that others can cause: what comes too fast is left out, and told as a
 * number with the next line that is not. Each level has its own limit, so that a flood of what is
 * dull, or is not even shown, leaves out nothing that matters.
 */
export function rateLimited(log: Log, rate: RateLimit): Log {
  const limit = (level: LogLevel) => limitedLevel(log, level, rate);
  return { debug: limit('debug'), info: limit('info'), warn: limit('warn'), error: limit('error') };
}

function limitedLevel(log: Log, level: LogLevel, { linesPerSecond, burst, now }: RateLimit) {
  let tokens = burst;
  let filledAt = now();
  let left = 0;
  return (message: string, fields?: LogFields) => {
    const at = now();
    tokens = Math.min(burst, tokens + ((at - filledAt) * linesPerSecond) / 1000);
    filledAt = at;
    if (tokens < 1) {
      left++;
      return;
    }
    tokens--;
    if (left > 0) log[level](`${left} lines were left out of the log, they came too fast`);
    left = 0;
    log[level](message, fields);
  };
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function bind(logger: Logger, level: LogLevel) {
  return (message: string, fields: LogFields = {}) => logger[level](fields, message);
}

/** `10:20:30.456 warn  office: no answer (ikeSpi=1f…)`. */
function readable(line: string): string {
  const { level, time, msg, connection, ...fields } = JSON.parse(line) as {
    level: string;
    time: number;
    msg: string;
    connection?: string;
  };
  const clock = new Date(time).toISOString().slice(11, 23);
  const subject = connection === undefined ? '' : `${connection}: `;
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  const detail = pairs.length === 0 ? '' : ` (${pairs.join(', ')})`;
  return `${clock} ${level.padEnd(5)} ${subject}${msg}${detail}\n`;
}
