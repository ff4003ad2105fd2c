import { describe, expect, it } from 'vitest';
import { formatName, parseName, sameName } from '../../../src/policy/distinguished-name.js';

const hex = (digits: string) => Uint8Array.from(Buffer.from(digits, 'hex'));

/** Subjects of certificates that openssl 3.0 has made, and strongSwan's way to write them. */
const NAMES = [
  // C and CN as openssl has them: PrintableString and UTF8String.
  [
    '302c310b3009060355040613024348310f300d060355040a0c0653747261c39f310c300a06035504030c036d6f6e',
    'C=CH, O=Straß, CN=mon',
  ],
  // DC and an e-mail address: IA5String.
  [
    '303031133011060a0992268993f22c6401191603636f6d3119301706092a864886f70d010901160a6140782e6f72672c2062',
    'DC=com, E=a@x.org\\, b',
  ],
  // Two attributes in one RDN.
  ['301c311a300806035504030c0161300e0603550405130731323334353637', 'CN=a, serialNumber=1234567'],
] as const;

describe('a distinguished name', () => {
  it.each(NAMES)('%s is shown as %s', (der, text) => {
    expect(formatName(hex(der))).toBe(text);
    expect(sameName(hex(der), hex(der))).toBe(true);
  });

  it.each([
    'C=CH, O=Straß, CN=mon',
    'DC=com, E=a@x.org\\, b',
    'CN=a\\\\b',
    '1.2.3.4=x',
    'UID=1, OU=a, OU=b, ST=c, L=d, title=e, GN=f, SN=g',
  ])('%s is read as it is shown', (text) => {
    expect(formatName(parseName(text))).toBe(text);
  });

  it('is written in more than one way', () => {
    const name = parseName('C=CH, O=Example, CN=gw');
    for (const text of [
      'c=CH,o=Example,cn=gw',
      '/C=CH/O=Example/CN=gw',
      ' C = CH ,O= Example, CN =gw ',
    ]) {
      expect(parseName(text)).toEqual(name);
    }
    expect(parseName('Email=a@b.c')).toEqual(parseName('emailAddress=a@b.c'));
    expect(formatName(parseName('/CN=a\\/b, c/O=d'))).toBe('CN=a/b\\, c, O=d');
  });

  it.each(['', 'CH', 'C=', 'C=CH, CH', 'X=y', '=x', '9.9=x'])('"%s" is none', (text) => {
    expect(() => parseName(text)).toThrow(RangeError);
  });

  it('is the same whatever its case, blanks and kind of string (RFC 5280 §7.1)', () => {
    const printable = parseName('C=CH, O=An Example, CN=gw');
    expect(sameName(printable, parseName('c=ch, o=  an   EXAMPLE , cn=GW'))).toBe(true);
    // The same as UTF8String, and as BMPString.
    const utf8 = hex('300d310b300906035504030c02' + '6777');
    const bmp = hex('300f310d300b06035504031e04' + '00670077');
    expect(sameName(parseName('CN=gw'), utf8)).toBe(true);
    expect(sameName(utf8, bmp)).toBe(true);
  });

  it('is another one in another order, of another length, in other RDNs', () => {
    const name = parseName('C=CH, CN=gw');
    for (const other of [
      'CN=gw, C=CH',
      'C=CH',
      'C=CH, CN=gw, CN=gw',
      'C=CH, OU=gw',
      'C=CH, CN=gx',
    ]) {
      expect(sameName(name, parseName(other))).toBe(false);
    }
    const together = hex('3014311230080603550406130163300606035504030c00');
    expect(sameName(together, hex('30123107300506035504060c01633107300506035504030c00'))).toBe(
      false,
    );
  });

  it('shows nothing that does not print, and no part of another attribute', () => {
    expect(formatName(hex('300c310a300806035504030c010a'))).toBe('CN=#0a');
    expect(formatName(parseName('CN=a\\, O=b'))).toBe('CN=a\\, O=b');
  });

  it('that a peer has made up is undefined, not an exception', () => {
    const good = parseName('C=CH, O=Example, CN=gw');
    for (let i = 0; i < good.length; i++) {
      expect(formatName(good.subarray(0, i))).toBeUndefined();
      for (const octet of [0, 0x1f, 0x7f, 0x80, 0x84, 0xff]) {
        const bad = good.slice();
        bad[i] = octet;
        formatName(bad);
        sameName(good, bad);
      }
    }
    const many = Array.from({ length: 33 }, () => [...hex('3109300706035504030c00')]).flat();
    expect(
      formatName(Uint8Array.from([0x30, 0x82, many.length >> 8, many.length & 255, ...many])),
    ).toBeUndefined();
    expect(formatName(new Uint8Array(60_000).fill(0x30))).toBeUndefined();
  });
});
