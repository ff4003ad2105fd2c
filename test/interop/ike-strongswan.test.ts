/**
 * The IKE core against strongSwan over UDP, without a dataplane: every key exchange and suite, both
 * roles, Deletes from both sides, errors. The Child SA's keys are those that charon logs.
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

/** Our IKE proposal, strongSwan's name for the suite, our ESP proposal, strongSwan's name. */
const SUITES = [
  ['aes128gcm16-prfsha256-x25519', 'AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519', 'aes128gcm16'],
  ['aes256gcm16-prfsha384-ecp256', 'AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_256', 'aes256gcm16'],
  ['aes128gcm16-prfsha256-modp2048', 'AES_GCM_16-128/PRF_HMAC_SHA2_256/MODP_2048', 'aes128gcm16'],
  ['aes192gcm16-prfsha512-ecp384', 'AES_GCM_16-192/PRF_HMAC_SHA2_512/ECP_384', 'aes192gcm16'],
  [
    'aes128-sha256-ecp521',
    'AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_521',
    'aes256gcm16',
  ],
  [
    'aes256-sha384-modp3072',
    'AES_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_3072',
    'aes128gcm16',
  ],
  [
    'aes192-sha512-modp4096',
    'AES_CBC-192/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_4096',
    'aes256gcm16',
  ],
] as const;

