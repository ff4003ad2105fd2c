/**
 * Garbage from the wire at two running gateways: UDP 500, UDP 4500 and protocol 50, while ping
 * runs through their tunnel. No ping may be lost, the tunnel has to stay the same, and the daemons
 * have to stay as small as they were.
 *
 * ESPLANE_GARBAGE says how many of each kind; `npm run fuzz:lab` sends a million.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayProcess } from '../../src/lab/gateway-process.js';
import { whyNoNamespaces } from '../../src/lab/namespaces.js';
import { Program, waitFor } from '../../src/lab/program.js';
import { makeTopology, type Site, type Topology } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale } from '../compiled.js';

const reason = whyNoNamespaces();
if (reason !== undefined) console.warn(`skipped: ${reason}`);

const COUNT = Number(process.env.ESPLANE_GARBAGE ?? 50_000);
/** Of all kinds to both gateways; what two cores carry beside two daemons and the attacker. */
const PACKETS_A_SECOND = 12_000;
/** A daemon's heap breathes; a leak of a few octets a packet shows in a million. */
const RSS_SLACK_OCTETS = 24 * 2 ** 20;
const MOST_OCTETS_A_PACKET = 4;

const script = fileURLToPath(new URL('./garbage.py', import.meta.url));

function rssOf({ pid }: Program): number {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

describe.skipIf(reason !== undefined)('garbage from the wire', () => {
  let lab: Topology;
  let folder: string;
  const gateways: GatewayProcess[] = [];
  beforeAll(async () => {
    compileIfStale();
    lab = makeTopology();
    folder = mkdtempSync(join(tmpdir(), 'esplane-garbage-'));
  });
  afterAll(async () => {
    for (const gateway of gateways) await gateway.stop();
    lab.remove();
    rmSync(folder, { recursive: true });
  });

  async function start(site: Site, other: Site): Promise<GatewayProcess> {
    const end = ({ wan, networks }: Site) => ({ address: wan.ipv4, networks: [networks.ipv4] });
    const gateway = await GatewayProcess.start(
      { namespace: site.gatewayNamespace, folder: join(folder, site.name) },
      {
        name: site.name,
        local: end(site),
        remote: end(other),
        psk: 'a key for the two of them',
        start: site.name === 'a' ? 'always' : 'wait',
      },
    );
    gateways.push(gateway);
    return gateway;
  }

  const tunnelsOf = async (gateway: GatewayProcess) =>
    (await gateway.status()).connections.flatMap(({ ikeSas }) =>
      ikeSas.map(({ initiatorSpi, responderSpi, state, remote, childSas }) => ({
        initiatorSpi,
        responderSpi,
        state,
        remote,
        childSas: childSas.map(({ inboundSpi, outboundSpi }) => [inboundSpi, outboundSpi]),
      })),
    );

  it(`${COUNT} of each kind cost no ping, no tunnel and no memory`, {
    timeout: (3 * COUNT * 4_000) / PACKETS_A_SECOND + 90_000,
  }, async () => {
    const attacker = new Program({
      namespace: lab.wireNamespace,
      command: ['python3', script, ...[COUNT, PACKETS_A_SECOND, 1].map(String), ...lab.wirePorts],
      logFile: join(folder, 'attacker'),
    });
    await waitFor('the attacker', 10, () => attacker.log().includes('listening'));
    const b = await start(lab.b, lab.a);
    const a = await start(lab.a, lab.b);
    await a.waitForTunnel();
    const before = await Promise.all([a, b].map(tunnelsOf));

    const pings = { sent: 0, received: 0 };
    const rss: number[][] = [];
    while (attacker.running) {
      const round = await ping(lab.a.hostNamespace, lab.b.host.ipv4, {
        count: 100,
        intervalSeconds: 0.05,
      });
      pings.sent += round.sent;
      pings.received += round.received;
      rss.push([a, b].map(({ program }) => rssOf(program)));
    }
    const attack = JSON.parse(attacker.lastLines(1)) as { sent: Record<string, number> };
    const drops = await Promise.all([a, b].map(async (one) => (await one.status()).drops));
    // From a third of the way on: before, heaps find their size.
    const early = rss[Math.floor(rss.length / 3)]!;
    const growth = rss.at(-1)!.map((octets, i) => octets - early[i]!);
    console.log(JSON.stringify({ attack, pings, rssMiB: mebibytes(rss), drops }));

    expect(attack.sent).toEqual({ 'udp 500': COUNT, 'udp 4500': COUNT, esp: COUNT });
    expect(pings.sent).toBeGreaterThanOrEqual(100);
    expect(pings.received).toBe(pings.sent);
    expect(await Promise.all([a, b].map(tunnelsOf))).toEqual(before);
    for (const one of growth) {
      expect(one).toBeLessThan(RSS_SLACK_OCTETS + MOST_OCTETS_A_PACKET * COUNT);
    }
    for (const dropped of drops) {
      expect(dropped).toMatchObject({
        unknown_spi: expect.any(Number),
        icv_bad: expect.any(Number),
        replay_old: expect.any(Number),
      });
    }
    // IKE still works: Delete and a new tunnel.
    expect(await a.down()).toMatchObject({ deletedIkeSas: 1 });
    await waitFor('the Delete', 10, async () => (await tunnelsOf(b)).length === 0);
    expect(await a.up()).toMatchObject({ result: 'established' });
    const { received } = await ping(lab.a.hostNamespace, lab.b.host.ipv4, { count: 3 });
    expect(received).toBe(3);
  });
});

function mebibytes(rounds: readonly (readonly number[])[]): number[][] {
  const shown = [rounds[0]!, rounds[Math.floor(rounds.length / 3)]!, rounds.at(-1)!];
  return shown.map((round) => round.map((octets) => Math.round(octets / 2 ** 20)));
}
