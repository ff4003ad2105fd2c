import { describe, expect, it } from 'vitest';
import { waitFor } from '../../src/lab/program.js';
import { type CharonOptions, loggedKey } from './support/charon.js';
import { GatewayProcess } from './support/gateway-process.js';
import { useIkePair, whyNoIkePair as why } from './support/ike-pair.js';
import type { GatewayConfig } from './support/udp-gateway.js';

const IKE = 'aes128gcm16-prfsha256-x25519';
/** Ours and strongSwan's, which are the same words. */
const ESP = [
  ['without PFS', 'aes128gcm16'],
  ['with PFS by x25519', 'aes128gcm16-x25519'],
  ['with PFS by P-384', 'aes256gcm16-ecp384'],
  ['with PFS by MODP-2048', 'aes256gcm16-modp2048'],
] as const;

describe.skipIf(why)(`rekeying with strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
  const pair = useIkePair({}, { drainTime: 200 });

  async function establish(
    config: Partial<GatewayConfig> = {},
    peer: Partial<CharonOptions> = {},
  ): Promise<void> {
    await pair.configure(config, peer);
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await agree(1);
    pair.gateway.drain();
  }

  /** Both list one IKE SA, the same, with so many Child SAs, the same. */
  async function agree(children: number): Promise<void> {
    await waitFor('the same SAs on both sides', 10, async () => {
      const [sa, ...more] = (await pair.charon.sas()).filter(
        ({ state }) => state === 'ESTABLISHED',
      );
      const views = (await pair.gateway.view()).filter(({ state }) => state === 'established');
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
    const child = await pair.gateway.next('child');
    const log = await pair.charon.log();
    const [own, other] =
      initiator === 'us' ? ['responder', 'initiator'] : ['initiator', 'responder'];
    expect(child.keyIn).toBe(loggedKey(log, `encryption ${own} key`));
    expect(child.keyOut).toBe(loggedKey(log, `encryption ${other} key`));
  }

  describe.each(ESP)('of Child SAs %s', (_, proposal) => {
    const both = [{ esp: [proposal] }, { espProposal: proposal }] as const;

    it('from our side: the same keys, and the old one is gone', async () => {
      await establish(...both);
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.gateway.next('installed');
      await sameKeys('us');
      await pair.gateway.next('removed');
      await agree(1);
    });

    it("from the peer's side: the same keys, and the old one is gone", async () => {
      await establish(...both);
      await pair.charon.swanctl('--rekey', '--child', 'net');
      await pair.gateway.next('installed');
      await sameKeys('them');
      await pair.gateway.next('removed');
      await agree(1);
    });
  });

  it('asks for the key exchange that the peer wants after a wrong guess', async () => {
    await establish({ esp: ['aes128gcm16-x25519-ecp256'] }, { espProposal: 'aes128gcm16-ecp256' });
    pair.gateway.command({ type: 'rekey', what: 'child' });
    await pair.gateway.next('installed');
    await sameKeys('us');
    await agree(1);
  });

  it('asks a peer for another key exchange that has guessed wrong', async () => {
    await establish({ esp: ['aes128gcm16-ecp384'] }, { espProposal: 'aes128gcm16-x25519-ecp384' });
    await pair.charon.swanctl('--rekey', '--child', 'net');
    await pair.gateway.next('installed');
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
        const [before] = await pair.gateway.view();
        pair.gateway.command({ type: 'rekey', what: 'ike' });
        expect(await pair.gateway.next('ike-established')).toMatchObject({
          replaces: before!.initiatorSpi,
        });
        await pair.gateway.next('ike-closed');
        await agree(1);
        pair.gateway.command({ type: 'rekey', what: 'child' });
        await pair.gateway.next('installed');
        await sameKeys('us');
        await agree(1);
      },
    );

    it("from the peer's side: the Child SA stays, and is rekeyed on the new one", async () => {
      await establish();
      await pair.charon.swanctl('--rekey', '--ike', 'gw');
      await pair.gateway.next('ike-closed');
      await agree(1);
      expect((await pair.gateway.view())[0]).toMatchObject({ role: 'responder' });
      await pair.charon.swanctl('--rekey', '--child', 'net');
      await pair.gateway.next('installed');
      await sameKeys('them');
      await agree(1);
    });

    it('from both sides in turn, ten times', async () => {
      await establish();
      for (let i = 0; i < 10; i++) {
        if (i % 2 === 0) pair.gateway.command({ type: 'rekey', what: 'ike' });
        else await pair.charon.swanctl('--rekey', '--ike', 'gw');
        await pair.gateway.next('ike-closed');
        await agree(1);
      }
    });

    it('from both sides at once: one is left, with its Child SA', async () => {
      await establish();
      for (let i = 0; i < 5; i++) {
        pair.gateway.command({ type: 'rekey', what: 'ike' });
        await pair.charon.swanctl('--rekey', '--ike', 'gw').catch(() => '');
        await pair.gateway.next('ike-closed');
        await agree(1);
      }
    });
  });

  it('of Child SAs from both sides at once: one is left', async () => {
    await establish();
    for (let i = 0; i < 5; i++) {
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.charon.swanctl('--rekey', '--child', 'net').catch(() => '');
      await pair.gateway.next('removed');
      await agree(1);
    }
  });

  describe('several Child SAs', () => {
    const pairs = (mine: string[], yours: string[]) => [mine, yours] as const;
    const config = () => {
      const [own, other] = [pair.ours.networks[0]!, pair.theirs.networks[0]!];
      return [
        { children: { net: pairs([own], [other]), more: pairs(['10.77.0.0/16'], [other]) } },
        { children: { net: pairs([other], [own]), more: pairs([other], ['10.77.0.0/16']) } },
      ] as const;
    };

    it('come up on one IKE SA by our request, and are rekeyed together', async () => {
      pair.gateway.drain();
      const [here, there] = config();
      await pair.charon.load(pair.charonOptions({ ...there, espProposal: 'aes128gcm16-x25519' }));
      pair.configureOurs({ ...here, esp: ['aes128gcm16-x25519'] });
      pair.gateway.command({ type: 'initiate' });
      await agree(2);
      pair.gateway.command({ type: 'rekey', what: 'child' });
      await pair.gateway.next('removed');
      await pair.gateway.next('removed');
      await agree(2);
      pair.gateway.command({ type: 'rekey', what: 'ike' });
      await pair.gateway.next('ike-closed');
      await agree(2);
    });

    it("come up by the peer's request, and each is deleted alone", async () => {
      const [here, there] = config();
      pair.gateway.drain();
      await pair.charon.load(pair.charonOptions(there));
      pair.configureOurs(here);
      await pair.charon.swanctl('--initiate', '--child', 'net', '--timeout', '15');
      await pair.charon.swanctl('--initiate', '--child', 'more', '--timeout', '15');
      await agree(2);
      await pair.charon.swanctl('--terminate', '--child', 'more');
      await agree(1);
      const { spiIn } = await pair.gateway.next('installed');
      pair.gateway.command({ type: 'delete-child', spiIn });
      await agree(0);
    });
  });

  it('reauthenticates from our side: a new IKE SA before the old one goes', async () => {
    await establish();
    const [before] = await pair.gateway.view();
    pair.gateway.command({ type: 'rekey', what: 'reauth' });
    expect(await pair.gateway.next('ike-established')).not.toHaveProperty('replaces');
    await pair.gateway.next('ike-closed');
    await agree(1);
    expect((await pair.gateway.view())[0]!.initiatorSpi).not.toBe(before!.initiatorSpi);
  });

  it('tells the peer when we want to be shown again who it is (RFC 4478)', async () => {
    await pair.configure({ reauthSeconds: 3_600 });
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    expect(await pair.charon.log()).toContain('received AUTH_LIFETIME of 3600s');
  });

  it("reauthenticates from the peer's side", async () => {
    await establish();
    await pair.charon.swanctl('--rekey', '--ike', 'gw', '--reauth');
    await pair.gateway.next('ike-closed');
    await agree(1);
  });

  describe('without a Child SA in IKE_AUTH (RFC 6023)', () => {
    it('from our side, where the peer demands it', async () => {
      await establish({ childless: true }, { childless: 'force' });
      const [view] = await pair.gateway.view();
      expect(view!.children).toHaveLength(1);
      const log = await pair.charon.log();
      expect(log).toMatch(/N\(CHDLESS_SUP\)/);
    });

    it("from the peer's side", async () => {
      pair.gateway.drain();
      await pair.charon.load(pair.charonOptions({ childless: 'force' }));
      pair.configureOurs();
      await pair.charon.swanctl('--initiate', '--ike', 'gw', '--timeout', '15');
      await agree(0);
      await pair.charon.swanctl('--initiate', '--child', 'net', '--timeout', '15');
      await agree(1);
    });
  });

  describe('COOKIE (§2.6)', () => {
    it('of the peer is repeated, where it has too many half-open IKE SAs', async () => {
      pair.gateway.drain();
      pair.configureOurs();
      await pair.charon.restart(pair.charonOptions({ cookieThreshold: 1 }));
      pair.gateway.command({ type: 'knock' });
      pair.gateway.command({ type: 'knock' });
      await waitFor('half-open IKE SAs', 5, async () => {
        const stats = await pair.charon.swanctl('--stats');
        return /[1-9]\d* half-open/.test(stats) || undefined;
      });
      pair.gateway.command({ type: 'initiate' });
      await pair.gateway.next('ike-established');
      await agree(1);
      expect(pair.gateway.drain()).toContain('N(COOKIE)');
      await pair.charon.restart(pair.charonOptions());
    });

    it('of ours is repeated by the peer', async () => {
      await pair.gateway.stop();
      const { gatewayNamespace } = pair.network.ours;
      pair.gateway = await GatewayProcess.start(gatewayNamespace, pair.ours.address, {
        cookieThreshold: 0,
      });
      pair.configureOurs();
      await pair.charon.load(pair.charonOptions());
      await pair.charon.initiate();
      await agree(1);
      expect(pair.gateway.drain()).toContain('N(COOKIE)');
    });
  });
});
