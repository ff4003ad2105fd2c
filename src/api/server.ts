/**
 * The API's server: HTTP over a Unix socket of mode 0660, for root, our own user and one
 * configured group. The kernel checks the file's mode; the peer's credentials are checked again,
 * since a mode can be changed by accident. Everything a client may send is bounded.
 */
import { chownSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { ConfigError } from '../config/problem.js';
import { FilterError } from '../watch/filter.js';
import { belongs, findGroup, type Group } from './group.js';
import { jsonLine } from './json-parts.js';
import { sendInParts } from './parts.js';
import { BadQueryError, routeOf } from './router.js';
import { type ApiError, type Control, UnknownConnectionError } from './routes.js';

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface ApiOptions {
  readonly socketPath: string;
  /** Group that may use the API beside root and our own user. */
  readonly group: string | undefined;
  readonly control: Control;
  /** SO_PEERCRED of a connected Unix socket's descriptor. */
  readonly peerCredentials: (descriptor: number) => PeerCredentials;
}

export interface ApiServer {
  readonly socketPath: string;
  /** Ends open connections and removes the socket file. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 4096;
const MAX_CONNECTIONS = 32;
const JSON_HEADERS = { 'content-type': 'application/json' } as const;

/** Throws where another daemon answers on the socket, or the path is not ours to use. */
export async function serveApi(options: ApiOptions): Promise<ApiServer> {
  const { socketPath } = options;
  const group = options.group === undefined ? undefined : findGroup(options.group);
  if (options.group !== undefined && group === undefined) {
    throw new Error(`gateway.api_group: there is no group "${options.group}" in /etc/group`);
  }
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
  await refuseSecond(socketPath);
  // The socket file of a daemon that was killed is in the way.
  rmSync(socketPath, { force: true });
  const server = createServer(
    {
      ...{ headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 2_000 },
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 8192,
    },
    (request, response) => {
      void answer(options, request, response);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  const allowed = new WeakSet<Socket>();
  server.on('connection', (socket) => {
    if (isAllowed(socket, group, options.peerCredentials)) allowed.add(socket);
  });
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!allowed.has(request.socket)) refuse(response, 403, 'not root, nor in gateway.api_group');
  });
  await listen(server, socketPath);
  if (group !== undefined) chownSync(socketPath, -1, group.gid);
  return { socketPath, close: () => close(server) };
}

/**
 * Throws where another daemon answers on the socket. To be asked before anything is taken or
 * changed that a running gateway of the same name depends on.
 */
export async function refuseSecond(socketPath: string): Promise<void> {
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`${socketPath} exists and is not a socket`);
  if (await answers(socketPath)) {
    const advice = 'stop it, or give this one another name, such as name = "b" in [gateway]';
    throw new Error(`another esplane answers on ${socketPath}: ${advice}`);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.setTimeout(1_000, () => socket.emit('connect'));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

/** Binds with the final mode from the start: a chmod afterwards would leave a gap. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o117);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function isAllowed(
  socket: Socket,
  group: Group | undefined,
  peerCredentials: ApiOptions['peerCredentials'],
): boolean {
  // Node has no public way to the descriptor of a socket.
  const descriptor = (socket as { _handle?: { fd?: number } })._handle?.fd;
  if (descriptor === undefined || descriptor < 0) return false;
  try {
    const peer = peerCredentials(descriptor);
    if (peer.uid === 0 || peer.uid === process.geteuid?.()) return true;
    return group !== undefined && belongs(group, peer);
  } catch {
    // Where it cannot be known who asks, as when there are no descriptors left for /etc/passwd.
    return false;
  }
}

async function answer(
  { control }: ApiOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (response.headersSent) return;
  if (!(await drain(request))) return refuse(response, 413, 'requests have no body');
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const route = routeOf(pathname, searchParams);
    if (route === undefined) return refuse(response, 404, `no such path: ${pathname}`);
    if (request.method !== route.method) return refuse(response, 405, `use ${route.method}`);
    if ('stream' in route) await route.stream(control, response);
    else await send(response, 200, await route.act(control));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof ConfigError) {
      await send(response, 422, { error: message, problems: error.problems } satisfies ApiError);
      return;
    }
    refuse(response, statusOf(error), message);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof UnknownConnectionError) return 404;
  const isTheirs =
    error instanceof BadQueryError || error instanceof FilterError || isBadUrl(error);
  return isTheirs ? 400 : 500;
}

function isBadUrl(error: unknown): boolean {
  return error instanceof URIError || (error as NodeJS.ErrnoException).code === 'ERR_INVALID_URL';
}

/** Reads a body away; false where it is longer than anything a client has reason to send. */
async function drain(request: IncomingMessage): Promise<boolean> {
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) return false;
    }
    return true;
  } catch {
    return false;
  }
}

function send(response: ServerResponse, status: number, document: unknown): Promise<void> {
  return sendInParts(response, status, JSON_HEADERS, jsonLine(document));
}

function refuse(response: ServerResponse, status: number, error: string): void {
  if (response.headersSent) return;
  // What the client still sends is not read.
  response.setHeader('connection', 'close');
  void send(response, status, { error });
}
