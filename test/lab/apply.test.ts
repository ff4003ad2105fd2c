/** A configuration that changes under traffic: what it does not concern loses no packet. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient, RefusedError } from '../../src/api/client.js';
import { ipBatch, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, sleep, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Site, type Topology } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { BlockCounter } from '../../src/watch/pcapng.js';
import { compileIfStale, program } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const TUNNELS = Array.from({ length: 20 }, (_, i) => i + 1);

/** What a test may change of a tunnel. */
interface Change {
  readonly psk?: string;
  readonly lines?: string;
  readonly gone?: boolean;
}

interface Gateway {
  readonly api: ApiClient;
  readonly daemon: Program;
}

describe.skipIf(reason !== undefined)('a changed configuration', () => {
  let lab: Topology;
  let folder: string;
  let here: Gateway;
  let there: Gateway;
  /** By the tunnel's number; each test changes another one. */
  const changes = new Map<number, Change>();

  beforeAll(async () => {
    compileIfStale();
    lab = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-apply-'));
    there = await start(lab.b);
    here = await start(lab.a);
    const all = async () => (await childSas(here.api)).size === 20 || undefined;
    await waitFor('all tunnels', 30, all);
  });
  afterAll(async () => {
    await Promise.all([here?.daemon.stop(), there?.daemon.stop()]);
    lab?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const place = (site: Site) => join(folder, site.name);

  function tunnel(site: Site, number: number, lines = ''): string {
    const end = ({ name, wan }: Site, network: number) =>
      `{ address = "${wan.ipv4}", id = "${name}${number}.lab", networks = ["10.${network}.${100 + number}.0/24"] }`;
    const [here, there] = site === lab.a ? [1, 2] : [2, 1];
    const other = site === lab.a ? lab.b : lab.a;
    return [
      `[connection.t${number}]`,
      `local = ${end(site, here)}`,
      `remote = ${end(other, there)}`,
      `psk_file = "t${number}.psk"`,
      `start = "${site === lab.a ? 'always' : 'wait'}"`,
      lines,
      '',
    ].join('\n');
  }

  /** Writes the folder of a gateway's files: one for itself, one for each tunnel. */
  function configure(site: Site): void {
    const fragments = join(place(site), 'conf.d');
    rmSync(fragments, { recursive: true, force: true });
    mkdirSync(fragments, { recursive: true, mode: 0o700 });
    const gateway = `[gateway]\nname = "${site.name}"\nlan = ["lan"]\nwan = ["wan"]\n`;
    const socket = `api_socket = "${join(place(site), 'api.sock')}"\n`;
    writeFileSync(join(place(site), 'gateway.toml'), `${gateway}${socket}`);
    for (const number of TUNNELS) {
      const { psk = `key of tunnel ${number}`, lines, gone } = changes.get(number) ?? {};
      if (gone === true) continue;
      writeFileSync(join(fragments, `t${number}.toml`), tunnel(site, number, lines));
      writeFileSync(join(fragments, `t${number}.psk`), psk, { mode: 0o600 });
    }
  }

  async function start(site: Site): Promise<Gateway> {
    configure(site);
    // Addresses of the host, one in each of its networks.
    const networks = TUNNELS.map((number) => `10.${site === lab.a ? 1 : 2}.${100 + number}`);
    ipBatch(
      site.hostNamespace,
      networks.map((network) => `address add ${network}.2/24 dev eth0`),
    );
    ipBatch(
      site.gatewayNamespace,
      networks.map((network) => `address add ${network}.1/24 dev lan`),
    );
    const peer = site === lab.a ? lab.b : lab.a;
    ipBatch(
      peer.gatewayNamespace,
      networks.map((network) => `route add ${network}.0/24 via ${site.wan.ipv4}`),
    );
    const daemon = new Program({
      namespace: site.gatewayNamespace,
      command: [process.execPath, program, 'run', '-c', place(site)],
      logFile: join(place(site), 'log'),
    });
    const api = new ApiClient(join(place(site), 'api.sock'));
    await waitFor('the daemon', 20, () => api.health().catch(() => undefined));
    return { api, daemon };
  }

  function change(number: number, what: Change, ...sites: readonly Site[]): void {
    changes.set(number, what);
    for (const site of sites) configure(site);
  }

  /** Inbound SPIs by connection. */
  async function childSas(api: ApiClient): Promise<Map<string, string>> {
    const { connections } = await api.status();
    return new Map(
      connections.flatMap(({ name, ikeSas }) =>
        ikeSas.flatMap((sa) => sa.childSas.map((child) => [name, child.inboundSpi] as const)),
      ),
    );
  }

  /** Pings through every tunnel at once, twenty a second; the numbers of those that lost one. */
  async function pingThroughAll(during: () => Promise<void>): Promise<number[]> {
    const pings = TUNNELS.map((number) => {
      const address = `10.2.${100 + number}.2`;
      return ping(lab.a.hostNamespace, address, {
        count: 70,
        intervalSeconds: 0.05,
        source: `10.1.${100 + number}.2`,
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await during();
    const results = await Promise.all(pings);
    return TUNNELS.filter((_, i) => results[i]!.received < results[i]!.sent);
  }

  it('takes one tunnel of twenty down and up again; nineteen lose no packet', async () => {
    const before = await childSas(here.api);
    change(7, { psk: 'another key of tunnel 7' }, lab.a, lab.b);
    expect((await here.api.plan()).connections.filter(({ action }) => action !== 'stay')).toEqual([
      { connection: 't7', action: 'restart', changed: ['psk'] },
    ]);
    const lossy = await pingThroughAll(async () => {
      await there.api.apply();
      await here.api.apply();
    });
    expect(lossy.filter((number) => number !== 7)).toEqual([]);
    await waitFor('tunnel 7', 10, async () => (await childSas(here.api)).size === 20 || undefined);
    const after = await childSas(here.api);
    expect(TUNNELS.filter((n) => before.get(`t${n}`) !== after.get(`t${n}`))).toEqual([7]);
  });

  it('renews one with other algorithms and loses no packet at all, on SIGHUP', async () => {
    change(8, { lines: 'esp = ["aes128gcm16"]' }, lab.a, lab.b);
    const isRenewed = async () => {
      const { connections } = await here.api.status();
      const [sa, ...others] = connections.find(({ name }) => name === 't8')!.ikeSas;
      const [child] = sa?.childSas ?? [];
      return (others.length === 0 && child?.proposal === 'AES_GCM_16_128/ESN') || undefined;
    };
    const isRead = () => /read again: 1 renew, 19 stay/.test(there.daemon.log()) || undefined;
    const lossy = await pingThroughAll(async () => {
      there.daemon.kill('SIGHUP');
      await waitFor('the other side', 5, isRead);
      here.daemon.kill('SIGHUP');
      await waitFor('the new SAs', 10, isRenewed);
    });
    expect(lossy).toEqual([]);
  });

  it('that is broken is refused with file, line and reason, and changes nothing', async () => {
    const before = await childSas(here.api);
    change(9, { lines: 'strat = "always"' }, lab.a);
    const refusal = await here.api.apply().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RefusedError);
    expect((refusal as Error).message).toBe(
      `${join(place(lab.a), 'conf.d/t9.toml')}:6:1: connection.t9.strat: unknown key, did you mean "start"?`,
    );
    here.daemon.kill('SIGHUP');
    const isTold = () => /nothing has changed: .*strat/.test(here.daemon.log()) || undefined;
    await waitFor('a word of it', 5, isTold);
    expect(await childSas(here.api)).toEqual(before);
  });

  it('leaves its packets to be looked at: traced, captured, and their path probed', async () => {
    const connection = 't5';
    const pinging = () =>
      ping(lab.a.hostNamespace, '10.2.105.2', {
        count: 5,
        intervalSeconds: 0.05,
        source: '10.1.105.2',
      });
    const stop = new AbortController();
    const counter = new BlockCounter();
    const capturing = here.api.capture(
      { connection, filter: 'icmp or esp' },
      (chunk) => counter.take(chunk),
      stop.signal,
    );
    const tracing = here.api.trace({ connection, filter: 'src host 10.1.105.2', seconds: 5 });
    await sleep(200);
    expect(await pinging()).toMatchObject({ received: 5 });
    const { report, ...names } = await tracing;
    expect(names).toEqual({ receivedOn: 'lan', sentOn: 'wan', connection, child: 'net' });
    expect(report).toMatchObject({ outbound: true, verdict: 'sent', sent: { protocol: 50 } });
    await sleep(100);
    stop.abort();
    await capturing;
    // Each echo request and reply, before the transform and behind it. (Tunnels share addresses.)
    expect(counter.packets).toBeGreaterThanOrEqual(4 * 5);
    expect(counter.lost).toBe(0);

    // A bridge drops what does not fit, and tells nobody.
    const setMtu = (mtu: number) =>
      ipBatch(lab.wireNamespace, [`link set ${lab.wirePorts[1]} mtu ${mtu}`]);
    setMtu(1400);
    const probed = await here.api.probe(connection);
    setMtu(1500);
    expect(probed).toMatchObject({ nat: 'none', pathMtu: 1400, liveness: { requests: 5 } });
    expect((await childSas(here.api)).size).toBe(20);
  });

  it('without a tunnel ends that one only', async () => {
    change(9, { gone: true }, lab.a);
    const lossy = await pingThroughAll(async () => {
      await here.api.apply();
    });
    expect(lossy).toEqual([9]);
    expect((await here.api.status()).connections).toHaveLength(19);
  });
});
