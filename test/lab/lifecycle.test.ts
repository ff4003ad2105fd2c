/** A gateway's end, in an orderly way and by SIGKILL, and its rest. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayProcess } from '../../src/lab/gateway-process.js';
import { NamespaceLab } from '../../src/lab/namespace-lab.js';
import { execute } from '../../src/lab/namespaces.js';
import { sleep, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Topology } from '../../src/lab/topology.js';
import { measureTcp, ping, serveTcp } from '../../src/lab/traffic.js';
import { countIkeSas } from '../interop/support/gateway.js';
import { whyNot } from '../interop/support/network.js';

const why = whyNot('ip', 'ethtool', 'nft', 'ping');
const few = { count: 5, intervalSeconds: 0.05 };

describe.skipIf(why)(`a gateway of the lab${why === undefined ? '' : ` (${why})`}`, () => {
  let topology: Topology;
  let folder: string;
  let lab: NamespaceLab;

  beforeEach(async () => {
    topology = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-lab-'));
    lab = await NamespaceLab.start(topology, folder, false);
  });

  afterEach(async () => {
    await lab?.stop();
    topology?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('on SIGTERM sends a Delete, ends with 0 and leaves nothing attached', async () => {
    const { gatewayNamespace } = topology.a;
    expect(links(gatewayNamespace)).toMatch(/xdp/);
    expect(await lab.a.stop()).toEqual({ code: 0, signal: null });
    await waitFor("gateway b's word of the Delete", 2, async () => {
      return (await countIkeSas(lab.b)) === 0 || undefined;
    });
    expect(processes(gatewayNamespace)).toEqual([]);
    expect(links(gatewayNamespace)).not.toMatch(/xdp/);
    expect(deviceNames(gatewayNamespace)).toEqual(['lan', 'lo', 'wan']);
    expect(existsSync(join(dirname(lab.a.configFile), 'api.sock'))).toBe(false);
  });

  it('killed, drops what is protected and lets everything else go on', async () => {
    const { a, b } = topology;
    expect(await ping(a.hostNamespace, b.host.ipv4, few)).toMatchObject({ received: 5 });
    lab.a.program.kill('SIGKILL');
    await lab.a.program.exited;

    // What is protected: dropped, in both directions and families.
    for (const family of ['ipv4', 'ipv6'] as const) {
      expect(await ping(a.hostNamespace, b.host[family], few)).toMatchObject({ received: 0 });
      expect(await ping(b.hostNamespace, a.host[family], few)).toMatchObject({ received: 0 });
    }
    expect((await lab.tap.counts()).clearText).toBe(0);

    // The host's other traffic, such as SSH: the kernel has the interface to itself again.
    const server = await serveTcp(a.gatewayNamespace, join(folder, 'other.log'));
    for (const address of [a.wan.ipv4, a.wan.ipv6]) {
      expect(await ping(b.gatewayNamespace, address, few)).toMatchObject({ received: 5 });
      const { bytes } = await measureTcp(b.gatewayNamespace, address, 'send', 1);
      expect(bytes).toBeGreaterThan(1e6);
    }
    await server.stop();
  });

  it('killed, is back within 3 s of the next start: both sides agree, and no SA is there twice', async () => {
    const { a, b } = topology;
    lab.a.program.kill('SIGKILL');
    await lab.a.program.exited;
    // Gateway b still holds the SAs of before: INITIAL_CONTACT tells it (RFC 7296 §2.4).
    const before = performance.now();
    await lab.startGateway('a');
    await lab.a.waitForTunnel();
    const seconds = (performance.now() - before) / 1000;
    console.log(`the tunnel is back after ${seconds.toFixed(1)} s`);
    // On a machine with other work each of them gets less of it.
    expect(seconds).toBeLessThan(3 * Math.max(1, loadavg()[0]! / availableParallelism()));
    expect(await ping(a.hostNamespace, b.host.ipv4, few)).toMatchObject({ received: 5 });
    expect(await ping(b.hostNamespace, a.host.ipv6, few)).toMatchObject({ received: 5 });
    await waitFor('the end of the old SAs', 5, async () => {
      return (await spis(lab.b)).length === 1 || undefined;
    });
    const [here, there] = [await spis(lab.a), await spis(lab.b)];
    expect(here.map(([inbound, outbound]) => [outbound, inbound])).toEqual(there);
    expect(await countIkeSas(lab.b)).toBe(1);
    expect((await lab.tap.counts()).clearText).toBe(0);
  });

  it('lets IKE, SSH and other traffic of the host pass while it runs', async () => {
    const { a, b } = topology;
    const server = await serveTcp(a.gatewayNamespace, join(folder, 'other.log'));
    for (const address of [a.wan.ipv4, a.wan.ipv6]) {
      expect(await ping(b.gatewayNamespace, address, few)).toMatchObject({ received: 5 });
      const { bytes } = await measureTcp(b.gatewayNamespace, address, 'receive', 1);
      expect(bytes).toBeGreaterThan(1e6);
    }
    await server.stop();
  });

  it('takes less than a tenth of a core at rest', async () => {
    await sleep(1000);
    const seconds = 4;
    const before = cpuSeconds(lab.a) + cpuSeconds(lab.b);
    await sleep(seconds * 1000);
    const share = (cpuSeconds(lab.a) + cpuSeconds(lab.b) - before) / seconds;
    console.log(`both gateways at rest: ${(share * 100).toFixed(2)} % of a core`);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.1);
  });
});

/** Inbound and outbound SPI of each Child SA. */
async function spis(gateway: GatewayProcess): Promise<[string, string][]> {
  const { connections } = await gateway.status();
  return connections.flatMap(({ ikeSas }) =>
    ikeSas.flatMap((sa) =>
      sa.childSas.map(({ inboundSpi, outboundSpi }): [string, string] => [inboundSpi, outboundSpi]),
    ),
  );
}

const links = (namespace: string): string => execute(['ip', '-n', namespace, '-d', 'link']);

function deviceNames(namespace: string): string[] {
  const devices = JSON.parse(execute(['ip', '-n', namespace, '-json', 'link']));
  return devices.map(({ ifname }: { ifname: string }) => ifname).sort();
}

function processes(namespace: string): string[] {
  return execute(['ip', 'netns', 'pids', namespace]).split('\n').filter(Boolean);
}

/** Time on a CPU of a daemon with all its threads, in seconds (proc(5), schedstat). */
function cpuSeconds({ program }: GatewayProcess): number {
  const tasks = `/proc/${program.pid}/task`;
  const nanoseconds = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e9;
}
