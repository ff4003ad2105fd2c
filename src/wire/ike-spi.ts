/** IKE SPIs (RFC 7296 §2.6, §3.1). */

/** 64-bit IKE SPI (RFC 7296 §3.1) as 16 hexadecimal digits, lower case. */
export type IkeSpi = string & { readonly brand: 'IkeSpi' };

/** The responder's SPI in the first message of an IKE_SA_INIT exchange. */
export const ZERO_IKE_SPI = '0000000000000000' as IkeSpi;

const DIGITS = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

/** The value of each digit, by its character code; 255 of what is none. */
const VALUES = new Uint8Array(128).fill(255);
for (const [value, digit] of [...'0123456789abcdef'].entries()) VALUES[digit.charCodeAt(0)] = value;

/** The eight octets at `offset` as an SPI; the caller has checked that they are there. */
export function ikeSpiAt(data: Uint8Array, offset = 0): IkeSpi {
  let digits = '';
  for (let i = offset; i < offset + 8; i++) digits += DIGITS[data[i]!];
  return digits as IkeSpi;
}

/** The SPI's eight octets, as in a proposal for an IKE SA (§3.3.1) or the input of SKEYSEED. */
export function ikeSpiBytes(spi: IkeSpi): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(8);
  for (let i = 0; i < 16; i++) {
    const value = VALUES[spi.charCodeAt(i)] ?? 255;
    if (value > 15 || spi.length !== 16) throw new RangeError(`not an IKE SPI: ${spi}`);
    octets[i >>> 1] = octets[i >>> 1]! * 16 + value;
  }
  return octets;
}
