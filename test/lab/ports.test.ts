/**
 * Two gateways whose ports come and go under traffic: a second WAN port is added, routes lead to it,
 * and the first one is removed. The SAs stay, and no packet is lost.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import { execute, ipBatch, Namespaces, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, sleep, waitFor } from '../../src/lab/program.js';
import { link } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale, program } from '../compiled.js';
import { difference, dropsOf, inAll, sendNumbered } from './numbered.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const PACKETS_A_SECOND = 2_000;
const STEP_MILLISECONDS = 500;

/** Queues of each cable between the gateways: over the second, one lane has none to send on. */
const CABLES = [
  { name: 'wan1', queues: 2, network: '198.51.100' },
  { name: 'wan2', queues: 1, network: '203.0.113' },
] as const;

interface Gateway {
  readonly side: 1 | 2;
  readonly namespace: string;
  readonly host: string;
  readonly daemon: Program;
  readonly api: ApiClient;
}

describe.skipIf(reason !== undefined)('the ports of a running gateway', () => {
  let namespaces: Namespaces;
  let folder: string;
  let gateways: readonly [Gateway, Gateway];

  beforeAll(async () => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-ports-'));
    namespaces = new Namespaces();
    const [a, b] = [namespaces.add('gateway-a'), namespaces.add('gateway-b')];
    for (const { name, queues } of CABLES) link(a, name, b, name, { queues });
    const hosts = [addSite(a, 1), addSite(b, 2)] as const;
    gateways = [await start(a, 1, hosts[0]), await start(b, 2, hosts[1])];
    await waitFor('the tunnel', 20, async () => (await spis()).length === 2 || undefined);
  });
  afterAll(async () => {
    await Promise.all((gateways ?? []).map(({ daemon }) => daemon.stop()));
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The tunnel ends at an address of the gateway that is on neither cable. */
  function addSite(gateway: string, side: 1 | 2): string {
    const host = namespaces.add(`host-${side}`);
    link(host, 'eth0', gateway, 'lan', { queues: 2 });
    ipBatch(host, [
      `address add 10.${side}.0.2/24 dev eth0`,
      `route add default via 10.${side}.0.1`,
    ]);
    ipBatch(gateway, [
      `address add 10.${side}.0.1/24 dev lan`,
      `address add 192.0.2.${side}/32 dev lo`,
      ...CABLES.map(({ name, network }) => `address add ${network}.${side}/24 dev ${name}`),
      `route add 192.0.2.${3 - side}/32 via ${CABLES[0].network}.${3 - side}`,
      `route add 10.${3 - side}.0.0/24 via ${CABLES[0].network}.${3 - side}`,
    ]);
    return host;
  }

  const file = (side: number) => join(folder, `${side}`, 'gateway.toml');

  function configure(side: number, wan: readonly string[], more = ''): void {
    const end = (of: number) => `{ address = "192.0.2.${of}", networks = ["10.${of}.0.0/24"] }`;
    const lines = [
      ...['[gateway]', `name = "ports${side}"`, 'lan = ["lan"]', 'workers = 2', more],
      `wan = ${JSON.stringify(wan)}`,
      `api_socket = "${join(folder, `${side}`, 'api.sock')}"`,
      ...['[connection.t]', `local = ${end(side)}`, `remote = ${end(3 - side)}`],
      ...['psk_file = "psk"', `start = "${side === 1 ? 'always' : 'wait'}"`],
    ];
    writeFileSync(file(side), `${lines.join('\n')}\n`);
  }

  async function start(namespace: string, side: 1 | 2, host: string): Promise<Gateway> {
    mkdirSync(join(folder, `${side}`), { mode: 0o700 });
    writeFileSync(join(folder, `${side}`, 'psk'), 'the key of both', { mode: 0o600 });
    configure(side, ['wan1']);
    const daemon = new Program({
      namespace,
      command: [process.execPath, program, 'run', '-c', file(side)],
      logFile: join(folder, `${side}`, 'log'),
    });
    const api = new ApiClient(join(folder, `${side}`, 'api.sock'));
    await waitFor('a daemon', 20, () => api.health().catch(() => undefined));
    return { side, namespace, host, daemon, api };
  }

  const statuses = () => Promise.all(gateways.map(({ api }) => api.status()));

  async function spis(): Promise<string[]> {
    return (await statuses()).flatMap(({ connections }) =>
      connections.flatMap(({ ikeSas }) =>
        ikeSas.flatMap(({ childSas }) => childSas.map(({ inboundSpi }) => `${inboundSpi}`)),
      ),
    );
  }

  /** @returns what each gateway did with its ports */
  async function apply(wan: readonly string[], more = ''): Promise<string[][]> {
    const done: string[][] = [];
    for (const { side, api } of gateways) {
      configure(side, wan, more);
      const planned = await api.plan();
      const { ports, settings, connections } = await api.apply();
      expect(ports).toEqual(planned.ports);
      expect(settings).toEqual([]);
      expect(connections.map(({ action }) => action)).toEqual(['stay']);
      done.push(ports.map(({ action, port }) => `${action} ${port}`));
    }
    return done;
  }

  function leadOver({ network }: (typeof CABLES)[number]): void {
    for (const { side, namespace } of gateways) {
      ipBatch(namespace, [`route replace 192.0.2.${3 - side}/32 via ${network}.${3 - side}`]);
    }
  }

  it('come and go under traffic: no packet is lost, and no SA', async () => {
    const before = await statuses();
    const sas = await spis();
    const [a, b] = gateways;
    const flows = [
      { from: a.host, to: b.host, address: '10.2.0.2' },
      { from: b.host, to: a.host, address: '10.1.0.2' },
    ];
    const settings = { packets: 5 * PACKETS_A_SECOND, perSecond: PACKETS_A_SECOND, sockets: 8 };
    const outcomes = await sendNumbered(folder, flows, settings, async () => {
      await sleep(STEP_MILLISECONDS);
      expect(await apply(['wan1', 'wan2'])).toEqual([['add wan2'], ['add wan2']]);
      await sleep(STEP_MILLISECONDS);
      leadOver(CABLES[1]);
      await sleep(STEP_MILLISECONDS);
      expect(await apply(['wan2'])).toEqual([['remove wan1'], ['remove wan1']]);
    });
    const after = await statuses();
    const { sent, lost, duplicates } = inAll(outcomes);
    const drops = difference(dropsOf(after), dropsOf(before));
    console.log(JSON.stringify({ sent, lost, drops, ports: after.map(({ ports }) => ports) }));
    expect({ lost, duplicates, drops }).toEqual({ lost: 0, duplicates: 0, drops: {} });
    expect(await spis()).toEqual(sas);
    for (const { ports } of after) {
      expect(ports.map(({ name, mode, queues }) => [name, mode, queues])).toEqual([
        ['lan', 'xdp-native-copy', 2],
        ['wan2', 'xdp-native-copy', 1],
      ]);
      // What left by it: more than half of what was sent from each side.
      expect(ports[1]!.txPackets).toBeGreaterThan(sent / 4);
    }
    // The program of a port goes with it.
    expect(execute(['ip', '-n', a.namespace, 'link', 'show', 'dev', 'wan1'])).not.toContain('xdp');
  });

  it('that cannot be had change nothing', async () => {
    const [{ side, api, host }] = gateways;
    configure(side, ['wan2', 'absent']);
    await expect(api.apply()).rejects.toThrow(/absent/);
    configure(side, ['wan2']);
    expect((await api.plan()).ports).toEqual([]);
    expect((await api.status()).ports.map(({ name }) => name)).toEqual(['lan', 'wan2']);
    expect((await ping(host, '10.2.0.2', { count: 3 })).received).toBe(3);
  });

  it('take frames to other addresses of their interfaces', async () => {
    const [a, b] = gateways;
    const sas = await spis();
    for (const [device, address] of [
      ['lan', '02:00:00:00:00:81'],
      ['wan2', '02:00:00:00:00:82'],
    ]) {
      ipBatch(a.namespace, [`link set ${device} address ${address}`]);
    }
    ipBatch(b.namespace, ['neighbour flush dev wan2']);
    ipBatch(a.host, ['neighbour flush dev eth0']);
    await sleep(STEP_MILLISECONDS);
    const { received } = await ping(a.host, '10.2.0.2', { count: 5 });
    expect(received).toBeGreaterThanOrEqual(4); // the first may wait for a neighbour
    expect(await spis()).toEqual(sas);
  });

  it('are opened anew in another mode, and the SAs stay', async () => {
    const sas = await spis();
    const done = ['reopen lan', 'reopen wan2'];
    expect(await apply(['wan2'], 'port_kind = "packet"')).toEqual([done, done]);
    for (const { ports } of await statuses()) {
      expect(ports.map(({ mode }) => mode)).toEqual(['packet', 'packet']);
    }
    const before = await statuses();
    const { received } = await ping(gateways[0].host, '10.2.0.2', { count: 5 });
    const drops = difference(dropsOf(await statuses()), dropsOf(before));
    expect({ received, drops }).toEqual({ received: 5, drops: {} });
    expect(await spis()).toEqual(sas);
  });
});
