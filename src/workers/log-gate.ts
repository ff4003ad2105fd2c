/**
 * Which lines of an IKE core are made at all: those that are of use to somebody, and of what others
 * can cause only so many a second. Each level has its own limit, so that a flood of what is dull
 * leaves out nothing that matters.
 */
import type { LogLevel, Milliseconds } from '../ike/event.js';
import { isAtLeast } from '../log.js';

export interface LineRate {
  readonly linesPerSecond: number;
  /** Lines that may come at once after a quiet time. */
  readonly burst: number;
}

export const IKE_LINE_RATE: LineRate = { linesPerSecond: 20, burst: 200 };

interface Level {
  tokens: number;
  filledAt: Milliseconds;
  leftOut: number;
}

export class LogGate {
  /** The least level that is of use to anybody. */
  least: LogLevel = 'debug';
  readonly #rate: LineRate;
  readonly #now: () => Milliseconds;
  readonly #levels: Readonly<Record<LogLevel, Level>>;

  /** @param now  monotonic */
  constructor(rate: LineRate, now: () => Milliseconds) {
    this.#rate = rate;
    this.#now = now;
    const full = () => ({ tokens: rate.burst, filledAt: now(), leftOut: 0 });
    this.#levels = { debug: full(), info: full(), warn: full(), error: full() };
  }

  /** Whether one more line of the level is to be made now, which counts as one. */
  admit(level: LogLevel): boolean {
    if (!isAtLeast(level, this.least)) return false;
    const own = this.#levels[level];
    const { linesPerSecond, burst } = this.#rate;
    const at = this.#now();
    own.tokens = Math.min(burst, own.tokens + ((at - own.filledAt) * linesPerSecond) / 1000);
    own.filledAt = at;
    if (own.tokens < 1) {
      own.leftOut++;
      return false;
    }
    own.tokens--;
    return true;
  }

  /** What goes before a line of the level, where others were left out before it. */
  remark(level: LogLevel): string | undefined {
    const { leftOut } = this.#levels[level];
    if (leftOut === 0) return undefined;
    this.#levels[level].leftOut = 0;
    return `${leftOut} lines were left out of the log, they came too fast`;
  }
}
