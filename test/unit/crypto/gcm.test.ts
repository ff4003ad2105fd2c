/**
 * Published AES-GCM vectors on every kernel that this CPU can run. Equality of the kernels on
 * other lengths, batches and alignments is native/test/crypto.
 */
import { describe, expect, it } from 'vitest';
import { addon } from '../../../src/dataplane/addon.js';
import type { GcmBenchOptions } from '../../../src/dataplane/bindings/crypto.js';
import { hex, readVectors, readWycheproof, toHex } from './vectors.js';

interface Case {
  readonly name: string;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly text: string;
  readonly ciphertext: string;
  readonly icv: string;
  /** False where the ICV must be refused. */
  readonly valid: boolean;
}

/** Why ESP cannot make use of a Wycheproof group, or undefined where it can. */
function outOfScope(group: { readonly [field: string]: unknown }): string | undefined {
  if (group.ivSize !== 96) return `nonce of ${group.ivSize} bits (RFC 4106 §4: 96)`;
  if (group.tagSize !== 128) return `ICV of ${group.tagSize} bits (AES-GCM-16: 128)`;
  return undefined;
}

/** The cases in scope of a Wycheproof file; what is left out is printed with its reason. */
function wycheproof(name: string, toCase: (t: Record<string, string>) => Partial<Case>): Case[] {
  const left = new Map<string, number>();
  const cases: Case[] = [];
  for (const group of readWycheproof(name)) {
    const reason = outOfScope(group);
    if (reason !== undefined) {
      left.set(reason, (left.get(reason) ?? 0) + group.tests.length);
      continue;
    }
    for (const test of group.tests) {
      const t = test as unknown as Record<string, string>;
      if (test.result === 'acceptable') throw new Error(`${name} ${test.tcId}: neither way`);
      cases.push({
        name: `${name} tcId ${test.tcId} ${test.comment}`,
        key: t.key!,
        nonce: t.iv!,
        aad: '',
        text: '',
        ciphertext: '',
        icv: t.tag!,
        valid: test.result === 'valid',
        ...toCase(t),
      });
    }
  }
  const reasons = [...left].map(([reason, count]) => `  ${count} left out: ${reason}`);
  console.log([`${name}: ${cases.length} cases on each kernel`, ...reasons].join('\n'));
  return cases;
}

function nistCases(): Case[] {
  const file = JSON.parse(readVectors('nist/gcmEncryptExtIV-iv96-tag128.json')) as {
    tests: readonly Record<string, string>[];
  };
  return file.tests.map((t) => ({
    name: `gcmEncryptExtIV${t.bits} PTlen ${t.ptlen} AADlen ${t.aadlen} #${t.count}`,
    key: t.key!,
    nonce: t.iv!,
    aad: t.aad!,
    text: t.pt!,
    ciphertext: t.ct!,
    icv: t.tag!,
    valid: true,
  }));
}

function espCases(): Case[] {
  const file = JSON.parse(readVectors('rfc/esp-kat.json')) as {
    tests: readonly Record<string, string>[];
  };
  const gcm = file.tests.filter((t) => t.source === 'draft-mcgrew-gcm-test-01');
  return gcm.map((t, i) => ({
    name: `draft-mcgrew-gcm-test-01 case ${i + 1}`,
    key: t.key!,
    nonce: t.salt! + t.iv!,
    aad: t.aad!,
    text: t.plaintext!,
    ciphertext: t.ciphertext!,
    icv: t.icv!,
    valid: true,
  }));
}

const NO_KEY = new Uint8Array(0);

/** A case's operation on a kernel, without its text. */
function operationOf(kernel: string, c: Case) {
  return {
    suite: `AES-GCM-16-${c.key.length * 4}`,
    engine: kernel,
    encryptionKey: hex(c.key),
    integrityKey: NO_KEY,
    nonce: hex(c.nonce),
    aad: hex(c.aad),
  };
}

