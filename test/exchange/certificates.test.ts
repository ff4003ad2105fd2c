/** IKE_AUTH with certificates (RFC 7296 §2.15, RFC 7427, RFC 4945), between two of us. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeMessage, NOTIFY } from '../../src/wire/index.js';
import { Authorities, type KeyKind } from '../authorities.js';
import { Dialogue } from './dialogue.js';
import type { ConnectionOptions } from './peer.js';

const KINDS: readonly KeyKind[] = [
  'rsa:2048',
  'rsa-pss:2048',
  'ec:P-256',
  'ec:P-384',
  'ec:P-521',
  'ed25519',
  'ed448',
];

const pki = new Authorities();
afterAll(() => pki.remove());

beforeAll(() => {
  pki.make('root', { ca: true });
  pki.make('between', { ca: true, issuer: 'root' });
  for (const side of ['a', 'b']) {
    const extensions = [`subjectAltName = DNS:${side}.example.org`];
    pki.make(side, { issuer: 'root', extensions });
    pki.make(`far-${side}`, { issuer: 'between', extensions });
    for (const key of KINDS) pki.make(`${side}-${key}`, { key, issuer: 'root', extensions });
  }
}, 60_000);

/** Both prove themselves with certificates of the root. */
const both = {
  a: () => ({ local: pki.own(['a']), remote: pki.trust(['root']) }),
  b: () => ({ local: pki.own(['b']), remote: pki.trust(['root']) }),
};

function dialogue(a: ConnectionOptions = {}, b: ConnectionOptions = {}): Dialogue {
  return new Dialogue({ a: { ...both.a(), ...a }, b: { ...both.b(), ...b } });
}

/** The first explanation of either side. */
function explanationOf(attempt: Dialogue): string {
  attempt.initiate();
  attempt.settle();
  expect([attempt.a.states, attempt.b.states]).toEqual([[], []]);
  attempt.wait(60_000);
  expect([attempt.a.isClean, attempt.b.isClean]).toEqual([true, true]);
  const [first] = [...attempt.b.failures, ...attempt.a.failures].filter(
    ({ explanation }) => !explanation.startsWith('the peer answers'),
  );
  return first!.explanation;
}

describe('two gateways with certificates', () => {
  it.each(KINDS)('set up a tunnel with keys of type %s', (key) => {
    const local = (side: string) => pki.own([`${side}-${key}`]);
    dialogue({ local: local('a') }, { local: local('b') }).establish();
  });

  it('send what leads from their certificate to the root', () => {
    const local = (side: string) => pki.own([`far-${side}`, 'between']);
    dialogue({ local: local('a') }, { local: local('b') }).establish();
  });

  it('may each prove themselves in another way', () => {
    new Dialogue({ a: { local: pki.own(['a']) }, b: { remote: pki.trust(['root']) } }).establish();
    new Dialogue({ a: { remote: pki.trust(['root']) }, b: { local: pki.own(['b']) } }).establish();
  });

  it('announce their hashes, and ask for a certificate (RFC 7427 §4, RFC 7296 §3.7)', () => {
    const attempt = dialogue();
    attempt.initiate();
    const request = decodeMessage(attempt.a.outbox[0]!.data);
    attempt.deliver(attempt.a);
    const response = decodeMessage(attempt.b.outbox[0]!.data);
    for (const { payloads } of [request, response]) {
      const hashes = payloads.find(
        (one) => one.kind === 'N' && one.notifyType === NOTIFY.SIGNATURE_HASH_ALGORITHMS,
      );
      expect(hashes).toMatchObject({ data: Uint8Array.of(0, 2, 0, 3, 0, 4, 0, 5) });
    }
    const asked = response.payloads.find(({ kind }) => kind === 'CERTREQ');
    const [anchor] = pki.trust(['root']).anchors;
    expect(asked).toMatchObject({ encoding: 4, authorities: anchor!.keyHash });
    attempt.settle();
    attempt.expectTunnel();
  });

  it('take the certificate that is named, with no authority at all', () => {
    const pinned = (name: string) => pki.trust([], { pinned: pki.der(name) });
    dialogue({ remote: pinned('b') }, { remote: pinned('a') }).establish();
  });
});

describe('a certificate is refused', () => {
  it('that no authority of ours has signed, with what is missing', () => {
    const attempt = dialogue({ local: pki.own(['far-a']) });
    const explanation = explanationOf(attempt);
    expect(explanation).toContain('leads to no certificate authority that the connection trusts');
    expect(explanation).toContain('issuer:  "C=CH, O=Example, CN=between"');
    expect(explanation).toContain('trusted: "C=CH, O=Example, CN=root"');
  });

  it('that is for another identity, with those that it is for', () => {
    const explanation = explanationOf(dialogue({ local: pki.own(['b']) }));
    expect(explanation).toContain('claimed: a.example.org');
    expect(explanation).toContain('proved:  b.example.org');
  });

  it('that is not the one named', () => {
    const remote = pki.trust(['root'], { pinned: pki.der('far-a') });
    expect(explanationOf(dialogue({}, { remote }))).toContain(
      'not the one that the connection names',
    );
  });

  it('that is revoked', () => {
    const remote = pki.trust(['root'], { crls: [pki.crl('root', ['a'])] });
    expect(explanationOf(dialogue({}, { remote }))).toBe('"C=CH, O=Example, CN=a" is revoked');
  });

  it('whose key the signature was not made with', () => {
    const { chain } = pki.own(['a']);
    const local = { ...pki.own(['far-a']), chain };
    expect(explanationOf(dialogue({ local }))).toContain('the signature does not verify');
  });

  it('where a pre-shared key is wanted, and the other way round', () => {
    const byKey = new Dialogue({ b: { remote: pki.trust(['root']) } });
    expect(explanationOf(byKey)).toContain('the connection has it do so with a certificate');
    const bySignature = new Dialogue({ a: { local: pki.own(['a']) } });
    expect(explanationOf(bySignature)).toContain(
      'ECDSA_SHA256_P256; the connection has it do so by',
    );
  });
});
