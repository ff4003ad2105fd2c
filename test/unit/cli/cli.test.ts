import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Control, UnknownConnectionError } from '../../../src/api/routes.js';
import { type ApiServer, serveApi } from '../../../src/api/server.js';
import { renderStatus } from '../../../src/cli/render-status.js';
import { ConfigError } from '../../../src/config/problem.js';
import { peerCredentials } from '../../../src/dataplane/process.js';
import { createLog } from '../../../src/log.js';
import { GatewayEvents } from '../../../src/workers/gateway-event.js';
import { compileIfStale, program } from '../../compiled.js';
import { busyStatus, someCapture, someExplanation, somePlan, someWatching } from '../fixtures.js';

let directory: string;
let socketPath: string;
let daemon: ApiServer;

const log = createLog({ level: 'error', format: 'text', write: () => {} });
const events = new GatewayEvents();

const control: Control = {
  name: 'main',
  log,
  events,
  explain: async () => someExplanation,
  status: async () => busyStatus,
  mustExist: (connection) => {
    if (connection === 'nosuch') throw new UnknownConnectionError(connection, ['office', 'home']);
  },
  up: async (connection) => {
    if (connection === 'office') return { connection, result: 'established' };
    if (connection !== 'home') throw new UnknownConnectionError(connection, ['office', 'home']);
    return { connection, result: 'failed', explanation: 'NO_PROPOSAL_CHOSEN' };
  },
  rekey: async (connection, what) => ({ connection, what, begun: what === 'ike' ? 1 : 2 }),
  down: async (connection) => ({ connection, deletedIkeSas: 1 }),
  plan: async () => somePlan,
  ...someWatching,
  apply: async () => {
    throw new ConfigError([
      { file: 'a.toml', line: 2, column: 1, key: 'gateway', found: 'missing', allowed: 'a table' },
    ]);
  },
};

