/** IKE_AUTH with certificates (RFC 7296 §2.15, RFC 7427, RFC 4945), between two of us. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SignatureScheme } from '../../src/crypto/signature-scheme.js';
import { readMethods } from '../../src/ike/auth/announcements.js';
import { certificatePayloads } from '../../src/ike/auth/certificates.js';
import { notify } from '../../src/ike/messages/payloads.js';
import { decodeMessage, encodeMessage, NOTIFY, type Payload } from '../../src/wire/index.js';
import { Authorities, type KeyKind } from '../authorities.js';
import { Dialogue } from './harness/dialogue.js';
import { type ConnectionOptions, connectionOf } from './harness/peer.js';
import { PROPOSAL } from './harness/scripted-peer.js';
import { ScriptedResponder } from './harness/scripted-responder.js';

const KINDS: readonly KeyKind[] = [
  'rsa:2048',
  'rsa-pss:2048',
  'ec:P-256',
  'ec:P-384',
  'ec:P-521',
  'ed25519',
  'ed448',
];

const unknown: Payload = { kind: 'unknown', type: 199, critical: true, body: new Uint8Array(2) };
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

  it('announce the methods that they take (RFC 9593 §3.1, §3.2)', () => {
    const attempt = dialogue();
    attempt.initiate();
    attempt.deliver(attempt.a);
    const { payloads } = decodeMessage(attempt.b.outbox[0]!.data);
    const announced = payloads.find(
      (one) => one.kind === 'N' && one.notifyType === NOTIFY.SUPPORTED_AUTH_METHODS,
    );
    const digits = Buffer.from((announced as { data: Uint8Array }).data).toString('hex');
    // Ed25519, Ed448 and ECDSA with method 14, then methods 9 to 11 and 1, each for any authority.
    const first = '0a0e00300506032b65700a0e00300506032b65710f0e00300a06082a8648ce3d040302';
    expect(digits.slice(0, first.length)).toBe(first);
    expect(digits.endsWith('030900030a00030b00030100')).toBe(true);
    attempt.settle();
    attempt.expectTunnel();
    expect(attempt.b.log.join('\n')).toContain('N(SUPPORTED_AUTH_METHODS)');
  });

  it('sign with what the other has announced', () => {
    const local = { ...pki.own(['a-rsa:2048']), rsaPadding: 'pss' } as const;
    const attempt = dialogue({ local });
    const signed: SignatureScheme[] = [];
    const { runJob } = attempt.a;
    attempt.a.runJob = (job, random) => {
      if (job.type === 'sign') signed.push(job.scheme);
      return runJob(job, random);
    };
    attempt.initiate();
    attempt.deliver(attempt.a);
    // On its way the announcement is one of RSASSA-PKCS1-v1_5 with SHA-512 alone.
    const response = attempt.take(attempt.b);
    const { header, payloads } = decodeMessage(response.data);
    const changed = payloads.map((payload): Payload => {
      const announces =
        payload.kind === 'N' && payload.notifyType === NOTIFY.SUPPORTED_AUTH_METHODS;
      const data = Buffer.from('120e00300d06092a864886f70d01010d0500', 'hex');
      return announces ? { ...payload, data } : payload;
    });
    attempt.give({ ...response, data: encodeMessage({ header, payloads: changed }) });
    const algorithm = { type: 'rsa', hash: 'sha512', padding: 'pkcs1' };
    expect(signed).toEqual([{ method: 14, algorithm }]);
  });

  it.each(['00', '0e', '020e', '03', '0409', 'ff0e00', '0201ff'])(
    'pass over an announcement that is %s',
    (digits) => {
      const data = Uint8Array.from(Buffer.from(digits, 'hex'));
      expect(() => readMethods([notify(NOTIFY.SUPPORTED_AUTH_METHODS, data)])).not.toThrow();
    },
  );

  it('take ten certificates from a peer, and no more', () => {
    const chain = (length: number) => {
      const own = pki.own(['a']);
      return { ...own, chain: Array.from({ length }, () => own.chain[0]!) };
    };
    dialogue({ local: chain(10) }).establish();
    const explanation = explanationOf(dialogue({ local: chain(50) }));
    expect(explanation).toBe('the peer sends 50 certificates, at most 10 are taken');
  });

  it('take the certificate that is named, with no authority at all', () => {
    const pinned = (name: string) => pki.trust([], { pinned: pki.der(name) });
    dialogue({ remote: pinned('b') }, { remote: pinned('a') }).establish();
  });
});

describe('an initiator that verifies a certificate', () => {
  it('hears no second response meanwhile, whatever is in that', () => {
    const trusting = { remote: pki.trust(['root']), ike: [PROPOSAL], esp: ['aes128gcm16-noesn'] };
    for (const second of [[], [notify(NOTIFY.INVALID_SYNTAX)], [unknown]]) {
      const { a } = new Dialogue({ a: trusting });
      a.handle({ type: 'initiate', connection: 'site' });
      const responder = new ScriptedResponder(a);
      responder.init();
      a.manualJobs = true;
      const request = responder.take();
      const [idr, , ...child] = responder.authPayloads(request);
      const auth: Payload = { kind: 'AUTH', method: 14, data: new Uint8Array(64) };
      const certificates = certificatePayloads(connectionOf('b', both.b()));
      responder.answer(request, [idr!, ...certificates, auth, ...child]);
      responder.answer(request, second);
      expect(a.states).toEqual(['connecting']);
      a.runJob = () => ({ type: 'verified', notes: [] });
      a.finishJob();
      expect([a.states, a.installed.size, a.failures]).toEqual([['established'], 1, []]);
      expect(a.ike.drops()).toEqual({ 'ike-stray-response': 1 });
    }
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

describe('a certificate that is revoked while its SAs are there (RFC 4301 §4.4.2.1)', () => {
  /** b has a CRL from now on, in which the certificate of a stands. */
  function revoke({ b }: Dialogue, onRevocation: 'close' | 'keep' = 'close') {
    const trust = { ...pki.trust(['root']), crls: [pki.crl('root', ['a'])], onRevocation };
    b.ike.setConnections([connectionOf('b', { ...both.b(), remote: trust })]);
    b.handle({ type: 'recheck', connection: 'site' });
  }

  it('ends them by a Delete, and says why', () => {
    const up = dialogue();
    up.establish();
    revoke(up);
    expect(up.b.states).toEqual(['deleting']);
    expect(up.b.failures).toMatchObject([
      { connection: 'site', explanation: '"C=CH, O=Example, CN=a" is revoked' },
    ]);
    // a <- b  HDR, SK {D}
    expect(up.settle()).toEqual(['b INFORMATIONAL request 0', 'a INFORMATIONAL response 0']);
    up.wait(60_000);
    expect([up.a.isClean, up.b.isClean]).toEqual([true, true]);
  });

  it('is found out within minutes, on an IKE SA that was rekeyed too', () => {
    const up = dialogue();
    up.establish();
    up.rekey(up.a, 'ike');
    up.settle();
    const trust = { ...pki.trust(['root']), crls: [pki.crl('root', ['a'])] };
    up.b.ike.setConnections([connectionOf('b', { ...both.b(), remote: trust })]);
    up.wait(300_000);
    expect(up.b.states).toEqual(['established']);
    up.wait(400_000);
    expect(up.b.states).toEqual([]);
    expect(up.b.failures[0]?.explanation).toContain('is revoked');
  });

  it('leaves them as they are where that is wanted', () => {
    const up = dialogue();
    up.establish();
    revoke(up, 'keep');
    up.expectTunnel();
    expect(up.b.log.at(-1)).toBe('warn "C=CH, O=Example, CN=a" is revoked; its SAs are kept');
  });

  it('leaves others as they are, and those of which nothing is known', () => {
    const up = dialogue();
    up.establish();
    const trust = pki.trust(['root'], { revocation: 'strict' });
    for (const crls of [[], [pki.crl('root', ['b'])]]) {
      up.b.ike.setConnections([connectionOf('b', { ...both.b(), remote: { ...trust, crls } })]);
      up.b.handle({ type: 'recheck', connection: 'site' });
      up.expectTunnel();
    }
  });
});
