/**
 * IKE with libreswan's pluto over UDP, without a dataplane, in both roles: pre-shared keys,
 * certificates, IKE_INTERMEDIATE (RFC 9242), postquantum preshared keys (RFC 8784).
 *
 * Its ESP is the kernel's, and there may be none here: where it cannot install a Child SA it refuses
 * ours, and as initiator drops the IKE SA that both have established.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sleep, waitFor } from '../../src/lab/program.js';
import { DEFAULT_IKE } from '../../src/policy/proposal.js';
import { Authorities } from '../authorities.js';
import { PSK } from './support/charon.js';
import { GatewayProcess } from './support/gateway-process.js';
import { makeNetwork, type Network, whyNot } from './support/network.js';
import { namespacePlace } from './support/place.js';
import { Pluto, type PlutoOptions, whyNoPluto } from './support/pluto.js';
import type { GatewayConfig } from './support/udp-gateway.js';

const why = whyNoPluto() ?? whyNot('openssl');

const IKE = 'aes128gcm16-prfsha256-x25519';
const SAME = ['ike=aes_gcm128-sha2_256-dh31', 'esp=aes_gcm128'];
const PPK = { id: 'ppk.test', secret: 'a secret that no quantum computer finds' };

describe.skipIf(why)(`libreswan${why === undefined ? '' : ` (${why})`}`, () => {
  const pki = new Authorities();
  let network: Network;
  let gateway: GatewayProcess;
  let pluto: Pluto;

  beforeAll(async () => {
    network = makeNetwork();
    const { ours, peer, folder } = network;
    // It does not answer a Delete of an IKE SA that it has dropped.
    const hasty = { retransmitFirst: 100, deleteTries: 2 };
    gateway = await GatewayProcess.start(ours.gatewayNamespace, ours.wan.ipv4, hasty);
    pluto = await Pluto.start(namespacePlace(peer.namespace, join(folder, 'pluto')));
  });
  afterAll(async () => {
    await gateway?.stop();
    await pluto?.stop();
    network?.remove();
    pki.remove();
  });
  afterEach(async () => {
    await pluto.unload();
    // One that it has begun anew may be established yet.
    await sleep(500);
    await waitFor('no SA of ours', 15, async () => {
      gateway.command({ type: 'terminate' });
      return (await gateway.view()).length === 0 || undefined;
    });
    gateway.drain();
  });

  async function configure(
    config: Partial<GatewayConfig> = {},
    peer: Partial<PlutoOptions> = {},
  ): Promise<void> {
    const { ours: site, peer: other } = network;
    const ours = { address: site.wan.ipv4, id: 'a.test', networks: [site.networks.ipv4] };
    const theirs = { address: other.wan.ipv4, id: 'b.test', networks: [other.networks.ipv4] };
    const both = { local: ours, remote: theirs, psk: PSK, ike: [IKE], esp: ['aes128gcm16'] };
    gateway.command({ type: 'configure', config: { ...both, ...config } });
    await pluto.load({ local: theirs, remote: ours, lines: SAME, ...peer });
  }

  /** Both have authenticated the other. */
  async function initiate(): Promise<void> {
    gateway.command({ type: 'initiate' });
    await gateway.next('ike-established');
    await pluto.says(/responder established IKE SA; authenticated peer/);
  }

  async function answer(): Promise<void> {
    await pluto.initiate();
    await gateway.next('ike-established');
    await pluto.says(/initiator established IKE SA; authenticated peer/);
  }

  it('and a pre-shared key, as initiator', async () => {
    await configure();
    await initiate();
  });

  it('and a pre-shared key, as responder', async () => {
    await configure();
    await answer();
  });

  it('passes over the second key exchange that we propose by default', async () => {
    const lines = ['ike=aes_gcm256-sha2_384-dh31', 'esp=aes_gcm256'];
    await configure({ ike: DEFAULT_IKE, esp: ['aes256gcm16'] }, { lines });
    await initiate();
    expect((await gateway.view())[0]!.proposal).not.toContain('KE1');
  });

  it('passes over that there might be a Child SA for each resource (RFC 9611)', async () => {
    await configure({ perResource: 'auto' });
    await initiate();
  });

  it('has an IKE_INTERMEDIATE before IKE_AUTH, which AUTH of both covers (RFC 9242 §3.3.2)', async () => {
    await configure({}, { lines: [...SAME, 'intermediate=yes'] });
    await answer();
    await pluto.says(/initiator processed IKE_INTERMEDIATE/);
    const log = gateway.drain();
    expect(log).toMatch(/IKE_INTERMEDIATE request 1 <- /);
    expect(log).toMatch(/IKE_AUTH request 2 <- /);
  });

  it.each([
    ['demanded by both', 'insist', true],
    ['demanded by neither', 'yes', false],
  ] as const)('and a postquantum preshared key %s, in both roles', async (_, word, required) => {
    const peer = { ppk: PPK, lines: [...SAME, `ppk=${word}`] };
    await configure({ ppk: { ...PPK, required } }, peer);
    await initiate();
    await pluto.says(/PPK/);
    gateway.command({ type: 'terminate' });
    await gateway.next('ike-closed');
    await answer();
  });

  it('and another postquantum preshared key: there is no IKE SA', async () => {
    const peer = { ppk: { ...PPK, secret: 'another secret' }, lines: [...SAME, 'ppk=insist'] };
    await configure({ ppk: { ...PPK, required: true } }, peer);
    gateway.command({ type: 'initiate' });
    expect((await gateway.next('failed')).notify).toBe('AUTHENTICATION_FAILED');
  });

  describe('and certificates', () => {
    const KEYS = { rsa: 'rsa:2048', ec: 'ec:P-256' } as const;
    const pem = (file: string) => readFileSync(pki.path(file), 'utf8');

    // All at once: pluto remembers the authorities that it has seen.
    beforeAll(async () => {
      pki.make('root', { ca: true });
      await pluto.trust('root', pem('root.pem'));
      for (const [name, key] of Object.entries(KEYS)) {
        for (const side of ['a', 'b']) {
          const extensions = [`subjectAltName = DNS:${side}.test`];
          pki.make(`${side}-${name}`, { key, issuer: 'root', extensions });
        }
        await pluto.importCertificate(`b-${name}`, pem(`b-${name}.pem`) + pem(`b-${name}.key`));
      }
    });

    async function configureCertificates(name: keyof typeof KEYS, authby: string): Promise<void> {
      const local = { cert: pki.path(`a-${name}.pem`), key: pki.path(`a-${name}.key`) };
      const certificates = { local, remote: { ca: [pki.path('root.pem')] } };
      const lines = [...SAME, `authby=${authby}`];
      await configure({ certificates }, { certificate: `b-${name}`, lines });
    }

    it('of RSA, as initiator', async () => {
      await configureCertificates('rsa', 'rsa-sha2_256');
      await initiate();
    });

    it('of ECDSA, as initiator', async () => {
      await configureCertificates('ec', 'ecdsa-sha2_256');
      await initiate();
    });

    it('of ECDSA, as responder', async () => {
      await configureCertificates('ec', 'ecdsa-sha2_256');
      await answer();
    });
  });
});
