import { describe, expect, it } from 'vitest';
import { mac } from '../../../src/crypto/mac.js';
import { prf, prfById } from '../../../src/crypto/prf.js';
import { hex, readWycheproof, toHex } from './vectors.js';

/** 00 01 02 ... */
const counting = (octets: number) => Uint8Array.from({ length: octets }, (_, i) => i);
const KEY = counting(16);

describe('AES-XCBC', () => {
  it.each([
    [0, '75f0251d528ac01c4573dfd584d79f29'],
    [3, '5b376580ae2f19afe7219ceef172756f'],
    [16, 'd2a246fa349b68a79998a4394ff7a263'],
    [20, '47f51b4564966215b8985c63055ed308'],
    [32, 'f54f0ec8d2b9f3d36807734bd5283fd4'],
    [34, 'becbb3bccdb518a30677d5481fb6b4d8'],
  ])('gives the output of RFC 3566 §4.6 for %i octets', (octets, output) => {
    expect(toHex(mac('xcbc', KEY, counting(octets)))).toBe(output);
  });

  it('is the PRF of RFC 4434 §2.1 with keys of 16, 10 and 18 octets', () => {
    const algorithm = prfById(4)!;
    const longer = Uint8Array.of(...KEY, 0xed, 0xcb);
    const outputs = [KEY, counting(10), longer].map((key) =>
      toHex(prf(algorithm, key, counting(20))),
    );
    expect(outputs).toEqual([
      '47f51b4564966215b8985c63055ed308',
      '0fa087af7d866e7653434e602fdde835',
      '8cd3c93ae598a9803006ffb67c40e9e4',
    ]);
  });
});

describe('AES-CMAC', () => {
  it('agrees with every Wycheproof vector of a key of 128 bits', () => {
    let count = 0;
    for (const group of readWycheproof('aes_cmac_test')) {
      if (group.keySize !== 128 || group.tagSize !== 128) continue;
      for (const test of group.tests) {
        const output = toHex(mac('cmac', hex(test.key as string), hex(test.msg as string)));
        expect(output === test.tag, `${test.tcId}: ${test.comment}`).toBe(test.result === 'valid');
        count++;
      }
    }
    expect(count).toBeGreaterThan(50);
  });

  it('is the PRF of RFC 4615 §4 with keys of 18, 16 and 10 octets', () => {
    const algorithm = prfById(8)!;
    const longer = Uint8Array.of(...KEY, 0xed, 0xcb);
    const outputs = [longer, KEY, counting(10)].map((key) =>
      toHex(prf(algorithm, key, counting(20))),
    );
    expect(outputs).toEqual([
      '84a348a4a45d235babfffc0d2b4da09a',
      '980ae87b5f4c9c5214f5b6a8455e4c2d',
      '290d9e112edb09ee141fcf64c0b72f3d',
    ]);
  });
});

it('takes several chunks as one string of octets', () => {
  for (const algorithm of ['sha1', 'sha256', 'xcbc', 'cmac'] as const) {
    const chunks = [counting(5), counting(0), counting(30)];
    const whole = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
    expect(toHex(mac(algorithm, KEY, ...chunks))).toBe(toHex(mac(algorithm, KEY, whole)));
  }
});
