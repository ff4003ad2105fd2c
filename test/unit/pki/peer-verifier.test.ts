/** What is and is not proof of a peer's identity (RFC 5280 §6, RFC 4945), on certificates by openssl. */
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adviseOnAuthentication } from '../../../src/api/explain-authentication.js';
import { signAuth } from '../../../src/crypto/signature.js';
import { chooseScheme } from '../../../src/crypto/signature-scheme.js';
import { addon } from '../../../src/dataplane/addon.js';
import { PeerVerifier } from '../../../src/pki/peer-verifier.js';
import type { Trust } from '../../../src/policy/authentication.js';
import type { Connection } from '../../../src/policy/connection.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import type { VerifyJob, VerifyResult } from '../../../src/policy/peer-proof.js';
import { Authorities } from '../../authorities.js';

const DAY = 86_400_000;
const OCTETS = Uint8Array.of(1, 2, 3);
const SAN = 'subjectAltName = DNS:peer.example.org';

const pki = new Authorities();
afterAll(() => pki.remove());

beforeAll(() => {
  const issued = { issuer: 'root', extensions: [SAN] };
  pki.make('root', { ca: true, days: 3000 }).make('other', { ca: true });
  pki.make('peer', issued);
  pki.make('between', { ca: true, issuer: 'root' }).make('far', { ...issued, issuer: 'between' });
  pki.make('no-ca', { issuer: 'root' }).make('under-no-ca', { ...issued, issuer: 'no-ca' });
  const plain = ['basicConstraints = critical, CA:TRUE', 'keyUsage = digitalSignature'];
  pki.make('no-sign', { issuer: 'root', only: plain });
  pki.make('under-no-sign', { ...issued, issuer: 'no-sign' });
  const last = ['basicConstraints = critical, CA:TRUE, pathlen:0', 'keyUsage = keyCertSign'];
  pki.make('last', { issuer: 'root', only: last }).make('beyond', { ca: true, issuer: 'last' });
  pki.make('under-beyond', { ...issued, issuer: 'beyond' });
  const narrow = [
    'nameConstraints = critical, permitted;DNS:example.net, excluded;IP:10.0.0.0/255.0.0.0',
  ];
  pki.make('narrow', { ca: true, issuer: 'root', extensions: narrow });
  pki.make('outside', { ...issued, issuer: 'narrow' });
  pki.make('inside', { issuer: 'narrow', extensions: ['subjectAltName = DNS:a.example.net'] });
  pki.make('sha1', { ...issued, hash: 'sha1' });
  pki.make('short', { ...issued, key: 'rsa:1024' }).make('e3', { ...issued, key: 'rsa-e3' });
  pki.make('e3-between', { ca: true, issuer: 'root', key: 'rsa-e3' });
  pki.make('under-e3', { ...issued, issuer: 'e3-between' });
  const with_ = (line: string) => ({ issuer: 'root', extensions: [SAN, line] });
  pki.make('encipher', with_('keyUsage = keyEncipherment'));
  pki.make('code', with_('extendedKeyUsage = codeSigning'));
  pki.make('ike', with_('extendedKeyUsage = codeSigning, 1.3.6.1.5.5.7.3.17'));
  pki.make('tls', with_('extendedKeyUsage = serverAuth'));
  pki.make('strange', with_('1.2.3.4 = critical, ASN1:NULL'));
  pki.make('asks', with_('crlDistributionPoints = URI:http://crl.example.org/root.crl'));
  const names =
    'subjectAltName = DNS:*.example.org, email:Gw@Example.ORG, IP:192.0.2.9, IP:2001:db8::9';
  pki.make('names', { issuer: 'root', subject: '/CN=cn.example.org', extensions: [names] });
  pki.make('no-name', { issuer: 'root', subject: '/', extensions: [SAN] });
  pki.make('self', { extensions: [SAN] });
}, 60_000);

interface Claim {
  /** Default: the root. */
  readonly trust?: Partial<Trust>;
  readonly authorities?: readonly string[];
  readonly id?: string;
  /** Days from now. */
  readonly days?: number;
}

