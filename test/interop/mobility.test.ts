/**
 * The way between esplane and strongSwan's charon, with its userspace ESP, changes: a NAT forgets its
 * mapping and makes another (RFC 7296 §2.23, RFC 4555 §3.8), and who is behind it shows where it is
 * now, by ESP or by IKE; an uplink of ours goes, and IKE and ESP take the other (RFC 4555 §3.5).
 * Traffic goes on both ways.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GatewayProcess } from '../../src/lab/gateway-process.js';
import { execute, inNamespace, ipBatch, Namespaces } from '../../src/lab/namespaces.js';
import { waitFor } from '../../src/lab/program.js';
import { makeSite, type Site } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { compileIfStale } from '../compiled.js';
import { Charon, type CharonOptions, PSK } from './support/charon.js';
import { type PeerSite, peerSite, whyNot } from './support/network.js';
import { namespacePlace } from './support/place.js';
import { joinByRouter, PEER, routeBy, UPLINKS } from './support/uplinks.js';

const why = whyNot('charon-systemd', 'swanctl', 'nft', 'python3');

/** Ports of the NAT: those of the mapping that it forgets, and of the one that it makes then. */
const PORTS = { before: '20000-20999', after: '21000-21999' };
const OURS = UPLINKS.first;

/** Forgets all mappings: ctnetlink's IPCTNL_MSG_CT_DELETE without a tuple. */
const FLUSH = `
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.send(struct.pack("=IHHII4x", 20, 1 << 8 | 2, 5, 1, 0))
assert struct.unpack_from("=i", netlink.recv(4096), 16) == (0,)
`;

