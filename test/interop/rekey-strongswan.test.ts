/**
 * CREATE_CHILD_SA with strongSwan over UDP, without a dataplane: rekeying of Child SAs and of the
 * IKE SA from either side, further Child SAs, reauthentication, Deletes, COOKIE, childless set-up.
 * The Child SAs' keys are those that charon logs.
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../src/lab/program.js';
import { Charon, type CharonOptions, loggedKey, PSK } from './support/charon.js';
import { GatewayProcess } from './support/gateway-process.js';
import { makeNetwork, type Network, whyNot } from './support/network.js';
import { namespacePlace } from './support/place.js';
import type { GatewayConfig } from './support/udp-gateway.js';

const why = whyNot('charon-systemd', 'swanctl');

const IKE = 'aes128gcm16-prfsha256-x25519';
/** Ours and strongSwan's, which are the same words. */
const ESP = [
  ['without PFS', 'aes128gcm16'],
  ['with PFS by x25519', 'aes128gcm16-x25519'],
  ['with PFS by P-384', 'aes256gcm16-ecp384'],
  ['with PFS by MODP-2048', 'aes256gcm16-modp2048'],
] as const;

describe.skipIf(why)(`rekeying with strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
  let network: Network;
  let charon: Charon;
  let gateway: GatewayProcess;
  let ours: { address: string; id: string; networks: string[] };
  let theirs: typeof ours;

  beforeAll(async () => {
    network = makeNetwork();
    const { ours: site, peer } = network;
    ours = { address: site.wan.ipv4, id: 'a.test', networks: [site.networks.ipv4] };
    theirs = { address: peer.wan.ipv4, id: 'b.test', networks: [peer.networks.ipv4] };
    const place = namespacePlace(peer.namespace, join(network.folder, 'charon'));
    charon = await Charon.start(place, charonOptions());
    gateway = await GatewayProcess.start(site.gatewayNamespace, ours.address, { drainTime: 200 });
  });

  afterAll(async () => {
    await gateway?.stop();
    await charon?.stop();
    network?.remove();
  });

  afterEach(async () => {
    if ((await gateway.view()).length > 0) gateway.command({ type: 'terminate' });
    if ((await charon.sas()).length > 0) await charon.terminate().catch(() => '');
    await waitFor('no SA of ours', 5, async () => (await gateway.view()).length === 0 || undefined);
  });

  function charonOptions(more: Partial<CharonOptions> = {}): CharonOptions {
    const both = { local: theirs, remote: ours };
    return { esp: 'userspace', ...both, ikeProposal: IKE, espProposal: 'aes128gcm16', ...more };
  }

  function configure(config: Partial<GatewayConfig> = {}): void {
    const both = { local: ours, remote: theirs, psk: PSK };
    const all = { ...both, ike: [IKE], esp: ['aes128gcm16'], ...config };
    gateway.command({ type: 'configure', config: all });
  }

  async function establish(
    config: Partial<GatewayConfig> = {},
    peer: Partial<CharonOptions> = {},
  ): Promise<void> {
    gateway.drain();
    await charon.load(charonOptions(peer));
    configure(config);
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await agree(1);
    gateway.drain();
  }

  /** Both list one IKE SA, the same, with so many Child SAs, the same. */
  async function agree(children: number): Promise<void> {
    await waitFor('the same SAs on both sides', 10, async () => {
      const [sa, ...more] = (await charon.sas()).filter(({ state }) => state === 'ESTABLISHED');
      const views = (await gateway.view()).filter(({ state }) => state === 'established');
      const [view] = views;
      if (sa === undefined || view === undefined || more.length + views.length > 1) return;
      if (sa.initiatorSpi !== view.initiatorSpi || sa.responderSpi !== view.responderSpi) return;
      const theirs = sa.children
        .filter(({ state }) => state === 'INSTALLED')
        .map(({ spiIn, spiOut }) => `${spiOut} ${spiIn}`);
      const hex = (spi: number) => spi.toString(16).padStart(8, '0');
      const ours = view.children.map(
        ({ inboundSpi, outboundSpi }) => `${hex(inboundSpi)} ${hex(outboundSpi)}`,
      );
      const same = ours.sort().join() === theirs.sort().join() && ours.length === children;
      return same || undefined;
    });
  }

  /** The Child SA made last has the keys that charon has logged last. */
  async function sameKeys(initiator: 'us' | 'them'): Promise<void> {
    const child = await gateway.next('child');
    const log = await charon.log();
    const [own, other] =
      initiator === 'us' ? ['responder', 'initiator'] : ['initiator', 'responder'];
    expect(child.keyIn).toBe(loggedKey(log, `encryption ${own} key`));
    expect(child.keyOut).toBe(loggedKey(log, `encryption ${other} key`));
  }

  describe.each(ESP)('of Child SAs %s', (_, proposal) => {
    const both = [{ esp: [proposal] }, { espProposal: proposal }] as const;

    it('from our side: the same keys, and the old one is gone', async () => {
      await establish(...both);
      gateway.command({ type: 'rekey', what: 'child' });
      await gateway.next('installed');
      await sameKeys('us');
      await gateway.next('removed');
      await agree(1);
    });

    it("from the peer's side: the same keys, and the old one is gone", async () => {
      await establish(...both);
      await charon.swanctl('--rekey', '--child', 'net');
      await gateway.next('installed');
      await sameKeys('them');
      await gateway.next('removed');
      await agree(1);
    });
  });

  it('asks for the key exchange that the peer wants after a wrong guess', async () => {
    await establish({ esp: ['aes128gcm16-x25519-ecp256'] }, { espProposal: 'aes128gcm16-ecp256' });
    gateway.command({ type: 'rekey', what: 'child' });
    await gateway.next('installed');
    await sameKeys('us');
    await agree(1);
  });

  it('asks a peer for another key exchange that has guessed wrong', async () => {
    await establish({ esp: ['aes128gcm16-ecp384'] }, { espProposal: 'aes128gcm16-x25519-ecp384' });
    await charon.swanctl('--rekey', '--child', 'net');
    await gateway.next('installed');
    await sameKeys('them');
    await agree(1);
  });

  describe('of the IKE SA', () => {
    it.each([
      ['x25519', IKE],
      ['P-256 with another suite', 'aes256-sha384-ecp256'],
      ['MODP-2048', 'aes256gcm16-prfsha512-modp2048'],
    ])(
      'from our side with %s: the Child SA stays, and is rekeyed on the new one',
      async (...row) => {
        const [, ike] = row;
        await establish({ ike: [ike] }, { ikeProposal: ike });
        const [before] = await gateway.view();
        gateway.command({ type: 'rekey', what: 'ike' });
        expect(await gateway.next('ike-established')).toMatchObject({
          replaces: before!.initiatorSpi,
        });
        await gateway.next('ike-closed');
        await agree(1);
        gateway.command({ type: 'rekey', what: 'child' });
        await gateway.next('installed');
        await sameKeys('us');
        await agree(1);
      },
    );

    it("from the peer's side: the Child SA stays, and is rekeyed on the new one", async () => {
      await establish();
      await charon.swanctl('--rekey', '--ike', 'gw');
      await gateway.next('ike-closed');
      await agree(1);
      expect((await gateway.view())[0]).toMatchObject({ role: 'responder' });
      await charon.swanctl('--rekey', '--child', 'net');
      await gateway.next('installed');
      await sameKeys('them');
      await agree(1);
    });

    it('from both sides in turn, ten times', async () => {
      await establish();
      for (let i = 0; i < 10; i++) {
        if (i % 2 === 0) gateway.command({ type: 'rekey', what: 'ike' });
        else await charon.swanctl('--rekey', '--ike', 'gw');
        await gateway.next('ike-closed');
        await agree(1);
      }
    });

    it('from both sides at once: one is left, with its Child SA', async () => {
      await establish();
      for (let i = 0; i < 5; i++) {
        gateway.command({ type: 'rekey', what: 'ike' });
        await charon.swanctl('--rekey', '--ike', 'gw').catch(() => '');
        await gateway.next('ike-closed');
        await agree(1);
      }
    });
  });

  it('of Child SAs from both sides at once: one is left', async () => {
    await establish();
    for (let i = 0; i < 5; i++) {
      gateway.command({ type: 'rekey', what: 'child' });
      await charon.swanctl('--rekey', '--child', 'net').catch(() => '');
      await gateway.next('removed');
      await agree(1);
    }
  });

  describe('several Child SAs', () => {
    const pairs = (mine: string[], yours: string[]) => [mine, yours] as const;
    const config = () => {
      const [own, other] = [ours.networks[0]!, theirs.networks[0]!];
      return [
        { children: { net: pairs([own], [other]), more: pairs(['10.77.0.0/16'], [other]) } },
        { children: { net: pairs([other], [own]), more: pairs([other], ['10.77.0.0/16']) } },
      ] as const;
    };

    it('come up on one IKE SA by our request, and are rekeyed together', async () => {
      gateway.drain();
      const [here, there] = config();
      await charon.load(charonOptions({ ...there, espProposal: 'aes128gcm16-x25519' }));
      configure({ ...here, esp: ['aes128gcm16-x25519'] });
      gateway.command({ type: 'initiate' });
      await agree(2);
      gateway.command({ type: 'rekey', what: 'child' });
      await gateway.next('removed');
      await gateway.next('removed');
      await agree(2);
      gateway.command({ type: 'rekey', what: 'ike' });
      await gateway.next('ike-closed');
      await agree(2);
    });

    it("come up by the peer's request, and each is deleted alone", async () => {
      const [here, there] = config();
      gateway.drain();
      await charon.load(charonOptions(there));
      configure(here);
      await charon.swanctl('--initiate', '--child', 'net', '--timeout', '15');
      await charon.swanctl('--initiate', '--child', 'more', '--timeout', '15');
      await agree(2);
      await charon.swanctl('--terminate', '--child', 'more');
      await agree(1);
      const { spiIn } = await gateway.next('installed');
      gateway.command({ type: 'delete-child', spiIn });
      await agree(0);
    });
  });

  it('reauthenticates from our side: a new IKE SA before the old one goes', async () => {
    await establish();
    const [before] = await gateway.view();
    gateway.command({ type: 'rekey', what: 'reauth' });
    expect(await gateway.next('ike-established')).not.toHaveProperty('replaces');
    await gateway.next('ike-closed');
    await agree(1);
    expect((await gateway.view())[0]!.initiatorSpi).not.toBe(before!.initiatorSpi);
  });

  it("reauthenticates from the peer's side", async () => {
    await establish();
    await charon.swanctl('--rekey', '--ike', 'gw', '--reauth');
    await gateway.next('ike-closed');
    await agree(1);
  });

  describe('without a Child SA in IKE_AUTH (RFC 6023)', () => {
    it('from our side, where the peer demands it', async () => {
      await establish({ childless: true }, { childless: 'force' });
      const [view] = await gateway.view();
      expect(view!.children).toHaveLength(1);
      const log = await charon.log();
      expect(log).toMatch(/N\(CHDLESS_SUP\)/);
    });

    it("from the peer's side", async () => {
      gateway.drain();
      await charon.load(charonOptions({ childless: 'force' }));
      configure();
      await charon.swanctl('--initiate', '--ike', 'gw', '--timeout', '15');
      await agree(0);
      await charon.swanctl('--initiate', '--child', 'net', '--timeout', '15');
      await agree(1);
    });
  });

  describe('COOKIE (§2.6)', () => {
    it('of the peer is repeated, where it has too many half-open IKE SAs', async () => {
      gateway.drain();
      configure();
      await charon.restart(charonOptions({ cookieThreshold: 1 }));
      gateway.command({ type: 'knock' });
      gateway.command({ type: 'knock' });
      await waitFor('half-open IKE SAs', 5, async () => {
        const stats = await charon.swanctl('--stats');
        return /[1-9]\d* half-open/.test(stats) || undefined;
      });
      gateway.command({ type: 'initiate' });
      await gateway.next('ike-established');
      await agree(1);
      expect(gateway.drain()).toContain('N(COOKIE)');
      await charon.restart(charonOptions());
    });

    it('of ours is repeated by the peer', async () => {
      await gateway.stop();
      const { gatewayNamespace } = network.ours;
      gateway = await GatewayProcess.start(gatewayNamespace, ours.address, { cookieThreshold: 0 });
      configure();
      await charon.load(charonOptions());
      await charon.initiate();
      await agree(1);
      expect(gateway.drain()).toContain('N(COOKIE)');
    });
  });
});