describe.skipIf(why)(`the IKE core with strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
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
    gateway = await GatewayProcess.start(site.gatewayNamespace, ours.address);
  });

  afterAll(async () => {
    await gateway?.stop();
    await charon?.stop();
    network?.remove();
  });

  // Whatever a test leaves behind: the next one starts without an SA on either side.
  afterEach(async () => {
    if ((await gateway.view()).length > 0) gateway.command({ type: 'terminate' });
    if ((await charon.sas()).length > 0) await charon.terminate().catch(() => '');
    await waitFor('no SA of ours', 5, async () => (await gateway.view()).length === 0 || undefined);
  });

  function charonOptions(more: Partial<CharonOptions> = {}): CharonOptions {
    const ikeProposal = 'aes128gcm16-prfsha256-x25519';
    const both = { local: theirs, remote: ours };
    return { esp: 'userspace', ...both, ikeProposal, espProposal: 'aes128gcm16', ...more };
  }

  async function configure(
    config: Partial<GatewayConfig> = {},
    peer: Partial<CharonOptions> = {},
  ): Promise<void> {
    gateway.drain();
    await charon.load(charonOptions(peer));
    const ike = ['aes128gcm16-prfsha256-x25519'];
    const both = { local: ours, remote: theirs, psk: PSK };
    gateway.command({
      type: 'configure',
      config: { ...both, ike, esp: ['aes128gcm16'], ...config },
    });
  }

  /** Both list one IKE SA with one Child SA, and have the same keys. */
  async function expectTunnel(suite?: string): Promise<void> {
    const [sa] = await charon.sas();
    const [view, ...more] = await gateway.view();
    expect(more).toEqual([]);
    expect(sa).toMatchObject({ state: 'ESTABLISHED', ...(suite && { proposal: suite }) });
    expect(view).toMatchObject({ state: 'established' });
    expect(sa!.initiatorSpi).toBe(view!.initiatorSpi);
    expect(sa!.responderSpi).toBe(view!.responderSpi);
    const { spiIn, spiOut } = await gateway.next('installed');
    expect(sa!.children[0]).toMatchObject({ state: 'INSTALLED', spiIn: spiOut, spiOut: spiIn });
    const child = await gateway.next('child');
    const log = await charon.log();
    const [own, other] =
      view!.role === 'initiator' ? ['responder', 'initiator'] : ['initiator', 'responder'];
    expect(child.keyIn).toBe(loggedKey(log, `encryption ${own} key`));
    expect(child.keyOut).toBe(loggedKey(log, `encryption ${other} key`));
  }

  const noSaThere = () =>
    waitFor('charon without an SA', 5, async () => (await charon.sas()).length === 0 || undefined);

  describe.each(SUITES)('%s', (ike, suite, esp) => {
    it('as initiator: both establish it, and our Delete reaches the peer', async () => {
      await configure({ ike: [ike], esp: [esp] }, { ikeProposal: ike, espProposal: esp });
      gateway.command({ type: 'initiate' });
      await gateway.next('ike-established');
      await expectTunnel(suite);
      gateway.command({ type: 'terminate' });
      await gateway.next('ike-closed');
      await noSaThere();
    });

    it("as responder: both establish it, and the peer's Delete reaches us", async () => {
      await configure({ ike: [ike], esp: [esp] }, { ikeProposal: ike, espProposal: esp });
      await charon.initiate();
      await gateway.next('ike-established');
      await expectTunnel(suite);
      await charon.terminate();
      expect((await gateway.next('ike-closed')).reason).toContain('deleted by the peer');
      await gateway.next('removed');
      expect(await gateway.view()).toEqual([]);
    });
  });

  it('moves to port 4500 where a NAT is seen', async () => {
    await configure({ forceUdp: true });
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await expectTunnel();
    const [view] = await gateway.view();
    expect(view).toMatchObject({ natLocal: true, local: { port: 4500 }, remote: { port: 4500 } });
    gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it('as responder sees the NAT that the peer pretends, and follows it to port 4500', async () => {
    await configure({}, { forceUdp: true });
    await charon.initiate();
    await gateway.next('ike-established');
    await expectTunnel();
    const [view] = await gateway.view();
    expect(view).toMatchObject({ natRemote: true, local: { port: 4500 }, remote: { port: 4500 } });
    await charon.terminate();
    await gateway.next('ike-closed');
  });

  it('guesses a key exchange that the peer does not have, and tries again', async () => {
    await configure(
      { ike: ['aes128gcm16-prfsha256-x25519-ecp256-modp2048'] },
      {
        ikeProposal: 'aes128gcm16-prfsha256-modp2048',
      },
    );
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await expectTunnel('AES_GCM_16-128/PRF_HMAC_SHA2_256/MODP_2048');
    expect(gateway.drain()).toContain('N(INVALID_KE_PAYLOAD)');
    gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it('asks a peer that has guessed wrong for another key exchange', async () => {
    await configure(
      { ike: ['aes128gcm16-prfsha256-ecp384'] },
      {
        ikeProposal: 'aes128gcm16-prfsha256-x25519-ecp384',
      },
    );
    await charon.initiate();
    await gateway.next('ike-established');
    await expectTunnel('AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_384');
    await charon.terminate();
    await gateway.next('ike-closed');
  });

  it('narrows with the peer, in both roles', async () => {
    const wide = { ...ours, networks: ['10.0.0.0/8'] };
    await configure({ local: wide });
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await expectTunnel();
    const [initiated] = await gateway.view();
    expect(initiated!.children[0]!.localSelectors).toEqual(ours.networks);
    gateway.command({ type: 'terminate' });
    await noSaThere();
    await configure({}, { remote: wide });
    await charon.initiate();
    await gateway.next('ike-established');
    const [answered] = await gateway.view();
    expect(answered!.children[0]!.localSelectors).toEqual(ours.networks);
    await charon.terminate();
    await gateway.next('ike-closed');
  });

  it('sees the peer delete the Child SA, and keeps the IKE SA', async () => {
    await configure();
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await charon.swanctl('--terminate', '--child', 'net');
    await gateway.next('removed');
    const [view] = await gateway.view();
    expect(view).toMatchObject({ state: 'established', children: [] });
    gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it("answers the peer's liveness checks, and makes its own", async () => {
    await configure({ livenessSeconds: 1 });
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await waitFor('a response to a liveness check', 5, () =>
      gateway.reports.some(
        (report) => report.type === 'log' && /INFORMATIONAL response 2 <-/.test(report.message),
      ),
    );
    gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  describe('fails with an explanation', () => {
    it('where the pre-shared keys differ, in both roles', async () => {
      await configure({ psk: 'another key' });
      gateway.command({ type: 'initiate' });
      const asInitiator = await gateway.next('failed');
      expect(asInitiator.notify).toBe('AUTHENTICATION_FAILED');
      expect(asInitiator.explanation).toContain('pre-shared keys differ');
      await expect(charon.initiate()).rejects.toThrow();
      const asResponder = await gateway.next('failed');
      expect(asResponder.explanation).toContain('AUTH of b.test does not verify');
      expect(await gateway.view()).toEqual([]);
      await noSaThere();
    });

    it('where the proposals have nothing in common, in both roles', async () => {
      await configure({}, { ikeProposal: 'aes256-sha256-modp2048' });
      gateway.command({ type: 'initiate' });
      const asInitiator = await gateway.next('failed');
      expect(asInitiator.notify).toBe('NO_PROPOSAL_CHOSEN');
      expect(asInitiator.explanation).toContain('AES_GCM_16_128');
      await expect(charon.initiate()).rejects.toThrow();
      const asResponder = await gateway.next('failed');
      expect(asResponder.explanation).toContain(
        "first difference: encryption: ours AES_GCM_16_128, the peer's AES_CBC_256",
      );
    });

    it('where the traffic selectors have nothing in common, and the IKE SA stays', async () => {
      await configure({ local: { ...ours, networks: ['10.77.0.0/16'] } });
      gateway.command({ type: 'initiate' });
      const { notify } = await gateway.next('failed');
      expect(notify).toBe('TS_UNACCEPTABLE');
      expect((await gateway.view())[0]).toMatchObject({ state: 'established', children: [] });
      expect((await charon.sas())[0]).toMatchObject({ state: 'ESTABLISHED', children: [] });
      gateway.command({ type: 'terminate' });
      await noSaThere();
    });

    it('where ESP has nothing in common, and the IKE SA stays', async () => {
      await configure({}, { espProposal: 'aes256-sha256' });
      gateway.command({ type: 'initiate' });
      const { notify } = await gateway.next('failed');
      expect(notify).toBe('NO_PROPOSAL_CHOSEN');
      expect((await gateway.view())[0]).toMatchObject({ state: 'established', children: [] });
      gateway.command({ type: 'terminate' });
      await noSaThere();
    });
  });
});
