/**
 * Authentication with certificates against strongSwan over UDP, without a dataplane: every type of
 * key by RFC 7427 and by the methods before it, paths with an intermediate, revocation, identities.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program, waitFor } from '../../src/lab/program.js';
import { Authorities, type KeyKind } from '../authorities.js';
import type { CharonOptions } from './support/charon.js';
import { useIkePair, whyNoIkePair as why } from './support/ike-pair.js';
import type { GatewayConfig } from './support/udp-gateway.js';

/** On the loopback of a namespace of the test. */
const OCSP_PORT = '8888';

/** The type of both keys, and the algorithms in charon's log: of its own AUTH, and of ours. */
const KEYS: readonly (readonly [KeyKind, string, string])[] = [
  ['rsa:2048', 'RSA_EMSA_PKCS1_SHA2_256', 'RSA_EMSA_PSS_SHA2_256_SALT_32'],
  ['ec:P-256', 'ECDSA_WITH_SHA256_DER', 'ECDSA_WITH_SHA256_DER'],
  ['ec:P-384', 'ECDSA_WITH_SHA384_DER', 'ECDSA_WITH_SHA384_DER'],
  ['ec:P-521', 'ECDSA_WITH_SHA512_DER', 'ECDSA_WITH_SHA512_DER'],
  ['ed25519', 'ED25519', 'ED25519'],
  ['ed448', 'ED448', 'ED448'],
];