function check(kernel: string, c: Case): void {
  const operation = operationOf(kernel, c);
  const opened = addon.suiteOpen({ ...operation, text: hex(c.ciphertext), icv: hex(c.icv) });
  expect(opened && toHex(opened), c.name).toBe(c.valid ? c.text : null);
  if (!c.valid) return;
  const sealed = addon.suiteSeal({ ...operation, text: hex(c.text) });
  expect(toHex(sealed.text), c.name).toBe(c.ciphertext);
  expect(toHex(sealed.icv), c.name).toBe(c.icv);
}

const gcm = wycheproof('aes_gcm_test', (t) => ({
  aad: t.aad!,
  text: t.msg!,
  ciphertext: t.ct!,
}));
const gmac = wycheproof('aes_gmac_test', (t) => ({ aad: t.msg! }));
const nist = nistCases();
const esp = espCases();

describe.each(addon.gcmKernels().available)('AES-GCM kernel %s', (kernel) => {
  it('agrees with every Wycheproof case of a 96-bit nonce and a 128-bit ICV', () => {
    expect(gcm).toHaveLength(197);
    for (const c of gcm) check(kernel, c);
  });

  it('agrees with the Wycheproof cases of GMAC: all AAD and no text (RFC 4543)', () => {
    expect(gmac.length).toBeGreaterThan(100);
    for (const c of gmac) check(kernel, c);
  });

  it('agrees with the 1,125 NIST cases of a 96-bit IV and a 128-bit tag', () => {
    expect(nist).toHaveLength(1125);
    for (const c of nist) check(kernel, c);
  });

  it('agrees with the ESP packets of draft-mcgrew-gcm-test, with and without ESN', () => {
    expect(esp).toHaveLength(14);
    for (const c of esp) check(kernel, c);
  });

  it('refuses a NIST case with one bit of its ICV turned', () => {
    for (const c of nist.slice(0, 200)) {
      const icv = hex(c.icv);
      icv[c.name.length % 16]! ^= 1;
      const text = hex(c.ciphertext);
      expect(addon.suiteOpen({ ...operationOf(kernel, c), text, icv }), c.name).toBeNull();
    }
  });
});

describe('what benchmarks compare with', () => {
  const peers = addon.gcmKernels().peers;
  const timing = { batch: 8, decrypt: true, hot: true, seconds: 0 };

  it.each(peers)('%s opens what the kernel in use sealed', (kernel) => {
    for (const keyBits of [128, 192, 256] as const) {
      for (const textBytes of [16, 68, 1420]) {
        const { repetitions } = addon.benchGcm({ ...timing, kernel, keyBits, textBytes });
        expect(repetitions).toBeGreaterThan(0);
      }
    }
  });

  // Its jobs have GMAC too, but under another name, which nothing here asks for.
  it.each(peers.filter((name) => name !== 'ipsec-mb jobs'))('%s agrees on GMAC', (kernel) => {
    for (const keyBits of [128, 256] as const) {
      const gmac = { ...timing, kernel, keyBits, textBytes: 300, gmac: true };
      expect(addon.benchGcm(gmac).repetitions).toBeGreaterThan(0);
    }
  });
});

describe('the AES-GCM binding', () => {
  it('names the kernel in use and always has libcrypto and the plain reference', () => {
    const { inUse, available } = addon.gcmKernels();
    expect(available).toContain(inUse);
    expect(available).toEqual(expect.arrayContaining(['openssl', 'reference']));
  });

  it('refuses to time what does not exist, by the name of the field', () => {
    const kernel = 'reference';
    const timing = { kernel, keyBits: 128, textBytes: 64, batch: 8, decrypt: true, hot: true };
    const timed = (change: object) => () =>
      addon.benchGcm({ ...timing, seconds: 0, ...change } as GcmBenchOptions);
    expect(timed({})).not.toThrow();
    expect(timed({ kernel: 'rot13' })).toThrow(/kernel: expected an AES-GCM kernel/);
    expect(timed({ keyBits: 160 })).toThrow(/keyBits: expected 128, 192 or 256/);
    expect(timed({ batch: 65 })).toThrow(/batch/);
  });
});
