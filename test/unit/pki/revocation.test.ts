/** Asking authorities about revocation: CRLs over HTTP, OCSP with openssl's own responder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { signAuth } from '../../../src/crypto/signature.js';
import { chooseScheme } from '../../../src/crypto/signature-scheme.js';
import { addon } from '../../../src/dataplane/addon.js';
import { waitFor } from '../../../src/lab/program.js';
import type { Question } from '../../../src/pki/answers.js';
import { PeerVerifier } from '../../../src/pki/peer-verifier.js';
import type { Revocation, Trust } from '../../../src/policy/authentication.js';
import { parseIdentity } from '../../../src/policy/identity.js';
import type { RecheckJob, VerifyJob, VerifyResult } from '../../../src/policy/peer-proof.js';
import { askByHttp } from '../../../src/workers/ask-by-http.js';
import { Authorities } from '../../authorities.js';

const pki = new Authorities();
const running: (ChildProcess | Server)[] = [];
let crl: Uint8Array | string = '';
let crlPort = 0;
let ocspPort = 0;

afterEach(() => {
  for (const one of running.splice(0)) 'close' in one ? one.close() : one.kill();
});
afterAll(() => pki.remove());

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

beforeAll(async () => {
  [crlPort, ocspPort] = [await freePort(), await freePort()];
  const san = 'subjectAltName = DNS:peer.example.org';
  const crlAt = `crlDistributionPoints = URI:http://127.0.0.1:${crlPort}/root.crl`;
  const ocspAt = `authorityInfoAccess = OCSP;URI:http://127.0.0.1:${ocspPort}/`;
  pki.make('root', { ca: true }).make('other', { ca: true });
  pki.make('by-crl', { issuer: 'root', extensions: [san, crlAt] });
  pki.make('by-ocsp', { issuer: 'root', extensions: [san, ocspAt] });
  pki.make('by-both', { issuer: 'root', extensions: [san, crlAt, ocspAt] });
  pki.make('silent', { issuer: 'root', extensions: [san] });
  pki.make('responder', { issuer: 'root', extensions: ['extendedKeyUsage = OCSPSigning'] });
  pki.make('impostor', { issuer: 'root' });
}, 60_000);

async function serveCrl(): Promise<void> {
  const server = createServer((_, response) => response.end(crl)).listen(crlPort, '127.0.0.1');
  running.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
}

/** openssl's responder, which knows these certificates as revoked, signs with `signer`. */
async function serveOcsp(
  signer: string,
  revoked: readonly string[],
  known = ['by-ocsp', 'by-both'],
) {
  const index = pki.index('ocsp.txt', known, revoked);
  const args = ['ocsp', '-index', index, '-port', `${ocspPort}`, '-ndays', '1'];
  const files = ['-CA', pki.path('root.pem'), '-rsigner', pki.path(`${signer}.pem`)];
  const responder = spawn('openssl', [...args, ...files, '-rkey', pki.path(`${signer}.key`)]);
  running.push(responder);
  let said = '';
  responder.stderr.on('data', (part) => {
    said += part;
  });
  responder.stdout.on('data', (part) => {
    said += part;
  });
  await waitFor('the responder', 10, async () => said.includes('waiting') || undefined);
}

function jobOf(name: string, trust: Trust): VerifyJob {
  const key = pki.key(name);
  const scheme = chooseScheme(key, 'pss', { hashes: [2, 3, 4, 5], methods: undefined })!;
  const octets = Uint8Array.of(1);
  const proof = { method: scheme.method, data: signAuth(key, scheme, octets), octets };
  const identity = parseIdentity('peer.example.org');
  return { type: 'verify', identity, trust, certificates: [pki.der(name)], ...proof };
}

function verify(verifier: PeerVerifier, job: VerifyJob | RecheckJob): Promise<VerifyResult> {
  return new Promise((resolve) => verifier.verify(job, resolve));
}

const check = (name: string, revocation: Revocation = 'strict') =>
  verify(new PeerVerifier({ ask: askByHttp }), jobOf(name, pki.trust(['root'], { revocation })));

