import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SpdEntry } from '../../src/dataplane/dataplane.js';
import { execute, inNamespace, whyNoNamespaces } from '../../src/lab/namespaces.js';
import { makeTopology, type Topology } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { guardRuleset, guardTable } from '../../src/net/guard.js';
import { parseSelector } from '../../src/wire/index.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

function entries(action: SpdEntry['action'], local: string, remote: string): SpdEntry[] {
  return (['outbound', 'inbound'] as const).map((direction) => ({
    action,
    direction,
    localSelectors: [parseSelector(local)],
    remoteSelectors: [parseSelector(remote)],
  }));
}

describe.skipIf(reason !== undefined)('the guard in a kernel that forwards in clear', () => {
  let lab: Topology;
  beforeAll(() => {
    lab = makeTopology();
  });
  afterAll(() => lab.remove());

  const nft = (...lines: string[]) => {
    const namespace = lab.a.gatewayNamespace;
    return execute(inNamespace(namespace, ['nft', '-f', '-']), `${lines.join('\n')}\n`);
  };
  const guard = (spd: SpdEntry[], tun = 'esp-main') =>
    nft(guardRuleset({ name: 'main', spd, tun }));
  const table = guardTable('main');
  const open = () => nft(`table inet ${table}`, `delete table inet ${table}`);

  /** Pings of three that are answered. */
  async function answered(namespace: string, target: string): Promise<number> {
    const { received } = await ping(namespace, target, { count: 3, intervalSeconds: 0.02 });
    return received;
  }

  it('drops what is protected, in both directions and both families', async () => {
    const { a, b } = lab;
    expect(await answered(a.hostNamespace, b.host.ipv4)).toBe(3);
    expect(await answered(a.hostNamespace, b.host.ipv6)).toBe(3);
    guard([
      ...entries('protect', a.networks.ipv4, b.networks.ipv4),
      ...entries('protect', a.networks.ipv6, b.networks.ipv6),
    ]);
    expect(await answered(a.hostNamespace, b.host.ipv4)).toBe(0);
    expect(await answered(a.hostNamespace, b.host.ipv6)).toBe(0);
    expect(await answered(b.hostNamespace, a.host.ipv4)).toBe(0);
  });

  it('drops what the gateway itself would send in clear', async () => {
    const { a, b } = lab;
    // From its LAN address, which is one of the protected.
    const from = inNamespace(a.gatewayNamespace, ['ping', '-c1', '-W1', '-I', a.lan.ipv4]);
    expect(() => execute([...from, b.host.ipv4])).toThrow();
  });

  it('leaves other traffic alone', async () => {
    const { a, b } = lab;
    expect(await answered(a.gatewayNamespace, b.wan.ipv4)).toBe(3);
    expect(await answered(a.hostNamespace, a.lan.ipv4)).toBe(3);
    expect(await answered(a.hostNamespace, b.wan.ipv4)).toBe(3);
  });

  it('lets a BYPASS before it through, in one transaction with the old rules gone', async () => {
    const { a, b } = lab;
    guard([
      ...entries('bypass', `${a.networks.ipv4}[icmp]`, `${b.networks.ipv4}[icmp]`),
      ...entries('protect', a.networks.ipv4, b.networks.ipv4),
    ]);
    expect(await answered(a.hostNamespace, b.host.ipv4)).toBe(3);
    expect(await answered(a.hostNamespace, b.host.ipv6)).toBe(3);
  });

  it('lets in what comes from the TUN, but nothing out to there in clear', async () => {
    const { a, b } = lab;
    const protect = entries('protect', a.networks.ipv4, b.networks.ipv4);
    const [outbound, inbound] = protect;
    // The WAN interface stands in for the TUN.
    guard([inbound!], 'wan');
    expect(await answered(a.hostNamespace, b.host.ipv4)).toBe(3);
    guard([outbound!], 'lan');
    expect(await answered(a.hostNamespace, b.host.ipv4)).toBe(0);
  });

  it('opens again when it is told to', async () => {
    open();
    expect(await answered(lab.a.hostNamespace, lab.b.host.ipv4)).toBe(3);
    // A second time is no error.
    open();
  });
});
