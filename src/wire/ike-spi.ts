/** IKE SPIs (RFC 7296 §2.6, §3.1). */

/** 64-bit IKE SPI (RFC 7296 §3.1) as 16 hexadecimal digits, lower case. */
export type IkeSpi = string & { readonly brand: 'IkeSpi' };

/** The responder's SPI in the first message of an IKE_SA_INIT exchange. */
export const ZERO_IKE_SPI = '0000000000000000' as IkeSpi;

/** Character codes of the digits. */
const CODES = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

/** The value of each digit, by its character code; 255 of what is none. */
const VALUES = new Uint8Array(128).fill(255);
for (const [value, digit] of [...'0123456789abcdef'].entries()) VALUES[digit.charCodeAt(0)] = value;

/** The eight octets at `offset` as an SPI; the caller has checked that they are there. */
export function ikeSpiAt(data: Uint8Array, offset = 0): IkeSpi {
  const high = (i: number) => CODES[data[offset + i]! >>> 4]!;
  const low = (i: number) => CODES[data[offset + i]! & 15]!;
  // All at once: what is put together by and by is put together again when it is looked up; and no
  // array of digits, of which a datagram would make a dozen.
  // biome-ignore format: two digits an octet
  return String.fromCharCode(
    high(0), low(0), high(1), low(1), high(2), low(2), high(3), low(3),
    high(4), low(4), high(5), low(5), high(6), low(6), high(7), low(7),
  ) as IkeSpi;
}

/** The SPI's eight octets, as in a proposal for an IKE SA (§3.3.1) or the input of SKEYSEED. */
export function ikeSpiBytes(spi: IkeSpi): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(8);
  const view = new DataView(octets.buffer);
  view.setUint32(0, ikeSpiHalf(spi, 0));
  view.setUint32(4, ikeSpiHalf(spi, 1));
  return octets;
}

/** The first or the second 32 bits of the SPI. */
export function ikeSpiHalf(spi: IkeSpi, half: 0 | 1): number {
  let value = 0;
  for (let i = 8 * half; i < 8 * half + 8; i++) {
    const digit = VALUES[spi.charCodeAt(i)] ?? 255;
    if (digit > 15 || spi.length !== 16) throw new RangeError(`not an IKE SPI: ${spi}`);
    value = value * 16 + digit;
  }
  return value;
}