const good = { type: 'verified', notes: [] };
const revoked = (name: string) => {
  return { type: 'refused', explanation: `"C=CH, O=Example, CN=${name}" is revoked` };
};

describe('a CRL is fetched', () => {
  it('and says that the certificate is good, or revoked', async () => {
    await serveCrl();
    crl = pki.crl('root', ['silent']);
    expect(await check('by-crl')).toEqual(good);
    crl = pki.crl('root', ['by-crl']);
    expect(await check('by-crl')).toEqual(revoked('by-crl'));
    expect(await check('by-crl', 'relaxed')).toEqual(revoked('by-crl'));
  });

  it.each([
    ['something else', () => 'no CRL at all'],
    ['one of another authority', () => pki.crl('other', [])],
    ['one of six megabytes', () => new Uint8Array(6 << 20)],
  ])('and is %s: the policy decides', async (_, answer) => {
    await serveCrl();
    crl = answer();
    expect(await check('by-crl')).toMatchObject({ type: 'refused' });
    expect(await check('by-crl', 'ifuri')).toMatchObject({ type: 'refused' });
    const relaxed = await check('by-crl', 'relaxed');
    expect(relaxed).toMatchObject({
      type: 'verified',
      notes: [expect.stringContaining('is not known')],
    });
  });

  it('and cannot be had: the explanation says from where and why', async () => {
    const result = await check('by-crl', 'ifuri');
    expect(result).toMatchObject({ type: 'refused' });
    const { explanation } = result as { explanation: string };
    expect(explanation).toMatch(/http:\/\/127\.0\.0\.1:\d+\/root\.crl: .*ECONNREFUSED/);
  });
});

describe('an OCSP responder', () => {
  it.each(['responder', 'root'])('says good or revoked, signed by the %s', async (signer) => {
    await serveOcsp(signer, ['by-both']);
    expect(await check('by-ocsp')).toEqual(good);
    expect(await check('by-both')).toEqual(revoked('by-both'));
  });

  it('that nobody has appointed proves nothing', async () => {
    await serveOcsp('impostor', ['by-ocsp']);
    const result = await check('by-ocsp', 'relaxed');
    const note = expect.stringContaining('not signed by whom the issuer has appointed');
    expect(result).toEqual({ type: 'verified', notes: [note] });
    expect(await check('by-ocsp')).toMatchObject({ type: 'refused' });
  });

  it('that does not know the certificate leaves it to a CRL', async () => {
    await serveOcsp('responder', [], []);
    await serveCrl();
    crl = pki.crl('root', ['by-both']);
    expect(await check('by-both')).toEqual(revoked('by-both'));
    crl = pki.crl('root', []);
    expect(await check('by-both')).toEqual(good);
  });

  it('whose answer is old, changed or cut off proves nothing', async () => {
    await serveOcsp('responder', []);
    const [certificate, issuer] = [pki.der('by-ocsp'), pki.der('root')];
    const body = addon.ocspRequest(certificate, issuer);
    const url = `http://127.0.0.1:${ocspPort}/`;
    const response = await askByHttp({ kind: 'ocsp', url, body });
    const now = Math.floor(Date.now() / 1000);
    const code = (octets: Uint8Array, time = now) =>
      addon.ocspStatus(octets, certificate, issuer, time).code;
    expect(code(response)).toBe(0);
    expect(code(response, now + 2 * 86_400)).not.toBe(0);
    expect(code(response, now - 86_400)).not.toBe(0);
    expect(addon.ocspStatus(response, pki.der('by-both'), issuer, now).code).not.toBe(0);
    for (let i = 0; i < response.length; i += 5) {
      expect(code(response.subarray(0, i))).not.toBe(0);
      const bad = response.slice();
      bad[i]! ^= 0x10;
      // What is changed is in the signed part, in the signature, or of no account.
      expect([0, 75]).toContain(code(bad));
    }
  });
});