describe.skipIf(why)(`certificates with strongSwan${why === undefined ? '' : ` (${why})`}`, () => {
  const pki = new Authorities();
  const pair = useIkePair();

  beforeAll(() => {
    pki.make('root', { ca: true }).make('between', { ca: true, issuer: 'root' });
    for (const side of ['a', 'b']) {
      const extensions = [`subjectAltName = DNS:${side}.test`];
      pki.make(`far-${side}`, { issuer: 'between', extensions });
      for (const [key] of KEYS) pki.make(`${side}-${key}`, { key, issuer: 'root', extensions });
    }
  });
  afterAll(() => pki.remove());

  const pem = (file: string) => readFileSync(pki.path(file), 'utf8');
  const certificate = (name: string) => {
    return { certificate: pem(`${name}.pem`), key: pem(`${name}.key`) };
  };
  const files = (name: string) => ({ cert: pki.path(`${name}.pem`), key: pki.path(`${name}.key`) });
  const root = () => ({ ca: [pki.path('root.pem')] });

  /** Both trust the root; `a` and `b` name the certificates. */
  async function configure(
    [a, b]: readonly [string, string],
    config: Partial<GatewayConfig> = {},
    peer: Partial<CharonOptions> = {},
  ): Promise<void> {
    const authority = { ca: pem('root.pem') };
    const theirSide = { localCertificate: certificate(b), remoteAuthority: authority };
    const certificates = { local: files(a), remote: root() };
    await pair.configure({ certificates, ...config }, { ...theirSide, ...peer });
  }

  async function initiate(): Promise<void> {
    pair.gateway.command({ type: 'initiate' });
    await pair.gateway.next('ike-established');
    await expectBoth();
  }

  async function answer(): Promise<void> {
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    await expectBoth();
  }

  async function expectBoth(): Promise<void> {
    const [sa] = await pair.charon.sas();
    const [view] = await pair.gateway.view();
    expect(sa).toMatchObject({ state: 'ESTABLISHED', initiatorSpi: view!.initiatorSpi });
    expect(view).toMatchObject({ state: 'established' });
    expect(view!.children.length).toBe(1);
    pair.gateway.command({ type: 'terminate' });
    await pair.gateway.next('ike-closed');
    await waitFor(
      'charon without SA',
      5,
      async () => (await pair.charon.sas()).length === 0 || undefined,
    );
  }

  /** What each side has last proved itself with, as charon logs it. */
  async function lastProofs(): Promise<Record<string, string>> {
    const proofs = (await pair.charon.log()).matchAll(
      /authentication of '([^']+)' (?:\(myself\) )?with (.+) successful/g,
    );
    return Object.fromEntries([...proofs].map(([, who, how]) => [who!, how!]));
  }

  it.each(KEYS)(
    'of type %s prove both sides, in both roles (RFC 7427)',
    async (key, their, our) => {
      await configure([`a-${key}`, `b-${key}`]);
      await initiate();
      await answer();
      expect(await lastProofs()).toEqual({ 'b.test': their, 'a.test': our });
    },
  );

  it('of RSA are signed with PKCS#1 v1.5 for a peer that wants that', async () => {
    const local = { ...files('a-rsa:2048'), rsa_padding: 'pkcs1' } as const;
    await configure(['a-rsa:2048', 'b-rsa:2048'], { certificates: { local, remote: root() } });
    await initiate();
    expect(await lastProofs()).toMatchObject({ 'a.test': 'RSA_EMSA_PKCS1_SHA2_256' });
  });

  it('are sent with what leads to the root, in both directions', async () => {
    const chain = pki.path('far-a-chain.pem');
    pki.write('far-a-chain.pem', pem('far-a.pem') + pem('between.pem'));
    const local = { cert: chain, key: pki.path('far-a.key') };
    const localCertificate = { ...certificate('far-b'), intermediates: [pem('between.pem')] };
    const both = { certificates: { local, remote: root() } };
    await configure(['far-a', 'far-b'], both, { localCertificate });
    await initiate();
    await answer();
  });

  it('prove one side, and a pre-shared key the other', async () => {
    const names = ['a-ec:P-256', 'b-ec:P-256'] as const;
    const weSign = { certificates: { local: files(names[0]) } };
    await configure(names, weSign, { localCertificate: undefined });
    await initiate();
    await answer();
    await configure(names, { certificates: { remote: root() } }, { remoteAuthority: undefined });
    await initiate();
    await answer();
  });

  it('prove distinguished names', async () => {
    const name = (side: string) => `C=CH, O=Example, CN=${side}-ec:P-256`;
    const [local, remote] = [
      { ...pair.ours, id: name('a') },
      { ...pair.theirs, id: name('b') },
    ];
    const names = ['a-ec:P-256', 'b-ec:P-256'] as const;
    await configure(names, { local, remote }, { local: remote, remote: local });
    await initiate();
    await answer();
  });

  it('of the peer may be the one that is named, without an authority', async () => {
    const names = ['a-ed25519', 'b-ed25519'] as const;
    const remote = { cert: pki.path('b-ed25519.pem') };
    await configure(names, { certificates: { local: files(names[0]), remote } });
    await initiate();
  });

  it('that a new CRL revokes while their tunnel is up end it by a Delete, and stay out', async () => {
    const [ours, theirs] = ['a-ec:P-256', 'b-ec:P-256'] as const;
    const remote = { ...root(), crl: [pki.path('root.crl')] };
    const certificates = { local: files(ours), remote };
    pki.crl('root', [ours]);
    await configure([ours, theirs], { certificates });
    await pair.charon.initiate();
    await pair.gateway.next('ike-established');
    pki.crl('root', [theirs]);
    pair.configureOurs({ certificates });
    // The daemon does this when `apply` brings a CRL, and every few minutes for what is fetched.
    pair.gateway.command({ type: 'recheck' });
    const revoked = `"C=CH, O=Example, CN=${theirs}" is revoked`;
    expect(await pair.gateway.next('failed')).toMatchObject({ explanation: revoked });
    expect(await pair.gateway.next('ike-closed')).toMatchObject({ reason: 'deleted by us' });
    const nothing = async () => (await pair.charon.sas()).length === 0 || undefined;
    await waitFor('charon without SA', 5, nothing);
    expect(await pair.charon.log()).toMatch(/received DELETE for IKE_SA/);
    await expect(pair.charon.initiate()).rejects.toThrow();
    expect(await pair.gateway.next('failed')).toMatchObject({ explanation: revoked });
  });

  describe('are refused with an explanation', () => {
    it('where they are revoked, in both roles', async () => {
      const names = ['a-ec:P-256', 'b-ec:P-256'] as const;
      pki.crl('root', ['b-ec:P-256']);
      const remote = { ...root(), crl: [pki.path('root.crl')] };
      await configure(names, { certificates: { local: files(names[0]), remote } });
      pair.gateway.command({ type: 'initiate' });
      const asInitiator = await pair.gateway.next('failed');
      expect(asInitiator.explanation).toBe('"C=CH, O=Example, CN=b-ec:P-256" is revoked');
      await expect(pair.charon.initiate()).rejects.toThrow();
      const asResponder = await pair.gateway.next('failed');
      expect(asResponder.explanation).toBe('"C=CH, O=Example, CN=b-ec:P-256" is revoked');
    });

    it('where the intermediate is missing', async () => {
      await configure(['a-ec:P-256', 'far-b']);
      await expect(pair.charon.initiate()).rejects.toThrow();
      const { explanation } = await pair.gateway.next('failed');
      expect(explanation).toContain('leads to no certificate authority that the connection trusts');
    });

    it('where they are for another identity', async () => {
      const remote = { ...pair.theirs, id: 'c.test' };
      await configure(['a-ec:P-256', 'b-ec:P-256'], { remote }, { local: remote });
      await expect(pair.charon.initiate()).rejects.toThrow();
    });

    it('where the peer refuses ours', async () => {
      await configure(['far-a', 'b-ec:P-256']);
      pair.gateway.command({ type: 'initiate' });
      const { explanation } = await pair.gateway.next('failed');
      expect(explanation).toContain('it does not accept our certificate');
    });
  });

  describe("that name openssl's OCSP responder", () => {
    const responders: Program[] = [];

    beforeAll(async () => {
      const at = `authorityInfoAccess = OCSP;URI:http://127.0.0.1:${OCSP_PORT}/`;
      for (const side of ['a', 'b']) {
        const extensions = [`subjectAltName = DNS:${side}.test`, at];
        for (const state of ['good', 'revoked'])
          pki.make(`${side}-${state}`, { issuer: 'root', extensions });
      }
      const index = pki.index('ocsp.txt', ['a-good', 'b-good'], ['a-revoked', 'b-revoked']);
      const files = ['-CA', 'root.pem', '-rsigner', 'root.pem', '-rkey', 'root.key'];
      const named = files.map((word) => (word.startsWith('-') ? word : pki.path(word)));
      // Each side asks on its own loopback.
      for (const namespace of [pair.network.ours.gatewayNamespace, pair.network.peer.namespace]) {
        const command = ['openssl', 'ocsp', '-index', index, '-port', OCSP_PORT, '-ndays', '1'];
        const logFile = join(pair.network.folder, `ocsp-${responders.length}`);
        const responder = new Program({ namespace, command: [...command, ...named], logFile });
        responders.push(responder);
        await waitFor('a responder', 10, () => responder.log().includes('waiting') || undefined);
      }
    });
    afterAll(async () => {
      for (const responder of responders) await responder.stop();
    });

    async function configureStrictly(a: string, b: string): Promise<void> {
      const remote = { ...root(), revocation: 'strict' } as const;
      const certificates = { local: files(a), remote };
      await configure([a, b], { certificates }, { revocation: 'strict' });
    }

    it('are good for both sides, in both roles', async () => {
      await configureStrictly('a-good', 'b-good');
      await initiate();
      await answer();
      expect(await pair.charon.log()).toContain('certificate status is good');
    });

    it('are refused by us where the peer’s is revoked, in both roles', async () => {
      await configureStrictly('a-good', 'b-revoked');
      pair.gateway.command({ type: 'initiate' });
      const asInitiator = await pair.gateway.next('failed');
      expect(asInitiator.explanation).toBe('"C=CH, O=Example, CN=b-revoked" is revoked');
      await expect(pair.charon.initiate()).rejects.toThrow();
      const asResponder = await pair.gateway.next('failed');
      expect(asResponder.explanation).toBe('"C=CH, O=Example, CN=b-revoked" is revoked');
    });

    it('are refused by the peer where ours is revoked', async () => {
      await configureStrictly('a-revoked', 'b-good');
      pair.gateway.command({ type: 'initiate' });
      const { explanation } = await pair.gateway.next('failed');
      expect(explanation).toContain('it does not accept our certificate');
      expect(await pair.charon.log()).toContain('certificate was revoked');
    });
  });

  it.each([
    ['rsa:2048', 'RSA signature'],
    ['ec:P-256', 'ECDSA-256 signature'],
    ['ec:P-384', 'ECDSA-384 signature'],
    ['ec:P-521', 'ECDSA-521 signature'],
  ] as const)('of type %s prove both sides to a peer without RFC 7427', async (key, method) => {
    if (key === 'rsa:2048')
      await pair.charon.restart(pair.charonOptions({ signatureAuthentication: false }));
    await configure([`a-${key}`, `b-${key}`]);
    await initiate();
    await answer();
    expect(await lastProofs()).toEqual({ 'a.test': method, 'b.test': method });
  });
});
