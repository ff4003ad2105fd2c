/** IP addresses between text and octets. Text is written as RFC 5952 has it. */

/** 4 or 16 octets, or undefined where the text is no IP address (zones are none). */
export function parseAddress(text: string): Uint8Array<ArrayBuffer> | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** The address as text; throws where it has neither 4 nor 16 octets. */
export function formatAddress(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  if (octets.length === 16) return formatIpv6(octets);
  throw new RangeError(`an IP address of ${octets.length} octets`);
}

export function familyOf(address: Uint8Array): 4 | 6 {
  if (address.length !== 4 && address.length !== 16) {
    throw new RangeError(`an IP address of ${address.length} octets`);
  }
  return address.length === 4 ? 4 : 6;
}

/** Negative, zero or positive, as the first address is before, equal to or after the second. */
export function compareAddresses(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

function parseIpv4(text: string): Uint8Array<ArrayBuffer> | undefined {
  const octets = new Uint8Array(4);
  let at = 0;
  for (let i = 0; i < 4; i++) {
    if (i > 0 && text[at++] !== '.') return undefined;
    const start = at;
    let value = 0;
    while (at < start + 3 && isDigit(text.charCodeAt(at))) value = value * 10 + Number(text[at++]);
    // A leading zero has been read as octal by some, so nobody can mean it.
    if (at === start || value > 255 || (at > start + 1 && text[start] === '0')) return undefined;
    octets[i] = value;
  }
  return at === text.length ? octets : undefined;
}

/** NaN, beyond the text, is none. */
function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function parseIpv6(text: string): Uint8Array<ArrayBuffer> | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => parseGroups(half, i === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const groups = halves.length === 1 ? head : fillGroups(head, tail!);
  if (groups?.length !== 8) return undefined;
  return Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff]));
}

/** `::` stands for at least one group of zeros. */
function fillGroups(head: readonly number[], tail: readonly number[]): number[] | undefined {
  const zeros = 8 - head.length - tail.length;
  if (zeros < 1) return undefined;
  return [...head, ...new Array<number>(zeros).fill(0), ...tail];
}

/** `mayEndInIpv4`: only the last four octets can be written so. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    const ipv4 = mayEndInIpv4 && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (ipv4 !== undefined) groups.push(ipv4[0]! * 256 + ipv4[1]!, ipv4[2]! * 256 + ipv4[3]!);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952 §4: lower case, no leading zeros, `::` for the first longest run of two or more. */
function formatIpv6(octets: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => octets[2 * i]! * 256 + octets[2 * i + 1]!);
  let start = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (groups[i + run] === 0) run++;
    if (run > longest) [start, longest] = [i, run];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + longest))}`;
}
