/**
 * Streams of the API: a JSON document a line, as long as the client listens. A client that does
 * not keep up loses lines, and is told how many, rather than making the daemon remember them.
 */
import type { ServerResponse } from 'node:http';

/** Where lines come from. */
export interface Source<T> {
  /** What there was before, oldest first. */
  recent(): readonly T[];
  /** Until the function it answers is called. */
  subscribe(listener: (item: T) => void): () => void;
}

export interface StreamOptions<T> {
  readonly wants: (item: T) => boolean;
  /** Lines of the past that are sent first. */
  readonly recent: number;
  /** Whether the stream goes on after those. */
  readonly follow: boolean;
}

/** Bytes as they come, asked for again and again until the client leaves. */
export interface ByteSource {
  read(): Uint8Array;
  stop(): void;
}

const POLL_MS = 20;

/** A client that does not keep up is not asked for more: the source bounds what waits. */
export function streamBytes(response: ServerResponse, source: ByteSource, type: string): void {
  response.writeHead(200, { 'content-type': type });
  const pass = () => {
    while (response.writableLength <= MOST_WAITING_BYTES) {
      const bytes = source.read();
      if (bytes.length === 0) return;
      response.write(bytes);
    }
  };
  pass();
  const timer = setInterval(pass, POLL_MS);
  response.once('close', () => {
    clearInterval(timer);
    source.stop();
  });
}

const MOST_WAITING_BYTES = 1 << 20;

export function streamLines<T>(
  response: ServerResponse,
  source: Source<T>,
  { wants, recent, follow }: StreamOptions<T>,
): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  let lost = 0;
  const send = (item: T) => {
    if (!wants(item)) return;
    if (response.writableLength > MOST_WAITING_BYTES) {
      lost++;
      return;
    }
    if (lost > 0) response.write(`${JSON.stringify({ lost })}\n`);
    lost = 0;
    response.write(`${JSON.stringify(item)}\n`);
  };
  const past = recent === 0 ? [] : source.recent().filter(wants).slice(-recent);
  for (const item of past) send(item);
  if (!follow) {
    response.end();
    return;
  }
  // So that the client knows that it listens from now on.
  response.flushHeaders();
  const leave = source.subscribe(send);
  response.once('close', leave);
}
