/** When a CRL was made (RFC 5280 §5.1.2.4): of two of one authority the newer counts. */
import { DER_TAG, type DerElement, readDer, readDerOnly } from '../wire/index.js';

/**
 * thisUpdate of a CRL in DER, whose signature is for others to verify.
 * @return  milliseconds since 1970; undefined where it is no CRL
 */
export function thisUpdateOf(crl: Uint8Array): number | undefined {
  const [signed] = readDerOnly(DER_TAG.SEQUENCE, crl) ?? [];
  if (signed?.tag !== DER_TAG.SEQUENCE) return undefined;
  const fields = readDer(signed.content) ?? [];
  // §5.1.2: version (optional), signature, issuer, thisUpdate.
  const hasVersion = fields[0]?.tag === DER_TAG.INTEGER;
  const [signature, issuer, thisUpdate] = hasVersion ? fields.slice(1) : fields;
  if (signature?.tag !== DER_TAG.SEQUENCE || issuer?.tag !== DER_TAG.SEQUENCE) return undefined;
  return thisUpdate && timeOf(thisUpdate);
}

/** YYMMDDHHMMSSZ of the years 1950 to 2049, or YYYYMMDDHHMMSSZ (RFC 5280 §4.1.2.5). */
function timeOf({ tag, content }: DerElement): number | undefined {
  if (tag !== DER_TAG.UTC_TIME && tag !== DER_TAG.GENERALIZED_TIME) return undefined;
  const text = Buffer.from(content).toString('latin1');
  const century = tag === DER_TAG.GENERALIZED_TIME ? '' : text < '50' ? '20' : '19';
  const found = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(century + text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}
