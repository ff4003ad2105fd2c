/** esplane with strongSwan's userspace ESP: either begins, each algorithm, either deletes. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayProcess } from '../../src/lab/gateway-process.js';
import { ipBatch } from '../../src/lab/namespaces.js';
import { type Program, waitFor } from '../../src/lab/program.js';
import { measureTcp, ping, serveTcp } from '../../src/lab/traffic.js';
import { Capture, CLEAR_TEXT } from './support/capture.js';
import { Charon } from './support/charon.js';
import {
  charonOptions,
  countIkeSas,
  ourView,
  type Suite,
  startGateway,
  theirView,
} from './support/gateway.js';
import { makeNetwork, type Network, whyNot } from './support/network.js';
import { namespacePlace } from './support/place.js';

const why = whyNot('charon-systemd', 'swanctl', 'tcpdump', 'ethtool');
const groups = ['x25519', 'ecp256', 'modp2048'];
const ciphers = ['aes128gcm16', 'aes256gcm16'];
const matrix = ['responder', 'initiator'].flatMap((role) =>
  ciphers.flatMap((cipher) => groups.map((group) => [role, cipher, group] as const)),
);
const suiteOf = (cipher: string, group: string): Suite => {
  return { ike: `${cipher}-prfsha256-${group}`, esp: cipher };
};

describe.skipIf(why)(`strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
  let network: Network;
  let tcpServer: Program;
  let gateway: GatewayProcess | undefined;
  let charon: Charon | undefined;

  /** A fresh daemon on each side. */
  async function startBoth(suite: Suite): Promise<[GatewayProcess, Charon]> {
    gateway = await startGateway(network, suite);
    const place = namespacePlace(network.peer.namespace, join(network.folder, 'charon'));
    charon = await Charon.start(place, charonOptions(network, 'userspace', suite));
    return [gateway, charon];
  }

  beforeAll(async () => {
    network = makeNetwork();
    tcpServer = await serveTcp(network.peer.namespace, join(network.folder, 'tcp.log'));
  });

  afterEach(async () => {
    await charon?.stop();
    await gateway?.stop();
    charon = undefined;
    gateway = undefined;
  });

  afterAll(async () => {
    await tcpServer?.stop();
    network?.remove();
  });

  it.each(matrix)('as %s with %s and %s: agrees, and carries ping and TCP', async (...row) => {
    const [role, cipher, group] = row;
    const { ours, peer } = network;
    const [gateway, charon] = await startBoth(suiteOf(cipher, group));
    if (role === 'responder') expect(await gateway.up()).toMatchObject({ result: 'established' });
    else await charon.initiate();

    const sas = await charon.sas();
    expect(sas).toHaveLength(1);
    expect(theirView(sas[0])).toEqual(await ourView(gateway));

    const pings = { count: 5, intervalSeconds: 0.05 };
    const all = { sent: 5, received: 5 };
    expect(await ping(ours.hostNamespace, peer.host.ipv4, pings)).toMatchObject(all);
    expect(await ping(ours.hostNamespace, peer.host.ipv6, pings)).toMatchObject(all);
    expect(await ping(peer.namespace, ours.host.ipv4, pings)).toMatchObject(all);
    expect(await ping(peer.namespace, ours.host.ipv6, pings)).toMatchObject(all);

    for (const direction of ['send', 'receive'] as const) {
      const result = await measureTcp(ours.hostNamespace, peer.host.ipv4, direction, 1);
      expect(result.bitsPerSecond).toBeGreaterThan(10e6);
    }
  });

  it('carries five seconds of TCP each way, and nothing in clear', async () => {
    const { ours, peer, folder } = network;
    const capture = await Capture.start(peer.namespace, peer.device, folder, 96);
    const [gateway] = await startBoth(suiteOf('aes128gcm16', 'x25519'));
    await gateway.up();
    const rates: number[] = [];
    for (const direction of ['send', 'receive'] as const) {
      const result = await measureTcp(ours.hostNamespace, peer.host.ipv4, direction, 5);
      expect(result.seconds).toBeGreaterThan(4);
      rates.push(result.bitsPerSecond);
    }
    console.log(
      `TCP with strongSwan, out and in: ${rates.map((rate) => Math.round(rate / 1e6))} Mbit/s`,
    );
    await capture.stop();
    expect(capture.count(CLEAR_TEXT)).toBe(0);
    expect(capture.count('udp port 4500')).toBeGreaterThan(1000);
    const { drops } = await gateway.status();
    expect(drops).not.toHaveProperty('icv_bad');
    expect(drops).not.toHaveProperty('replay_duplicate');
  });

  it('answers our probes of the path, also behind a narrower link', async () => {
    const { namespace, device } = network.peer;
    const [gateway] = await startBoth(suiteOf('aes128gcm16', 'x25519'));
    await gateway.up();
    const answered = { requests: 5, roundTripMilliseconds: { least: expect.any(Number) } };
    expect(await gateway.probe()).toMatchObject({ pathMtu: 1500, liveness: answered });
    // What is too long for it, a veth drops and tells nobody.
    ipBatch(namespace, [`link set ${device} mtu 1300`]);
    try {
      expect(await gateway.probe()).toMatchObject({ pathMtu: 1300, liveness: answered });
    } finally {
      ipBatch(namespace, [`link set ${device} mtu 1500`]);
    }
    expect(await countIkeSas(gateway)).toBe(1);
  });

  it('sees a Delete from strongSwan', async () => {
    const [gateway, charon] = await startBoth(suiteOf('aes128gcm16', 'x25519'));
    await gateway.up();
    await charon.terminate();
    await waitFor('the end of the IKE SA', 5, async () => {
      return (await countIkeSas(gateway)) === 0 || undefined;
    });
  });

  it('tells strongSwan with a Delete', async () => {
    const [gateway, charon] = await startBoth(suiteOf('aes128gcm16', 'x25519'));
    await charon.initiate();
    await gateway.waitForTunnel();
    expect(await gateway.down()).toMatchObject({ deletedIkeSas: 1 });
    await waitFor('the end of the IKE SA', 5, async () => {
      return (await charon.sas()).length === 0 || undefined;
    });
    expect(await charon.log()).toMatch(/received DELETE for IKE_SA gw/);
  });
});
