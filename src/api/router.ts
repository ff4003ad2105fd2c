/** Which path does what: the table behind routes.ts. */
import type { ServerResponse } from 'node:http';
import type { LogLevel, RekeyWhat } from '../ike/event.js';
import { isAtLeast, LEVELS, type LogEntry, type LogScope, SUBSYSTEMS } from '../log.js';
import { version } from '../version.js';
import type { CaptureQuery, WatchedPackets } from '../watch/packet-watcher.js';
import type { TimedEvent } from '../workers/gateway-event.js';
import type { Control, Health, LevelResult } from './routes.js';
import { streamBytes, streamLines } from './stream.js';

export type Route =
  | { readonly method: 'GET' | 'POST'; readonly act: (control: Control) => Promise<unknown> }
  | {
      readonly method: 'GET';
      readonly stream: (control: Control, response: ServerResponse) => void | Promise<void>;
    };

type MakeRoute = (query: URLSearchParams) => Route;

const ROUTES: Readonly<Record<string, MakeRoute>> = {
  '/v1/health': () => ({
    method: 'GET',
    act: async ({ name }) => ({ ok: true, name, version, pid: process.pid }) satisfies Health,
  }),
  '/v1/status': () => ({ method: 'GET', act: (control) => control.status() }),
  '/v1/plan': () => ({ method: 'GET', act: (control) => control.plan() }),
  '/v1/apply': () => ({ method: 'POST', act: (control) => control.apply() }),
  '/v1/log-level': (query) => ({
    method: 'POST',
    async act({ log, mustExist }): Promise<LevelResult> {
      const [level, scope] = [levelOf(query), scopeOf(query)];
      // What was set for one that is gone may be taken back.
      if (level !== undefined && scope.connection !== undefined) mustExist(scope.connection);
      log.setLevel(level, scope);
      return { ...scope, ...(level === undefined ? {} : { level }) };
    },
  }),
  '/v1/logs': (query) => ({
    method: 'GET',
    stream({ log, mustExist }, response) {
      const [least, { subsystem, connection }] = [levelOf(query) ?? 'info', scopeOf(query)];
      const wants = (entry: LogEntry) =>
        isAtLeast(entry.level, least) &&
        (subsystem ?? entry.subsystem) === entry.subsystem &&
        (connection ?? entry.connection) === entry.connection;
      if (connection !== undefined && !log.recent().some(wants)) mustExist(connection);
      streamLines(response, log, { wants, ...extentOf(query) });
    },
  }),
  '/v1/capture': (query) => ({
    method: 'GET',
    async stream(control, response) {
      const capture = await control.capture(captureOf(query));
      if (response.closed) capture.stop();
      else streamBytes(response, capture, 'application/x-pcapng');
    },
  }),
  '/v1/trace': (query) => ({
    method: 'POST',
    act: (control) => control.trace(packetsOf(query), numberOf(query, 'seconds', 10, 30)),
  }),
  '/v1/events': (query) => ({
    method: 'GET',
    stream({ events, mustExist }, response) {
      const { connection } = scopeOf(query);
      const wants = (event: TimedEvent) =>
        connection === undefined || ('connection' in event && event.connection === connection);
      if (connection !== undefined && !events.recent().some(wants)) mustExist(connection);
      streamLines(response, events, { wants, ...extentOf(query) });
    },
  }),
};

const ACTION =
  /^\/v1\/connections\/([^/]+)\/(explain|probe|up|down|rekey\/child|rekey\/ike|rekey\/reauth)$/;

/** Undefined where there is no such path; throws `BadQueryError`. */
export function routeOf(path: string, query: URLSearchParams): Route | undefined {
  const [, name, action] = ACTION.exec(path) ?? [];
  if (name === undefined || action === undefined) {
    return Object.hasOwn(ROUTES, path) ? ROUTES[path]!(query) : undefined;
  }
  const connection = decodeURIComponent(name);
  const method = action === 'explain' ? 'GET' : 'POST';
  return { method, act: (control) => act(control, connection, action) };
}

function act(control: Control, connection: string, action: string): Promise<unknown> {
  if (action === 'explain') return control.explain(connection);
  if (action === 'probe') return control.probe(connection);
  if (action === 'up') return control.up(connection);
  if (action === 'down') return control.down(connection);
  return control.rekey(connection, action.slice('rekey/'.length) as RekeyWhat);
}

/** What a query says, and a route does not allow. */
export class BadQueryError extends Error {
  override readonly name = 'BadQueryError';
}

/** A word that a query may say; undefined where it says none. */
function wordOf<T extends string>(
  query: URLSearchParams,
  name: string,
  allowed: readonly T[],
): T | undefined {
  const word = query.get(name);
  const found = allowed.find((one) => one === word);
  if (word === null || found !== undefined) return found;
  throw new BadQueryError(`found the ${name} "${word}", allowed: ${allowed.join(', ')}`);
}

function levelOf(query: URLSearchParams): LogLevel | undefined {
  return wordOf(query, 'level', LEVELS);
}

function scopeOf(query: URLSearchParams): LogScope {
  const [subsystem, connection] = [wordOf(query, 'subsystem', SUBSYSTEMS), query.get('connection')];
  return {
    ...(subsystem === undefined ? {} : { subsystem }),
    ...(connection === null ? {} : { connection }),
  };
}

function packetsOf(query: URLSearchParams): WatchedPackets {
  const { connection } = scopeOf(query);
  return { filter: query.get('filter') ?? '', ...(connection === undefined ? {} : { connection }) };
}

function captureOf(query: URLSearchParams): CaptureQuery {
  const where = query.get('where') ?? 'both';
  if (where !== 'outside' && where !== 'inside' && where !== 'both') {
    throw new BadQueryError(`found where=${where}, allowed: outside, inside, both`);
  }
  return { ...packetsOf(query), where, snapBytes: numberOf(query, 'snap', 65_535, 65_535) };
}

function numberOf(query: URLSearchParams, name: string, otherwise: number, most: number): number {
  const value = Number(query.get(name) ?? otherwise);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new BadQueryError(`found ${name}=${query.get(name)}, allowed: 1 to ${most}`);
}

function extentOf(query: URLSearchParams): { recent: number; follow: boolean } {
  const recent = Number(query.get('recent') ?? 100);
  if (!Number.isInteger(recent) || recent < 0) {
    throw new BadQueryError(`found recent=${query.get('recent')}, allowed: a whole number`);
  }
  return { recent, follow: query.get('follow') === 'true' };
}
