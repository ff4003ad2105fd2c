/** How the sides of a connection prove themselves, as the configuration says it. */
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hintsForHost } from '../../../src/config/host-hints.js';
import { loadConfig } from '../../../src/config/load.js';
import { planChange } from '../../../src/config/plan.js';
import { ConfigError } from '../../../src/config/problem.js';
import { formatIdentity } from '../../../src/policy/identity.js';
import { Authorities } from '../../authorities.js';

const pki = new Authorities();
afterAll(() => pki.remove());

beforeAll(() => {
  pki.make('ca', { ca: true });
  pki.make('a', { issuer: 'ca', extensions: ['subjectAltName = DNS:a.example, IP:192.0.2.1'] });
  pki.make('b', { issuer: 'ca', extensions: ['subjectAltName = DNS:b.example'] });
  pki.make('short', { issuer: 'ca', key: 'rsa:1024' });
  pki.make('code', { issuer: 'ca', extensions: ['extendedKeyUsage = codeSigning'] });
  pki.crl('ca', ['b']);
  pki.write('office.psk', 'a key for tests\n');
  pki.openssl(
    ['pkcs8', '-topk8', '-in', pki.path('a.key'), '-passout', 'pass:secret'],
    ['-out', pki.path('locked.key')],
  );
  for (const name of ['office.psk', 'locked.key']) chmodSync(pki.path(name), 0o600);
  copyFileSync(pki.path('a.key'), pki.path('open.key'));
  chmodSync(pki.path('open.key'), 0o640);
}, 60_000);

const OURS = 'cert = "a.pem"\nkey = "a.key"';
const THEIRS = 'id = "b.example"\nca = ["ca.pem"]';

function write(ours: string, theirs: string, more = ''): string {
  const text = `[gateway]
lan = ["lan0"]
wan = ["wan0"]
[connection.office]
${more}
[connection.office.local]
address = "192.0.2.1"
networks = ["10.1.0.0/16"]
${ours}
[connection.office.remote]
address = "192.0.2.2"
networks = ["10.2.0.0/16"]
${theirs}
`;
  const path = pki.path('gateway.toml');
  writeFileSync(path, text);
  return path;
}

function load(ours: string, theirs: string, more = '') {
  const config = loadConfig(write(ours, theirs, more));
  return { config, office: config.connections[0]! };
}

function problemsOf(ours: string, theirs: string, more = ''): string {
  try {
    load(ours, theirs, more);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.replaceAll(`${pki.folder}/`, '');
  }
  return '';
}

