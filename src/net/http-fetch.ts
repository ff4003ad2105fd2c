/**
 * One HTTP request for a small document, such as a CRL, in bounded time and memory. Plain HTTP
 * only: what is asked for is signed itself. No redirect is followed, no connection is kept.
 */
import { request } from 'node:http';

export interface HttpQuery {
  readonly url: string;
  /** Sent by POST; without it the request is a GET. */
  readonly body?: { readonly type: string; readonly octets: Uint8Array } | undefined;
  readonly maxOctets: number;
  /** From the beginning to the last octet. */
  readonly timeoutMs: number;
}

/** A part of an answer counts as so many octets at least: it takes about that in memory. */
const LEAST_PART_OCTETS = 256;

/** Rejects with an Error that says what went wrong. */
export function httpFetch({ url, body, maxOctets, timeoutMs }: HttpQuery): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const headers = body === undefined ? {} : { 'Content-Type': body.type };
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request(url, { method, headers, signal, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        response.destroy();
        reject(new Error(`HTTP status ${response.statusCode}`));
        return;
      }
      const parts: Buffer[] = [];
      let octets = 0;
      response.on('data', (part: Buffer) => {
        octets += Math.max(part.length, LEAST_PART_OCTETS);
        if (octets > maxOctets) response.destroy(new Error(`more than ${maxOctets} octets`));
        else parts.push(part);
      });
      response.on('end', () => resolve(new Uint8Array(Buffer.concat(parts))));
      response.on('error', fail);
    });
    const fail = (error: Error) => {
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error);
    };
    sent.on('error', fail);
    sent.end(body?.octets);
  });
}