describe('authorities', () => {
  const trust = () => pki.trust(['root'], { revocation: 'strict' });

  /** Notes the questions; nobody answers them. */
  function silence() {
    const asked: Question[] = [];
    const ask = async (question: Question) => {
      asked.push(question);
      throw new Error('silence');
    };
    return { asked, ask };
  }

  it('are asked once by however many peers, and not again for a minute', async () => {
    const { asked, ask } = silence();
    let now = Date.now();
    const verifier = new PeerVerifier({ ask, now: () => now });
    const job = jobOf('by-both', trust());
    await Promise.all(Array.from({ length: 20 }, () => verify(verifier, job)));
    expect(asked.map(({ kind }) => kind)).toEqual(['ocsp', 'crl']);
    await verify(verifier, job);
    expect(asked.length).toBe(2);
    now += 61_000;
    await verify(verifier, job);
    expect(asked.length).toBe(4);
  });

  it('are asked again for a CRL after ten minutes; the old one counts where there is none', async () => {
    let now = Date.now();
    let list: Uint8Array | undefined = pki.crl('root', []);
    let asked = 0;
    const ask = async () => {
      asked++;
      if (list === undefined) throw new Error('silence');
      return list;
    };
    const verifier = new PeerVerifier({ ask, now: () => now });
    const job = jobOf('by-crl', trust());
    expect(await verify(verifier, job)).toEqual(good);
    expect(await verify(verifier, job)).toEqual(good);
    expect(asked).toBe(1);
    list = undefined;
    now += 601_000;
    expect(await verify(verifier, job)).toEqual(good);
    expect(asked).toBe(2);
    list = pki.crl('root', ['by-crl']);
    now += 61_000;
    const { type: _, method: _m, data: _d, octets: _o, ...proof } = job;
    expect(await verify(verifier, { type: 'recheck', ...proof })).toEqual(revoked('by-crl'));
    expect(await verify(verifier, job)).toEqual(revoked('by-crl'));
  });

  describe('that answer with a CRL of no use do not take a good one away', () => {
    const older = () => pki.crl('root', []);
    it.each([
      ['no CRL', () => new TextEncoder().encode('<html>')],
      ['one of another authority', () => pki.crl('other', [])],
      ['one that is changed', () => changed(pki.crl('root', []))],
      ['an older one', older],
    ])('%s', async (what, make) => {
      const bad = make();
      // thisUpdate has seconds.
      if (what === 'an older one') await new Promise((resolve) => setTimeout(resolve, 1_100));
      let now = Date.now();
      let list: Uint8Array = pki.crl('root', ['by-crl']);
      let asked = 0;
      const ask = async () => {
        asked++;
        return list;
      };
      const verifier = new PeerVerifier({ ask, now: () => now });
      const job = jobOf('by-crl', trust());
      const silent = jobOf('silent', job.trust);
      expect(await verify(verifier, job)).toEqual(revoked('by-crl'));
      list = bad;
      for (const later of [601_000, 61_000]) {
        now += later;
        expect(await verify(verifier, job)).toEqual(revoked('by-crl'));
        expect(await verify(verifier, silent)).toEqual(good);
      }
      // It is asked for again in a minute, not in ten.
      expect(asked).toBe(3);
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      list = pki.crl('root', []);
      now += 61_000;
      expect(await verify(verifier, job)).toEqual(good);
    });

    /** A bit of its signature is another. */
    function changed(crl: Uint8Array): Uint8Array {
      const bad = crl.slice();
      bad[bad.length - 1]! ^= 1;
      return bad;
    }
  });

  it('are not asked on behalf of a peer that has not proved itself', async () => {
    const { asked, ask } = silence();
    const verifier = new PeerVerifier({ ask });
    const job = jobOf('by-both', trust());
    await verify(verifier, { ...job, octets: Uint8Array.of(2) });
    await verify(verifier, { ...job, identity: parseIdentity('other.example.org') });
    await verify(verifier, { ...job, trust: pki.trust(['other']) });
    expect(asked).toEqual([]);
  });

  it('are not asked where the configuration has the CRL, or the certificate names nobody', async () => {
    const { asked, ask } = silence();
    const verifier = new PeerVerifier({ ask });
    const withCrl = { ...trust(), crls: [pki.crl('root', [])] };
    expect(await verify(verifier, jobOf('by-both', withCrl))).toEqual(good);
    expect(await verify(verifier, jobOf('silent', trust()))).toMatchObject({ type: 'refused' });
    expect(asked).toEqual([]);
  });
});
