/**
 * The API's routes and documents: HTTP/1.1 and JSON over a Unix socket.
 *
 * | method and path                       | answer        |
 * |---------------------------------------|---------------|
 * | GET  /v1/health                       | `Health`      |
 * | GET  /v1/status                       | `Status`      |
 * | GET  /v1/plan                         | `Plan`        |
 * | POST /v1/apply                        | `Plan`, done  |
 * | POST /v1/log-level?level=&...         | `LevelResult` |
 * | GET  /v1/logs?...                     | a `LogEntry` a line |
 * | GET  /v1/events?...                   | a `TimedEvent` a line |
 * | GET  /v1/capture?...                  | pcapng, as long as the client reads |
 * | POST /v1/trace?seconds=&...           | `TraceAnswer` |
 * | GET  /v1/connections/NAME/explain     | `Explanation` |
 * | POST /v1/connections/NAME/probe       | `ProbeResult` |
 * | POST /v1/connections/NAME/up          | `UpResult`    |
 * | POST /v1/connections/NAME/down        | `DownResult`  |
 * | POST /v1/connections/NAME/rekey/child | `RekeyResult` |
 * | POST /v1/connections/NAME/rekey/ike   | `RekeyResult` |
 * | POST /v1/connections/NAME/rekey/reauth | `RekeyResult` |
 *
 * Logs and events take `connection`, `recent` (lines of the past; default 100) and `follow` (true or
 * false); logs also `level` and `subsystem`. A line `{"lost": N}` stands for lines that the client
 * was too slow for. The log's level is set for a `subsystem` or a `connection`, or for everything;
 * without `level`, what was set for it ends.
 *
 * Capture and trace take `filter` (src/watch/filter.ts) and `connection`; capture also `where`
 * (outside, inside or both, the default) and `snap`, bytes of a packet. One of each runs at a time.
 *
 * Requests have no body. A refusal is an `ApiError` with status 403 (peer not allowed), 404 (no
 * such path or connection), 405, 413, 422 (the configuration cannot be used; it says why) or 500.
 */
import type { Plan } from '../config/plan.js';
import { type ConfigProblem, didYouMean } from '../config/problem.js';
import type { LogLevel, RekeyWhat } from '../ike/event.js';
import type { DaemonLog, LogScope } from '../log.js';
import type {
  CaptureQuery,
  CaptureStream,
  TraceAnswer,
  WatchedPackets,
} from '../watch/packet-watcher.js';
import type { ProbeResult } from '../watch/probe.js';
import type { TimedEvent } from '../workers/gateway-event.js';
import type { Explanation } from './explain.js';
import type { Status } from './status.js';
import type { Source } from './stream.js';

export interface Health {
  readonly ok: true;
  readonly name: string;
  readonly version: string;
  readonly pid: number;
}

export interface UpResult {
  readonly connection: string;
  /** pending: neither established nor failed within the time that the daemon waits. */
  readonly result: 'established' | 'failed' | 'pending';
  readonly explanation?: string;
}

export interface DownResult {
  readonly connection: string;
  /** IKE SAs that were deleted; their Child SAs went with them. */
  readonly deletedIkeSas: number;
}

export interface RekeyResult {
  readonly connection: string;
  readonly what: RekeyWhat;
  /** SAs of which a rekeying was begun; when it is over, status shows other SPIs. */
  readonly begun: number;
}

export interface LevelResult extends LogScope {
  /** Undefined: as everything else. */
  readonly level?: LogLevel;
}

export interface ApiError {
  readonly error: string;
  /** With status 422. */
  readonly problems?: readonly ConfigProblem[];
}

/** What the API drives; `Gateway` of main.ts implements it. */
export interface Control {
  readonly name: string;
  readonly log: Pick<DaemonLog, 'subscribe' | 'recent' | 'setLevel'>;
  readonly events: Source<TimedEvent>;
  status(): Promise<Status>;
  /** Throws `UnknownConnectionError`. */
  mustExist(connection: string): void;
  /** Throws `UnknownConnectionError`. */
  explain(connection: string): Promise<Explanation>;
  /** Takes some seconds. Throws `UnknownConnectionError`. */
  probe(connection: string): Promise<ProbeResult>;
  /** Throws `UnknownConnectionError`. */
  up(connection: string): Promise<UpResult>;
  /** Throws `UnknownConnectionError`. */
  down(connection: string): Promise<DownResult>;
  /** Throws `UnknownConnectionError`. */
  rekey(connection: string, what: RekeyWhat): Promise<RekeyResult>;
  /** Throws `UnknownConnectionError`, `FilterError`, and where one runs already. */
  capture(query: CaptureQuery): Promise<CaptureStream>;
  /** Waits so many seconds for a packet. Throws likewise. */
  trace(packets: WatchedPackets, seconds: number): Promise<TraceAnswer>;
  /** What `apply` would do. Throws `ConfigError`. */
  plan(): Promise<Plan>;
  /** Reads the configuration anew and puts it in force. Throws `ConfigError`; then nothing has changed. */
  apply(): Promise<Plan>;
}

export class UnknownConnectionError extends Error {
  override readonly name = 'UnknownConnectionError';

  constructor(connection: string, known: readonly string[]) {
    const near = didYouMean(connection, known);
    const hint = near === undefined ? listed(known) : `did you mean "${near}"?`;
    super(`no connection "${connection}" in the configuration (${hint})`);
  }
}

const MOST_NAMES = 20;

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'there is none';
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return `there are: ${names.slice(0, MOST_NAMES).join(', ')}${more}`;
}
