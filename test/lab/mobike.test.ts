/**
 * MOBIKE (RFC 4555) from one interface to another under traffic: gateway a has two uplinks, AF_XDP
 * ports both, behind a router that knows nothing of tunnels. The first one goes, IKE and ESP take the
 * other, and they come back when it does. What is lost is what was under way to where a was no more.
 *
 *     host a --- gateway a ===first==== router === gateway b --- host b
 *                          ===second===
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayProcess } from '../../src/lab/gateway-process.js';
import { execute, inNamespace, ipBatch, Namespaces } from '../../src/lab/namespaces.js';
import { sleep, waitFor } from '../../src/lab/program.js';
import { makeSite, type Site, WAN } from '../../src/lab/topology.js';
import { compileIfStale } from '../compiled.js';
import { whyNot } from '../interop/support/network.js';
import { joinByRouter, PEER, routeBy, UPLINKS, type Uplink } from '../interop/support/uplinks.js';
import { type Drops, difference, dropsOf, inAll, OF_SAS, sendNumbered, total } from './numbered.js';

const why = whyNot('ip', 'nft');

/** At the router, as it comes. */
const WATCH = `table ip watch {
  counter from_a { }
  counter from_b { }
  counter from_second { }
  counter to_second { }
  chain arrival {
    type filter hook prerouting priority raw;
    ip protocol esp iifname "to-peer" counter name from_b
    ip protocol esp iifname "to-peer" ip daddr 198.51.100.1 counter name to_second
    ip protocol esp ip daddr 203.0.113.2 counter name from_a
    ip protocol esp ip saddr 198.51.100.1 counter name from_second
  }
}
`;
const SETTINGS = { packets: 60_000, perSecond: 2_000, untilWorkEnds: true };
const STEP_MILLISECONDS = 500;
/** How exactly it is known when a packet was sent. */
const UNCERTAIN_SECONDS = 0.3;

describe.skipIf(why)(`two uplinks${why === undefined ? '' : ` (${why})`}`, () => {
  let namespaces: Namespaces;
  let folder: string;
  let router: string;
  let a: Site;
  let b: Site;
  let gateways: { a: GatewayProcess; b: GatewayProcess };

  beforeAll(async () => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-mobike-'));
    namespaces = new Namespaces();
    [a, b] = [makeSite(namespaces, 'a'), makeSite(namespaces, 'b')];
    router = joinByRouter(namespaces, a.gatewayNamespace, b.gatewayNamespace, WAN);
    execute(inNamespace(router, ['nft', '-f', '-']), WATCH);
    const ends = {
      a: { address: UPLINKS.first.address, networks: [a.networks.ipv4], id: 'a.lab' },
      b: { address: PEER.address, networks: [b.networks.ipv4], id: 'b.lab' },
    };
    const psk = 'a pre-shared key for tests only';
    const place = (site: Site) => ({
      namespace: site.gatewayNamespace,
      folder: join(folder, site.name),
    });
    gateways = {
      b: await GatewayProcess.start(place(b), {
        ...{ name: 'b', psk, start: 'wait', local: ends.b },
        remote: { ...ends.a, address: '%any' },
      }),
      a: await GatewayProcess.start(place(a), {
        ...{ name: 'a', psk, start: 'always', remote: ends.b, wan: Object.keys(UPLINKS) },
        local: { ...ends.a, alternatives: [UPLINKS.second.address] },
      }),
    };
    await Promise.all([gateways.a.waitForTunnel(), gateways.b.waitForTunnel()]);
  });

  afterAll(async () => {
    await Promise.all([gateways?.a.stop(), gateways?.b.stop()]);
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const WAYS = {
    'its link goes down': {
      leave: 'link set first down',
      come: 'link set first up',
    },
    'its address is taken away': {
      leave: `address del ${UPLINKS.first.address}/24 dev first`,
      come: `address add ${UPLINKS.first.address}/24 dev first`,
    },
  } as const;

  it.each(Object.entries(WAYS))(
    'the tunnel leaves the first when %s, and comes back',
    async (_, { leave, come }) => {
      const before = await counts();
      let [left, arrived] = [0, 0];
      const outcomes = await sendNumbered(folder, flows(), SETTINGS, async () => {
        await sleep(STEP_MILLISECONDS);
        left = clock();
        ipBatch(a.gatewayNamespace, [leave]);
        await isAt('second');
        arrived = clock();
        await sleep(STEP_MILLISECONDS);
        ipBatch(a.gatewayNamespace, [come]);
        routeBy(a.gatewayNamespace, 'first');
        await isAt('first');
        await sleep(STEP_MILLISECONDS);
      });
      const after = await counts();
      const drops = difference(after.drops, before.drops);
      const esp = (name: string) => after.esp[name]! - before.esp[name]!;
      const causes = {
        'to a cable that was gone': esp('left_a') - esp('from_a'),
        'to where nobody was any more': esp('from_b') - esp('reached_a'),
      };
      const { lost, duplicates, sent } = inAll(outcomes);
      console.log(JSON.stringify({ sent, lost, causes, drops, seconds: arrived - left }));
      for (const name of ['from_second', 'to_second']) expect(esp(name), name).toBeGreaterThan(0);
      for (const name of OF_SAS) expect(drops[name] ?? 0, name).toBe(0);
      expect(duplicates).toBe(0);
      expect(total(causes) + total(drops)).toBe(lost);
      const isLate = (sent: number) => sent < left - UNCERTAIN_SECONDS || sent > arrived;
      const late = outcomes.flatMap(({ lostRuns, sentAt }) =>
        lostRuns
          .filter(([first, last]) => isLate(sentAt(first)) || isLate(sentAt(last)))
          .map(([first, last]) => last + 1 - first),
      );
      // Only a machine that has no time to spare has those, and gateways count them.
      expect(late.reduce((all, count) => all + count, 0)).toBeLessThanOrEqual(total(drops));
    },
  );

  const flows = () => [
    { from: a.hostNamespace, to: b.hostNamespace, address: b.host.ipv4 },
    { from: b.hostNamespace, to: a.hostNamespace, address: a.host.ipv4 },
  ];

  /** What gateways have dropped, and ESP where it leaves a, passes the router, and reaches a. */
  async function counts(): Promise<{ drops: Drops; esp: Record<string, number> }> {
    const statuses = await Promise.all([gateways.a.status(), gateways.b.status()]);
    const { outPackets: left_a, inPackets: reached_a } = statuses[0].esp;
    const list = execute(inNamespace(router, ['nft', 'list', 'counters']));
    const counters = [...list.matchAll(/counter (\w+) {\s*packets (\d+)/g)];
    const atRouter = counters.map(([, name, count]) => [name, Number(count)]);
    return {
      drops: dropsOf(statuses),
      esp: { left_a, reached_a, ...Object.fromEntries(atRouter) },
    };
  }

  /** Both ends say that the tunnel is there. */
  async function isAt(uplink: Uplink): Promise<void> {
    const { address } = UPLINKS[uplink];
    await waitFor(`the tunnel on the ${uplink}`, 10, async () => {
      const [here, there] = await Promise.all([
        gateways.a.waitForTunnel(),
        gateways.b.waitForTunnel(),
      ]);
      return [here.ikeSa.local, there.ikeSa.remote].every((at) => at.startsWith(address));
    });
  }
});

/** Of CLOCK_MONOTONIC, in seconds. */
const clock = () => Number(process.hrtime.bigint()) / 1e9;