/** Why the certificates, the first one with its signature, prove nothing; or what is to be noted. */
function verify(names: readonly string[], claim: Claim = {}): string | readonly string[] {
  const { trust = {}, authorities = ['root'], id = 'peer.example.org', days = 0 } = claim;
  const key = pki.key(names[0]!);
  const scheme = chooseScheme(key, 'pss', { hashes: [2, 3, 4, 5], methods: undefined })!;
  const verifier = new PeerVerifier({ now: () => Date.now() + days * DAY });
  const result = settled(verifier, {
    type: 'verify',
    identity: parseIdentity(id),
    trust: pki.trust(authorities, trust),
    certificates: names.map((name) => pki.der(name)),
    method: scheme.method,
    data: signAuth(key, scheme, OCTETS),
    octets: OCTETS,
  });
  return result.type === 'verified' ? result.notes : result.explanation;
}

/** The result where no authority is asked. */
function settled(verifier: PeerVerifier, job: VerifyJob): VerifyResult {
  let result: VerifyResult | undefined;
  verifier.verify(job, (found) => {
    result = found;
  });
  return result!;
}

/** What `esplane explain` tells to change. */
function advice(explanation: string): string {
  const end = { identity: parseIdentity('peer.example.org') };
  const connection = { name: 'office', local: end, remote: end } as unknown as Connection;
  return adviseOnAuthentication(connection, explanation)[0]!;
}

const pinned = (name: string) => ({ authorities: [], trust: { pinned: pki.der(name) } });

describe('a path is taken', () => {
  it.each([
    ['that the root has signed', ['peer'], {}],
    ['through an intermediate', ['far', 'between'], {}],
    [
      'with certificates that it does not need, in any order',
      ['far', 'other', 'peer', 'between'],
      {},
    ],
    ['with the root itself', ['far', 'between', 'root'], {}],
    ['that ends at an intermediate that is trusted', ['far'], { authorities: ['between'] }],
    ['with names inside of the constraints', ['inside', 'narrow'], { id: 'a.example.net' }],
    ['for IKE among other uses', ['ike'], {}],
    ['for TLS, as the field has it', ['tls'], {}],
    ['without a subject', ['no-name'], {}],
  ] as const)('%s', (_, names, claim) => {
    expect(verify(names, claim)).toEqual([]);
  });
});

describe('a path is refused', () => {
  it.each([
    ['whose intermediate is missing', ['far'], {}, 'leads to no certificate authority'],
    [
      'of another authority',
      ['peer'],
      { authorities: ['other'] },
      'trusted: "C=CH, O=Example, CN=other"',
    ],
    ['that is self-signed', ['self'], {}, 'leads to no certificate authority'],
    [
      'through one that is no authority',
      ['under-no-ca', 'no-ca'],
      {},
      'CN=no-ca": invalid CA certificate',
    ],
    ['through one that may not sign', ['under-no-sign', 'no-sign'], {}, 'CN=under-no-sign'],
    [
      'that is longer than the constraint',
      ['under-beyond', 'beyond', 'last'],
      {},
      'path length constraint exceeded',
    ],
    ['with a name that is not permitted', ['outside', 'narrow'], {}, 'permitted subtree violation'],
    ['that is over', ['peer'], { days: 31 }, 'certificate has expired'],
    ['that has not begun', ['peer'], { days: -2 }, 'certificate is not yet valid'],
    [
      'whose intermediate is over',
      ['far', 'between'],
      { authorities: ['root'], days: 31 },
      'expired',
    ],
    ['that is signed with SHA-1', ['sha1'], {}, 'signature digest algorithm too weak'],
    ['with RSA of 1024 bits', ['short'], {}, 'key too weak'],
    ['with the exponent 3', ['e3'], {}, 'has the exponent 3'],
    ['with the exponent 3 above it', ['under-e3', 'e3-between'], {}, 'CN=e3-between": an RSA key'],
    ['for encipherment only', ['encipher'], {}, 'neither digitalSignature nor nonRepudiation'],
    ['for another use', ['code'], {}, 'not for IKE: 1.3.6.1.5.5.7.3.3'],
    [
      'with a critical extension that nobody knows',
      ['strange'],
      {},
      'unhandled critical extension',
    ],
  ] as const)('%s', (_, names, claim, reason) => {
    const explanation = verify(names, claim);
    expect(explanation).toContain(reason);
    expect(advice(String(explanation))).not.toContain('psk_file');
  });

  it('with more than eight intermediates', () => {
    const chain: string[] = ['root'];
    for (let i = 1; i <= 9; i++) {
      pki.make(`deep-${i}`, { ca: true, issuer: chain.at(-1)! });
      chain.push(`deep-${i}`);
    }
    pki.make('deepest', { issuer: 'deep-9', extensions: [SAN] });
    expect(verify(['deepest', ...chain])).toContain('too long');
    pki.make('deep', { issuer: 'deep-8', extensions: [SAN] });
    expect(verify(['deep', ...chain])).toEqual([]);
  });
});