describe.skipIf(why)(`changing ways${why === undefined ? '' : ` (${why})`}`, () => {
  let namespaces: Namespaces;
  let folder: string;
  let ours: Site;
  let peer: PeerSite;
  let router: string;
  let gateway: GatewayProcess | undefined;
  let charon: Charon | undefined;

  beforeEach(() => {
    compileIfStale();
    folder = mkdtempSync(join(tmpdir(), 'esplane-nat-'));
    namespaces = new Namespaces();
    ours = makeSite(namespaces, 'a');
    peer = peerSite(namespaces.add('peer'), 2);
    router = joinByRouter(namespaces, ours.gatewayNamespace, peer.namespace, peer.device);
    ipBatch(peer.namespace, [`address add ${peer.host.ipv4}/32 dev lo`]);
  });

  afterEach(async () => {
    await charon?.stop();
    await gateway?.stop();
    namespaces.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What comes from one side has another address and port on the other. */
  function translate(from: string, to: string, ports: string): void {
    const rule = `iifname "${from}" oifname "${to}" meta l4proto udp masquerade to :${ports}`;
    const chain = `chain leave {\n type nat hook postrouting priority srcnat\n ${rule}\n }`;
    const rules = `table ip nat { }\ndelete table ip nat\ntable ip nat {\n ${chain}\n}\n`;
    execute(inNamespace(router, ['nft', '-f', '-']), rules);
    execute(inNamespace(router, ['python3', '-c', FLUSH]));
  }

  async function startBoth(
    own: { address: string; livenessSeconds?: number; alternatives?: string[] },
    theirs: Partial<CharonOptions> & { address: string },
  ): Promise<[GatewayProcess, Charon]> {
    const end = (address: string, id: string, { networks }: Site | PeerSite) => {
      return { address, id, networks: [networks.ipv4] };
    };
    const place = { namespace: ours.gatewayNamespace, folder: join(folder, 'esplane') };
    gateway = await GatewayProcess.start(place, {
      ...{ name: 'nat', psk: PSK, start: 'wait', wan: Object.keys(UPLINKS) },
      local: { ...end(OURS.address, 'a.test', ours), alternatives: own.alternatives ?? [] },
      remote: end(theirs.address, 'b.test', peer),
      ...{ ike: ['aes128gcm16-prfsha256-x25519'], esp: ['aes128gcm16'] },
      connectionLines: [`liveness_seconds = ${own.livenessSeconds ?? 0}`],
    });
    charon = await Charon.start(namespacePlace(peer.namespace, join(folder, 'charon')), {
      esp: 'userspace',
      ...{ ikeProposal: 'aes128gcm16-prfsha256-x25519', espProposal: 'aes128gcm16' },
      local: end(PEER.address, 'b.test', peer),
      remote: end(own.address, 'a.test', ours),
      ...theirs,
    });
    return [gateway, charon];
  }

  const pings = { count: 3, intervalSeconds: 0.05 };
  const fromUs = () => ping(ours.hostNamespace, peer.host.ipv4, pings);
  const fromPeer = () => ping(peer.namespace, ours.host.ipv4, pings);

  async function expectTraffic(): Promise<void> {
    expect(await fromUs()).toMatchObject({ received: 3 });
    expect(await fromPeer()).toMatchObject({ received: 3 });
  }

  const knows = [
    ['with MOBIKE', true],
    ['without MOBIKE', false],
  ] as const;

  describe.each(knows)('a NAT before charon that forgets its mapping, %s', (_, mobike) => {
    async function established(dpdSeconds: number): Promise<GatewayProcess> {
      translate('to-peer', 'to-first', PORTS.before);
      const [gateway, charon] = await startBoth(
        { address: OURS.address },
        { address: '%any', mobike, dpdSeconds },
      );
      await charon.initiate();
      const { ikeSa } = await gateway.waitForTunnel();
      expect(ikeSa).toMatchObject({ nat: 'remote', remote: seenAt(OURS.router, '20') });
      await expectTraffic();
      // With MOBIKE charon compares where we see it with what the check before has told.
      if (dpdSeconds > 0) {
        await waitFor('a liveness check of charon', 10, async () =>
          (await charon.log()).includes('parsed INFORMATIONAL response'),
        );
      }
      translate('to-peer', 'to-first', PORTS.after);
      return gateway;
    }

    async function followed(gateway: GatewayProcess): Promise<void> {
      await waitFor('the new mapping to be known', 10, async () => {
        return /:21\d+$/.test((await gateway.waitForTunnel()).ikeSa.remote);
      });
      await expectTraffic();
    }

    it('is followed where its ESP comes from', async () => {
      const gateway = await established(0);
      expect(await fromUs()).toMatchObject({ received: 0 });
      await fromPeer();
      await followed(gateway);
    });

    it('is followed where its IKE comes from', async () => {
      await followed(await established(1));
    });
  });

  describe.each(knows)('a NAT before us that forgets its mapping, %s', (_, mobike) => {
    it('is followed where our IKE comes from', async () => {
      translate('to-first', 'to-peer', PORTS.before);
      const [gateway, charon] = await startBoth(
        { address: '%any', livenessSeconds: 1 },
        { address: PEER.address, mobike },
      );
      await gateway.up();
      // Its userspace ESP has charon pretend a NAT before itself as well.
      expect((await gateway.waitForTunnel()).ikeSa.nat).toBe('both');
      await expectTraffic();
      translate('to-first', 'to-peer', PORTS.after);
      await waitFor('the new mapping to be known', 10, async () => {
        return (await charon.sas())[0]!.remotePort.startsWith('21');
      });
      await expectTraffic();
    });
  });

  it('an uplink of ours that goes: charon follows us to the other, and back', async () => {
    const [gateway, charon] = await startBoth(
      { address: '%any', alternatives: [UPLINKS.second.address] },
      { address: PEER.address },
    );
    const isAt = async ({ address }: { readonly address: string }) => {
      await waitFor(`us at ${address}`, 10, async () => {
        return (await charon.sas())[0]!.remoteHost === address;
      });
      // ESP follows when charon's answer is here.
      await waitFor('ESP there', 5, async () => (await fromUs()).received > 0);
    };
    await gateway.up();
    await expectTraffic();
    ipBatch(ours.gatewayNamespace, ['link set first down']);
    await isAt(UPLINKS.second);
    await expectTraffic();
    ipBatch(ours.gatewayNamespace, ['link set first up']);
    routeBy(ours.gatewayNamespace, 'first');
    await isAt(UPLINKS.first);
    await expectTraffic();
  });
});

function seenAt(address: string, port: string): unknown {
  return expect.stringMatching(new RegExp(`^${address}:${port}\\d+$`));
}
