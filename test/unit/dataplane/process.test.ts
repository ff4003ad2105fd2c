import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { peerCredentials } from '../../../src/dataplane/process.js';

const descriptorOf = (socket: Socket) =>
  (socket as unknown as { _handle: { fd: number } })._handle.fd;

describe('peerCredentials', () => {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-process-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('names the process at the other end of a Unix socket', async () => {
    const server = createServer().listen(join(folder, 'socket'));
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const client = connect(join(folder, 'socket'));
    const [socket] = (await accepted) as [Socket];
    expect(peerCredentials(descriptorOf(socket))).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    client.destroy();
    socket.destroy();
    server.close();
  });

  it('says which descriptor is no socket', () => {
    expect(() => peerCredentials(-1)).toThrow('descriptor -1');
  });

  it('refuses what is not a number', () => {
    expect(() => peerCredentials('7' as unknown as number)).toThrow(TypeError);
  });
});

describe('disableCoreDumps', () => {
  it('sets the limit of core files to zero in a process that calls it', () => {
    const addon = join(import.meta.dirname, '../../../build/Release/esplane.node');
    const script = `require(${JSON.stringify(addon)}).disableCoreDumps();
      console.log(require('node:fs').readFileSync('/proc/self/limits', 'utf8'))`;
    const limits = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(limits).toMatch(/Max core file size\s+0\s+0/);
  });
});
