/** Stands in until `policy/` reads proposals itself. */
import type { Algorithm, Proposal } from '../policy/proposal.js';

const ENCRYPTION: Readonly<Record<string, Algorithm>> = {
  aes128gcm16: { id: 20, keyBits: 128 },
  aes192gcm16: { id: 20, keyBits: 192 },
  aes256gcm16: { id: 20, keyBits: 256 },
};
const PRF: Readonly<Record<string, Algorithm>> = {
  prfsha256: { id: 5 },
  prfsha384: { id: 6 },
  prfsha512: { id: 7 },
};
const GROUPS: Readonly<Record<string, Algorithm>> = {
  modp2048: { id: 14 },
  modp3072: { id: 15 },
  modp4096: { id: 16 },
  ecp256: { id: 19 },
  ecp384: { id: 20 },
  ecp521: { id: 21 },
  x25519: { id: 31 },
};

export function parseProposal(protocol: 'ike' | 'esp', text: string): Proposal {
  const names = text.split('-');
  const pick = (table: Readonly<Record<string, Algorithm>>) =>
    names.flatMap((name) => table[name] ?? []);
  const unknown = names.find((name) => !(name in ENCRYPTION || name in PRF || name in GROUPS));
  if (unknown !== undefined) throw new Error(`unknown algorithm "${unknown}"`);
  return {
    protocol,
    encryption: pick(ENCRYPTION),
    prf: pick(PRF),
    integrity: [],
    keyExchange: pick(GROUPS),
    esn: protocol === 'esp' ? [true, false] : [],
  };
}

export const DEFAULT_IKE = ['aes256gcm16-aes128gcm16-prfsha256-prfsha384-x25519-ecp256-modp2048'];
export const DEFAULT_ESP = ['aes256gcm16-aes128gcm16'];
