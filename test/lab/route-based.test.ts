/**
 * Route-based tunnels between two gateways that have no LAN port: three of them, all between the
 * same networks, each in a pair of namespaces of its own that its interfaces were moved into.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import type { ConnectionStatus } from '../../src/api/status.js';
import {
  execute,
  inNamespace,
  ip,
  ipBatch,
  Namespaces,
  whyNoNamespaces,
} from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { link } from '../../src/lab/topology.js';
import { measureTcp, ping, serveTcp } from '../../src/lab/traffic.js';
import { BlockCounter } from '../../src/watch/pcapng.js';
import { compileIfStale, program } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const COLOURS = ['blue', 'red'] as const;
type Colour = (typeof COLOURS)[number] | 'green';
const SIDES = ['a', 'b'] as const;
type Side = (typeof SIDES)[number];
const WAN = { a: '192.0.2.1', b: '192.0.2.2' } as const;
/** The same in every tunnel. */
const INSIDE = { a: '10.9.0.1', b: '10.9.0.2' } as const;

describe.skipIf(reason !== undefined)('route-based tunnels', () => {
  let namespaces: Namespaces;
  let folder: string;
  const gateways = {} as Record<Side, string>;
  const sites = {} as Record<Side, Record<Colour, string>>;
  const daemons = {} as Record<Side, Program>;
  const api = {} as Record<Side, ApiClient>;

  beforeAll(async () => {
    compileIfStale();
    namespaces = new Namespaces();
    folder = mkdtempSync(join(tmpdir(), 'esplane-routes-'));
    for (const side of SIDES) {
      gateways[side] = namespaces.add(`gw-${side}`);
      sites[side] = {
        blue: namespaces.add(`blue-${side}`),
        red: namespaces.add(`red-${side}`),
        green: namespaces.add(`green-${side}`),
      };
      api[side] = new ApiClient(join(folder, side, 'api.sock'));
    }
    // Here packets are counted: IPv6 would say things of its own.
    for (const site of SIDES.flatMap((side) => Object.values(sites[side]))) {
      execute(inNamespace(site, ['sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1']));
    }
    link(gateways.a, 'wan', gateways.b, 'wan');
    for (const side of SIDES) {
      ipBatch(gateways[side], [`address add ${WAN[side]}/24 dev wan`]);
      configure(side, COLOURS);
      await start(side);
    }
  });
  afterAll(async () => {
    await Promise.all(SIDES.map((side) => daemons[side]?.stop()));
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function configure(side: Side, colours: readonly Colour[]): void {
    const place = join(folder, side);
    const other = side === 'a' ? 'b' : 'a';
    mkdirSync(place, { recursive: true, mode: 0o700 });
    writeFileSync(join(place, 'psk'), 'a pre-shared key for tests only', { mode: 0o600 });
    const connections = colours.map(
      (colour) => `[connection.${colour}]
local = { address = "${WAN[side]}", id = "${colour}.${side}" }
remote = { address = "${WAN[other]}", id = "${colour}.${other}" }
psk_file = "psk"
interface = "${colour}0"
esp = ["aes256gcm16"]
`,
    );
    const socket = `api_socket = "${join(place, 'api.sock')}"`;
    const gateway = `[gateway]\nname = "${side}"\nwan = ["wan"]\n${socket}\n`;
    writeFileSync(join(place, 'gateway.toml'), [gateway, ...connections].join('\n'));
  }

  async function start(side: Side): Promise<void> {
    daemons[side] = new Program({
      namespace: gateways[side],
      command: [process.execPath, program, 'run', '-c', join(folder, side, 'gateway.toml')],
      logFile: join(folder, side, 'log'),
    });
    await waitFor('the daemon', 20, () => {
      if (!daemons[side].running) throw new Error(daemons[side].lastLines());
      return api[side].health().catch(() => undefined);
    });
  }

  /** Resolves when the daemon has the connections, and the interfaces, that the file has now. */
  async function reload(side: Side, colours: readonly Colour[]): Promise<void> {
    configure(side, colours);
    daemons[side].kill('SIGHUP');
    await waitFor('the configuration to be in force', 10, async () => {
      const { connections } = await api[side].status();
      return connections.map(({ name }) => name).join() === colours.join() || undefined;
    });
  }

  /** Moves an interface into its namespace: the daemon keeps its end. */
  function move(side: Side, colour: Colour): void {
    const namespace = sites[side][colour];
    ip(['-n', gateways[side], 'link', 'set', `${colour}0`, 'netns', namespace]);
    ipBatch(namespace, [`address add ${INSIDE[side]}/24 dev ${colour}0`, `link set ${colour}0 up`]);
  }

  async function connection(side: Side, colour: Colour): Promise<ConnectionStatus> {
    const { connections } = await api[side].status();
    return connections.find(({ name }) => name === colour)!;
  }

  const fast = { count: 5, intervalSeconds: 0.05 };
  const from = (side: Side, colour: Colour, count = 5) =>
    ping(sites[side][colour], INSIDE[side === 'a' ? 'b' : 'a'], { ...fast, count });

  it('are brought up by what is routed into them, and drop it by name meanwhile', async () => {
    ipBatch(gateways.a, [`address add ${INSIDE.a}/24 dev blue0`]);
    expect((await connection('a', 'blue')).ikeSas).toEqual([]);
    await ping(gateways.a, INSIDE.b, { count: 1 });
    const isUp = async () => (await connection('a', 'blue')).ikeSas[0]?.childSas[0];
    const child = await waitFor('the tunnel', 20, isUp);
    expect(child.localSelectors).toEqual(['0.0.0.0/0', '::/0']);
    const { drops } = await api.a.status();
    expect(drops.no_sa).toBeGreaterThanOrEqual(1);
    // ESP with AES-GCM in 1500 bytes: 20 + 8 + 8 + (1446 + 2) + 16.
    const isExact = async () =>
      (await connection('a', 'blue')).interface?.mtu === 1446 || undefined;
    await waitFor('the exact MTU', 5, isExact);
    expect(ip(['-n', gateways.a, 'link', 'show', 'blue0'])).toContain('mtu 1446');
  });

  it('between the same networks are kept apart by their interfaces', async () => {
    for (const side of SIDES) for (const colour of COLOURS) move(side, colour);
    await from('a', 'red', 1); // raises it
    const isUp = async () => (await connection('b', 'red')).ikeSas[0]?.childSas[0];
    await waitFor('the tunnel', 20, isUp);
    const before = (await connection('b', 'blue')).interface!;
    expect(await from('a', 'red', 7)).toMatchObject({ received: 7 });
    expect((await connection('b', 'blue')).interface).toEqual(before);
    expect(await from('b', 'blue', 3)).toMatchObject({ received: 3 });
    const after = (await connection('b', 'blue')).interface!;
    expect(after.outPackets - before.outPackets).toBe(3);
    expect(after.inPackets - before.inPackets).toBe(3);
  });

  it('are captured at their interfaces, of which a connection has its own', async () => {
    const blocks = new BlockCounter();
    const end = new AbortController();
    const query = { connection: 'blue', where: 'inside' } as const;
    let begun = false;
    const each = (chunk: Buffer) => {
      begun = true;
      blocks.take(chunk);
    };
    const capturing = api.a.capture(query, each, end.signal).catch(() => {});
    await waitFor('the capture', 5, () => begun || undefined);
    await from('a', 'red', 2);
    expect(await from('a', 'blue', 3)).toMatchObject({ received: 3 });
    await waitFor('requests and replies', 5, () => blocks.packets >= 6 || undefined);
    end.abort();
    await capturing;
    expect(blocks.packets).toBe(6);
  });

  it('are traced from the interface into the tunnel, and from it into the host', async () => {
    const query = { connection: 'blue', seconds: 10 };
    const leaving = api.a.trace({ ...query, filter: 'icmp' });
    const entering = api.b.trace({ ...query, filter: 'esp' });
    let traced = false;
    const both = Promise.all([leaving, entering]).finally(() => {
      traced = true;
    });
    await waitFor('the traces', 10, async () => {
      await from('a', 'blue', 1);
      return traced || undefined;
    });
    await both;
    expect(await leaving).toMatchObject({
      ...{ receivedOn: 'blue0', sentOn: 'wan', connection: 'blue' },
      report: { outbound: true, verdict: 'sent', sent: { protocol: 50 } },
    });
    expect(await entering).toMatchObject({
      ...{ receivedOn: 'wan', sentOn: 'blue0', connection: 'blue' },
      report: { outbound: false, verdict: 'interface', sent: { protocol: 1 } },
    });
  });

  it('carry what is larger than their path in pieces, or say how large it may be', async () => {
    const pings = { count: 3, intervalSeconds: 0.05, bytes: 3000 };
    expect(await ping(sites.a.red, INSIDE.b, pings)).toMatchObject({ received: 3 });
    const big = [
      'ping',
      '-n',
      '-M',
      'do',
      '-c',
      '2',
      '-i',
      '0.2',
      '-W',
      '1',
      '-s',
      '1440',
      INSIDE.b,
    ];
    const output = execute(['sh', '-c', `${inNamespace(sites.a.red, big).join(' ')} || true`]);
    expect(output).toMatch(/mtu ?= ?1446/);
  });

  it('hand segments of a TCP connection to the host as few packets', async () => {
    const received = () => {
      const [device] = JSON.parse(ip(['-n', sites.b.red, '-s', '-j', 'link', 'show', 'red0']));
      return device.stats64.rx.packets as number;
    };
    const server = await serveTcp(sites.b.red, join(folder, 'tcp.log'));
    const [enteredBefore, before] = [received(), (await connection('b', 'red')).interface!];
    const tcp = await measureTcp(sites.a.red, INSIDE.b, 'send', 1);
    const [entered, after] = [received(), (await connection('b', 'red')).interface!];
    await server.stop();
    expect(after.inPackets - before.inPackets).toBeGreaterThanOrEqual(tcp.bytes / 1446);
    expect(entered - enteredBefore).toBeLessThan((after.inPackets - before.inPackets) / 2);
  });

  it('come and go with a changed configuration, on SIGHUP; others lose no packet', async () => {
    const lossless = from('a', 'blue', 60);
    for (const side of SIDES) {
      await reload(side, [...COLOURS, 'green']);
      move(side, 'green');
    }
    await from('a', 'green', 1);
    const isUp = async () => (await connection('a', 'green')).ikeSas[0]?.childSas[0];
    await waitFor('the tunnel', 20, isUp);
    expect(await from('a', 'green')).toMatchObject({ received: 5 });
    for (const side of SIDES) await reload(side, COLOURS);
    expect(await lossless).toMatchObject({ sent: 60, received: 60 });
    expect(ip(['-n', sites.a.green, 'link'])).not.toContain('green0');
  });

  it('have interfaces that a killed daemon leaves behind, routes and all, and drop there', async () => {
    daemons.a.kill('SIGKILL');
    await daemons.a.exited;
    for (const colour of COLOURS) {
      expect(ip(['-n', sites.a[colour], 'route'])).toContain(`dev ${colour}0`);
      // Back, for the next daemon to find.
      ip(['-n', sites.a[colour], 'link', 'set', `${colour}0`, 'netns', gateways.a]);
    }
    ipBatch(gateways.a, [`address add ${INSIDE.a}/24 dev red0`, 'link set red0 up']);
    configure('a', ['red']); // no daemon sees that blue goes
    await start('a');
    expect(ip(['-n', gateways.a, 'route'])).toContain('dev red0');
    expect(ip(['-n', gateways.a, 'link'])).not.toContain('blue0');
    await api.a.up('red');
    expect(await ping(gateways.a, INSIDE.b, fast)).toMatchObject({ received: 5 });
  });

  it('go with the daemon where the guard is to be open', async () => {
    writeFileSync(
      join(folder, 'a', 'gateway.toml'),
      execute(['sed', 's/^wan = /guard_on_stop = "open"\\n&/', join(folder, 'a', 'gateway.toml')]),
    );
    await api.a.apply();
    await daemons.a.stop();
    expect(ip(['-n', gateways.a, 'link'])).not.toContain('red0');
    expect(existsSync(join(folder, 'a', 'api.sock'))).toBe(false);
  });
});
