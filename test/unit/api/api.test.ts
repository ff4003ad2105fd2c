import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiClient, RefusedError, UnreachableError } from '../../../src/api/client.js';
import { belongs, findGroup } from '../../../src/api/group.js';
import { type Control, UnknownConnectionError } from '../../../src/api/routes.js';
import { type ApiServer, type PeerCredentials, serveApi } from '../../../src/api/server.js';
import { ConfigError } from '../../../src/config/problem.js';
import { peerCredentials } from '../../../src/dataplane/process.js';
import { createLog, ofSubsystem } from '../../../src/log.js';
import { GatewayEvents } from '../../../src/workers/gateway-event.js';
import { emptyStatus, someExplanation, somePlan, someWatching } from '../fixtures.js';

let directory: string;
let socketPath: string;
const open: ApiServer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'esplane-api-'));
  socketPath = join(directory, 'run', 'main.sock');
});
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
  rmSync(directory, { recursive: true });
});

const problem = {
  ...{ file: 'gateway.toml', line: 3, column: 1, key: 'gateway.wan' },
  ...{ found: 'missing', allowed: 'a list' },
};

const log = createLog({ level: 'error', format: 'text', write: () => {} });
const events = new GatewayEvents();

function mustExist(connection: string): void {
  if (connection !== 'office') throw new UnknownConnectionError(connection, ['office']);
}

const control: Control = {
  name: 'main',
  log,
  events,
  explain: async () => someExplanation,
  status: async () => emptyStatus,
  mustExist,
  up: async (connection) => {
    mustExist(connection);
    return { connection, result: 'failed', explanation: 'AUTHENTICATION_FAILED' };
  },
  rekey: async (connection, what) => ({ connection, what, begun: 2 }),
  down: async (connection) => {
    if (connection === 'broken') throw new Error('out of order');
    return { connection, deletedIkeSas: 2 };
  },
  plan: async () => somePlan,
  ...someWatching,
  apply: async () => {
    throw new ConfigError([problem]);
  },
};

async function serve(
  credentials: (fd: number) => PeerCredentials = peerCredentials,
  other: Partial<Control> = {},
) {
  const server = await serveApi({
    socketPath,
    group: undefined,
    control: { ...control, ...other },
    peerCredentials: credentials,
  });
  open.push(server);
  return new ApiClient(socketPath);
}

/** Status and document of a request that no client of ours would make. */
function raw(method: string, path: string, body = ''): Promise<[number, unknown]> {
  return new Promise((resolve, reject) => {
    const ask = request({ socketPath, method, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve([response.statusCode!, JSON.parse(text)]));
    });
    ask.on('error', reject);
    ask.end(body);
  });
}

