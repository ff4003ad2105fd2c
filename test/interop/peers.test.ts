/** The peers among themselves: where this fails, the machine is at fault, not esplane. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ipBatch, Namespaces } from '../../src/lab/namespaces.js';
import { link } from '../../src/lab/topology.js';
import { ping } from '../../src/lab/traffic.js';
import { Charon } from './support/charon.js';
import { LinuxKernel } from './support/linux-kernel.js';
import { type PeerSite, peerAddresses, peerSite, whyNot } from './support/network.js';
import { namespacePlace } from './support/place.js';
import { xfrmCommands } from './support/xfrm.js';

const why = whyNot('charon-systemd', 'swanctl', 'linux.uml', 'ethtool');

describe.skipIf(why)(`the peers among themselves${why === undefined ? '' : ` (${why})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'esplane-interop-'));
  let namespaces: Namespaces;
  let sites: [PeerSite, PeerSite];

  beforeAll(() => {
    namespaces = new Namespaces();
    sites = [peerSite(namespaces.add('1'), 1), peerSite(namespaces.add('2'), 2)];
    link(sites[0].namespace, sites[0].device, sites[1].namespace, sites[1].device);
  });

  afterAll(() => {
    namespaces?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  describe('strongSwan with strongSwan', () => {
    const charons: Charon[] = [];

    beforeAll(async () => {
      for (const site of sites) ipBatch(site.namespace, peerAddresses(site));
      const sides = sites.map(({ wan, networks }, i) => {
        return { address: wan.ipv4, id: `${i}.test`, networks: [networks.ipv4] };
      });
      for (const i of [0, 1]) {
        const place = namespacePlace(sites[i]!.namespace, join(folder, `charon-${i}`));
        const options = {
          esp: 'userspace' as const,
          local: sides[i]!,
          remote: sides[1 - i]!,
          ikeProposal: 'aes128gcm16-prfsha256-x25519',
          espProposal: 'aes256gcm16',
        };
        charons.push(await Charon.start(place, options));
      }
    });

    afterAll(async () => {
      for (const charon of charons) await charon.stop();
      for (const { namespace, device } of sites) {
        ipBatch(namespace, [`address flush dev ${device}`, 'address flush dev lo']);
      }
    });

    it('negotiates, and both ends list the same SAs', async () => {
      const [a, b] = charons as [Charon, Charon];
      await a.initiate();
      const [ours] = await a.sas();
      const [theirs] = await b.sas();
      expect(ours).toMatchObject({
        state: 'ESTABLISHED',
        proposal: 'AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519',
      });
      expect(ours!.initiatorSpi).toBe(theirs!.initiatorSpi);
      expect(ours!.children[0]).toMatchObject({ state: 'INSTALLED', proposal: 'AES_GCM_16-256' });
      expect(ours!.children[0]!.spiIn).toBe(theirs!.children[0]!.spiOut);
    });

    it('carries a ping', async () => {
      const [{ namespace }, there] = sites;
      const options = { count: 3, intervalSeconds: 0.05 };
      expect(await ping(namespace, there.host.ipv4, options)).toMatchObject({ received: 3 });
      const [sa] = await charons[1]!.sas();
      expect(sa!.children[0]!.packetsIn).toBe(3);
    });
  });

  describe('a Linux kernel with a Linux kernel', () => {
    const kernels: LinuxKernel[] = [];

    beforeAll(async () => {
      for (const [i, { namespace, device }] of sites.entries()) {
        const options = { namespace, device, folder: join(folder, `kernel-${i}`) };
        kernels.push(await LinuxKernel.boot(options));
      }
    });

    afterAll(async () => {
      for (const kernel of kernels) await kernel.stop();
    });

    it('carries a ping through ESP with keys by hand', async () => {
      for (const [i, kernel] of kernels.entries()) {
        const [here, there] = [sites[i]!, sites[1 - i]!];
        const tunnel = {
          local: here.wan.ipv4,
          remote: there.wan.ipv4,
          localNetwork: here.networks.ipv4,
          remoteNetwork: there.networks.ipv4,
          spiIn: 0x1000 + i,
          spiOut: 0x1001 - i,
          keyIn: String(i + 1).repeat(40),
          keyOut: String(2 - i).repeat(40),
        };
        const lines = peerAddresses({ ...here, device: 'vec0' }).map((line) => `ip ${line}`);
        await kernel.run([...lines, xfrmCommands(tunnel)].join('\n'));
        const via = `via ${there.wan.ipv4} src ${here.host.ipv4}`;
        await kernel.run(`ip route add ${there.networks.ipv4} ${via}`);
      }
      const { output } = await kernels[0]!.exec(
        `ping -q -c 3 -i 0.05 -W 1 -I ${sites[0].host.ipv4} ${sites[1].host.ipv4}`,
      );
      expect(output).toContain('3 received');
      expect(await kernels[1]!.run('ip -s xfrm state')).toContain('3(packets)');
    });
  });
});
