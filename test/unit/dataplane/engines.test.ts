/** What the daemon says about the engines that it uses, and what `esplane bench crypto` prints. */
import { describe, expect, it } from 'vitest';
import { measureSuite } from '../../../src/bench/crypto.js';
import { renderFigures, selectSuites } from '../../../src/cli/bench.js';
import { describeChoice, engineFor, slowCpuWarning } from '../../../src/dataplane/engines.js';

const contestant = (name: string, nanosecondsPerByte: number) => ({ name, nanosecondsPerByte });

const gcm = {
  suite: 'AES-GCM-16-256',
  engine: 'vaes256',
  nanosecondsPerByte: 0.157,
  aeads: [contestant('vaes256', 0.157), contestant('openssl', 0.9)],
  ciphers: [],
  macs: [],
};

describe('the choice of engines', () => {
  it('is one line for an AEAD', () => {
    expect(describeChoice(gcm)).toBe('AES-GCM-16-256: vaes256, 0.16 ns/byte (openssl 0.90)');
  });

  it('is told by cipher and MAC for all others', () => {
    const choice = {
      suite: 'AES-CBC-128/HMAC-SHA1-96',
      engine: 'ipsec-mb+shani',
      nanosecondsPerByte: 0.6,
      aeads: [],
      ciphers: [contestant('ipsec-mb', 0.2), contestant('openssl', 0.7)],
      macs: [contestant('shani', 0.4)],
    };
    expect(describeChoice(choice)).toBe(
      'AES-CBC-128/HMAC-SHA1-96: ipsec-mb+shani, 0.60 ns/byte; ' +
        'cipher ipsec-mb 0.20 (openssl 0.70); MAC shani 0.40',
    );
  });

  it('is found by the numbers of IKE', () => {
    expect(engineFor({ encryption: 20, keyBits: 256, integrity: 0 })?.suite).toBe('AES-GCM-16-256');
    expect(engineFor({ encryption: 28, keyBits: 0, integrity: 0 })?.suite).toBe(
      'ChaCha20-Poly1305',
    );
    expect(engineFor({ encryption: 11, keyBits: 0, integrity: 0 })).toBeUndefined();
  });

  it('says what a CPU without AES instructions costs', () => {
    expect(slowCpuWarning(gcm, { aesni: true })).toBeUndefined();
    const slow = { ...gcm, engine: 'openssl', nanosecondsPerByte: 8 };
    expect(slowCpuWarning(slow, { aesni: false })).toMatch(
      /no AES instructions: AES-GCM-16-256 by openssl takes 8.0 ns\/byte, 1.00 Gbit\/s a core/,
    );
  });
});

describe('esplane bench crypto', () => {
  const options = { sizes: [64, 256], batch: 8, seconds: 0.002 };

  it('takes suites by a part of their name, or by all of it', () => {
    const names = (...words: string[]) => selectSuites(words).map(({ name }) => name);
    expect(names('aes-gcm-8')).toEqual(['AES-GCM-8-128', 'AES-GCM-8-192', 'AES-GCM-8-256']);
    expect(names('HMAC-SHA1-96')).toEqual(['HMAC-SHA1-96']);
    expect(names().length).toBeGreaterThan(5);
    expect(() => names('rot13')).toThrow(/no suite has rot13 in its name/);
  });

  it('measures every engine and marks the one in use', () => {
    const [suite] = selectSuites(['AES-CBC-128/HMAC-SHA2-256-128']);
    const figures = measureSuite(suite!, options);
    expect(figures.filter(({ chosen }) => chosen)).toHaveLength(options.sizes.length);
    expect(figures.map(({ engine }) => engine)).toContain('openssl');
    expect(figures.map(({ engine }) => engine)).not.toContain('reference');
    for (const figure of figures) {
      expect(figure.sealNanoseconds).toBeGreaterThan(0);
      expect(figure.openNanoseconds).toBeGreaterThan(0);
    }
  });

  it('prints a block for each suite, with a line for each engine', () => {
    const figure = (engine: string, bytes: number, sealNanoseconds: number) => ({
      suite: 'AES-GCM-16-128',
      engine,
      chosen: engine === 'aesni',
      bytes,
      sealNanoseconds,
      openNanoseconds: sealNanoseconds + 1,
      gigabitsPerSecond: (bytes * 8) / sealNanoseconds,
    });
    const text = renderFigures(
      [
        figure('aesni', 64, 20),
        figure('openssl', 64, 300),
        figure('aesni', 256, 64),
        figure('openssl', 256, 350),
      ],
      options,
    );
    expect(text.split('\n').slice(1)).toEqual([
      'ns a packet, sealing / opening; Gbit/s of sealing at the last size; * is what is used',
      '',
      'AES-GCM-16-128       64 B      256 B  Gbit/s',
      '* aesni           20 / 21    64 / 65    32.0',
      '  openssl       300 / 301  350 / 351     5.9',
      '',
    ]);
  });
});
