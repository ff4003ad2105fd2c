/**
 * The HTTP listener for machines that watch: off unless `gateway.metrics_listen` says where.
 *
 * | GET /metrics       | Prometheus metrics; with `?sas=true` a row for each Child SA too         |
 * | GET /health        | 200 while every IKE worker answers, else 503                             |
 * | GET /ready         | 200 once IKE listens on every address that connections use, else 503     |
 *
 * It tells nothing that is secret, and whom the gateway talks to: whoever can reach it can read it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { sendInParts } from '../api/parts.js';
import { CONTENT_TYPE, type Family, renderFamilies } from './exposition.js';

/** Where to listen. */
export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

export interface Watched {
  metrics(perSa: boolean): Promise<readonly Family[]>;
  health(): Promise<Verdict>;
  ready(): Verdict;
}

/** Whether all is well, and if not, what is not. */
export interface Verdict {
  readonly ok: boolean;
  readonly problems: readonly string[];
}

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 16;
/** A connection lasts no longer, whatever comes on it or is taken off it: others wait for its place. */
const MOST_MS = 10_000;

/** Rejects where the address cannot be listened on. */
export function serveMetrics(
  at: ListenAddress,
  watched: Watched,
  mostMs = MOST_MS,
): Promise<MetricsServer> {
  const server = createServer({ maxHeaderSize: 8192 }, (request, response) => {
    void answer(watched, request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket) => {
    const timer = setTimeout(() => socket.destroy(), mostMs);
    socket.once('close', () => clearTimeout(timer));
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${at.address} port ${at.port}`;
      reject(new Error(`gateway.metrics_listen: ${where}: ${reasonOf(error, at.port)}`));
    });
    server.listen(at.port, at.address, () => {
      const address = server.address() as { readonly port: number };
      resolve({
        port: address.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

function reasonOf({ code, message }: NodeJS.ErrnoException, port: number): string {
  switch (code) {
    case 'EADDRNOTAVAIL':
      return 'no interface that is up has this address (ip address; ip link set lo up)';
    case 'EADDRINUSE':
      return `another program listens there (ss -lntp 'sport = :${port}')`;
    case 'EACCES':
      return 'a port below 1024 takes CAP_NET_BIND_SERVICE';
    default:
      return message;
  }
}

async function answer(
  watched: Watched,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (request.method !== 'GET') return await send(response, 405, ['only GET\n']);
    switch (pathname) {
      case '/metrics': {
        const families = await watched.metrics(searchParams.get('sas') === 'true');
        return await send(response, 200, renderFamilies(families), CONTENT_TYPE);
      }
      case '/health':
        return await sendVerdict(response, await watched.health());
      case '/ready':
        return await sendVerdict(response, watched.ready());
      default:
        return await send(response, 404, ['there are /metrics, /health and /ready\n']);
    }
  } catch (error) {
    if (response.headersSent) return void response.destroy();
    await send(response, 500, [`${error instanceof Error ? error.message : error}\n`]);
  }
}

function sendVerdict(response: ServerResponse, verdict: Verdict): Promise<void> {
  const line = `${JSON.stringify(verdict)}\n`;
  return send(response, verdict.ok ? 200 : 503, [line], 'application/json');
}

function send(
  response: ServerResponse,
  status: number,
  body: Iterable<string>,
  type = 'text/plain; charset=utf-8',
): Promise<void> {
  return sendInParts(response, status, { 'content-type': type, connection: 'close' }, body);
}
