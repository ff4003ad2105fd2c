/**
 * DER (X.690), as far as IKE itself has to read and write it: algorithm identifiers in AUTH
 * (RFC 7427), distinguished names in ID payloads (RFC 7296 §3.5), and when a CRL was made.
 * Certificates are for others.
 *
 * One level at a time, so that nothing recurses on what a peer has sent. Left out: tags above 30.
 */

export const DER_TAG = {
  INTEGER: 0x02,
  NULL: 0x05,
  OBJECT_IDENTIFIER: 0x06,
  UTF8_STRING: 0x0c,
  SEQUENCE: 0x30,
  SET: 0x31,
  PRINTABLE_STRING: 0x13,
  T61_STRING: 0x14,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  UNIVERSAL_STRING: 0x1c,
  BMP_STRING: 0x1e,
} as const;

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** The elements that these octets are, one after another; undefined where they are not DER. */
export function readDer(octets: Uint8Array): DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let at = 0; at < octets.length; ) {
    const tag = octets[at]!;
    const length = readLength(octets, at + 1);
    if ((tag & 0x1f) === 0x1f || length === undefined) return undefined;
    const end = length.at + length.octets;
    if (end > octets.length) return undefined;
    elements.push({ tag, content: octets.subarray(length.at, end) });
    at = end;
  }
  return elements;
}

/** What is in the one element of this tag that these octets are. */
export function readDerOnly(tag: number, octets: Uint8Array): DerElement[] | undefined {
  const [element, ...more] = readDer(octets) ?? [];
  return element?.tag === tag && more.length === 0 ? readDer(element.content) : undefined;
}

/** Where the content begins, and its length; only the shortest form is DER. */
function readLength(
  octets: Uint8Array,
  at: number,
): { readonly at: number; readonly octets: number } | undefined {
  const first = octets[at];
  if (first === undefined) return undefined;
  if (first < 0x80) return { at: at + 1, octets: first };
  const count = first & 0x7f;
  if (count < 1 || count > 3 || octets.length < at + 1 + count) return undefined;
  let length = 0;
  for (let i = 1; i <= count; i++) length = length * 256 + octets[at + i]!;
  const shortest = count === 1 ? length >= 0x80 : length >= 256 ** (count - 1);
  return shortest ? { at: at + 1 + count, octets: length } : undefined;
}

/** An element of these parts. */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const octets = [tag];
  if (length < 0x80) octets.push(length);
  else if (length < 0x100) octets.push(0x81, length);
  else octets.push(0x82, length >> 8, length & 0xff);
  const written = new Uint8Array(octets.length + length);
  written.set(octets);
  let at = octets.length;
  for (const part of parts) {
    written.set(part, at);
    at += part.length;
  }
  return written;
}

/** An object identifier's content as text, such as `2.5.4.3`. */
export function formatOid(content: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of content) {
    arc = arc * 128 + (octet & 0x7f);
    if ((octet & 0x80) !== 0) continue;
    if (arcs.length > 0) arcs.push(arc);
    else arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)));
    arc = 0;
  }
  return arcs.join('.');
}

/** The object identifier element of such a text. */
export function writeOid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const octets = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return writeDer(DER_TAG.OBJECT_IDENTIFIER, Uint8Array.from(octets));
}
