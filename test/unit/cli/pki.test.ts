/** `esplane pki`: what it makes, as openssl sees it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { makeProgram } from '../../../src/cli/program.js';
import { KEY_TYPES } from '../../../src/pki/authority.js';

let folder: string;
let said: string;

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'esplane-pki-')), 'pki');
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(join(folder, '..'), { recursive: true });
});

const file = (name: string) => join(folder, name);
const pki = async (...words: string[]): Promise<void> => {
  const program = await makeProgram(['pki']);
  await program.parseAsync(['pki', ...words, '--dir', folder], { from: 'user' });
};
const openssl = (...words: string[]) =>
  execFileSync('openssl', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const verify = (name: string, ...more: string[]) =>
  openssl('verify', '-x509_strict', '-CAfile', file('ca.pem'), ...more, file(`${name}.pem`));

describe('esplane pki', () => {
  it('makes an authority, and certificates that openssl verifies strictly', async () => {
    await pki('init', '--name', 'C=CH, O=Example, CN=Root');
    await pki(
      'issue',
      'gw',
      '--id',
      'gw.example.org',
      '--id',
      '192.0.2.1',
      '--id',
      'a@example.org',
    );
    expect(verify('gw')).toContain('OK');
    expect(said).toContain('proves    CN=gw; gw.example.org; 192.0.2.1; a@example.org');
    const text = openssl('x509', '-noout', '-text', '-in', file('gw.pem'));
    expect(text).toContain('Issuer: C = CH, O = Example, CN = Root');
    expect(text).toContain('DNS:gw.example.org, IP Address:192.0.2.1, email:a@example.org');
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\s/);
  });

  // Longer RSA keys take seconds to make, and nothing else.
  it.each(KEY_TYPES.filter((type) => !/^rsa-[34]/.test(type)))(
    'makes keys of type %s, which only their owner may read',
    async (type) => {
      await pki('init', '--key', type);
      await pki('issue', 'gw', '--key', type, '--id', '2001:db8::1');
      expect(verify('gw')).toContain('OK');
      for (const name of ['ca', 'gw'])
        expect(statSync(file(`${name}.key`)).mode & 0o777).toBe(0o600);
      const [own, certified] = [
        openssl('pkey', '-pubout', '-in', file('gw.key')),
        openssl('x509', '-pubkey', '-noout', '-in', file('gw.pem')),
      ];
      expect(own).toBe(certified);
      expect(said).not.toContain('PRIVATE');
    },
  );

  it('revokes, and its list is the authority’s', async () => {
    await pki('init');
    await pki('issue', 'gone', '--id', 'gone.example.org');
    await pki('issue', 'here', '--crl-url', 'http://pki.example.org/ca.crl');
    await pki('revoke', 'gone');
    const check = ['-crl_check', '-CRLfile', file('ca.crl')];
    expect(verify('here', ...check)).toContain('OK');
    expect(() => verify('gone', ...check)).toThrow('certificate revoked');
    const before = openssl('crl', '-noout', '-crlnumber', '-in', file('ca.crl'));
    // What others keep here is none of its business.
    writeFileSync(file('a-key.pem'), '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n');
    await pki('revoke', 'gone');
    await pki('crl');
    said = '';
    await pki('show', 'here');
    expect(said).not.toContain('revoked');
    await pki('show', 'gone');
    expect(said).toMatch(/^ {2}revoked {3}2\d{3}-\d\d-\d\dT/m);
    expect(readFileSync(file('ca.revoked'), 'utf8').trim().split('\n').length).toBe(1);
    expect(openssl('crl', '-noout', '-crlnumber', '-in', file('ca.crl'))).not.toBe(before);
    expect(openssl('x509', '-noout', '-text', '-in', file('here.pem'))).toContain(
      'URI:http://pki.example.org/ca.crl',
    );
  });

  it('puts authorities between, and their certificates behind those that they sign', async () => {
    await pki('init');
    await pki('issue', 'site', '--authority');
    await pki('issue', 'gw', '--by', 'site', '--id', 'CN=gw, O=Site');
    const chain = readFileSync(file('gw.pem'), 'utf8');
    expect(chain.match(/BEGIN/g)?.length).toBe(2);
    expect(verify('gw', '-untrusted', file('site.pem'))).toContain('OK');
    await pki('revoke', 'gw');
    const lists = ['-crl_check', '-CRLfile', file('site.crl'), '-CRLfile', file('ca.crl')];
    expect(() => verify('gw', '-untrusted', file('site.pem'), ...lists)).toThrow('revoked');
  });

  it('refuses what it cannot do, and writes over nothing', async () => {
    await pki('init');
    await pki('issue', 'gw');
    const before = readFileSync(file('gw.key'), 'utf8');
    await expect(pki('issue', 'gw')).rejects.toThrow('gw.key is there already');
    await expect(pki('init')).rejects.toThrow('ca.key is there already');
    await expect(pki('issue', '../gw')).rejects.toThrow('not a name for a file');
    await expect(pki('issue', 'b', '--by', 'nobody')).rejects.toThrow('there is no');
    await expect(pki('issue', 'b', '--by', 'gw')).rejects.toThrow('is no authority');
    await expect(pki('issue', 'b', '--days', '0')).rejects.toThrow('not a number of days');
    await expect(pki('issue', 'b', '--id', 'keyid:x')).rejects.toThrow('no certificate proves');
    await expect(pki('issue', 'b', '--id', 'x,DNS:y')).rejects.toThrow('a comma');
    await expect(pki('revoke', 'nobody')).rejects.toThrow('there is no');
    expect(readFileSync(file('gw.key'), 'utf8')).toBe(before);
  });
});
