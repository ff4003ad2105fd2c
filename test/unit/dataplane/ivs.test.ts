/**
 * 5,000 packets have 5,000 IVs, for every algorithm that has them, and 5,000 sequence numbers: with
 * a counter mode or GMAC, a second packet with the same one would give the key away.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/crypto/secret.js';
import type { EspSpi } from '../../../src/sad/sad.js';
import { TRANSFORMS, type Transform } from '../../transforms.js';
import { A, B, childSa, collect, Lone } from './gateways.js';
import { frame, ipPacket, pattern } from './packets.js';

const PACKETS = 5000;
/** What a memory port takes at once with room to spare. */
const BURST = 500;
const OUTER_BYTES = 14 + 20;

/** RFC 3602 §3, 3686 §3.1, 4106 §3.1, 4309 §3.1, 4543 §3.1 and §4, 7634 §2, 8750 §4. */
function ivOf({ protocol, encryption, integrity }: Transform): { offset: number; bytes: number } {
  if (protocol === 'ah') return { offset: 12, bytes: integrity >= 9 && integrity <= 11 ? 8 : 0 };
  const isImplicit = encryption >= 29 && encryption <= 31;
  if (encryption === 11 || isImplicit) return { offset: 8, bytes: 0 };
  return { offset: 8, bytes: encryption === 12 ? 16 : 8 };
}

/** One of each algorithm: neither the key's size nor the integrity beside a cipher touches the IV. */
const ALGORITHMS = [
  ...new Map(TRANSFORMS.map((each) => [`${each.encryption} ${ivOf(each).bytes}`, each])).values(),
];

describe('5,000 packets', () => {
  let lone: Lone;
  beforeAll(() => {
    lone = new Lone({ maxChildSas: ALGORITHMS.length });
  });
  afterAll(() => lone.stop());

  it.each(ALGORITHMS)('have 5,000 IVs with $name', async (transform) => {
    const { protocol, encryption, keyBits, integrity, keymatBytes } = transform;
    const { dataplane, host } = lone.gateway;
    const inbound = dataplane.allocateSpi();
    const keymat = () => new Secret(pattern(keymatBytes, encryption + integrity + keyBits));
    dataplane.install({
      ...childSa(A, B, { inbound, outbound: 0x3000 as EspSpi }),
      ...{ protocol, encryption, keyBits, integrity },
      inboundKey: keymat(),
      outboundKey: keymat(),
    });
    const packet = ipPacket({ source: '10.1.0.5', destination: '10.2.0.7', payload: pattern(20) });
    const { offset, bytes } = ivOf(transform);
    const ivs = new Set<string>();
    const sequences = new Set<number>();
    for (let sent = 0; sent < PACKETS; sent += BURST) {
      expect(host.send(Array<Uint8Array>(BURST).fill(frame(packet)))).toBe(BURST);
      for (const each of await collect(lone.wire, BURST)) {
        const header = Buffer.from(each.buffer, each.byteOffset + OUTER_BYTES);
        expect(each[14 + 9]).toBe(protocol === 'ah' ? 51 : 50);
        sequences.add(header.readUInt32BE(protocol === 'ah' ? 8 : 4));
        ivs.add(header.toString('hex', offset, offset + bytes));
      }
    }
    expect(sequences.size).toBe(PACKETS);
    expect([Math.min(...sequences), Math.max(...sequences)]).toEqual([1, PACKETS]);
    if (bytes > 0) expect(ivs.size).toBe(PACKETS);
    // An attacker who can choose plaintexts must not know a CBC IV beforehand (RFC 3602 §3): no
    // bit of it stays, and none goes with the number.
    if (encryption === 12) expect(sameBits(ivs)).toEqual([]);
    dataplane.remove(inbound);
  });
});

/** The bits of which IVs of a random sequence have not about half set. */
function sameBits(ivs: ReadonlySet<string>): number[] {
  const counts = new Array<number>(128).fill(0);
  for (const iv of ivs) {
    const bits = Buffer.from(iv, 'hex');
    for (let i = 0; i < 128; i++) counts[i]! += (bits[i >> 3]! >> (7 - (i & 7))) & 1;
  }
  // Eight standard deviations.
  const off = 8 * Math.sqrt(ivs.size / 4);
  return counts.flatMap((n, i) => (Math.abs(n - ivs.size / 2) > off ? [i] : []));
}
