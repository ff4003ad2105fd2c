/**
 * The IKE core against strongSwan over UDP, without a dataplane: every key exchange and suite, both
 * roles, Deletes from both sides, errors. The Child SA's keys are those that charon logs.
 */
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../src/lab/program.js';
import { loggedKey } from './support/charon.js';
import { useIkePair, whyNoIkePair as why } from './support/ike-pair.js';

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
  const pair = useIkePair();

  /** Both list one IKE SA with one Child SA, and have the same keys. */
  async function expectTunnel(suite?: string): Promise<void> {
    const [sa] = await pair.charon.sas();
    const [view, ...more] = await pair.gateway.view();
    expect(more).toEqual([]);
    expect(sa).toMatchObject({ state: 'ESTABLISHED', ...(suite && { proposal: suite }) });
    expect(view).toMatchObject({ state: 'established' });
    expect(sa!.initiatorSpi).toBe(view!.initiatorSpi);
    expect(sa!.responderSpi).toBe(view!.responderSpi);
    const { spiIn, spiOut } = await pair.gateway.next('installed');
    expect(sa!.children[0]).toMatchObject({ state: 'INSTALLED', spiIn: spiOut, spiOut: spiIn });
    const child = await pair.gateway.next('child');
    const log = await pair.charon.log();
    const [own, other] =
      view!.role === 'initiator' ? ['responder', 'initiator'] : ['initiator', 'responder'];
    expect(child.keyIn).toBe(loggedKey(log, `encryption ${own} key`));
    expect(child.keyOut).toBe(loggedKey(log, `encryption ${other} key`));
  }

  const noSaThere = () =>
    waitFor(
      'charon without an SA',
      5,
      async () => (await pair.charon.sas()).length === 0 || undefined,
    );

  describe.each(SUITES)('%s', (ike, suite, esp) => {
    it('as initiator: both establish it, and our Delete reaches the peer', async () => {
      await pair.configure({ ike: [ike], esp: [esp] }, { ikeProposal: ike, espProposal: esp });
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('ike-established');
      await expectTunnel(suite);
      pair.gateway.command({ type: 'terminate' });
      await pair.gateway.next('ike-closed');
      await noSaThere();
    });

    it("as responder: both establish it, and the peer's Delete reaches us", async () => {
      await pair.configure({ ike: [ike], esp: [esp] }, { ikeProposal: ike, espProposal: esp });
      await pair.charon.initiate();
      await pair.gateway.next('ike-established');
      await expectTunnel(suite);
      await pair.charon.terminate();
      expect((await pair.gateway.next('ike-closed')).reason).toContain('deleted by the peer');
      await pair.gateway.next('removed');
      expect(await pair.gateway.view()).toEqual([]);
    });
  });

  it('moves to port 4500 where a NAT is seen', async () => {
    await pair.configure({ forceUdp: true });
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await expectTunnel();
    const [view] = await pair.gateway.view();
    expect(view).toMatchObject({ natLocal: true, local: { port: 4500 }, remote: { port: 4500 } });
    pair.gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it('as responder sees the NAT that the peer pretends, and follows it to port 4500', async () => {
    await pair.configure({}, { forceUdp: true });
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    await expectTunnel();
    const [view] = await pair.gateway.view();
    expect(view).toMatchObject({ natRemote: true, local: { port: 4500 }, remote: { port: 4500 } });
    await pair.charon.terminate();
    await pair.gateway.next('ike-closed');
  });

  it('guesses a key exchange that the peer does not have, and tries again', async () => {
    await pair.configure(
      { ike: ['aes128gcm16-prfsha256-x25519-ecp256-modp2048'] },
      {
        ikeProposal: 'aes128gcm16-prfsha256-modp2048',
      },
    );
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await expectTunnel('AES_GCM_16-128/PRF_HMAC_SHA2_256/MODP_2048');
    expect(pair.gateway.drain()).toContain('N(INVALID_KE_PAYLOAD)');
    pair.gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it('asks a peer that has guessed wrong for another key exchange', async () => {
    await pair.configure(
      { ike: ['aes128gcm16-prfsha256-ecp384'] },
      {
        ikeProposal: 'aes128gcm16-prfsha256-x25519-ecp384',
      },
    );
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    await expectTunnel('AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_384');
    await pair.charon.terminate();
    await pair.gateway.next('ike-closed');
  });

  it('narrows with the peer, in both roles', async () => {
    const wide = { ...pair.ours, networks: ['10.0.0.0/8'] };
    await pair.configure({ local: wide });
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await expectTunnel();
    const [initiated] = await pair.gateway.view();
    expect(initiated!.children[0]!.localSelectors).toEqual(pair.ours.networks);
    pair.gateway.command({ type: 'terminate' });
    await noSaThere();
    await pair.configure({}, { remote: wide });
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    const [answered] = await pair.gateway.view();
    expect(answered!.children[0]!.localSelectors).toEqual(pair.ours.networks);
    await pair.charon.terminate();
    await pair.gateway.next('ike-closed');
  });

  it('sees the peer delete the Child SA, and keeps the IKE SA', async () => {
    await pair.configure();
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await pair.charon.swanctl('--terminate', '--child', 'net');
    await pair.gateway.next('removed');
    const [view] = await pair.gateway.view();
    expect(view).toMatchObject({ state: 'established', children: [] });
    pair.gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  it("answers the peer's liveness checks, and makes its own", async () => {
    await pair.configure({ livenessSeconds: 1 });
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await waitFor('a response to a liveness check', 5, () =>
      pair.gateway.reports.some(
        (report) => report.type === 'log' && /INFORMATIONAL response 2 <-/.test(report.message),
      ),
    );
    pair.gateway.command({ type: 'terminate' });
    await noSaThere();
  });

  describe('fails with an explanation', () => {
    it('where the pre-shared keys differ, in both roles', async () => {
      await pair.configure({ psk: 'another key' });
      pair.gateway.command({ type: 'initiate' });
      const asInitiator = await pair.gateway.next('failed');
      expect(asInitiator.notify).toBe('AUTHENTICATION_FAILED');
      expect(asInitiator.explanation).toContain('pre-shared keys differ');
      await expect(pair.charon.initiate()).rejects.toThrow();
      const asResponder = await pair.gateway.next('failed');
      expect(asResponder.explanation).toContain('AUTH of b.test does not verify');
      expect(await pair.gateway.view()).toEqual([]);
      await noSaThere();
    });

    it('where the proposals have nothing in common, in both roles', async () => {
      await pair.configure({}, { ikeProposal: 'aes256-sha256-modp2048' });
      pair.gateway.command({ type: 'initiate' });
      const asInitiator = await pair.gateway.next('failed');
      expect(asInitiator.notify).toBe('NO_PROPOSAL_CHOSEN');
      expect(asInitiator.explanation).toContain('AES_GCM_16_128');
      await expect(pair.charon.initiate()).rejects.toThrow();
      const asResponder = await pair.gateway.next('failed');
      expect(asResponder.explanation).toContain(
        "first difference: encryption: ours AES_GCM_16_128, the peer's AES_CBC_256",
      );
    });

    it('where the traffic selectors have nothing in common, and the IKE SA stays', async () => {
      await pair.configure({ local: { ...pair.ours, networks: ['10.77.0.0/16'] } });
      pair.gateway.command({ type: 'initiate' });
      const { notify } = await pair.gateway.next('failed');
      expect(notify).toBe('TS_UNACCEPTABLE');
      expect((await pair.gateway.view())[0]).toMatchObject({ state: 'established', children: [] });
      expect((await pair.charon.sas())[0]).toMatchObject({ state: 'ESTABLISHED', children: [] });
      pair.gateway.command({ type: 'terminate' });
      await noSaThere();
    });

    it('where ESP has nothing in common, and the IKE SA stays', async () => {
      await pair.configure({}, { espProposal: 'aes256-sha256' });
      pair.gateway.command({ type: 'initiate' });
      const { notify } = await pair.gateway.next('failed');
      expect(notify).toBe('NO_PROPOSAL_CHOSEN');
      expect((await pair.gateway.view())[0]).toMatchObject({ state: 'established', children: [] });
      pair.gateway.command({ type: 'terminate' });
      await noSaThere();
    });
  });
});