describe('a connection with certificates', () => {
  it('proves both sides, and is called as its certificate says', () => {
    const { office } = load(OURS, THEIRS);
    expect(office.local.authentication).toMatchObject({ type: 'certificate', rsaPadding: 'pss' });
    expect(office.remote.authentication).toMatchObject({
      type: 'certificate',
      pinned: undefined,
      revocation: 'relaxed',
      onRevocation: 'close',
      anchors: [{ certificate: pki.der('ca'), keyHash: pki.trust(['ca']).anchors[0]!.keyHash }],
    });
    expect(formatIdentity(office.local.identity)).toBe('C=CH, O=Example, CN=a');
    expect(formatIdentity(office.remote.identity)).toBe('b.example');
  });

  it('may name the peer’s certificate, lists and a policy', () => {
    const theirs = 'cert = "b.pem"\nca = ["ca.pem"]\ncrl = ["ca.crl"]\nrevocation = "strict"';
    const { office } = load(OURS, theirs);
    expect(formatIdentity(office.remote.identity)).toBe('C=CH, O=Example, CN=b');
    const { authentication } = office.remote;
    expect(authentication).toMatchObject({ pinned: pki.der('b'), revocation: 'strict' });
    expect('crls' in authentication && authentication.crls.length).toBe(1);
  });

  it('may prove one side by a pre-shared key', () => {
    const psk = 'psk_file = "office.psk"';
    expect(load(OURS, 'id = "b.example"', psk).office.remote.authentication.type).toBe('psk');
    expect(load('id = "a.example"', THEIRS, psk).office.local.authentication.type).toBe('psk');
  });

  it.each([
    ['cert = "a.pem"', THEIRS, '', 'connection.office.local: key is missing'],
    ['cert = "a.pem"\nkey = "b.key"', THEIRS, '', 'b.key is not the key of the certificate'],
    ['cert = "a.pem"\nkey = "open.key"', THEIRS, '', 'open.key has mode 0640'],
    ['cert = "a.pem"\nkey = "locked.key"', THEIRS, '', 'locked.key is encrypted'],
    ['cert = "a.pem"\nkey = "office.psk"', THEIRS, '', 'office.psk is no private key'],
    ['cert = "none.pem"\nkey = "a.key"', THEIRS, '', 'no file none.pem'],
    ['cert = "a.key"\nkey = "a.key"', THEIRS, '', 'a.key holds none, allowed: certificates in PEM'],
    ['cert = "office.psk"\nkey = "a.key"', THEIRS, '', 'office.psk holds what is no certificate'],
    ['cert = "short.pem"\nkey = "short.key"', THEIRS, '', 'an RSA key of 1024 bits is too short'],
    ['cert = "code.pem"\nkey = "code.key"', THEIRS, '', 'its extended key usage is not for IKE'],
    [
      `id = "c.example"\n${OURS}`,
      THEIRS,
      '',
      'which the certificate does not prove, allowed: "C=CH',
    ],
    [OURS, THEIRS, 'psk_file = "office.psk"', 'found beside certificates of both sides'],
    [OURS, 'id = "b.example"', '', 'no key, allowed: "psk_file"'],
    [OURS, 'id = "b.example"\nca = ["a.pem"]', '', 'a.pem is no certificate of an authority'],
    [OURS, 'id = "b.example"\nca = []', '', 'at least one entry'],
    [OURS, `${THEIRS}\ncrl = ["ca.pem"]`, '', 'ca.pem holds none, allowed: CRLs in PEM or DER'],
    [OURS, `${THEIRS}\ncrl = ["office.psk"]`, '', 'office.psk holds what is no CRL'],
    [OURS, 'revocation = "strict"', 'psk_file = "office.psk"', 'found without certificates'],
    [OURS, `${THEIRS}\nrevocation = "lax"`, '', '"strict", "ifuri", "relaxed"'],
  ])('is refused, case %#', (ours, theirs, more, problem) => {
    expect(problemsOf(ours, theirs, more)).toContain(problem);
  });

  it('is told of when our certificate will soon be over', () => {
    const hints = (ours: string) =>
      hintsForHost(load(ours, THEIRS).config).filter((hint) => hint.includes('certificate'));
    pki.make('brief', { issuer: 'ca', days: 20 });
    pki.make('long', { issuer: 'ca', days: 40 });
    expect(hints('cert = "brief.pem"\nkey = "brief.key"')).toEqual([
      expect.stringMatching(/^our certificate of connection "office" is valid until .* GMT$/),
    ]);
    expect(hints('cert = "long.pem"\nkey = "long.key"')).toEqual([]);
  });

  it('says in a plan what has changed', () => {
    const { config: before } = load(OURS, THEIRS);
    const changed = (ours: string, theirs: string) =>
      planChange(before, load(ours, theirs).config).connections[0]!;
    expect(changed(OURS, THEIRS).action).toBe('stay');
    const other = changed('id = "192.0.2.1"\ncert = "a.pem"\nkey = "a.key"', THEIRS);
    expect(other).toMatchObject({ action: 'restart', changed: ['local.id'] });
    const list = changed(OURS, `${THEIRS}\ncrl = ["ca.crl"]`);
    expect(list).toMatchObject({ action: 'adjust', changed: ['remote.crl'] });
    const pinned = changed(OURS, `${THEIRS}\ncert = "b.pem"`);
    expect(pinned).toMatchObject({ action: 'restart', changed: ['remote.cert'] });
    pki.make('a', { issuer: 'ca', extensions: ['subjectAltName = DNS:a.example, IP:192.0.2.1'] });
    const renewed = changed(OURS, THEIRS);
    expect(renewed).toMatchObject({ action: 'renew', changed: ['local.key', 'local.cert'] });
    expect(JSON.stringify(renewed)).not.toContain('PRIVATE');
  });
});
