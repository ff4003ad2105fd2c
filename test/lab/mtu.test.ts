/**
 * Hosts with an MTU of 1500 everywhere, of which no setting is touched: they leave checksums and
 * segmentation to "hardware". Between the gateways there is a link with an MTU of 1300, which
 * nobody was told of; in the end one of 576, whose routers say nothing.
 *
 *     host a --- gateway a --- router ==1300== router --- gateway b --- host b
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GatewayProcess } from '../../src/lab/gateway-process.js';
import {
  execute,
  inNamespace,
  ip,
  ipBatch,
  Namespaces,
  whyNoNamespaces,
} from '../../src/lab/namespaces.js';
import { type Program, waitFor } from '../../src/lab/program.js';
import { type Address, addresses, link, makeSite, type Site } from '../../src/lab/topology.js';
import { measureTcp, ping, serveTcp } from '../../src/lab/traffic.js';
import { compileIfStale } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const PATH_MTU = 1300;
/** Of the gateways towards the routers, and of their routers. */
const OUTSIDE: Readonly<Record<'a' | 'b', { gateway: Address; router: Address }>> = {
  a: {
    gateway: { ipv4: '192.0.2.1', ipv6: '2001:db8::1' },
    router: { ipv4: '192.0.2.254', ipv6: '2001:db8::fe' },
  },
  b: {
    gateway: { ipv4: '198.51.100.1', ipv6: '2001:db8:1::1' },
    router: { ipv4: '198.51.100.254', ipv6: '2001:db8:1::fe' },
  },
};
const BETWEEN: Readonly<Record<'a' | 'b', Address>> = {
  a: { ipv4: '203.0.113.1', ipv6: '2001:db8:2::1' },
  b: { ipv4: '203.0.113.2', ipv6: '2001:db8:2::2' },
};

interface Variant {
  readonly outer: keyof Address;
  readonly udp: boolean;
}

const VARIANTS: readonly Variant[] = [
  { outer: 'ipv4', udp: false },
  { outer: 'ipv4', udp: true },
  { outer: 'ipv6', udp: false },
];

/**
 * The longest inner packet through the narrow link with AES-GCM (RFC 4303 §2, RFC 4106): outer IP
 * and UDP headers, SPI and sequence number, IV and ICV around a multiple of four that ends with two
 * bytes of trailer.
 */
function innerMtu({ outer, udp }: Variant): number {
  const room = PATH_MTU - (outer === 'ipv4' ? 20 : 40) - (udp ? 8 : 0) - 8 - 8 - 16;
  return Math.floor(room / 4) * 4 - 2;
}

