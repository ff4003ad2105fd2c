import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { httpFetch } from '../../../src/net/http-fetch.js';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function fetchFrom(listener: RequestListener, more: object = {}): Promise<string> {
  const listening = createServer(listener).listen(0, '127.0.0.1');
  server = listening;
  await new Promise((resolve) => listening.once('listening', resolve));
  const { port } = listening.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/there`;
  const octets = await httpFetch({ url, maxOctets: 1000, timeoutMs: 5_000, ...more });
  return Buffer.from(octets).toString();
}

describe('an HTTP fetch', () => {
  it('gets a document, or posts a question', async () => {
    expect(await fetchFrom((request, response) => response.end(request.method))).toBe('GET');
    const body = { type: 'application/ocsp-request', octets: Uint8Array.of(65, 66) };
    const listener: RequestListener = (request, response) => {
      request.on('data', (part) => response.end(`${request.headers['content-type']} ${part}`));
    };
    expect(await fetchFrom(listener, { body })).toBe('application/ocsp-request AB');
  });

  it.each([404, 301, 500, 204])('rejects status %d, and follows no redirect', async (status) => {
    const listener: RequestListener = (_, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end();
    };
    await expect(fetchFrom(listener)).rejects.toThrow(`HTTP status ${status}`);
  });

  it('ends at the bound, whatever length was promised', async () => {
    const endless: RequestListener = (_, response) => {
      const timer = setInterval(() => response.write('x'.repeat(300)), 1);
      response.on('close', () => clearInterval(timer));
    };
    await expect(fetchFrom(endless)).rejects.toThrow('more than 1000 octets');
  });

  it('ends at the bound where it comes octet by octet', async () => {
    let written = 0;
    const drips: RequestListener = (_, response) => {
      const timer = setInterval(() => {
        response.write('x');
        written++;
      }, 1);
      response.on('close', () => clearInterval(timer));
    };
    await expect(fetchFrom(drips)).rejects.toThrow('more than 1000 octets');
    expect(written).toBeLessThan(100);
  });

  it('ends in time, before and after the answer has begun', async () => {
    const more = { timeoutMs: 100 };
    await expect(fetchFrom(() => {}, more)).rejects.toThrow('no answer within 100 ms');
    const stalls: RequestListener = (_, response) => response.write('x');
    await expect(fetchFrom(stalls, more)).rejects.toThrow('no answer within 100 ms');
  });

  it.each(['', 'no url', 'https://127.0.0.1/', 'ldap://127.0.0.1/'])('rejects %j', async (url) => {
    await expect(httpFetch({ url, maxOctets: 1, timeoutMs: 100 })).rejects.toThrow();
  });
});
