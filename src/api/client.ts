/** A client of the API, for the command line and the lab. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import type { Plan } from '../config/plan.js';
import type { ConfigProblem } from '../config/problem.js';
import type { LogLevel, RekeyWhat } from '../ike/event.js';
import type { LogEntry, LogScope, Subsystem } from '../log.js';
import type { TraceAnswer } from '../watch/packet-watcher.js';
import type { ProbeResult } from '../watch/probe.js';
import type { TimedEvent } from '../workers/gateway-event.js';
import type { Explanation } from './explain.js';
import type { ApiError, DownResult, Health, LevelResult, RekeyResult, UpResult } from './routes.js';
import type { Status } from './status.js';

/** Longer than the daemon itself waits for a connection to come up. */
const TIMEOUT_MS = 40_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** No daemon answers on the socket, or we may not ask it. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

/** The daemon answered with a refusal. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: number;
  /** Of the configuration, where it is what cannot be used. */
  readonly problems: readonly ConfigProblem[];

  constructor(status: number, message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

export class ApiClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  health(): Promise<Health> {
    return this.#ask('GET', '/v1/health');
  }

  status(): Promise<Status> {
    return this.#ask('GET', '/v1/status');
  }

  /** Resolves once the connection is established, has failed, or the daemon gave up waiting. */
  up(connection: string): Promise<UpResult> {
    return this.#ask('POST', `/v1/connections/${encodeURIComponent(connection)}/up`);
  }

  /** Resolves when the path has been measured. */
  probe(connection: string): Promise<ProbeResult> {
    return this.#ask('POST', `/v1/connections/${encodeURIComponent(connection)}/probe`);
  }

  down(connection: string): Promise<DownResult> {
    return this.#ask('POST', `/v1/connections/${encodeURIComponent(connection)}/down`);
  }

  /** Resolves when it has begun. */
  rekey(connection: string, what: RekeyWhat): Promise<RekeyResult> {
    return this.#ask('POST', `/v1/connections/${encodeURIComponent(connection)}/rekey/${what}`);
  }

  plan(): Promise<Plan> {
    return this.#ask('GET', '/v1/plan');
  }

  /** Resolves with the plan when it is carried out. */
  apply(): Promise<Plan> {
    return this.#ask('POST', '/v1/apply');
  }

  explain(connection: string): Promise<Explanation> {
    return this.#ask('GET', `/v1/connections/${encodeURIComponent(connection)}/explain`);
  }

  /** Sets the log's level for a scope; undefined: what was set for it ends. */
  setLevel(level: LogLevel | undefined, scope: LogScope): Promise<LevelResult> {
    return this.#ask('POST', `/v1/log-level${queryOf({ level, ...scope })}`);
  }

  /** Each line of the log that the query asks for; resolves when the stream ends. */
  logs(query: LogQuery, each: (entry: LogEntry | Lost) => void): Promise<void> {
    return this.#stream(`/v1/logs${queryOf(query)}`, each);
  }

  events(query: StreamQuery, each: (event: TimedEvent | Lost) => void): Promise<void> {
    return this.#stream(`/v1/events${queryOf(query)}`, each);
  }

  /** Blocks of pcapng as they come; resolves when the stream ends. */
  async capture(
    query: PacketQuery & { readonly where?: string; readonly snap?: number },
    each: (chunk: Buffer) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const response = await this.#open(`/v1/capture${queryOf(query)}`, signal);
    if (response.statusCode !== 200) throw await refusalOf(response);
    await new Promise<void>((resolve, reject) => {
      response.on('data', each);
      response.once('end', resolve);
      response.once('error', (error) => {
        if (signal.aborted) resolve();
        else reject(new UnreachableError(`the daemon has ended (${error.message})`));
      });
    });
  }

  /** Waits for the next packet. */
  trace(query: PacketQuery & { readonly seconds: number }): Promise<TraceAnswer> {
    return this.#ask('POST', `/v1/trace${queryOf(query)}`);
  }

  #open(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const ask = request({ socketPath: this.#socketPath, path, agent: false, signal }, resolve);
      ask.on('error', (error) => reject(explain(error, this.#socketPath)));
      ask.end();
    });
  }

  #stream<T>(path: string, each: (item: T) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.#socketPath, path, agent: false };
      const ask = request(options, (response) => {
        if (response.statusCode !== 200) {
          refusalOf(response).then(reject, reject);
          return;
        }
        const lines = createInterface({ input: response });
        lines.on('line', (line) => each(JSON.parse(line) as T));
        lines.once('close', resolve);
        const ended = () => reject(new UnreachableError('the daemon has ended'));
        lines.on('error', ended);
        response.on('error', ended);
      });
      ask.on('error', (error) => reject(explain(error, this.#socketPath)));
      ask.end();
    });
  }

  async #ask<T>(method: string, path: string): Promise<T> {
    const { status, body } = await exchange(this.#socketPath, method, path);
    let document: unknown;
    try {
      document = JSON.parse(body);
    } catch {
      throw new RefusedError(status, `${this.#socketPath} does not speak the esplane API`);
    }
    if (status === 200) return document as T;
    const { error = `status ${status}`, problems } = document as Partial<ApiError>;
    throw new RefusedError(status, error, problems);
  }
}

export interface StreamQuery {
  readonly connection?: string | undefined;
  /** Lines of the past. */
  readonly recent?: number | undefined;
  readonly follow?: boolean | undefined;
}

export interface PacketQuery {
  readonly filter?: string | undefined;
  readonly connection?: string | undefined;
}

export interface LogQuery extends StreamQuery {
  readonly level?: LogLevel | undefined;
  readonly subsystem?: Subsystem | undefined;
}

/** In the place of so many lines that we were too slow for. */
export interface Lost {
  readonly lost: number;
}

async function refusalOf(response: IncomingMessage): Promise<RefusedError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { error } = JSON.parse(Buffer.concat(chunks).toString()) as ApiError;
  return new RefusedError(response.statusCode ?? 0, error);
}

function queryOf(values: LogQuery | PacketQuery): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  if (given.length === 0) return '';
  return `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const ask = request({ socketPath, method, path, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) ask.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
    });
    ask.setTimeout(TIMEOUT_MS, () => ask.destroy(new Error('the daemon does not answer')));
    ask.on('error', (error) => reject(explain(error, socketPath)));
    ask.end();
  });
}

function explain(error: NodeJS.ErrnoException, socketPath: string): UnreachableError {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new UnreachableError(
        `no esplane daemon runs at ${socketPath}; to start it: esplane run, or systemctl start esplane`,
      );
    case 'EACCES':
    case 'EPERM':
      return new UnreachableError(`not allowed to use ${socketPath}: be root or in its group`);
    default:
      return new UnreachableError(`${socketPath}: ${error.message}`);
  }
}
