/** When a CRL was made (RFC 5280 §5.1.2.4): of two of one authority the newer counts. */

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

interface Element {
  readonly tag: number;
  /** Of its content. */
  readonly start: number;
  readonly end: number;
}

/**
 * thisUpdate of a CRL in DER, whose signature is for others to verify.
 * @return  milliseconds since 1970; undefined where it is no CRL
 */
export function thisUpdateOf(crl: Uint8Array): number | undefined {
  const list = elementAt(crl, 0, crl.length);
  if (list?.tag !== SEQUENCE || list.end !== crl.length) return undefined;
  const signed = elementAt(crl, list.start, list.end);
  if (signed?.tag !== SEQUENCE) return undefined;
  // §5.1.2: version (optional), signature, issuer, thisUpdate.
  let next = elementAt(crl, signed.start, signed.end);
  if (next?.tag === INTEGER) next = elementAt(crl, next.end, signed.end);
  for (let i = 0; i < 2; i++) {
    if (next?.tag !== SEQUENCE) return undefined;
    next = elementAt(crl, next.end, signed.end);
  }
  return next && timeOf(next, crl.subarray(next.start, next.end));
}

function elementAt(data: Uint8Array, offset: number, end: number): Element | undefined {
  if (offset + 2 > end) return undefined;
  const first = data[offset + 1]!;
  const octets = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + octets;
  if (octets > 4 || start > end) return undefined;
  let length = octets === 0 ? first : 0;
  for (let i = offset + 2; i < start; i++) length = length * 256 + data[i]!;
  return start + length > end ? undefined : { tag: data[offset]!, start, end: start + length };
}

/** YYMMDDHHMMSSZ of the years 1950 to 2049, or YYYYMMDDHHMMSSZ (RFC 5280 §4.1.2.5). */
function timeOf({ tag }: Element, octets: Uint8Array): number | undefined {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) return undefined;
  const text = Buffer.from(octets).toString('latin1');
  const century = tag === GENERALIZED_TIME ? '' : text < '50' ? '20' : '19';
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(century + text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}