describe('the API over a real Unix socket', () => {
  it('answers health, status, up, down and rekey', async () => {
    const client = await serve();
    expect(await client.health()).toMatchObject({ ok: true, name: 'main', pid: process.pid });
    expect(await client.status()).toEqual(emptyStatus);
    expect(await client.up('office')).toEqual({
      connection: 'office',
      result: 'failed',
      explanation: 'AUTHENTICATION_FAILED',
    });
    expect(await client.down('office')).toEqual({ connection: 'office', deletedIkeSas: 2 });
    for (const what of ['child', 'ike', 'reauth'] as const) {
      expect(await client.rekey('office', what)).toEqual({ connection: 'office', what, begun: 2 });
    }
    expect((await raw('POST', '/v1/connections/office/rekey/all'))[0]).toBe(404);
  });

  it('answers with a document of megabytes, in parts', async () => {
    const one = { name: 'é'.repeat(100), wanted: 'up', ikeSas: [] } as const;
    const long = { ...emptyStatus, connections: Array.from({ length: 10_000 }, () => one) };
    const client = await serve(undefined, { status: async () => long });
    expect(await client.status()).toEqual(long);
  });

  it('answers a plan, and a configuration that cannot be used with each problem', async () => {
    const client = await serve();
    expect(await client.plan()).toEqual(somePlan);
    const refusal = await client.apply().catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      status: 422,
      message: 'gateway.toml:3:1: gateway.wan: missing, allowed: a list',
      problems: [problem],
    });
  });

  it('streams the log and events, of the past and as they come, as the query asks', async () => {
    const client = await serve();
    expect(await client.explain('office')).toEqual(someExplanation);
    ofSubsystem(log, 'ike').info('of the past', { connection: 'office' });
    log.info('of another subsystem', { connection: 'office' });
    const seen: string[] = [];
    const done = client.logs({ subsystem: 'ike', level: 'debug', follow: true }, (entry) =>
      seen.push('lost' in entry ? 'lost' : entry.message),
    );
    await expect.poll(() => seen).toEqual(['of the past']);
    ofSubsystem(log, 'ike').debug('as it comes');
    await expect.poll(() => seen).toEqual(['of the past', 'as it comes']);

    events.emit({ type: 'child-up', connection: 'office', child: 'net' });
    events.emit({ type: 'child-up', connection: 'home', child: 'net' });
    const happened: unknown[] = [];
    await client.events({ connection: 'home' }, (event) => happened.push(event));
    expect(happened).toEqual([
      { type: 'child-up', connection: 'home', child: 'net', time: expect.any(Number) },
    ]);
    const ended = expect(done).rejects.toThrow('the daemon has ended');
    await open.pop()!.close();
    await ended;
  });

  it('tells a client that does not keep up how many lines it has lost', async () => {
    await serve();
    const slow = request({ socketPath, path: '/v1/logs?follow=true&recent=0', agent: false });
    const response = await new Promise<IncomingMessage>((resolve) => {
      slow.on('response', resolve);
      slow.end();
    });
    for (let i = 0; i < 6000; i++) log.info(`${i} ${'x'.repeat(1000)}`);
    let text = '';
    response.on('data', (chunk) => {
      text += chunk;
    });
    await expect.poll(() => text).toContain('x"');
    const told = () => {
      log.info('one more');
      return text;
    };
    await expect.poll(told).toMatch(/"lost":\d{3,}/);
    slow.destroy();
  });

  it('refuses a query that it does not know', async () => {
    await serve();
    const [status, document] = await raw('POST', '/v1/log-level?level=loud');
    expect(status).toBe(400);
    expect(document).toEqual({
      error: 'found the level "loud", allowed: debug, info, warn, error',
    });
    expect(await raw('POST', '/v1/log-level?level=debug&subsystem=iek')).toEqual([
      400,
      { error: 'found the subsystem "iek", allowed: gateway, ike, dataplane' },
    ]);
    expect((await raw('GET', '/v1/logs?subsystem=iek'))[0]).toBe(400);
    expect((await raw('GET', '/v1/logs?recent=-1'))[0]).toBe(400);
    const scope = { connection: 'office', level: 'debug' };
    expect(await raw('POST', '/v1/log-level?level=debug&connection=office')).toEqual([200, scope]);
  });

  it('refuses to follow or to log more of a connection that there is not, nor was', async () => {
    const client = await serve();
    const unknown = /no connection "offise" .*did you mean "office"\?/;
    for (const asked of [
      () => client.logs({ connection: 'offise', follow: true }, () => {}),
      () => client.events({ connection: 'offise', follow: true }, () => {}),
      () => client.setLevel('debug', { connection: 'offise' }),
    ]) {
      await expect(asked()).rejects.toThrow(unknown);
    }
    expect(await client.setLevel(undefined, { connection: 'offise' })).toBeDefined();
    events.emit({ type: 'child-up', connection: 'gone', child: 'net' });
    await client.events({ connection: 'gone' }, () => {});
  });

  it('refuses whom it cannot tell apart, and goes on', async () => {
    let fails = true;
    const client = await serve((fd) => {
      if (fails) throw new Error('no descriptors left');
      return peerCredentials(fd);
    });
    await expect(client.health()).rejects.toMatchObject({ status: 403 });
    fails = false;
    expect(await client.health()).toMatchObject({ ok: true });
  });

  it('is a socket of mode 0660 that goes away with the server', async () => {
    await serve();
    expect(statSync(socketPath).mode & 0o7777).toBe(0o660);
    await open.pop()!.close();
    expect(statSync(socketPath, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('says which connections there are', async () => {
    const client = await serve();
    const refusal = await client.up('home/office').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RefusedError);
    expect(refusal).toMatchObject({
      status: 404,
      message: 'no connection "home/office" in the configuration (there are: office)',
    });
  });

  it('answers an unknown path, a wrong method, bad escapes and an error of ours', async () => {
    await serve();
    expect(await raw('GET', '/v2/status')).toEqual([404, { error: 'no such path: /v2/status' }]);
    expect(await raw('POST', '/v1/status')).toEqual([405, { error: 'use GET' }]);
    expect(await raw('GET', '/v1/connections/office/up')).toEqual([405, { error: 'use POST' }]);
    expect((await raw('POST', '/v1/connections/%ff/up'))[0]).toBe(400);
    expect(await raw('POST', '/v1/connections/broken/down')).toEqual([
      500,
      { error: 'out of order' },
    ]);
  });

  it('refuses a body that no request has', async () => {
    await serve();
    expect(await raw('POST', '/v1/connections/office/down', 'x'.repeat(4097))).toEqual([
      413,
      { error: 'requests have no body' },
    ]);
    expect((await raw('POST', '/v1/connections/office/down', 'x'.repeat(4096)))[0]).toBe(200);
  });

  it('refuses a peer that is neither root, our user nor of the group', async () => {
    const client = await serve(() => ({ pid: 1, uid: 65_534, gid: 65_534 }));
    await expect(client.status()).rejects.toMatchObject({ status: 403 });
    await expect(client.down('office')).rejects.toMatchObject({ status: 403 });
  });

  it('survives what is not HTTP', async () => {
    const client = await serve();
    await new Promise<void>((resolve) => {
      const socket = connect(socketPath, () => socket.end('\x16\x03\x01 what?\r\n\r\n'));
      socket.on('close', () => resolve());
      socket.resume();
    });
    expect(await client.health()).toMatchObject({ ok: true });
  });

  it('replaces the socket of a daemon that was killed', async () => {
    await serve();
    // A listener that is gone without cleaning up leaves a file nobody answers on.
    rmSync(socketPath);
    await leaveStaleSocket(socketPath);
    expect(statSync(socketPath).isSocket()).toBe(true);
    const client = await serve();
    expect(await client.health()).toMatchObject({ ok: true });
  });

  it('refuses to take the socket of a live daemon, or a file that is none', async () => {
    await serve();
    await expect(serve()).rejects.toThrow(/another esplane answers on .*main\.sock/);
    const other = join(directory, 'other.sock');
    writeFileSync(other, '');
    const attempt = serveApi({ socketPath: other, group: undefined, control, peerCredentials });
    await expect(attempt).rejects.toThrow(/is not a socket/);
  });

  it('names a group that does not exist', async () => {
    const group = 'no-such-group-here';
    await expect(serveApi({ socketPath, group, control, peerCredentials })).rejects.toThrow(
      'gateway.api_group: there is no group "no-such-group-here" in /etc/group',
    );
  });

  it('tells a client that nobody listens', async () => {
    const client = new ApiClient(socketPath);
    await expect(client.status()).rejects.toBeInstanceOf(UnreachableError);
    await expect(client.status()).rejects.toThrow(`no esplane daemon runs at ${socketPath}`);
  });
});

/** Binds a socket in a process that is then killed. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((resolve) => spawn(process.execPath, ['-e', script]).on('exit', resolve));
}

describe('groups', () => {
  it('are found with their members, and hold their primary members too', () => {
    const group = join(directory, 'group');
    const passwd = join(directory, 'passwd');
    writeFileSync(group, 'root:x:0:\nvpn:x:900:alice,bob\n');
    writeFileSync(passwd, 'alice:x:1000:1000::/:/bin/sh\ncarol:x:1002:1002::/:/bin/sh\n');
    const vpn = findGroup('vpn', group)!;
    expect(vpn).toEqual({ gid: 900, members: ['alice', 'bob'] });
    expect(findGroup('wheel', group)).toBeUndefined();
    expect(belongs(vpn, { uid: 1000, gid: 1000 }, passwd)).toBe(true);
    expect(belongs(vpn, { uid: 1002, gid: 1002 }, passwd)).toBe(false);
    expect(belongs(vpn, { uid: 1002, gid: 900 }, passwd)).toBe(true);
  });
});
