/** IKE identities (RFC 7296 §3.5): what a peer calls itself and proves, as text and compared. */
import { formatAddress, ID_TYPE, nameOf, parseAddress } from '../wire/index.js';
import { formatName, nameKey, parseName, sameName } from './distinguished-name.js';

export interface Identity {
  /** ID type of the IANA registry: 1 IPv4, 2 FQDN, 3 RFC 822 address, 5 IPv6, 9 DN, 11 key ID. */
  readonly type: number;
  readonly data: Uint8Array;
}

const MAX_OCTETS = 1024;

/**
 * Reads an identity: an IP address, `user@host`, `host.example.org`, a distinguished name such as
 * `C=CH, O=Example, CN=gw`, or with the type before it: `fqdn:`, `email:`, `ipv4:`, `ipv6:`, `dn:`,
 * `keyid:` (text, or hexadecimal digits after `0x`). As strongSwan has it, `@host` is a host name
 * and `@#0a0b` a key ID.
 * @throws RangeError  that says what is wrong
 */
export function parseIdentity(text: string): Identity {
  const identity = parseTyped(text) ?? parseUntyped(text);
  if (identity.data.length === 0 || identity.data.length > MAX_OCTETS) {
    throw new RangeError(`an identity of ${identity.data.length} octets: "${text}"`);
  }
  return identity;
}

function parseTyped(text: string): Identity | undefined {
  const match = /^(fqdn|email|ipv4|ipv6|keyid|dn):(.*)$/s.exec(text);
  if (match === null) return undefined;
  const [, type, value = ''] = match;
  switch (type) {
    case 'fqdn':
      return named(ID_TYPE.ID_FQDN, value);
    case 'email':
      return named(ID_TYPE.ID_RFC822_ADDR, value);
    case 'keyid':
      return { type: ID_TYPE.ID_KEY_ID, data: keyId(value) };
    case 'dn':
      return nameIdentity(parseName(value));
    default: {
      const address = parseAddress(value);
      if (address?.length !== (type === 'ipv4' ? 4 : 16)) {
        throw new RangeError(`not an ${type} address: "${value}"`);
      }
      return addressIdentity(address);
    }
  }
}

function parseUntyped(text: string): Identity {
  const address = parseAddress(text);
  if (address !== undefined) return addressIdentity(address);
  if (text.startsWith('@#')) return { type: ID_TYPE.ID_KEY_ID, data: keyId(`0x${text.slice(2)}`) };
  if (text.startsWith('@')) return named(ID_TYPE.ID_FQDN, text.slice(1));
  if (text.includes('=')) return nameIdentity(parseName(text));
  if (text.includes('@')) return named(ID_TYPE.ID_RFC822_ADDR, text);
  return named(ID_TYPE.ID_FQDN, text);
}

/** Host names and mail addresses; no blanks and nothing that does not print. */
function named(type: number, text: string): Identity {
  if (!/^[!-~]+$/.test(text)) throw new RangeError(`not a host name or mail address: "${text}"`);
  return { type, data: new TextEncoder().encode(text) };
}

function keyId(text: string): Uint8Array {
  if (!text.startsWith('0x')) return new TextEncoder().encode(text);
  const digits = text.slice(2);
  if (!/^([0-9a-fA-F]{2})+$/.test(digits)) {
    throw new RangeError(`not hexadecimal octets: "${digits}"`);
  }
  const pairs = digits.match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** The identity of a host that is known by its address. */
function addressIdentity(address: Uint8Array): Identity {
  return {
    type: address.length === 4 ? ID_TYPE.ID_IPV4_ADDR : ID_TYPE.ID_IPV6_ADDR,
    data: address,
  };
}

/** The identity of whom a certificate calls by this name (in DER). */
export function nameIdentity(der: Uint8Array): Identity {
  return { type: ID_TYPE.ID_DER_ASN1_DN, data: der };
}

/** The identity as text. A peer may have sent any octets: only printing ones are shown as text. */
export function formatIdentity({ type, data }: Identity): string {
  const text = printable(data);
  switch (type) {
    case ID_TYPE.ID_IPV4_ADDR:
    case ID_TYPE.ID_IPV6_ADDR: {
      const fits = data.length === (type === ID_TYPE.ID_IPV4_ADDR ? 4 : 16);
      return fits ? formatAddress(data) : `${nameOf(ID_TYPE, type)}:${toHex(data)}`;
    }
    case ID_TYPE.ID_FQDN:
      return text ?? `fqdn:${toHex(data)}`;
    case ID_TYPE.ID_RFC822_ADDR:
      return text ?? `email:${toHex(data)}`;
    case ID_TYPE.ID_KEY_ID:
      return `keyid:${text === undefined || text.startsWith('0x') ? `0x${toHex(data)}` : text}`;
    case ID_TYPE.ID_DER_ASN1_DN:
      return formatName(data) ?? `dn:${toHex(data)}`;
    default:
      return `${nameOf(ID_TYPE, type)}:${toHex(data)}`;
  }
}

/**
 * Host names and mail addresses are the same in capitals (RFC 4945 §3.1.2, §3.1.3), and so are
 * names of directories (RFC 5280 §7.1).
 */
export function sameIdentity(a: Identity, b: Identity): boolean {
  if (a.type !== b.type) return false;
  if (a.type === ID_TYPE.ID_DER_ASN1_DN) return sameName(a.data, b.data);
  const fold = a.type === ID_TYPE.ID_FQDN || a.type === ID_TYPE.ID_RFC822_ADDR;
  const lower = (octet: number) => (fold && octet >= 0x41 && octet <= 0x5a ? octet + 32 : octet);
  return (
    a.data.length === b.data.length &&
    a.data.every((octet, i) => lower(octet) === lower(b.data[i]!))
  );
}

/** The same for identities that are the same, and hardly ever for others: to find them by. */
export function identityKey({ type, data }: Identity): string {
  if (type === ID_TYPE.ID_DER_ASN1_DN) return `${type} ${nameKey(data) ?? ''}`;
  return `${type} ${Buffer.from(data).toString('latin1').toLowerCase()}`;
}

/** Text of octets that all print, at most 64 of them. */
function printable(data: Uint8Array): string | undefined {
  if (data.length > 64) return undefined;
  const text = String.fromCharCode(...data);
  return /^[!-~]*$/.test(text) ? text : undefined;
}

function toHex(data: Uint8Array): string {
  return [...data.subarray(0, 64)].map((octet) => octet.toString(16).padStart(2, '0')).join('');
}
