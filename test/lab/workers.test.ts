/**
 * Two gateways with two LAN and two WAN ports of two queues each, and a tunnel over each WAN. The
 * first one's workers come and go under traffic: its SAs stay, and at most a batch of packets is
 * lost for each change. The same where each queue sends on an SA of its own (RFC 9611).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../../src/api/client.js';
import type { ChildSaStatus, Status } from '../../src/api/status.js';
import { ipBatch, Namespaces, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, sleep, waitFor } from '../../src/lab/program.js';
import { link } from '../../src/lab/topology.js';
import { compileIfStale, program } from '../compiled.js';
import { difference, dropsOf, inAll, sendNumbered, total } from './numbered.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const QUEUES = 2;
/** native/packet/batch.h */
const BATCH = 64;
const PACKETS_A_SECOND = 4_000;

/** What the workers are before, then what `apply` makes of them. */
const PLANS = [
  'workers = 1',
  'workers = 2',
  'workers = 2\nqueue_workers = [1, 0]\ncpus = "any"',
  'workers = 2\nqueue_workers = [1, 1]',
  'workers = 3\ncpus = [0, 1, 0]',
  'workers = 1',
];
const SECONDS_EACH = 1;

describe.skipIf(reason !== undefined)('the workers of a gateway with several ports', () => {
  let namespaces: Namespaces;
  let folder: string;
  const gateways: { api: ApiClient; daemon: Program; namespace: string }[] = [];
  /** By tunnel: the host behind each gateway. */
  const hosts: [string, string][] = [];

  beforeAll(async () => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-workers-'));
    namespaces = new Namespaces();
    const [a, b] = [namespaces.add('gateway-a'), namespaces.add('gateway-b')];
    for (const n of [1, 2]) {
      link(a, `wan${n}`, b, `wan${n}`, { queues: QUEUES });
      hosts.push([addSite(a, 1, n), addSite(b, 2, n)]);
    }
    gateways.push(await start(b, 2), await start(a, 1));
    await waitFor('both tunnels', 20, async () => (await spis()).length === 4 || undefined);
  });
  afterAll(async () => {
    await Promise.all(gateways.map(({ daemon }) => daemon.stop()));
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Host and addresses of tunnel n at gateway `side`. */
  function addSite(gateway: string, side: number, n: number): string {
    const host = namespaces.add(`host-${side}${n}`);
    const other = 3 - side;
    link(host, 'eth0', gateway, `lan${n}`, { queues: QUEUES });
    ipBatch(host, [
      `address add 10.${side}.${n}.2/24 dev eth0`,
      `route add default via 10.${side}.${n}.1`,
    ]);
    ipBatch(gateway, [
      `address add 10.${side}.${n}.1/24 dev lan${n}`,
      `address add 192.0.${n}.${side}/24 dev wan${n}`,
      `route add 10.${other}.${n}.0/24 via 192.0.${n}.${other}`,
    ]);
    return host;
  }

  const file = (side: number) => join(folder, `${side}`, 'gateway.toml');

  function configure(side: number, workers: string, more: readonly string[] = []): void {
    const end = (of: number, n: number) =>
      `{ address = "192.0.${n}.${of}", networks = ["10.${of}.${n}.0/24"] }`;
    const lines = [
      ...['[gateway]', `name = "many${side}"`, 'lan = ["lan1", "lan2"]', 'wan = ["wan1", "wan2"]'],
      ...[workers, `api_socket = "${join(folder, `${side}`, 'api.sock')}"`],
      ...[1, 2].flatMap((n) => [
        `[connection.t${n}]`,
        `local = ${end(side, n)}`,
        `remote = ${end(3 - side, n)}`,
        'psk_file = "psk"',
        `start = "${side === 1 ? 'always' : 'wait'}"`,
        ...more,
      ]),
    ];
    writeFileSync(file(side), `${lines.join('\n')}\n`);
  }

  async function start(namespace: string, side: number) {
    mkdirSync(join(folder, `${side}`), { mode: 0o700 });
    writeFileSync(join(folder, `${side}`, 'psk'), 'the key of both', { mode: 0o600 });
    configure(side, PLANS[0]!);
    const daemon = new Program({
      namespace,
      command: [process.execPath, program, 'run', '-c', file(side)],
      logFile: join(folder, `${side}`, 'log'),
    });
    const api = new ApiClient(join(folder, `${side}`, 'api.sock'));
    await waitFor('a daemon', 20, () => api.health().catch(() => undefined));
    return { api, daemon, namespace };
  }

  /** The Child SAs of each tunnel of each gateway. */
  async function groups(): Promise<ChildSaStatus[][]> {
    return (await statuses()).flatMap(({ connections }) =>
      connections.map(({ ikeSas }) => ikeSas.flatMap(({ childSas }) => childSas)),
    );
  }

  const statuses = () => Promise.all(gateways.map(({ api }) => api.status()));

  async function spis(): Promise<string[]> {
    return (await statuses()).flatMap(({ connections }) =>
      connections.flatMap(({ ikeSas }) =>
        ikeSas.flatMap(({ childSas }) => childSas.map(({ inboundSpi }) => `${inboundSpi}`)),
      ),
    );
  }

  it('come and go under traffic: no SA is lost, and at most a batch of packets a change', async () => {
    const before = await statuses();
    for (const { ports } of before) {
      expect(ports.map(({ queues }) => queues)).toEqual([QUEUES, QUEUES, QUEUES, QUEUES]);
      expect(new Set(ports.map(({ mode }) => mode))).toEqual(new Set(['xdp-native-copy']));
    }
    const sas = await spis();
    const flows = hosts.flatMap(([a, b], i) => [
      { from: a, to: b, address: `10.2.${i + 1}.2` },
      { from: b, to: a, address: `10.1.${i + 1}.2` },
    ]);
    const loads: Status['workerLoads'][] = [];
    const settings = {
      packets: PLANS.length * SECONDS_EACH * PACKETS_A_SECOND,
      perSecond: PACKETS_A_SECOND,
      sockets: 8,
    };
    const api = gateways[1]!.api;
    const outcomes = await sendNumbered(folder, flows, settings, async () => {
      for (const plan of PLANS.slice(1)) {
        await sleep(SECONDS_EACH * 1000);
        configure(1, plan);
        const { settings, connections } = await api.apply();
        expect(settings.map(({ when }) => when)).not.toContain('next start');
        expect(connections.map(({ action }) => action)).toEqual(['stay', 'stay']);
        loads.push((await api.status()).workerLoads);
      }
    });
    const { lost, duplicates, sent } = inAll(outcomes);
    const after = await statuses();
    const drops = difference(dropsOf(after), dropsOf(before));
    console.log(JSON.stringify({ sent, lost, drops, loads }));
    expect(duplicates).toBe(0);
    expect(lost).toBeLessThanOrEqual(loads.length * BATCH);
    // Hosts send other packets as well, of which some go nowhere.
    expect(lost).toBeLessThanOrEqual(total(drops));
    expect(await spis()).toEqual(sas);
    expect(loads.map((workers) => workers.length)).toEqual([2, 2, 2, 3, 1]);
    // With two workers that own queues, both had packets: every queue is used and served.
    for (const { packets } of loads[1]!) expect(packets).toBeGreaterThan(PACKETS_A_SECOND / 4);
    // No counter goes back when a worker goes.
    const total1 = (status: Status) =>
      status.ports.reduce((sum, { rxPackets }) => sum + rxPackets, 0);
    expect(total1(after[1]!)).toBeGreaterThan(total1(before[1]!) + sent / 2);
  });

  it('send on SAs of their queues, each asked for by its first packet, and none is lost', async () => {
    const ownSas = ['per_resource = true'];
    for (const side of [2, 1]) {
      configure(side, 'workers = 2', ownSas);
      await gateways[2 - side]!.api.apply();
    }
    const resources = (group: readonly ChildSaStatus[]) =>
      [...new Set(group.map(({ resource }) => resource))].sort().join();
    await waitFor('tunnels that may have more SAs', 20, async () => {
      const all = await groups();
      return all.every((group) => group.length === 1 && resources(group) === 'all') || undefined;
    });
    const before = await statuses();
    const flows = hosts.flatMap(([a, b], i) => [
      { from: a, to: b, address: `10.2.${i + 1}.2` },
      { from: b, to: a, address: `10.1.${i + 1}.2` },
    ]);
    const plans = ['workers = 1', 'workers = 2\nqueue_workers = [1, 0]', 'workers = 3'];
    const settings = {
      packets: (4 + plans.length) * SECONDS_EACH * PACKETS_A_SECOND,
      perSecond: PACKETS_A_SECOND,
      sockets: 8,
    };
    let early: string[] = [];
    const outcomes = await sendNumbered(folder, flows, settings, async () => {
      await waitFor('an SA for each queue', 10, async () => {
        return (await groups()).every((group) => resources(group) === '0,1,all') || undefined;
      });
      early = await spis();
      for (const plan of plans) {
        configure(1, plan, ownSas);
        await gateways[1]!.api.apply();
        await sleep(SECONDS_EACH * 1000);
      }
    });
    const { lost, duplicates, sent } = inAll(outcomes);
    const drops = difference(dropsOf(await statuses()), dropsOf(before));
    const all = await groups();
    console.log(JSON.stringify({ sent, lost, drops, groups: all.map(resources) }));
    expect(all.map(resources)).toEqual(Array(4).fill('0,1,all'));
    for (const group of all) {
      // Queues send on their own, which of them a host's flows may be in; the first packets do not.
      const packets = (of: readonly ChildSaStatus[]) =>
        of.reduce((sum, { outPackets }) => sum + outPackets, 0);
      const onFallback = packets(group.filter(({ resource }) => resource === 'all'));
      expect(onFallback).toBeLessThan(packets(group) / 5);
    }
    const isUsed = ({ resource, outPackets }: ChildSaStatus) =>
      resource !== 'all' && outPackets > PACKETS_A_SECOND;
    expect(resources(all.flat().filter(isUsed))).toBe('0,1');
    // A change of workers leaves them as they are.
    expect(await spis()).toEqual(early);
    expect(duplicates).toBe(0);
    // A machine that has too much to do overruns rings; nothing else may lose a packet.
    expect(lost).toBeLessThanOrEqual(drops['port-rx-dropped'] ?? 0);
  });
});
