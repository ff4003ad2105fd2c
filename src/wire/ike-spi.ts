/** IKE SPIs (RFC 7296 §2.6, §3.1). */

/** 64-bit IKE SPI (RFC 7296 §3.1) as 16 hexadecimal digits, lower case. */
export type IkeSpi = string & { readonly brand: 'IkeSpi' };

/** The responder's SPI in the first message of an IKE_SA_INIT exchange. */
export const ZERO_IKE_SPI = '0000000000000000' as IkeSpi;

const DIGITS = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

/** The eight octets at `offset` as an SPI; the caller has checked that they are there. */
export function ikeSpiAt(data: Uint8Array, offset = 0): IkeSpi {
  let digits = '';
  for (let i = offset; i < offset + 8; i++) digits += DIGITS[data[i]!];
  return digits as IkeSpi;
}

/** The SPI's eight octets, as in a proposal for an IKE SA (§3.3.1) or the input of SKEYSEED. */
export function ikeSpiBytes(spi: IkeSpi): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{16}$/.test(spi)) throw new RangeError(`not an IKE SPI: ${spi}`);
  const octets = new Uint8Array(8);
  const view = new DataView(octets.buffer);
  view.setUint32(0, Number.parseInt(spi.slice(0, 8), 16));
  view.setUint32(4, Number.parseInt(spi.slice(8), 16));
  return octets;
}