beforeAll(async () => {
  compileIfStale();
  directory = mkdtempSync(join(tmpdir(), 'esplane-cli-'));
  socketPath = join(directory, 'main.sock');
  daemon = await serveApi({ socketPath, group: undefined, control, peerCredentials });
}, 60_000);
afterAll(async () => {
  await daemon.close();
  rmSync(directory, { recursive: true });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function esplane(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args]);
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

describe('esplane', () => {
  it('status shows the status, and alone does the same', async () => {
    const shown = { code: 0, out: renderStatus(busyStatus), err: '' };
    expect(await esplane('status', '--socket', socketPath)).toEqual(shown);
    expect(await esplane('--socket', socketPath)).toEqual(shown);
  });

  it('status shows one connection, and says which there are', async () => {
    const [connection] = busyStatus.connections;
    const { out } = await esplane('status', connection!.name, '--socket', socketPath);
    expect(out).toBe(renderStatus({ ...busyStatus, connections: [connection!] }));
    const missing = await esplane('status', 'attic', '--socket', socketPath);
    expect(missing).toMatchObject({ code: 1, out: '' });
    expect(missing.err).toContain(`there is no connection "attic"; there are: ${connection!.name}`);
  });

  it('status --json prints the document', async () => {
    const { code, out } = await esplane('status', '--json', '--socket', socketPath);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual(busyStatus);
  });

  it('up succeeds with the connection, and fails with the reason', async () => {
    expect(await esplane('up', 'office', '--socket', socketPath)).toEqual({
      code: 0,
      out: 'office: established\n',
      err: '',
    });
    expect(await esplane('up', 'home', '--socket', socketPath)).toEqual({
      code: 1,
      out: `home: failed\n  NO_PROPOSAL_CHOSEN\nwhat to do: esplane explain home --socket ${socketPath}\n`,
      err: '',
    });
    expect(await esplane('up', 'moon', '--json', '--socket', socketPath)).toEqual({
      code: 1,
      out: '',
      err: 'esplane: no connection "moon" in the configuration (there are: office, home)\n',
    });
  });

  it('rekey tells what was renewed', async () => {
    const out = async (...options: string[]) =>
      (await esplane('rekey', 'office', ...options, '--socket', socketPath)).out;
    expect(await out()).toBe('office: 2 Child SA(s) rekeyed\n');
    expect(await out('--ike')).toBe('office: 1 IKE SA(s) rekeyed\n');
    expect(await out('--reauth')).toBe('office: 2 IKE SA(s) set up anew\n');
  });

  it('down tells how many IKE SAs it deleted', async () => {
    expect(await esplane('down', 'office', '--socket', socketPath)).toEqual({
      code: 0,
      out: 'office: 1 IKE SA(s) deleted\n',
      err: '',
    });
  });

  it('explain tells why, and what to do', async () => {
    const { out: text } = await esplane('explain', 'home', '--socket', socketPath);
    expect(text).toBe(`home: it is down, and is tried again

1 minute 1 second ago: no answer
  no answer from 192.0.2.9:500 to IKE_SA_INIT, sent 7 times

what to do:
  - does the peer run?
  - is UDP 500 let through?
`);
    const { out } = await esplane('explain', 'home', '--json', '--socket', socketPath);
    expect(JSON.parse(out)).toEqual(someExplanation);
  });

  it('logs shows the past, and sets what the daemon writes', async () => {
    log.warn('no answer', { connection: 'home' });
    log.info('all is well', { connection: 'office' });
    const logs = (...args: string[]) => esplane('logs', ...args, '--socket', socketPath);
    const line = /^\d\d:\d\d:\d\d\.\d{3} warn {2}home: no answer\n$/;
    expect((await logs('--connection', 'home')).out).toMatch(line);
    const set = await logs('--set', 'debug', '--subsystem', 'ike');
    expect(set.out).toBe("the daemon's log of ike: debug\n");
    expect((await logs('--set', 'default')).code).toBe(2);
  });

  it('top shows rates', async () => {
    const options = ['--count', '1', '--interval', '0.05', '--socket', socketPath];
    expect((await esplane('top', ...options)).out).toMatch(/^gateway main, up 1 minute 1 second\n/);
    expect(JSON.parse((await esplane('top', '--json', ...options)).out)).toMatchObject({
      name: 'main',
      tunnels: [{ connection: 'office', child: 'net', inBits: 0 }],
    });
  });

  it('completes commands, options, values and names of connections, in bash', async () => {
    const script = (await esplane('completion', 'bash')).out;
    const tool = `esplane() { '${process.execPath}' '${program}' "$@" --socket '${socketPath}'; }`;
    const complete = async (...words: string[]) => {
      const line = words.map((word) => `'${word}'`).join(' ');
      const state = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}`;
      const body = [tool, script, state, '_esplane', `printf '%s\\n' "\${COMPREPLY[@]}"`];
      const { stdout } = await promisify(execFile)('bash', ['-c', body.join('\n')]);
      return stdout.trim().split('\n');
    };
    expect(await complete('esplane', 'ex')).toEqual(['explain']);
    expect(await complete('esplane', 'rekey', '--re')).toEqual(['--reauth']);
    expect(await complete('esplane', 'logs', '--level', '')).toEqual([
      'debug',
      'info',
      'warn',
      'error',
    ]);
    expect(await complete('esplane', 'up', 'home')).toEqual(['home']);
    expect(await complete('esplane', 'completion', 'z')).toEqual(['zsh']);
  });

  it('has names of gateways completed too', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      expect((await esplane('completion', shell)).out).toContain('esplane gateway-names');
    }
    expect((await esplane('gateway-names')).code).toBe(0);
  });

  it('trace shows the way of a packet, and says what is wrong with a filter', async () => {
    const trace = (...args: string[]) => esplane('trace', ...args, '--socket', socketPath);
    expect((await trace('host', '10.1.0.5')).out).toBe(
      `received on lan0 in lane 1: 10.1.0.5 port 4000 -> 10.2.0.9 port 53, UDP, 64 bytes
  headers, policy, path, number      1,400 cycles
  encryption                           300 cycles
  next hop                             200 cycles
  transmit ring                        100 cycles
  together                           2,000 cycles
SA: office/net, SPI c0000001
sent: 192.0.2.1 -> 192.0.2.2, ESP, 120 bytes on wan0
verdict: sent (left through a port)
`,
    );
    expect((await trace('10.1.0.5')).err).toBe('esplane: found "10.1.0.5", say "host 10.1.0.5"\n');
  });

  it('probe tells of the path', async () => {
    expect((await esplane('probe', 'office', '--socket', socketPath)).out).toBe(
      `office: 192.0.2.1:500 <-> 192.0.2.9:500
  NAT: none on the way
  liveness: 5 requests, 1 lost, round trip 1.0 / 1.3 / 3.0 ms (least / median / most)
  path MTU: 1420 bytes, 1430 bytes do not arrive
  Child SA net: packets up to 1438 bytes inside, 1500 outside; 2 lost on the way to us, 1000 received
`,
    );
  });

  it('capture writes a file for its owner alone, and ends after so many packets', async () => {
    const file = join(directory, 'a.pcapng');
    const options = ['--count', '1', '-w', file, '--socket', socketPath];
    const { code, err } = await esplane('capture', ...options);
    expect([code, err]).toEqual([0, '1 packets, 7 lost because they were too fast for us\n']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file)).toEqual(Buffer.concat(someCapture));
    expect((await esplane('capture', 'tcp', 'port', '--socket', socketPath)).err).toBe(
      'esplane: the filter ends where a port is to come\n',
    );
  });

  it('plan shows what apply would do', async () => {
    expect((await esplane('plan', '--socket', socketPath)).out).toBe(`apply would do this:
  stop     old     gone from the configuration: its SAs are deleted
  restart  office  remote.address, psk; its SAs end and new ones are set up: traffic waits meanwhile
  renew    home    esp; new SAs are set up beside the old ones: no packet is lost
  start    branch  new
  stay     1 connection
  add      port wan2 (wan)  it is opened while the others go on
  reopen   port lan1 (lan -> lan, packet)  it is closed and opened again: packets of its own are lost meanwhile
  remove   port wan1 (wan)  what comes there is the kernel's alone, which drops what is protected
  gateway.frames: 4096 -> 8192, from the daemon's next start
  gateway.log_level: info -> debug
`);
    expect(JSON.parse((await esplane('plan', '--json', '--socket', socketPath)).out)).toEqual(
      somePlan,
    );
  });

  it('apply tells what is wrong with the configuration and ends with 3', async () => {
    expect(await esplane('apply', '--socket', socketPath)).toEqual({
      code: 3,
      out: '',
      err: 'esplane: \na.toml:2:1: gateway: missing, allowed: a table\n',
    });
  });

  it('plan --compare needs no daemon', async () => {
    const file = (name: string, level: string) => {
      const text = `[gateway]\nlan = ["es-lan0"]\nwan = ["es-wan0"]\nlog_level = "${level}"\n`;
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const [old, next] = [file('old.toml', 'info'), file('new.toml', 'warn')];
    expect((await esplane('plan', '--compare', old, next)).out).toBe(
      'apply would do this:\n  gateway.log_level: info -> warn\n',
    );
    expect((await esplane('plan', '--compare', old, old)).out).toBe('nothing changes\n');
    expect((await esplane('plan', '--compare', old)).code).toBe(2);
  });

  it('ends with 4 where no daemon runs, and with 2 on wrong usage', async () => {
    const gone = join(directory, 'gone.sock');
    expect(await esplane('status', '--socket', gone)).toEqual({
      code: 4,
      out: '',
      err: `esplane: no esplane daemon runs at ${gone}; to start it: esplane run, or systemctl start esplane\n`,
    });
    expect((await esplane('status', '--colour')).code).toBe(2);
    const unknown = await esplane('stat');
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("unknown command 'stat'; is it status?");
  });

  it('check tells what a configuration means, without its secrets', async () => {
    const file = join(directory, 'gateway.toml');
    writeFileSync(
      file,
      `[gateway]
lan = ["es-lan0"]
wan = ["es-wan0"]
[connection.office]
local  = { address = "192.0.2.1", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.2", networks = ["10.2.0.0/16"] }
psk_file = "psk"
`,
    );
    writeFileSync(join(directory, 'psk'), 'a very long secret', { mode: 0o600 });
    const { code, out, err } = await esplane('check', '-c', file);
    expect([code, err]).toEqual([0, '']);
    expect(out.split('\n').slice(0, 6)).toEqual([
      `${file}: ok`,
      '  gateway main: lan es-lan0, wan es-wan0',
      '  connection office: 192.0.2.1 <-> 192.0.2.2',
      '    net (trap) protects 10.1.0.0/16 <-> 10.2.0.0/16',
      'hint: there is no interface "es-lan0" (lan) on this machine',
      'hint: there is no interface "es-wan0" (wan) on this machine',
    ]);
    expect(out).not.toContain('secret');
  });

  it('check and run tell what is wrong and end with 3', async () => {
    const file = join(directory, 'wrong.toml');
    writeFileSync(file, '[gateway]\nlan = ["lan0"]\nwan = "wan0"\n');
    const problem = `${file}:3:1: gateway.wan: found "wan0", allowed: a list, as in ["wan0"]`;
    expect(await esplane('check', '-c', file)).toEqual({ code: 3, out: '', err: `${problem}\n` });
    const { code, out } = await esplane('check', '-c', file, '--json');
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [
        { file, line: 3, column: 1, key: 'gateway.wan', allowed: 'a list, as in ["wan0"]' },
      ],
    });
    expect((await esplane('check', '-c', join(directory, 'none.toml'))).err).toBe(
      `${join(directory, 'none.toml')}: there is no such file, allowed: a configuration file, or a folder of them (-c)\n`,
    );
    expect((await esplane('run', '-c', file)).err).toBe(
      `esplane: the configuration cannot be used\n${problem}\n`,
    );
  });

  it('check --schema prints the configuration as JSON Schema, each key described', async () => {
    const schema = JSON.parse((await esplane('check', '--schema')).out);
    const { gateway, connection } = schema.properties;
    const described = [
      ...Object.entries(gateway.properties),
      ...Object.entries(connection.additionalProperties.properties),
    ].filter(([, value]) => (value as { description?: string }).description === undefined);
    expect(described.map(([key]) => key)).toEqual(['local', 'remote']);
    expect(gateway.required).toEqual(['wan']);
  });
});