describe('an identity', () => {
  it.each([
    ['C=CH, O=Example, CN=peer', ['peer']],
    ['c=ch, o=EXAMPLE,cn=  Peer ', ['peer']],
    ['PEER.example.org', ['peer']],
    ['gw@example.org', ['names']],
    ['192.0.2.9', ['names']],
    ['2001:db8::9', ['names']],
  ])('%s is proved by %s', (id, names) => {
    expect(verify(names, { id })).toEqual([]);
  });

  it.each([
    ['CN=peer', ['peer'], 'a part of the name'],
    ['CN=peer, O=Example, C=CH', ['peer'], 'another order'],
    ['a.example.org', ['names'], 'a wildcard is none in IKE'],
    ['cn.example.org', ['names'], 'a common name is no host name'],
    ['192.0.2.10', ['names'], 'another address'],
    ['keyid:peer.example.org', ['peer'], 'another type'],
  ])('%s is not proved by %s: %s', (id, names) => {
    const explanation = verify(names, { id });
    expect(explanation).toContain(`claimed: ${id}`);
    expect(advice(String(explanation))).toContain('have to be one that its certificate proves');
  });
});

describe('a certificate that the connection names', () => {
  it('needs no authority, and is for any identity', () => {
    expect(verify(['self'], { ...pinned('self'), id: 'keyid:whoever' })).toEqual([]);
    expect(verify(['peer'], pinned('peer'))).toEqual([]);
  });

  it('is over when it is over, and is no other', () => {
    expect(verify(['self'], { ...pinned('self'), days: 31 })).toContain('expired');
    expect(verify(['self'], pinned('peer'))).toContain('is not the one that the connection names');
  });

  it('needs an authority where one is named too', () => {
    const trust = { pinned: pki.der('peer') };
    expect(verify(['peer'], { trust })).toEqual([]);
    expect(verify(['peer'], { trust, authorities: ['other'] })).toContain(
      'no certificate authority',
    );
  });
});

