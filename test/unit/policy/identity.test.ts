import { describe, expect, it } from 'vitest';
import { formatIdentity, parseIdentity, sameIdentity } from '../../../src/policy/identity.js';

const octets = (text: string) => new TextEncoder().encode(text);

describe('parseIdentity', () => {
  it.each([
    ['192.0.2.1', 1, Uint8Array.of(192, 0, 2, 1)],
    ['gw.example.org', 2, octets('gw.example.org')],
    ['@gw.example.org', 2, octets('gw.example.org')],
    ['carol@example.org', 3, octets('carol@example.org')],
    ['fqdn:192.0.2.1', 2, octets('192.0.2.1')],
    ['keyid:office 7', 11, octets('office 7')],
    ['keyid:0x0a0B', 11, Uint8Array.of(10, 11)],
    ['@#0a0b', 11, Uint8Array.of(10, 11)],
    ['email:carol@example.org', 3, octets('carol@example.org')],
  ])('reads %s', (text, type, data) => {
    expect(parseIdentity(text)).toEqual({ type, data });
  });

  it('reads an IPv6 address', () => {
    const { type, data } = parseIdentity('2001:db8::1');
    expect([type, data.length, data[0], data[15]]).toEqual([5, 16, 0x20, 1]);
  });

  it.each(['', '@', 'a b', 'keyid:', 'keyid:0xabc', 'ipv4:2001:db8::1', 'ipv6:192.0.2.1', 'ä.org'])(
    'refuses "%s"',
    (text) => {
      expect(() => parseIdentity(text)).toThrow(RangeError);
    },
  );
});

describe('formatIdentity', () => {
  it.each(['192.0.2.1', '2001:db8::1', 'gw.example.org', 'carol@example.org', 'keyid:office-7'])(
    'prints %s as it was written',
    (text) => {
      expect(formatIdentity(parseIdentity(text))).toBe(text);
    },
  );

  it('shows octets of a peer that do not print as hexadecimal digits', () => {
    expect(formatIdentity({ type: 2, data: Uint8Array.of(0x61, 0x0a, 0x1b) })).toBe('fqdn:610a1b');
    expect(formatIdentity({ type: 1, data: Uint8Array.of(1, 2, 3) })).toBe('ID_IPV4_ADDR:010203');
    expect(formatIdentity({ type: 77, data: Uint8Array.of(1) })).toBe('77:01');
    expect(formatIdentity({ type: 2, data: new Uint8Array(5000).fill(0x61) }).length).toBeLessThan(
      150,
    );
  });
});

describe('sameIdentity', () => {
  it('ignores capitals in names, not in key IDs (RFC 4945 §3.1.2)', () => {
    const same = (a: string, b: string) => sameIdentity(parseIdentity(a), parseIdentity(b));
    expect(same('GW.example.org', 'gw.EXAMPLE.org')).toBe(true);
    expect(same('keyid:A', 'keyid:a')).toBe(false);
    expect(same('gw.example.org', 'gw.example.orga')).toBe(false);
    expect(same('fqdn:192.0.2.1', '192.0.2.1')).toBe(false);
  });
});