describe.skipIf(reason !== undefined)('an MTU of 1300 in the middle', () => {
  let namespaces: Namespaces;
  let folder: string;
  let a: Site;
  let b: Site;
  let routers: Readonly<Record<'a' | 'b', string>>;
  let server: Program;
  const gateways: GatewayProcess[] = [];

  beforeAll(async () => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-mtu-'));
    namespaces = new Namespaces();
    [a, b] = [makeSite(namespaces, 'a', true), makeSite(namespaces, 'b', true)];
    routers = { a: namespaces.add('router-a'), b: namespaces.add('router-b') };
    link(routers.a, 'far', routers.b, 'far', { untouched: true });
    for (const site of [a, b]) attach(site, routers[site.name]);
    server = await serveTcp(b.hostNamespace, join(folder, 'tcp.log'));
  });
  afterEach(async () => {
    await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()));
  });
  afterAll(async () => {
    await server?.stop(1);
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A gateway to its router, and the router's way to the other one. */
  function attach({ name, gatewayNamespace }: Site, router: string): void {
    const [here, there] = [OUTSIDE[name], OUTSIDE[name === 'a' ? 'b' : 'a']];
    const far = BETWEEN[name === 'a' ? 'b' : 'a'];
    link(gatewayNamespace, 'wan', router, 'near', { untouched: true });
    ipBatch(gatewayNamespace, [
      ...addresses('wan', here.gateway),
      `route add default via ${here.router.ipv4}`,
      `route add ::/0 via ${here.router.ipv6}`,
    ]);
    ipBatch(router, [
      ...addresses('near', here.router),
      ...addresses('far', BETWEEN[name]),
      `link set far mtu ${PATH_MTU}`,
      `route add ${there.gateway.ipv4}/32 via ${far.ipv4}`,
      `route add ${there.gateway.ipv6}/128 via ${far.ipv6}`,
    ]);
  }

  /** What hosts and kernels have learned of paths is forgotten. */
  function forget(): void {
    for (const { hostNamespace, gatewayNamespace } of [a, b])
      for (const namespace of [hostNamespace, gatewayNamespace])
        for (const family of ['-4', '-6']) ip(['-n', namespace, family, 'route', 'flush', 'cache']);
  }

  async function startGateways({ outer, udp }: Variant, ike?: string): Promise<void> {
    const end = ({ name, networks }: Site) => ({
      address: OUTSIDE[name].gateway[outer],
      id: `${name}.lab`,
      networks: Object.values(networks),
    });
    const start = (site: Site, peer: Site) => {
      const { name, gatewayNamespace: namespace } = site;
      const place = { namespace, folder: join(folder, `${name}-${outer}-${udp}`) };
      return GatewayProcess.start(place, {
        name: `mtu-${name}`,
        local: end(site),
        remote: end(peer),
        psk: 'the key of both gateways',
        start: site === a ? 'always' : 'wait',
        udpEncapsulation: udp ? 'always' : 'auto',
        ...(ike === undefined ? {} : { ike: [ike] }),
      });
    };
    gateways.push(...(await Promise.all([start(a, b), start(b, a)])));
    await gateways[0]!.waitForTunnel();
  }

  /** Echo requests with DF of so many bytes in all, one each 200 ms; ping's own words. */
  function pingWithDf(bytes: number): string {
    const size = String(bytes - 28);
    const ping = ['ping', '-n', '-M', 'do', '-s', size, '-c', '3', '-i', '0.2', '-W', '1'];
    // It fails, of course.
    return execute(
      inNamespace(a.hostNamespace, ['sh', '-c', '"$@" || true', 'sh', ...ping, b.host.ipv4]),
    );
  }

  const tracepath = (address: string) =>
    execute(inNamespace(a.hostNamespace, ['tracepath', '-n', '-m', '6', address]));

  /** Segment sizes of the TCP connections of host b with host a's address, as ss tells them. */
  function segments(address: string): number[] {
    const text = execute(inNamespace(b.hostNamespace, ['ss', '-tinH', 'sport', '=', ':5201']));
    return [...text.matchAll(/(\S+) *\n.*?\bmss:(\d+)/g)]
      .filter(([, peer]) => peer!.includes(`${address}]`))
      .map(([, , mss]) => Number(mss));
  }

  it.each(VARIANTS)('is found within a round trip: $outer, UDP $udp', async (variant) => {
    forget();
    await startGateways(variant);
    const inner = innerMtu(variant);

    // The first packet meets the narrow link, and the router's answer is the SA's business: the
    // sender learns with its second one (RFC 4301 §8.2).
    const words = pingWithDf(1400);
    expect(words).toMatch(new RegExp(`icmp_seq=2 .*\\(mtu = ${inner}\\)`));
    const through = { count: 2, bytes: inner - 28 };
    expect(await ping(a.hostNamespace, b.host.ipv4, through)).toMatchObject({ received: 2 });

    expect(tracepath(b.host.ipv4)).toMatch(new RegExp(`Resume: pmtu ${inner} hops 3 `));
    // IPv6 has no smaller MTU than 1280 (RFC 8200 §5): what does not fit is cut behind ESP.
    expect(tracepath(b.host.ipv6)).toMatch(/Resume: pmtu 1280 hops 3 /);

    for (const [family, direction, headers] of [
      ['ipv4', 'send', 40],
      ['ipv6', 'receive', 60],
    ] as const) {
      const [{ bitsPerSecond }, sizes] = await Promise.all([
        measureTcp(a.hostNamespace, b.host[family], direction, 1),
        waitFor('the connection', 10, () => {
          const sizes = segments(a.host[family]);
          return sizes.length > 0 ? sizes : undefined;
        }),
      ]);
      for (const mss of sizes) expect(mss, family).toBeLessThanOrEqual(inner - headers);
      // Not the crawl of retransmissions that a black hole makes of it.
      expect(bitsPerSecond, `${family} ${direction}`).toBeGreaterThan(2e6);
    }
  });

  // The last one: a link as narrow as that has IPv6 no more.
  it('does not stop IKE with large keys where it is 576 and no ICMP tells of it', async () => {
    forget();
    const silent =
      'table ip silent { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }';
    for (const router of Object.values(routers)) {
      execute(inNamespace(router, ['nft', silent]));
      ipBatch(router, ['link set far mtu 576']);
    }
    // With DF these would be lost again and again: there are no fragments of IKE before its keys.
    await startGateways({ outer: 'ipv4', udp: false }, 'aes256gcm16-prfsha384-modp4096');

    // What measures the path bears DF; what is sent again does not, so the IKE SA stays.
    const gateway = gateways[0]!;
    const { tried, pathMtu } = await waitFor('a probe without hitches', 40, async () => {
      const result = await gateway.probe();
      return result.pathMtu === undefined ? undefined : result;
    });
    expect(pathMtu).toBe(576);
    expect(tried!.filter(({ arrived }) => arrived).every(({ bytes }) => bytes <= 576)).toBe(true);
    expect(tried!.length).toBeGreaterThan(2);
    await gateway.waitForTunnel();
  });
});