describe('revocation', () => {
  const policies = ['strict', 'ifuri', 'relaxed'] as const;

  it('of the certificate, or of one above it, refuses it whatever the policy', () => {
    for (const revocation of policies) {
      const leaf = { trust: { revocation, crls: [pki.crl('root', ['peer'])] } };
      expect(verify(['peer'], leaf)).toBe('"C=CH, O=Example, CN=peer" is revoked');
      const crls = [pki.crl('root', ['between']), pki.crl('between', [])];
      const above = { trust: { revocation, crls } };
      expect(verify(['far', 'between'], above)).toBe('"C=CH, O=Example, CN=between" is revoked');
    }
  });

  it('by a CRL that is over is still one', () => {
    const trust = { crls: [pki.crl('root', ['peer'], 1)] };
    expect(verify(['peer'], { trust, days: 2 })).toContain('is revoked');
  });

  it('by a CRL that somebody else has signed is none', () => {
    // Of the same name as the root, with another key.
    pki.make('false-root', { ca: true, subject: '/C=CH/O=Example/CN=root' });
    const crls = [pki.crl('false-root', ['peer'])];
    expect(verify(['peer'], { trust: { crls } })).toEqual([]);
    expect(verify(['peer'], { trust: { crls, revocation: 'strict' } })).toContain('is not known');
  });

  it.each([
    ['strict', 'is not known', 'is not known'],
    ['ifuri', 'ok', 'is not known'],
    ['relaxed', 'ok', 'ok'],
  ] as const)('that is not known: %s', (revocation, silent, asking) => {
    const result = (name: string) => {
      const found = verify([name], { trust: { revocation } });
      return typeof found === 'string' ? found : 'ok';
    };
    expect(result('peer')).toContain(silent);
    expect(result('asks')).toContain(asking);
  });

  it('that is not known is noted where it could be asked for', () => {
    const [note] = verify(['asks']) as string[];
    expect(note).toContain('whether "C=CH, O=Example, CN=asks" is revoked is not known');
  });

  it('is excluded by CRLs of all authorities of the path, those that are over do not count', () => {
    const trust = {
      revocation: 'strict',
      crls: [pki.crl('root', ['peer']), pki.crl('between', [], 1)],
    };
    expect(verify(['far', 'between'], { trust } as Claim)).toEqual([]);
    expect(verify(['far', 'between'], { trust, days: 2 } as Claim)).toContain('CRL has expired');
  });
});

describe('what is no certificate', () => {
  let trust: Trust;
  beforeAll(() => {
    trust = pki.trust(['root']);
  });
  const job = (certificates: readonly Uint8Array[]) => ({
    type: 'verify' as const,
    identity: parseIdentity('peer.example.org'),
    trust,
    certificates,
    method: 14,
    data: new Uint8Array(40),
    octets: OCTETS,
  });
  const verifier = new PeerVerifier();

  it('is refused, of any length and with any octet changed', () => {
    const good = pki.der('far');
    const between = pki.der('between');
    for (let length = 0; length < good.length; length += 7) {
      expect(settled(verifier, job([good.subarray(0, length)])).type).toBe('refused');
    }
    for (let i = 0; i < good.length; i += 3) {
      const bad = good.slice();
      bad[i]! ^= 1 << (i % 8);
      expect(settled(verifier, job([bad, between])).type).toBe('refused');
      addon.certificateFacts(bad);
    }
    expect(settled(verifier, job([Uint8Array.from([...good, 0])])).type).toBe('refused');
  }, 120_000);

  it('is refused, be it as large as a payload may be', () => {
    for (const octets of [new Uint8Array(65_000).fill(0x30), new Uint8Array(randomBytes(65_000))]) {
      const others = Array.from({ length: 9 }, () => octets);
      expect(settled(verifier, job([octets, ...others])).type).toBe('refused');
      expect(settled(verifier, job([pki.der('peer'), ...others])).type).toBe('refused');
    }
  });

  it('is refused as an anchor or a CRL, by an exception', () => {
    expect(() => new addon.TrustStore([Uint8Array.of(1)], [])).toThrow('no certificate in DER');
    expect(() => new addon.TrustStore([], [pki.der('root')])).toThrow('a CRL is none in DER');
  });

  it('costs no memory', () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const store = new addon.TrustStore([pki.der('root')], []);
    const names = ['under-beyond', 'beyond', 'last'].map((name) => pki.der(name));
    const rounds = (count: number) => {
      for (let i = 0; i < count; i++) store.verify(names, 2_000_000_000);
      collectGarbage(); // what JavaScript has dropped is no leak
      return process.memoryUsage().rss;
    };
    const before = rounds(200);
    // A leaked certificate is a kilobyte, and each round has three.
    expect(rounds(1000) - before).toBeLessThan(3 << 20);
  }, 120_000);
});
